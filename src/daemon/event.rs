//! What happens in the daemon, as everybody hears of it: the terminal or journal, whoever asks for events, and the board.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};

use super::changes::Changes;
use crate::pass::{Maintained, Passed, Told};

/// So many events wait for somebody who reads them slowly, before those in between are lost to that one.
const WAITING: usize = 1024;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A pass over an account ended.
    Passed(Passed),
    /// A pass over the outbox ended.
    Told(Arc<Told>),
    /// An item of `maintenance` ran.
    Maintained(Arc<Maintained>),
    /// An account was paused or goes on; the empty name stands for all.
    Paused(String, bool),
    /// A new config is in force: what changed.
    Reloaded(Changes),
    /// A new config cannot be used, and the old one stays in force: why.
    NotReloaded(String),
    /// Something that the log of the daemon should hold.
    Noted(String),
}

impl Event {
    /// As programs read it, an object a line, with the time when it happened.
    pub fn to_json(&self, at: Timestamp) -> Value {
        let mut value = self.without_time();
        if let Some(object) = value.as_object_mut() {
            object.insert("at".to_owned(), json!(at));
        }
        value
    }

    fn without_time(&self) -> Value {
        match self {
            Self::Passed(passed) => json!({"event": "passed", "pass": passed}),
            Self::Told(told) => json!({
                "event": "told", "sent": told.sent, "later": told.later, "failed": told.failed, "remarks": told.remarks
            }),
            Self::Maintained(done) => json!({
                "event": "maintained", "item": done.name, "moved": done.moved, "stay": done.stay,
                "remarks": done.remarks, "errors": done.errors.iter().map(ToString::to_string).collect::<Vec<_>>()
            }),
            Self::Paused(account, true) => json!({"event": "paused", "account": account}),
            Self::Paused(account, false) => json!({"event": "resumed", "account": account}),
            Self::Reloaded(changes) => json!({"event": "reloaded", "changes": changes}),
            Self::NotReloaded(why) => json!({"event": "not_reloaded", "why": why}),
            Self::Noted(text) => json!({"event": "noted", "text": text}),
        }
    }
}

/// An event, and when it happened.
type Happened = (Timestamp, Event);

/// Where events are told.
#[derive(Clone, Debug)]
pub(super) struct Events {
    /// To the log, which misses none: whoever tells one waits for it.
    log: mpsc::Sender<Event>,
    /// To whoever asks.
    others: broadcast::Sender<Happened>,
}

impl Events {
    /// And what the log reads.
    pub(super) fn new() -> (Self, mpsc::Receiver<Event>) {
        let (log, read) = mpsc::channel(WAITING);
        (Self { log, others: broadcast::Sender::new(WAITING) }, read)
    }

    /// Tells one.
    pub(super) async fn tell(&self, event: Event) {
        // Nobody may ask for events just now.
        self.others.send((Timestamp::now(), event.clone())).ok();
        self.log.send(event).await.ok();
    }

    /// Every event from now on.
    pub(super) fn hear(&self) -> broadcast::Receiver<Happened> {
        self.others.subscribe()
    }
}
