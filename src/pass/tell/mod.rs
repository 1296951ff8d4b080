//! Tell: empty the outbox through the relays, as far as it is due.
//!
//! One process at a time does it. A row is marked as being sent, durably, before anything goes out; what became of it is
//! noted right after. A relay that cannot be reached rests, and its rows with it; a row that is refused for now is tried
//! again later; what is refused for good, or too old, is given up: then the message is filed in the inbox with a notice.

mod append;
mod limits;
mod outcome;
mod relay;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::copies;
use super::handover::Handover;
use super::undelivered::{self};
use super::{Ways, World};
use crate::decision::Way;
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, MAX_HEADER, Message};
use crate::outbox::relay::Connection;
use crate::outbox::retry;
use crate::source::imap::append::Appender;
use crate::state::{JournalEntry, Lock, OutboxRow, OutboxState};

/// So many rows are taken at once.
const ROUND: u32 = 200;
/// A message over this size is read from its file while it is sent, in bytes.
const WINDOW: u64 = 8 * 1024 * 1024;

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
}

/// Sends what is due, for at most `limit`. Nothing is said when another process is at it.
pub async fn tell(world: &World, ways: &Ways, limit: Duration, stop: &CancellationToken) -> Result<Told> {
    let _lock = match Lock::try_take(&world.locks(), "outbox") {
        Err(e) if e.kind() == Kind::Busy => return Ok(Told::default()),
        lock => lock?,
    };
    let mut pass = Pass { world, ways, told: Told::default(), open: HashMap::new(), appenders: HashMap::new() };
    undelivered::resume(world)?;
    pass.settle_interrupted()?;
    let until = Instant::now() + limit;
    loop {
        let due = world.store.due(world.now(), ROUND)?;
        let mut moved = false;
        for row in due {
            if stop.is_cancelled() || Instant::now() > until {
                return Ok(pass.end().await);
            }
            moved |= pass.one(row).await?;
        }
        if !moved {
            return Ok(pass.end().await);
        }
    }
}

struct Pass<'a> {
    world: &'a World,
    ways: &'a Ways,
    told: Told,
    open: HashMap<String, Connection>,
    appenders: HashMap<String, Appender>,
}

/// What is known of a row when it is sent.
struct Item {
    row: OutboxRow,
    entry: Option<JournalEntry>,
    original: Message,
}

impl Item {
    fn account(&self) -> &str {
        self.entry.as_ref().map_or("", |entry| entry.row.account.as_str())
    }
}

impl Pass<'_> {
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
    /// and must not go twice.
    fn settle_interrupted(&mut self) -> Result<()> {
        for mut row in self.world.store.being_sent()? {
            row.changed = self.world.now();
            let is_answer = matches!(row.telling.way, Way::Vacation(_) | Way::Reply(_) | Way::Reject(_));
            if copies::is_filed(self.world, &row)? {
                row.said = "taken: a copy of it was filed when the program was interrupted".to_owned();
                row.state = OutboxState::Sent;
                self.told.sent += 1;
            } else if is_answer {
                row.said = "given up: it may have gone out when the program was interrupted".to_owned();
                row.state = OutboxState::Failed;
                self.told.failed += 1;
            } else {
                row.state = OutboxState::Waiting;
            }
            self.world.store.resolve(&row)?;
        }
        Ok(())
    }

    /// One row. Whether anything about it changed.
    async fn one(&mut self, row: OutboxRow) -> Result<bool> {
        let now = self.world.now();
        let lifetime = SignedDuration::try_from(retry::lifetime(&row.telling.way)).unwrap_or(SignedDuration::MAX);
        let item = Item { entry: self.world.store.entry(row.entry)?, original: self.read(&row)?, row };
        if now.duration_since(item.row.at) > lifetime {
            let cause = format!("it could not be told in time; the last answer was: {}", item.row.said);
            self.give_up(item, &cause)?;
            return Ok(true);
        }
        if let Some(cause) = self.is_one_too_many(&item.row, now)? {
            self.told.remarks.push(format!("{} is not sent: {cause}", item.row.telling));
            self.give_up(item, &cause)?;
            return Ok(true);
        }
        if self.is_over_a_limit(&item.row, now)? {
            return Ok(false);
        }
        match Handover::of(&item.row.telling.way) {
            Some(handover) => self.by_hand(item, handover).await,
            None if matches!(item.row.telling.way, Way::Imap(_)) => self.by_account(item).await,
            None => self.by_relay(item).await,
        }
    }

    /// The message that a row is about: read when it is small, left in its file when it is big.
    fn read(&self, row: &OutboxRow) -> Result<Message> {
        let failed = |e| Error::disk(format!("reading {}", row.bytes.display()), e);
        let mut bytes = Vec::new();
        let mut file = self.world.disk.open(&row.bytes).map_err(failed)?;
        std::io::Read::read_to_end(&mut std::io::Read::take(&mut file, WINDOW + 1), &mut bytes).map_err(failed)?;
        if (bytes.len() as u64) <= WINDOW {
            return Ok(self.world.message(Bytes::Memory(bytes)));
        }
        let rest = std::io::copy(&mut file, &mut std::io::sink()).map_err(failed)?;
        let length = bytes.len() as u64 + rest;
        bytes.truncate(MAX_HEADER);
        Ok(self.world.message(Bytes::Spooled { head: bytes, path: row.bytes.clone(), length }))
    }

    async fn by_hand(&mut self, item: Item, handover: Handover) -> Result<bool> {
        if !self.world.store.claim(item.row.id, self.world.now())? {
            return Ok(true);
        }
        let allow_root = self.world.allow_root;
        let worker = tokio::task::spawn_blocking(move || (handover.run(&item.original, allow_root), item));
        let (verdict, item) =
            worker.await.map_err(|e| Error::transient(Kind::Busy, "telling without a relay").because(e))?;
        self.note(item, vec![verdict])?;
        Ok(true)
    }
}

/// Gives a row up because the user says so; a message that stands nowhere else goes to the inbox. A state comes back when
/// it does not wait.
pub fn drop_row(world: &World, id: i64) -> Result<Option<OutboxState>> {
    // Read under the lock: nobody sends it meanwhile.
    let _lock = Lock::try_take(&world.locks(), "outbox")?;
    let Some(row) = world.store.outbox(None, u32::MAX)?.into_iter().find(|row| row.id == id) else { return Ok(None) };
    if !matches!(row.state, OutboxState::Waiting | OutboxState::Held) {
        return Ok(Some(row.state));
    }
    let ways = Ways::default();
    let mut pass = Pass { world, ways: &ways, told: Told::default(), open: HashMap::new(), appenders: HashMap::new() };
    let original = pass.read(&row)?;
    pass.give_up(Item { entry: None, original, row }, "dropped by the user")?;
    Ok(None)
}
