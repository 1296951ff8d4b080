//! IDLE (RFC 2177), and how it ends: the next command, whichever it is, ends it first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use imap_proto::{RequestId, Response};
use tokio::time::{Instant, timeout};

use super::session::{Refusal, Session, Step, refused};
use crate::error::{Error, Kind, Result};
use crate::refusal::{Meaning, meaning};

/// So long the server may take to end IDLE.
const DONE_WITHIN: Duration = Duration::from_secs(10);
/// After so long a session that waits speaks: NAT and servers forget the silent ones (`reliability.md` F41).
pub(super) const SPEAK_EVERY: Duration = Duration::from_secs(9 * 60);
/// The longest silence of a server while a session waits.
const SILENCE: Duration = Duration::from_secs(9 * 60 + 30);
/// An IDLE that the server ends by itself before that is none: asked for again and again, it would keep both busy.
const TOO_SHORT: Duration = Duration::from_secs(60);

/// An IDLE under way.
#[derive(Debug)]
pub(super) struct Idle {
    tag: RequestId,
    since: Instant,
    /// The server has asked for the rest, which is DONE.
    is_begun: bool,
    is_ended: bool,
}

/// Work that may be dropped at any time: then its flag says that what was sent may be unanswered.
#[derive(Debug)]
pub(super) struct Droppable {
    is_done: bool,
    is_interrupted: Arc<AtomicBool>,
}

impl Droppable {
    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Droppable {
    fn drop(&mut self) {
        if !self.is_done {
            self.is_interrupted.store(true, Ordering::Relaxed);
        }
    }
}

impl Session {
    /// For work that may be dropped at any time: the next command then reads first what is still to come.
    pub(super) fn may_be_dropped(&self) -> Droppable {
        Droppable { is_done: false, is_interrupted: Arc::clone(&self.is_interrupted) }
    }

    /// Whether the server tells at this moment what happens in the folder.
    pub(super) fn is_idling_in(&mut self, folder: &str) -> bool {
        let is_open = self.selection.open().is_some_and(|open| open.folder == folder);
        is_open && self.idle.as_ref().is_some_and(|idle| idle.is_begun && !idle.is_ended)
    }

    /// Begins IDLE in the open folder. `false`: the server does not do it, and is not asked again. A refusal that passes is an
    /// error.
    pub(super) async fn begin_idle(&mut self) -> Result<bool> {
        self.stop_waiting().await?;
        let tag = self.queue("IDLE");
        // Known before it is sent: from the first byte on it has to be ended.
        self.idle = Some(Idle { tag: tag.clone(), since: Instant::now(), is_begun: false, is_ended: false });
        self.write_queued().await?;
        loop {
            match self.step(&tag, |_| Ok(())).await? {
                Step::More => {}
                Step::Asked(_) => {
                    self.idle.iter_mut().for_each(|idle| idle.is_begun = true);
                    return Ok(true);
                }
                Step::Done(answer) => {
                    self.idle = None;
                    return match answer {
                        Err(Refusal { line }) if meaning(&line) == Meaning::Later => Err(refused("IDLE", &line)),
                        _ => {
                            self.refuses_idle = true;
                            Ok(false)
                        }
                    };
                }
            }
        }
    }

    /// Reads one reply while nothing is asked for but IDLE. Cancel-safe.
    pub(super) async fn hear(&mut self) -> Result<()> {
        let tag = self.idle.as_ref().map_or_else(|| RequestId(String::new()), |idle| idle.tag.clone());
        self.replies.read_little();
        if let Step::Done(_) = self.step_within(SILENCE, &tag, |_: &Response<'_>| Ok(())).await? {
            self.ended_by_itself();
        }
        Ok(())
    }

    /// Some servers end IDLE after a while; one that does it at once has none.
    fn ended_by_itself(&mut self) {
        let is_too_short = |idle: Idle| idle.since.elapsed() < TOO_SHORT;
        self.refuses_idle |= self.idle.take().is_some_and(is_too_short);
    }

    /// Ends IDLE, and reads what is left of the answers to a wait that was dropped.
    pub(super) async fn stop_waiting(&mut self) -> Result<()> {
        if self.idle.is_none() && !self.is_interrupted.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.idle {
            Some(_) => timeout(DONE_WITHIN, self.read_to_the_end()).await.unwrap_or_else(|_| Err(goes_on_idling()))?,
            None => self.read_to_the_end().await?,
        }
        self.is_interrupted.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// May be dropped as well, and then goes on where it stopped.
    async fn read_to_the_end(&mut self) -> Result<()> {
        self.write_queued().await?;
        while let Some(tag) = self.in_flight.first().cloned() {
            if let Some(idle) = self.idle.as_mut().filter(|idle| idle.tag == tag && idle.is_begun && !idle.is_ended) {
                idle.is_ended = true;
                self.write(b"DONE\r\n").await?;
            }
            if let Step::Asked(_) = self.step(&tag, |_| Ok(())).await? {
                self.idle.iter_mut().filter(|idle| idle.tag == tag).for_each(|idle| idle.is_begun = true);
            }
        }
        self.idle = None;
        Ok(())
    }
}

fn goes_on_idling() -> Error {
    let text = format!("the server does not end IDLE within {} s", DONE_WITHIN.as_secs());
    Error::transient(Kind::Network, text)
}
