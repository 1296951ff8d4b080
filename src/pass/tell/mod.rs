//! Tell: empty the outbox through the relays, as far as it is due.
//!
//! One process at a time does it, with a [lane](lanes) for each way out. A row is marked as being sent, durably, before
//! anything goes out, and [what became of it](conclude) is noted right after: of a forward together with the mark on the next
//! row, which halves the syncs. A relay
//! that cannot be reached rests, and its rows with it; a row that is refused for now is tried again later, and one that
//! lacks something in the config waits for it. What is refused for good, or too old, is given up: if it was to deliver
//! the message, that one is filed in the inbox with a notice.

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
use self::lanes::{Ended, Lane, Load};
use self::shared::Shared;
use super::{Relays, World};
use crate::decision::Way;
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::outbox::outcome::Came;
use crate::outbox::relay::{Connection, Verdict};
use crate::outbox::webhook;
use crate::source::imap::append::Appender;
use crate::state::{OutboxRow, Owned, Rest};
use crate::stop::{stopped, unless_stopped};

pub use self::dropped::drop_row;
pub use self::resting::resting;
pub(super) use self::salvage::nobodys;
pub(super) use self::undelivered::given_up_key;

/// So many rows are taken at once.
const ROUND: u32 = 200;

/// What came of a pass over the outbox.
#[derive(Debug, Default)]
pub struct Told {
    /// Rows that are done.
    pub sent: u64,
    /// Rows that are tried again later.
    pub later: u64,
    /// Rows that were given up.
    pub failed: u64,
    /// What the user should know.
    pub remarks: Vec<String>,
    /// Another process sends: what is due goes out with it.
    pub by_another: bool,
}

impl Told {
    /// What another lane did.
    fn add(&mut self, other: Self) {
        let Self { sent, later, failed, remarks, by_another } = other;
        self.sent += sent;
        self.later += later;
        self.failed += failed;
        self.by_another |= by_another;
        remarks.into_iter().for_each(|remark| self.remark(remark));
    }

    /// Says something once, however many rows it is true of.
    fn remark(&mut self, text: String) {
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }
}

/// Sends what is due, for at most `limit`, waiting for its turn included. Nothing is said when another process is at it
/// and yet another waits for its turn: that one sees whatever stood in the outbox before this call.
pub async fn tell(world: &World, relays: &Relays, limit: Duration, stop: &CancellationToken) -> Result<Told> {
    let until = Instant::now() + limit;
    let is_over = || stop.is_cancelled() || Instant::now() > until;
    let Some(owned) = turn::turn(world, &is_over).await? else {
        return Ok(Told { by_another: true, ..Told::default() });
    };
    let remarks = undelivered::resume(world, &owned)?;
    salvage::salvage(world, &owned)?;
    let shared = Shared::new(world, owned, relays, until, stop.clone());
    let mut told = Told { remarks, ..Told::default() };
    told.add(Pass::begin(shared.clone())?.before_anything_is_sent()?);
    told.add(lanes::work(&shared).await?);
    Ok(told)
}

/// The work of one lane.
struct Pass {
    world: World,
    owned: Arc<Owned>,
    relays: Arc<Relays>,
    shared: Shared,
    told: Told,
    open: HashMap<String, Connection>,
    appenders: HashMap<String, Appender>,
    /// Rows whose outcome is not written yet: it goes with the next claim.
    noted: Vec<OutboxRow>,
    /// The relays that rest. Only the lane of a relay lets it rest.
    rests: Vec<Rest>,
    stop: CancellationToken,
}

/// A row with its message, when it is sent.
struct Item {
    row: OutboxRow,
    original: Message,
}

impl Pass {
    fn begin(shared: Shared) -> Result<Self> {
        let Shared { world, owned, relays, stop, .. } = shared.clone();
        let rests = world.store.rests()?;
        let (told, open, appenders) = (Told::default(), HashMap::new(), HashMap::new());
        Ok(Self { world, owned, relays, shared, told, open, appenders, noted: Vec::new(), rests, stop })
    }

    fn before_anything_is_sent(mut self) -> Result<Told> {
        self.settle_interrupted()?;
        self.write_outcomes()?;
        Ok(self.told)
    }

    /// Everything that is due in a lane.
    async fn along(mut self, lane: &Lane) -> Result<Ended> {
        let emptied = self.empty(lane).await;
        // Also after an error: what was sent must not go out again.
        self.write_outcomes()?;
        let left = emptied?;
        Ok(Ended { told: self.end().await, left })
    }

    /// Round after round over everything that is due, until a round changes nothing. The result is what is left.
    async fn empty(&mut self, lane: &Lane) -> Result<Load> {
        let relays = Arc::clone(&self.relays);
        loop {
            let (mut moved, mut after, mut left) = (false, None, Load::default());
            loop {
                let due = self.world.store.due(self.world.now(), after, ROUND)?;
                let Some(last) = due.last() else { break };
                after = Some((last.due, last.id));
                for row in due.into_iter().filter(|row| Lane::of(row, &relays) == *lane) {
                    if self.shared.is_over() {
                        return Ok(left);
                    }
                    left.add(&row);
                    moved |= self.one(row).await.or_else(|e| self.unfiled(e))?;
                }
            }
            if !moved {
                return Ok(left);
            }
        }
    }

    /// A folder that cannot be written holds up no row but the one that has to go there: that one is as it would be after a
    /// crash, and the next pass goes on with it. Without the state nothing goes on.
    fn unfiled(&mut self, error: Error) -> Result<bool> {
        if error.kind() != Kind::Disk {
            return Err(error);
        }
        self.told.later += 1;
        self.told.remark(error.to_string());
        Ok(false)
    }

    async fn end(mut self) -> Told {
        for (_, connection) in self.open.drain() {
            connection.quit().await;
        }
        for (_, appender) in self.appenders.drain() {
            appender.logout().await;
        }
        self.told
    }

    /// What a dead process was sending: a forward goes out again, with the same Message-ID; an answer may have gone out
    /// and must not go twice. What was interrupted before may be what kills the program: the others go first.
    fn settle_interrupted(&mut self) -> Result<()> {
        for row in self.world.store.being_sent(&self.owned)? {
            self.conclude(row, None, Came::Interrupted).or_else(|e| self.unfiled(e))?;
        }
        Ok(())
    }

    /// One row. Whether anything about it changed.
    async fn one(&mut self, row: OutboxRow) -> Result<bool> {
        let now = self.world.now();
        if let Some(cause) = self.is_one_too_many(&row, now)? {
            self.told.remark(format!("{} is not sent: {cause}", row.telling));
            return self.conclude(row, None, Came::Stopped(cause));
        }
        if self.is_over_a_limit(&row, now)? {
            return Ok(false);
        }
        match Handover::of(&row.telling.way) {
            Some(handover) => self.hand_over(row, handover).await,
            None if matches!(row.telling.way, Way::Imap(_)) => self.by_account(row).await,
            None => self.by_relay(row).await,
        }
    }

    /// The row with its message. `None`: the disk does not give it, which is noted.
    fn with_message(&mut self, row: OutboxRow) -> Result<Option<Item>> {
        match self.world.read(&row.bytes) {
            Ok(original) => Ok(Some(Item { row, original })),
            Err(e) => self.unread(row, &e).map(|_| None),
        }
    }

    /// Takes a row to be sent now. `false`: somebody else put it aside meanwhile.
    fn claim(&mut self, row: &OutboxRow) -> Result<bool> {
        let claimed = self.world.store.claim(&self.owned, row.id, self.world.now(), &self.noted)?;
        self.drop_bytes_of_noted();
        Ok(claimed)
    }

    /// A row that a program or a webhook gets. Whether anything about it changed.
    async fn hand_over(&mut self, row: OutboxRow, handover: Handover) -> Result<bool> {
        // Before the message is touched, as for a relay.
        if !self.claim(&row)? {
            return Ok(true);
        }
        let Some(item) = self.with_message(row)? else { return Ok(true) };
        let (verdict, item) = match handover {
            // It hears stop by itself.
            Handover::Program(program) => {
                let (locks, allow_root) = (self.world.locks(), self.world.allow_root);
                let work = move || (program.run(&item.original, &locks, allow_root), item);
                let worker = tokio::task::spawn_blocking(work);
                worker.await.map_err(|e| Error::transient(Kind::Busy, "running a program").because(e))?
            }
            Handover::Webhook(address, notify) => {
                let verdict = unless_stopped(&self.stop, webhook::post(address, notify)).await;
                (verdict.unwrap_or_else(|| Verdict::Later(stopped())), item)
            }
        };
        self.conclude(item.row, Some(item.original), Came::Verdicts(vec![verdict]))
    }
}
