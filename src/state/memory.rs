//! What rules read and write: keys, lists, answered senders, counters.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::clock::{Clock, EARLIEST, Seen, is_possible};
use super::sqlite::Sql;
use super::{Entry, RuleFacts, SqliteStore, counts, facts};
use crate::config::entries::ListedEntry as ListEntry;
use crate::decision::{ANSWERED, AnsweredQuestion, Counted, Fact, Write};
use crate::error::Result;
use crate::safeguard::Safeguard;

/// How many keys one handle may hold. Beyond that, those that expire first are removed.
pub(super) const MAX_KEYS: u64 = 100_000;
/// How many answered senders one handle may hold. Beyond that, the oldest are removed. RFC 5230 4.2 asks for 1000.
pub(super) const MAX_ANSWERED: u64 = 10_000;
/// When answers are forgotten: no `days` is longer.
const FORGET_ANSWERED: SignedDuration = SignedDuration::from_hours(2 * 365 * 24);

impl RuleFacts for SqliteStore {
    fn holds(&self, fact: &Fact, now: Timestamp) -> Result<bool> {
        self.read("answering a rule's question", |db| holds(db, fact, now))
    }

    fn last_number(&self, counter: &str) -> Result<Option<u64>> {
        self.read("reading a counter", |db| last_number(db, counter))
    }

    fn counted(&self, of: &Counted, coming: &HashSet<i64>) -> Result<u64> {
        self.read("counting messages", |db| counts::counted(db, of, coming))
    }

    fn list_entries(&self, list: &str, now: Timestamp) -> Result<Vec<ListEntry>> {
        self.read("reading a list", |db| list_entries(db, list, now))
    }

    fn list_value(&self, list: &str, entry: &str) -> Result<Option<String>> {
        self.read("reading a list", |db| list_value(db, list, entry))
    }

    fn change_lists(&self, writes: &[Write], now: Timestamp) -> Result<()> {
        self.write("changing a list", |tx| writes.iter().try_for_each(|one| write(tx, one, now)))
    }
}

/// The state's present answer to a question.
pub(super) fn holds(db: &Connection, fact: &Fact, now: Timestamp) -> Sql<bool> {
    match fact {
        Fact::Answered { .. } if !Safeguard::AnswerOnce.is_on() => Ok(false),
        Fact::Seen { handle, .. } if handle == ANSWERED && !Safeguard::AnswerOnce.is_on() => Ok(false),
        Fact::Seen { handle, key } => {
            let until = if handle == ANSWERED && has_jumped(db, now)? { i64::MIN } else { now.as_second() };
            db.prepare_cached("SELECT 1 FROM seen_key WHERE handle = ?1 AND key = ?2 AND until > ?3")?
                .exists(params![handle, key, until])
        }
        Fact::Listed { list, entry } => db
            .prepare_cached(
                "SELECT 1 FROM list_entry WHERE list = ?1 AND entry = ?2 AND (until IS NULL OR until > ?3)",
            )?
            .exists(params![list, entry, now.as_second()]),
        Fact::Answered { handle, sender, since } => {
            // An answer dated in the future, or before this program existed, was given all the same: the clock was
            // wrong.
            let earliest = if is_possible(now) { EARLIEST } else { i64::MIN };
            let since = if has_jumped(db, now)? { i64::MIN } else { since.as_second() };
            db.prepare_cached("SELECT 1 FROM answered WHERE handle = ?1 AND sender = ?2 AND (at >= ?3 OR at < ?4)")?
                .exists(params![handle, sender, since, earliest])
        }
        Fact::Numbered { counter, number } => Ok(last_number(db, counter)?.is_some_and(|last| last >= *number)),
        Fact::Counted { of, number } => Ok(counted(db, of)? == *number),
    }
}

/// Whether the time does not follow the last one. Such a time makes no answer expire.
fn has_jumped(db: &Connection, now: Timestamp) -> Sql<bool> {
    let seen = facts::get(db, facts::SEEN)?.and_then(|text| Seen::parse(&text));
    let has_jumped = seen.is_some_and(|seen| Seen::observe(Some(seen), now, false).1 == Clock::Doubted);
    Ok(has_jumped && Safeguard::PlausibleTime.is_on())
}

/// The last number that was taken from a counter.
pub(super) fn last_number(db: &Connection, counter: &str) -> Sql<Option<u64>> {
    db.prepare_cached("SELECT last FROM counter WHERE counter = ?1")?.query_row([counter], |row| row.get(0)).optional()
}

/// How many messages were counted.
pub(super) fn counted(db: &Connection, of: &Counted) -> Sql<u64> {
    counts::counted(db, of, &HashSet::new())
}

/// Whether everything that was read while deciding about these messages, in this order, still holds. Later messages
/// knew what earlier ones write.
pub(super) fn are_unchanged(db: &Connection, entries: &[Entry]) -> Sql<bool> {
    for (n, entry) in entries.iter().enumerate() {
        for AnsweredQuestion { fact, answer } in &entry.reads {
            let written = || entries[..n].iter().flat_map(|earlier| &earlier.writes);
            let now = match (fact, Write::latest(written(), fact)) {
                (Fact::Counted { of, number }, _) => {
                    counts::counted(db, of, &Write::counted(written(), of))? == *number
                }
                (_, Some(written)) => written,
                (_, None) => holds(db, fact, entry.at)?,
            };
            if now != *answer {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Carries out a write.
pub(super) fn write(tx: &Transaction<'_>, what: &Write, at: Timestamp) -> Sql<()> {
    match what {
        Write::Seen { handle, key, until } => {
            tx.prepare_cached(
                "INSERT INTO seen_key (handle, key, until) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET until = excluded.until",
            )?
            .execute(params![handle, key, until.as_second()])?;
        }
        Write::List { list, entry, value, until } => {
            tx.prepare_cached(
                "INSERT INTO list_entry (list, entry, at, value, until) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET value = coalesce(excluded.value, value), until = excluded.until",
            )?
            .execute(params![list, entry, at.as_second(), value, until.map(Timestamp::as_second)])?;
        }
        Write::Unlist { list, entry } => {
            tx.prepare_cached("DELETE FROM list_entry WHERE list = ?1 AND entry = ?2")?.execute([list, entry])?;
        }
        Write::Answered { handle, sender, at } => {
            tx.prepare_cached(
                "INSERT INTO answered (handle, sender, at) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET at = excluded.at",
            )?
            .execute(params![handle, sender, at.as_second()])?;
        }
        Write::Number { counter, number } => {
            tx.prepare_cached(
                "INSERT INTO counter (counter, last, at) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET last = max(last, excluded.last), at = excluded.at",
            )?
            .execute(params![counter, number, at.as_second()])?;
        }
        Write::Counted { handle, key, mark, at, until } => counts::count(tx, (handle, key, *mark), *at, *until)?,
    }
    Ok(())
}

/// The kinds of things that a handle remembers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Remembers {
    Keys,
    Senders,
    Messages,
    Numbers,
}

/// Removes the oldest things under the handles that were written to.
pub(super) fn evict<'a>(
    tx: &Transaction<'_>,
    written: impl Iterator<Item = &'a Write>,
    keys: u64,
    answered: u64,
) -> Sql<()> {
    let mut handles: Vec<(Remembers, &str)> = written
        .filter_map(|write| match write {
            Write::Seen { handle, .. } => Some((Remembers::Keys, handle.as_str())),
            Write::Answered { handle, .. } => Some((Remembers::Senders, handle.as_str())),
            Write::Counted { handle, .. } => Some((Remembers::Messages, handle.as_str())),
            Write::Number { counter, .. } => counter.split_once('\n').map(|(name, _)| (Remembers::Numbers, name)),
            Write::List { .. } | Write::Unlist { .. } => None,
        })
        .collect();
    handles.sort_unstable();
    handles.dedup();
    for (what, handle) in handles {
        match what {
            Remembers::Keys => {
                tx.prepare_cached(
                    "DELETE FROM seen_key WHERE handle = ?1 AND key IN
                     (SELECT key FROM seen_key WHERE handle = ?1 ORDER BY until DESC LIMIT -1 OFFSET ?2)",
                )?
                .execute(params![handle, keys])?;
            }
            Remembers::Senders => {
                tx.prepare_cached(
                    "DELETE FROM answered WHERE handle = ?1 AND sender IN
                     (SELECT sender FROM answered WHERE handle = ?1 ORDER BY at DESC LIMIT -1 OFFSET ?2)",
                )?
                .execute(params![handle, answered])?;
            }
            Remembers::Messages => counts::evict(tx, handle, keys)?,
            Remembers::Numbers => counts::evict_numbers(tx, handle, keys)?,
        }
    }
    Ok(())
}

/// The entries of a list with their values, sorted.
pub(super) fn list_entries(db: &Connection, list: &str, now: Timestamp) -> Sql<Vec<ListEntry>> {
    let mut query = db.prepare_cached(
        "SELECT entry, value FROM list_entry WHERE list = ?1 AND (until IS NULL OR until > ?2) ORDER BY entry",
    )?;
    query
        .query_map(params![list, now.as_second()], |row| Ok(ListEntry { text: row.get(0)?, value: row.get(1)? }))?
        .collect()
}

/// The value of an entry.
pub(super) fn list_value(db: &Connection, list: &str, entry: &str) -> Sql<Option<String>> {
    let mut query = db.prepare_cached("SELECT value FROM list_entry WHERE list = ?1 AND entry = ?2")?;
    Ok(query.query_row([list, entry], |row| row.get(0)).optional()?.flatten())
}

/// Removes what is no longer valid.
pub(super) fn prune(tx: &Transaction<'_>, now: Timestamp) -> Sql<()> {
    tx.execute("DELETE FROM seen_key WHERE until <= ?1", [now.as_second()])?;
    counts::prune(tx, now)?;
    tx.execute("DELETE FROM list_entry WHERE until <= ?1", [now.as_second()])?;
    let old = now.checked_sub(FORGET_ANSWERED).unwrap_or(Timestamp::MIN);
    tx.execute("DELETE FROM answered WHERE at < ?1", [old.as_second()]).map(drop)
}
