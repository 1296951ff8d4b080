//! When messages arrived, under the keys by which rules count them (`rate`).

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};

use super::sqlite::Sql;
use crate::decision::Counted;

/// The table.
pub(super) const TABLE: &str = "
-- Messages as rules count them (`rate`). mark: what tells them apart; at: when one arrived.
CREATE TABLE counted (
    handle TEXT NOT NULL,
    key TEXT NOT NULL,
    mark INTEGER NOT NULL,
    at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (handle, key, mark)
) WITHOUT ROWID;
CREATE INDEX counted_at ON counted (handle, key, at);
CREATE INDEX counted_until ON counted (handle, until);
-- When a number was given last (`number` with `per`).
ALTER TABLE counter ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
";

/// How many messages there are: those in the state, and those with the marks that are about to be written.
pub(super) fn counted(db: &Connection, of: &Counted, coming: &HashSet<i64>) -> Sql<u64> {
    let range = params![of.handle, of.key, of.after.as_second(), of.upto.as_second(), of.mark];
    let known: u64 = db
        .prepare_cached(
            "SELECT count(*) FROM counted WHERE handle = ?1 AND key = ?2 AND at > ?3 AND at <= ?4 AND mark <> ?5",
        )?
        .query_row(range, |row| row.get(0))?;
    let mut is_known = db.prepare_cached(
        "SELECT 1 FROM counted WHERE handle = ?1 AND key = ?2 AND mark = ?3 AND at > ?4 AND at <= ?5",
    )?;
    let mut new = 0;
    for mark in coming {
        let one = params![of.handle, of.key, mark, of.after.as_second(), of.upto.as_second()];
        new += u64::from(!is_known.exists(one)?);
    }
    Ok(known + new)
}

/// Counts a message. If it was counted before, it stays until the later of both times.
pub(super) fn count(
    tx: &Transaction<'_>,
    (handle, key, mark): (&str, &str, i64),
    at: Timestamp,
    until: Timestamp,
) -> Sql<()> {
    tx.prepare_cached(
        "INSERT INTO counted (handle, key, mark, at, until) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
    )?
    .execute(params![handle, key, mark, at.as_second(), until.as_second()])
    .map(drop)
}

/// Removes the oldest messages of a handle.
pub(super) fn evict(tx: &Transaction<'_>, handle: &str, most: u64) -> Sql<()> {
    tx.prepare_cached(
        "DELETE FROM counted WHERE handle = ?1 AND (key, mark) IN
         (SELECT key, mark FROM counted WHERE handle = ?1 ORDER BY until DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![handle, most])
    .map(drop)
}

/// Removes the least recently used keys of a counter. The counter's own number is kept for ever.
pub(super) fn evict_numbers(tx: &Transaction<'_>, name: &str, most: u64) -> Sql<()> {
    tx.prepare_cached(
        "DELETE FROM counter WHERE counter IN
         (SELECT counter FROM counter WHERE counter > ?1 || char(10) AND counter < ?1 || char(11)
          ORDER BY at DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![name, most])
    .map(drop)
}

/// Removes the messages that no rule counts any more.
pub(super) fn prune(tx: &Transaction<'_>, now: Timestamp) -> Sql<()> {
    tx.execute("DELETE FROM counted WHERE until <= ?1", [now.as_second()]).map(drop)
}
