//! Tell: empties the outbox through the relays, as far as it is due.
//!
//! One process at a time does this, with a [lane](lanes) for each way out. An item is marked as being sent, durably,
//! before anything goes out, and [its outcome](conclude) is recorded right after; that of a forward together with the
//! mark on the next item, which halves the syncs. A relay that cannot be reached rests, and its items with it. An item
//! that is refused for now is tried again later, and one that lacks something in the config waits for it. An item that
//! is refused for good, or too old, is given up. If it was to deliver the message, the message is filed in the inbox
//! with a notice.

mod append;
mod conclude;
mod desktop;
mod dropped;
mod fcc;
mod handover;
mod lanes;
mod limits;
mod relay;
mod resting;
mod salvage;
mod sender;
mod shared;
mod turn;
mod undelivered;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::handover::Handover;
use self::lanes::{Lane, LaneEnd, LaneLoad};
use self::shared::SharedByLanes;
use crate::decision::Way;
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::outbox::Relays;
use crate::outbox::outcome::AttemptResult;
use crate::outbox::relay::{Connection, RecipientVerdict};
use crate::outbox::webhook;
use crate::pass::World;
use crate::source::imap::append::Appender;
use crate::state::{OutboxRow, Owned, Rest};
use crate::stop::{stopped, unless_stopped};

pub use self::dropped::drop_row;
pub use self::resting::resting;

/// How many rows are read at once.
const ROWS_PER_ROUND: u32 = 200;

/// The result of a pass over the outbox.
#[derive(Debug, Default)]
pub struct OutboxReport {
    /// Items that are done.
    pub sent: u64,
    /// Items that are tried again later.
    pub later: u64,
    /// Items that were given up.
    pub failed: u64,
    /// What the user should know.
    pub remarks: Vec<String>,
    /// Another process is sending, and sends what is due.
    pub by_another: bool,
}

impl OutboxReport {
    /// Adds what another lane did.
    fn add(&mut self, other: Self) {
        let Self { sent, later, failed, remarks, by_another } = other;
        self.sent += sent;
        self.later += later;
        self.failed += failed;
        self.by_another |= by_another;
        remarks.into_iter().for_each(|remark| self.remark(remark));
    }

    /// Adds a remark once, however many items it concerns.
    fn remark(&mut self, text: String) {
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }
}

/// Sends what is due, for at most `limit`, including the wait for the lock. Does nothing if another process is sending
/// and a second one waits for the lock: that one sees whatever was in the outbox before this call.
pub async fn tell(world: &World, relays: &Relays, limit: Duration, stop: &CancellationToken) -> Result<OutboxReport> {
    let until = Instant::now() + limit;
    let is_over = || stop.is_cancelled() || Instant::now() > until;
    let Some(owned) = turn::turn(world, &is_over).await? else {
        return Ok(OutboxReport { by_another: true, ..OutboxReport::default() });
    };
    let remarks = undelivered::resume(world, &owned)?;
    salvage::salvage(world, &owned)?;
    let shared = SharedByLanes::new(world, owned, relays, until, stop.clone());
    let mut told = OutboxReport { remarks, ..OutboxReport::default() };
    told.add(Pass::begin(shared.clone())?.before_anything_is_sent()?);
    told.add(lanes::work(&shared).await?);
    Ok(told)
}

/// The work of one lane.
struct Pass {
    world: World,
    owned: Arc<Owned>,
    relays: Arc<Relays>,
    shared: SharedByLanes,
    told: OutboxReport,
    open: HashMap<String, Connection>,
    appenders: HashMap<String, Appender>,
    /// Items whose outcomes are not written yet. The next claim writes them.
    unwritten: Vec<OutboxRow>,
    /// The relays that rest. Only the lane of a relay lets it rest.
    rests: Vec<Rest>,
    stop: CancellationToken,
}

/// An item with its message, while it is being sent.
struct ItemToSend {
    row: OutboxRow,
    original: Message,
}

impl Pass {
    fn begin(shared: SharedByLanes) -> Result<Self> {
        let SharedByLanes { world, owned, relays, stop, .. } = shared.clone();
        let rests = world.store.rests()?;
        let (told, open, appenders) = (OutboxReport::default(), HashMap::new(), HashMap::new());
        Ok(Self { world, owned, relays, shared, told, open, appenders, unwritten: Vec::new(), rests, stop })
    }

    fn before_anything_is_sent(mut self) -> Result<OutboxReport> {
        self.settle_interrupted()?;
        self.write_outcomes()?;
        Ok(self.told)
    }

    /// Sends everything that is due in a lane.
    async fn work_on(mut self, lane: &Lane) -> Result<LaneEnd> {
        let emptied = self.empty(lane).await;
        // Even after an error, because what was sent must not be sent again.
        self.write_outcomes()?;
        let left = emptied?;
        Ok(LaneEnd { told: self.end().await, left })
    }

    /// Goes over everything that is due until a round changes nothing. Returns what is left.
    async fn empty(&mut self, lane: &Lane) -> Result<LaneLoad> {
        let relays = Arc::clone(&self.relays);
        loop {
            let (mut moved, mut after, mut left) = (false, None, LaneLoad::default());
            loop {
                let due = self.world.store.due(self.world.now(), after, ROWS_PER_ROUND)?;
                let Some(last) = due.last() else { break };
                after = Some((last.due, last.id));
                for row in due.into_iter().filter(|row| Lane::of(row, &relays) == *lane) {
                    if self.shared.is_over() {
                        return Ok(left);
                    }
                    left.add(&row);
                    moved |= self.send_row(row).await.or_else(|e| self.leave_to_next_pass(e))?;
                }
            }
            if !moved {
                return Ok(left);
            }
        }
    }

    /// Handles a folder that cannot be written. It holds up only the message that has to go there; the next pass
    /// continues with it as after a crash. Without the state nothing can go on.
    fn leave_to_next_pass(&mut self, error: Error) -> Result<bool> {
        if error.kind() != Kind::Disk {
            return Err(error);
        }
        self.told.later += 1;
        self.told.remark(error.to_string());
        Ok(false)
    }

    async fn end(mut self) -> OutboxReport {
        for (_, connection) in self.open.drain() {
            connection.quit().await;
        }
        for (_, appender) in self.appenders.drain() {
            appender.logout().await;
        }
        self.told
    }

    /// Handles what a dead process was sending. A forward is sent again with the same Message-ID. An answer may have
    /// been sent, and must not be sent twice. An interrupted item may be the one that kills the program, so the others
    /// go first.
    fn settle_interrupted(&mut self) -> Result<()> {
        for row in self.world.store.being_sent(&self.owned)? {
            self.conclude(row, None, AttemptResult::Interrupted).or_else(|e| self.leave_to_next_pass(e))?;
        }
        Ok(())
    }

    /// Sends one item. Returns whether anything about it changed.
    async fn send_row(&mut self, row: OutboxRow) -> Result<bool> {
        let now = self.world.now();
        if let Some(cause) = self.is_one_too_many(&row, now)? {
            self.told.remark(format!("{} is not sent: {cause}", row.telling));
            return self.conclude(row, None, AttemptResult::Stopped(cause));
        }
        if self.is_over_a_limit(&row, now)? {
            return Ok(false);
        }
        match Handover::of(&row.telling.way) {
            Some(handover) => self.hand_over(row, handover).await,
            None if matches!(row.telling.way, Way::Imap(_)) => self.append_to_account(row).await,
            None => self.by_relay(row).await,
        }
    }

    /// The item with its message, or `None` if the message cannot be read, which is recorded.
    fn with_message(&mut self, row: OutboxRow) -> Result<Option<ItemToSend>> {
        match self.world.read(&row.bytes) {
            Ok(original) => Ok(Some(ItemToSend { row, original })),
            Err(e) => self.unread(row, &e).map(|_| None),
        }
    }

    /// Claims an item that is to be sent now. Returns `false` if another process has held or dropped it meanwhile.
    fn claim(&mut self, row: &OutboxRow) -> Result<bool> {
        let claimed = self.world.store.claim(&self.owned, row.id, self.world.now(), &self.unwritten)?;
        self.drop_bytes_of_written();
        Ok(claimed)
    }

    /// Hands an item over to a program or a webhook. Returns whether anything about it changed.
    async fn hand_over(&mut self, row: OutboxRow, handover: Handover) -> Result<bool> {
        // Before the message is read, as for a relay.
        if !self.claim(&row)? {
            return Ok(true);
        }
        let Some(item) = self.with_message(row)? else { return Ok(true) };
        let (verdict, item) = match handover {
            // The program notices a stop by itself.
            Handover::Program(program) => {
                let (locks, allow_root) = (self.world.locks(), self.world.allow_root);
                let work = move || (program.run(&item.original, &locks, allow_root), item);
                let worker = tokio::task::spawn_blocking(work);
                worker.await.map_err(|e| Error::transient(Kind::Busy, "running a program").because(e))?
            }
            Handover::Webhook(address, notify) => {
                let verdict = unless_stopped(&self.stop, webhook::post(address, notify)).await;
                (verdict.unwrap_or_else(|| RecipientVerdict::Later(stopped())), item)
            }
        };
        self.conclude(item.row, Some(item.original), AttemptResult::Verdicts(vec![verdict]))
    }
}
