//! The rows of the outbox.

use std::borrow::Cow;
use std::path::Path;

use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::sqlite::{Sql, SqliteStore};
use super::{Entry, EntryId, OutboxRow, OutboxState, OwedCopy, Owned, Places, RecipientEnd, Rest};
use crate::decision::Telling;
use crate::error::Result;

/// The outbox items: waiting, sent or given up. Adding an item needs no ownership, because that is part of recording a
/// decision; claiming and changing one does.
pub trait Outbox {
    /// The items of one journal entry or of all, newest first.
    fn outbox(&self, entry: Option<EntryId>, limit: u32) -> Result<Vec<OutboxRow>>;

    /// The item of that number.
    fn outbox_row(&self, id: i64) -> Result<Option<OutboxRow>>;

    /// The items that wait, are being sent or are held, the oldest first.
    fn still_to_tell(&self) -> Result<Vec<OutboxRow>>;

    /// The items that are due, the longest due first, after this time and number.
    fn due(&self, now: Timestamp, after: Option<(Timestamp, i64)>, limit: u32) -> Result<Vec<OutboxRow>>;

    /// The items that a process was sending. After a crash their outcome is unknown.
    fn being_sent(&self, owned: &Owned) -> Result<Vec<OutboxRow>>;

    /// Writes the outcomes of earlier items and claims a waiting one, in one transaction. Returns `false` if it does
    /// not wait any more. Fails if the disk has no room to record its outcome.
    fn claim(&self, owned: &Owned, id: i64, now: Timestamp, before: &[OutboxRow]) -> Result<bool>;

    /// Writes the outcomes of items; `telling` keeps what is left to send. There is room for this even on a full disk.
    fn resolve(&self, owned: &Owned, rows: &[OutboxRow]) -> Result<()>;

    /// Makes items due now, in one transaction: these, waiting or held, or all that wait. It also ends the rest of all
    /// relays. No ownership is needed, because the user asks for it. Items that another process has begun to send
    /// meanwhile stay unchanged.
    fn hurry(&self, ids: &[i64], now: Timestamp) -> Result<()>;

    /// Holds an item if it still waits. Returns whether it did.
    fn hold(&self, id: i64, now: Timestamp) -> Result<bool>;

    /// Asks the process that sends to give an item up, if it still waits or is held. Returns whether it did.
    fn ask_to_drop(&self, id: i64, now: Timestamp) -> Result<bool>;

    /// The items to give up.
    fn to_give_up(&self) -> Result<Vec<OutboxRow>>;

    /// The items that were sent and owe a copy that is due.
    fn copies_due(&self, now: Timestamp) -> Result<Vec<OutboxRow>>;

    /// How many items of these kinds were sent since then.
    fn sent_since(&self, kinds: &[&str], since: Timestamp) -> Result<u64>;

    /// How many replies under this handle were sent to this address since then.
    fn replied_since(&self, handle: &str, to: &str, since: Timestamp) -> Result<u64>;

    /// The relays that rest.
    fn rests(&self) -> Result<Vec<Rest>>;

    /// Lets a relay rest, or ends its rest with a past time.
    fn rest(&self, owned: &Owned, rest: &Rest) -> Result<()>;

    /// Whether an outbox item had its bytes in that file of the spool, whatever became of it.
    fn was_told(&self, path: &Path) -> Result<bool>;
}

impl Outbox for SqliteStore {
    fn outbox(&self, entry: Option<EntryId>, limit: u32) -> Result<Vec<OutboxRow>> {
        self.read("reading the outbox", |db| rows(db, &self.places, entry, limit))
    }

    fn outbox_row(&self, id: i64) -> Result<Option<OutboxRow>> {
        self.read("reading the outbox", |db| row(db, &self.places, id))
    }

    fn still_to_tell(&self) -> Result<Vec<OutboxRow>> {
        self.read("reading the outbox", |db| still_to_tell(db, &self.places))
    }

    fn due(&self, now: Timestamp, after: Option<(Timestamp, i64)>, limit: u32) -> Result<Vec<OutboxRow>> {
        self.read("reading the outbox", |db| due(db, &self.places, now, after, limit))
    }

    fn being_sent(&self, owned: &Owned) -> Result<Vec<OutboxRow>> {
        self.read("reading the outbox", |db| being_sent(db, &self.places, owned))
    }

    fn claim(&self, owned: &Owned, id: i64, now: Timestamp, before: &[OutboxRow]) -> Result<bool> {
        self.keep_room()?;
        self.write_for(owned, "claiming an outbox item", |tx| {
            before.iter().try_for_each(|row| resolve(tx, row))?;
            claim(tx, owned, id, now)
        })
    }

    fn resolve(&self, owned: &Owned, rows: &[OutboxRow]) -> Result<()> {
        self.write_in_any_room(owned, "recording what was sent", |tx| rows.iter().try_for_each(|row| resolve(tx, row)))
    }

    fn hurry(&self, ids: &[i64], now: Timestamp) -> Result<()> {
        self.write("making waiting items due", |tx| hurry(tx, ids, now))
    }

    fn hold(&self, id: i64, now: Timestamp) -> Result<bool> {
        self.write("holding an outbox item", |tx| hold(tx, id, now))
    }

    fn ask_to_drop(&self, id: i64, now: Timestamp) -> Result<bool> {
        self.write("giving an outbox item up", |tx| ask_to_drop(tx, id, now))
    }

    fn to_give_up(&self) -> Result<Vec<OutboxRow>> {
        self.read("reading the outbox", |db| to_give_up(db, &self.places))
    }

    fn copies_due(&self, now: Timestamp) -> Result<Vec<OutboxRow>> {
        self.read("reading the outbox", |db| copies_due(db, &self.places, now))
    }

    fn sent_since(&self, kinds: &[&str], since: Timestamp) -> Result<u64> {
        self.read("counting what was sent", |db| sent_since(db, kinds, since))
    }

    fn replied_since(&self, handle: &str, to: &str, since: Timestamp) -> Result<u64> {
        self.read("counting the replies to a sender", |db| replied_since(db, handle, to, since))
    }

    fn rests(&self) -> Result<Vec<Rest>> {
        self.read("reading which relays rest", rests)
    }

    fn rest(&self, owned: &Owned, rest: &Rest) -> Result<()> {
        self.write_for(owned, "letting a relay rest", |tx| write_rest(tx, rest))
    }

    fn was_told(&self, path: &Path) -> Result<bool> {
        self.read("looking up a spooled message", |db| {
            db.prepare_cached("SELECT 1 FROM outbox WHERE bytes = ?1")?.exists([Places::in_spool(path)])
        })
    }
}

/// The states in which an item still needs its bytes.
pub(super) const UNFINISHED: &str = "state IN (0, 1, 4, 5, 6, 7)";

const COLUMNS: &str = "outbox.id, entry, n, telling, bytes, state, attempts, due, outbox.at, said, changed,
     COALESCE(label, origin.account), folder, COALESCE(since, outbox.at)";
const FROM_TABLES: &str = "outbox JOIN journal USING (entry) JOIN origin USING (origin)
     LEFT JOIN account ON account.space = origin.account";

/// Queues what a decision sends.
pub(super) fn insert(tx: &Transaction<'_>, id: EntryId, entry: &Entry) -> Sql<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO outbox (entry, n, kind, telling, bytes, state, attempts, due, at)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, ?6)",
    )?;
    for (n, (telling, bytes)) in entry.tellings.iter().enumerate() {
        let json = serde_json::to_string(telling).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        let at = entry.at.as_second();
        insert.execute(params![id, n, telling.way.word(), json, Places::in_spool(bytes), at])?;
    }
    Ok(())
}

/// The items of one journal entry or of all, the newest first.
fn rows(db: &Connection, places: &Places, entry: Option<EntryId>, limit: u32) -> Sql<Vec<OutboxRow>> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM {FROM_TABLES} WHERE ?1 IS NULL OR entry = ?1 ORDER BY outbox.id DESC LIMIT ?2"
    ))?;
    query.query_map(params![entry, limit], |row| row_of(row, places))?.collect()
}

fn row(db: &Connection, places: &Places, id: i64) -> Sql<Option<OutboxRow>> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM {FROM_TABLES} WHERE outbox.id = ?1"))?;
    query.query_row([id], |row| row_of(row, places)).optional()
}

fn still_to_tell(db: &Connection, places: &Places) -> Sql<Vec<OutboxRow>> {
    let mut query =
        db.prepare_cached(&format!("SELECT {COLUMNS} FROM {FROM_TABLES} WHERE {UNFINISHED} ORDER BY outbox.id"))?;
    query.query_map([], |row| row_of(row, places))?.collect()
}

/// No item waits longer than this, and no relay rests longer. A later time was recorded by a clock that was ahead.
pub(super) const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(4);

fn due(
    db: &Connection,
    places: &Places,
    now: Timestamp,
    after: Option<(Timestamp, i64)>,
    limit: u32,
) -> Sql<Vec<OutboxRow>> {
    let (due, id) = after.map_or((i64::MIN, i64::MIN), |(due, id)| (due.as_second(), id));
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM {FROM_TABLES} WHERE state = 0 AND (due <= ?1 OR due > ?5) AND (due, outbox.id) > (?3, ?4)
         ORDER BY due, outbox.id LIMIT ?2"
    ))?;
    let furthest = now.saturating_add(LONGEST_WAIT).unwrap_or(now).as_second();
    query.query_map(params![now.as_second(), limit, due, id, furthest], |row| row_of(row, places))?.collect()
}

/// The items that an earlier owner of the outbox was sending. The present owner knows that none of those processes
/// lives.
fn being_sent(db: &Connection, places: &Places, owned: &Owned) -> Sql<Vec<OutboxRow>> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM {FROM_TABLES} WHERE state = 1 AND outbox.owner <> ?1 ORDER BY outbox.id"
    ))?;
    query.query_map([owned.incarnation()], |row| row_of(row, places))?.collect()
}

fn claim(tx: &Transaction<'_>, owned: &Owned, id: i64, now: Timestamp) -> Sql<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE outbox SET state = 1, attempts = attempts + 1, changed = ?2, owner = ?3 WHERE id = ?1 AND state = 0",
        )?
        .execute(params![id, now.as_second(), owned.incarnation()])?;
    Ok(changed == 1)
}

/// The content of the column `telling`: what is left to send, the outcomes of recipients that are not in it any more,
/// and the copy that is owed.
#[derive(Serialize, Deserialize)]
struct Stored<'r> {
    #[serde(flatten)]
    telling: Cow<'r, Telling>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    ended: Cow<'r, [RecipientEnd]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    copy: Option<StoredCopy>,
}

/// An [`OwedCopy`] with its message in base64.
#[derive(Serialize, Deserialize)]
struct StoredCopy {
    message: String,
    attempts: u32,
    said: String,
}

impl StoredCopy {
    fn of(copy: &OwedCopy) -> Self {
        Self { message: BASE64.encode(&copy.message), attempts: copy.attempts, said: copy.said.clone() }
    }

    fn read(self) -> Sql<OwedCopy> {
        let message = BASE64.decode(self.message.as_bytes()).map_err(|e| unreadable(e.into()))?;
        Ok(OwedCopy { message, attempts: self.attempts, said: self.said })
    }
}

fn unreadable(why: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, why)
}

/// Writes the outcome of an item. If the user held it while a process found that it has to wait, it stays held. A copy
/// is owed since its answer was sent.
fn resolve(tx: &Transaction<'_>, row: &OutboxRow) -> Sql<()> {
    let OutboxRow { telling, ended, copy, .. } = row;
    let (telling, ended) = (Cow::Borrowed(telling), Cow::Borrowed(&**ended));
    let stored = Stored { telling, ended, copy: copy.as_ref().map(StoredCopy::of) };
    let json = serde_json::to_string(&stored).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
    tx.prepare_cached(
        "UPDATE outbox SET state = CASE WHEN state IN (?8, ?9) AND ?2 = ?7 THEN state ELSE ?2 END,
         since = CASE WHEN ?2 = ?10 AND state <> ?10 THEN ?6 ELSE since END,
         telling = ?3, due = ?4, said = ?5, changed = ?6 WHERE id = ?1",
    )?
    .execute(params![
        row.id,
        number(row.state),
        json,
        row.due.as_second(),
        row.said,
        row.changed.as_second(),
        number(OutboxState::Waiting),
        number(OutboxState::Held),
        number(OutboxState::Dropped),
        number(OutboxState::CopyOwed),
    ])?;
    Ok(())
}

fn hurry(tx: &Transaction<'_>, ids: &[i64], now: Timestamp) -> Sql<()> {
    let (waiting, held) = (number(OutboxState::Waiting), number(OutboxState::Held));
    let owed = number(OutboxState::CopyOwed);
    if ids.is_empty() {
        let hurry = "UPDATE outbox SET due = MIN(due, ?1), since = ?1 WHERE state IN (?2, ?3)";
        tx.execute(hurry, params![now.as_second(), waiting, owed])?;
    }
    // Whatever rested is tried.
    tx.execute("UPDATE rest SET until = 0, failures = 0", [])?;
    for id in ids {
        tx.prepare_cached(
            "UPDATE outbox SET due = ?1, since = ?1, state = CASE state WHEN ?5 THEN ?5 ELSE ?2 END
             WHERE id = ?4 AND state IN (?2, ?3, ?5)",
        )?
        .execute(params![now.as_second(), waiting, held, id, owed])?;
    }
    Ok(())
}

fn hold(tx: &Transaction<'_>, id: i64, now: Timestamp) -> Sql<bool> {
    let (waiting, held) = (number(OutboxState::Waiting), number(OutboxState::Held));
    tx.prepare_cached("UPDATE outbox SET state = ?1, changed = ?2 WHERE id = ?3 AND state = ?4")?
        .execute(params![held, now.as_second(), id, waiting])
        .map(|changed| changed == 1)
}

fn ask_to_drop(tx: &Transaction<'_>, id: i64, now: Timestamp) -> Sql<bool> {
    let states = [OutboxState::Dropped, OutboxState::Waiting, OutboxState::Held].map(number);
    tx.prepare_cached("UPDATE outbox SET state = ?1, changed = ?4 WHERE id = ?5 AND state IN (?2, ?3)")?
        .execute(params![states[0], states[1], states[2], now.as_second(), id])
        .map(|changed| changed == 1)
}

fn to_give_up(db: &Connection, places: &Places) -> Sql<Vec<OutboxRow>> {
    let mut query =
        db.prepare_cached(&format!("SELECT {COLUMNS} FROM {FROM_TABLES} WHERE state IN (?1, ?2) ORDER BY outbox.id"))?;
    let states = [OutboxState::Dropped, OutboxState::Unfiled].map(number);
    query.query_map(states, |row| row_of(row, places))?.collect()
}

fn copies_due(db: &Connection, places: &Places, now: Timestamp) -> Sql<Vec<OutboxRow>> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM {FROM_TABLES} WHERE state = ?1 AND (due <= ?2 OR due > ?3) ORDER BY outbox.id"
    ))?;
    let furthest = now.saturating_add(LONGEST_WAIT).unwrap_or(now).as_second();
    let asked = params![number(OutboxState::CopyOwed), now.as_second(), furthest];
    query.query_map(asked, |row| row_of(row, places))?.collect()
}

/// Holds every item that waits or was being sent: in an older state, nobody knows which of them were sent since.
pub(super) fn hold_all(tx: &Transaction<'_>, now: Timestamp, said: &str) -> Sql<usize> {
    tx.execute(
        "UPDATE outbox SET state = 4, changed = ?1, said = ?2 WHERE state IN (0, 1)",
        params![now.as_second(), said],
    )
}

fn sent_since(db: &Connection, kinds: &[&str], since: Timestamp) -> Sql<u64> {
    let mut count =
        db.prepare_cached("SELECT COUNT(*) FROM outbox WHERE state IN (2, 6) AND kind = ?1 AND changed >= ?2")?;
    let counts = kinds.iter().map(|kind| count.query_row(params![kind, since.as_second()], |row| row.get::<_, u64>(0)));
    counts.sum()
}

fn replied_since(db: &Connection, handle: &str, to: &str, since: Timestamp) -> Sql<u64> {
    let mut count = db.prepare_cached(
        "SELECT COUNT(*) FROM outbox WHERE state IN (2, 6) AND kind = 'reply' AND changed >= ?3
         AND json_extract(telling, '$.way.reply.handle') = ?1
         AND COALESCE(NULLIF(json_extract(telling, '$.way.reply.sender'), ''), json_extract(telling, '$.way.reply.to'))
             = ?2 COLLATE NOCASE",
    )?;
    count.query_row(params![handle, to, since.as_second()], |row| row.get(0))
}

fn rests(db: &Connection) -> Sql<Vec<Rest>> {
    let mut query = db.prepare_cached("SELECT relay, sender, until, failures, cause FROM rest")?;
    let rows = query.query_map([], |row| {
        Ok(Rest {
            relay: row.get(0)?,
            sender: row.get(1)?,
            until: super::rows::time(row.get(2)?),
            failures: row.get(3)?,
            cause: row.get(4)?,
        })
    })?;
    rows.collect()
}

fn write_rest(tx: &Transaction<'_>, rest: &Rest) -> Sql<()> {
    let Rest { relay, sender, until, failures, cause } = rest;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO rest (relay, sender, until, failures, cause) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![relay, sender, until.as_second(), failures, cause])?;
    Ok(())
}

const STATES: [OutboxState; 8] = [
    OutboxState::Waiting,
    OutboxState::Sending,
    OutboxState::Sent,
    OutboxState::Failed,
    OutboxState::Held,
    OutboxState::Dropped,
    OutboxState::CopyOwed,
    OutboxState::Unfiled,
];

fn number(state: OutboxState) -> usize {
    STATES.iter().position(|known| *known == state).unwrap_or(0)
}

fn row_of(row: &Row<'_>, places: &Places) -> Sql<OutboxRow> {
    let telling: String = row.get(3)?;
    let Stored { telling, ended, copy } = serde_json::from_str(&telling).map_err(|e| unreadable(e.into()))?;
    Ok(OutboxRow {
        id: row.get(0)?,
        entry: row.get(1)?,
        n: row.get(2)?,
        telling: telling.into_owned(),
        ended: ended.into_owned(),
        bytes: places.of_spool(&row.get::<_, String>(4)?),
        state: STATES.get(row.get::<_, usize>(5)?).copied().unwrap_or(OutboxState::Failed),
        attempts: row.get(6)?,
        due: super::rows::time(row.get(7)?),
        at: super::rows::time(row.get(8)?),
        said: row.get(9)?,
        changed: super::rows::time(row.get(10)?),
        account: row.get(11)?,
        folder: row.get(12)?,
        since: super::rows::time(row.get(13)?),
        copy: copy.map(StoredCopy::read).transpose()?,
    })
}
