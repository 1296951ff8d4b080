//! What happens in the daemon, for the terminal or journal, for clients of the socket, and for the board.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};

use super::changes::ConfigChanges;
use crate::pass::Passed;
use crate::tell::OutboxReport;
use crate::upkeep::Maintained;

/// How many events wait for a slow reader before it loses some.
const EVENT_QUEUE: usize = 1024;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A pass over an account ended.
    Passed(Passed),
    /// A pass over the outbox ended.
    Told(Arc<OutboxReport>),
    /// An item of `maintenance` ran.
    Maintained(Arc<Maintained>),
    /// An account was paused or resumed; the empty name means all accounts.
    Paused(String, bool),
    /// A new config is in force, with its changes.
    Reloaded(ConfigChanges),
    /// A new config cannot be used, so the old one stays in force, with the reason.
    NotReloaded(String),
    /// Something that the log of the daemon should hold.
    Noted(String),
}

impl Event {
    /// The event as an object for other programs, with the time when it happened.
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

/// Where events are sent.
#[derive(Clone, Debug)]
pub(super) struct Events {
    /// The log, which misses none: the sender waits for it.
    log: mpsc::Sender<Event>,
    /// The clients of the socket.
    others: broadcast::Sender<Happened>,
}

impl Events {
    /// Also returns the receiver for the log.
    pub(super) fn new() -> (Self, mpsc::Receiver<Event>) {
        let (log, read) = mpsc::channel(EVENT_QUEUE);
        (Self { log, others: broadcast::Sender::new(EVENT_QUEUE) }, read)
    }

    /// Sends an event.
    pub(super) async fn tell(&self, event: Event) {
        // Perhaps no client listens now.
        self.others.send((Timestamp::now(), event.clone())).ok();
        self.log.send(event).await.ok();
    }

    /// All events from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Happened> {
        self.others.subscribe()
    }
}
