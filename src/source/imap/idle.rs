//! IDLE (RFC 2177). The next command ends it first, whichever it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use imap_proto::{RequestId, Response};
use tokio::time::{Instant, timeout};

use super::session::{ImapSession, ReplyStep, TaggedRefusal, refused};
use crate::error::{Error, Kind, Result};
use crate::refusal::{RefusalMeaning, meaning};

/// How long the server may take to end IDLE.
const DONE_WITHIN: Duration = Duration::from_secs(10);
/// A waiting session sends something this often, because NAT and servers drop silent connections (`reliability.md` F41).
pub(super) const REFRESH_EVERY: Duration = Duration::from_secs(9 * 60);
/// The longest silence of the server while a session waits.
const MOST_SILENCE: Duration = Duration::from_secs(9 * 60 + 30);
/// An IDLE that the server ends sooner is useless: repeating it would keep both sides busy.
const SHORTEST_IDLE: Duration = Duration::from_secs(60);

/// A running IDLE.
#[derive(Debug)]
pub(super) struct Idle {
    tag: RequestId,
    since: Instant,
    /// The server has sent its continuation and waits for DONE.
    is_begun: bool,
    is_ended: bool,
}

/// A guard for work that may be dropped at any time. If it is, a flag records that replies may still be outstanding.
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

impl ImapSession {
    /// A guard for work that may be dropped at any time: the next command then first reads the outstanding replies.
    pub(super) fn may_be_dropped(&self) -> Droppable {
        Droppable { is_done: false, is_interrupted: Arc::clone(&self.is_interrupted) }
    }

    /// Whether the server is reporting changes of this folder at this moment.
    pub(super) fn is_idling_in(&mut self, folder: &str) -> bool {
        let is_open = self.selection.open().is_some_and(|open| open.folder == folder);
        is_open && self.idle.as_ref().is_some_and(|idle| idle.is_begun && !idle.is_ended)
    }

    /// Begins IDLE in the open folder. `false` if the server does not support it; then it is not tried again. A temporary
    /// refusal is an error.
    pub(super) async fn begin_idle(&mut self) -> Result<bool> {
        self.stop_waiting().await?;
        let tag = self.queue("IDLE");
        // Recorded before it is sent: once the first byte is out, IDLE has to be ended.
        self.idle = Some(Idle { tag: tag.clone(), since: Instant::now(), is_begun: false, is_ended: false });
        self.write_queued().await?;
        loop {
            match self.step(&tag, |_| Ok(())).await? {
                ReplyStep::More => {}
                ReplyStep::Asked(_) => {
                    self.idle.iter_mut().for_each(|idle| idle.is_begun = true);
                    return Ok(true);
                }
                ReplyStep::Done(answer) => {
                    self.idle = None;
                    return match answer {
                        Err(TaggedRefusal { line }) if meaning(&line) == RefusalMeaning::Later => {
                            Err(refused("IDLE", &line))
                        }
                        _ => {
                            self.refuses_idle = true;
                            Ok(false)
                        }
                    };
                }
            }
        }
    }

    /// Reads one reply while no command but IDLE is running. Cancel-safe.
    pub(super) async fn read_unsolicited(&mut self) -> Result<()> {
        let tag = self.idle.as_ref().map_or_else(|| RequestId(String::new()), |idle| idle.tag.clone());
        self.replies.use_small_buffer();
        if let ReplyStep::Done(_) = self.step_within(MOST_SILENCE, &tag, |_: &Response<'_>| Ok(())).await? {
            self.ended_by_itself();
        }
        Ok(())
    }

    /// Called when the server ends IDLE by itself. Some do so after a while; if it happens at once, IDLE is useless.
    fn ended_by_itself(&mut self) {
        let is_too_short = |idle: Idle| idle.since.elapsed() < SHORTEST_IDLE;
        self.refuses_idle |= self.idle.take().is_some_and(is_too_short);
    }

    /// Ends IDLE, and reads the outstanding replies of a wait that was dropped.
    pub(super) async fn stop_waiting(&mut self) -> Result<()> {
        if self.idle.is_none() && !self.is_interrupted.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.idle {
            Some(_) => timeout(DONE_WITHIN, self.read_outstanding()).await.unwrap_or_else(|_| Err(goes_on_idling()))?,
            None => self.read_outstanding().await?,
        }
        self.is_interrupted.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Reads all outstanding replies. If it is dropped, the next call continues.
    async fn read_outstanding(&mut self) -> Result<()> {
        self.write_queued().await?;
        while let Some(tag) = self.in_flight.first().cloned() {
            if let Some(idle) = self.idle.as_mut().filter(|idle| idle.tag == tag && idle.is_begun && !idle.is_ended) {
                idle.is_ended = true;
                self.write(b"DONE\r\n").await?;
            }
            if let ReplyStep::Asked(_) = self.step(&tag, |_| Ok(())).await? {
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
