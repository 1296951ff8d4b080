//! What is removed from the state, and when.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Transaction, params};

use super::clock::{EARLIEST, is_possible};
use super::sqlite::Sql;
use super::{EntryId, before, memory, outbox};
use crate::message::{NOTICES, RECOVERED, REFILTERED, STDIN, UNDONE};
use crate::safeguard::Safeguard;

/// When a key is forgotten that complete listings lack.
const FORGET_MISSING: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long journal entries are kept.
const FORGET_JOURNAL: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How long discarded mail is kept in the spool.
const FORGET_SPOOL: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How many bytes of discarded mail are kept in all (1 GiB). Beyond that, the oldest is removed early, so that a flood
/// of spam does not fill the disk.
pub(super) const MAX_SPOOLED_BYTES: u64 = 1 << 30;

/// The limits for discarded mail and for originals, in bytes.
pub(super) struct Most {
    pub(super) spooled: u64,
    pub(super) originals: u64,
}

/// Removes what is old. Returns the names of spool files that nothing names any more.
pub(super) fn prune(tx: &Transaction<'_>, now: Timestamp, most: &Most) -> Sql<Vec<String>> {
    let until = |age: SignedDuration| now.checked_sub(age).unwrap_or(Timestamp::MIN).as_second();
    correct_dates(tx, now)?;
    tx.execute("DELETE FROM seen WHERE missing_since < ?1", [until(FORGET_MISSING)])?;
    tx.execute(
        "DELETE FROM seen WHERE at < ?1
         AND origin IN (SELECT origin FROM origin WHERE folder IN (?2, ?3, ?4) OR account IN (?5, ?6))",
        params![until(FORGET_MISSING), STDIN, NOTICES, RECOVERED, REFILTERED, UNDONE],
    )?;
    tx.execute("DELETE FROM attempt WHERE at < ?1", [until(FORGET_MISSING)])?;
    // Rows of accounts and hosts that nothing asks for any more.
    tx.execute("DELETE FROM pace WHERE until < ?1", [until(FORGET_MISSING)])?;
    tx.execute("DELETE FROM connections WHERE at < ?1", [until(FORGET_MISSING)])?;
    memory::prune(tx, now)?;
    let mut files = discarded(tx, until(FORGET_SPOOL), most.spooled)?;
    files.extend(before::prune(tx, now, most.originals)?);
    journal(tx, until(FORGET_JOURNAL))?;
    unnamed(tx, files)
}

/// Gives rows that were written while the clock was certainly wrong the present time.
fn correct_dates(tx: &Transaction<'_>, now: Timestamp) -> Sql<()> {
    if !Safeguard::PlausibleTime.is_on() || !is_possible(now) {
        return Ok(());
    }
    let columns =
        [("journal", "at"), ("seen", "missing_since"), ("attempt", "at"), ("answered", "at"), ("outbox", "at")];
    for (table, column) in columns {
        let date = format!("UPDATE {table} SET {column} = ?1 WHERE {column} < ?2");
        tx.execute(&date, [now.as_second(), EARLIEST])?;
    }
    tx.execute("UPDATE seen SET at = ?1 WHERE at < ?2 AND mark IN (0, 3, 10)", [now.as_second(), EARLIEST]).map(drop)
}

/// Forgets discarded mail that is too old or too much. A message that still has to be sent keeps its bytes.
fn discarded(tx: &Transaction<'_>, before: i64, most: u64) -> Sql<Vec<String>> {
    let unfinished = outbox::UNFINISHED;
    let mut query = tx.prepare(&format!(
        "SELECT entry, spooled, size, at FROM journal WHERE spooled IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE bytes = spooled AND {unfinished}) ORDER BY at DESC, entry DESC"
    ))?;
    let rows = query.query_map([], |row| {
        Ok((row.get::<_, EntryId>(0)?, row.get::<_, String>(1)?, row.get::<_, u64>(2)?, row.get::<_, i64>(3)?))
    })?;
    let mut kept = 0u64;
    let mut files = Vec::new();
    let mut forget = tx.prepare("UPDATE journal SET spooled = NULL WHERE entry = ?1")?;
    for row in rows.collect::<Sql<Vec<_>>>()? {
        let (entry, file, size, at) = row;
        kept = kept.saturating_add(size);
        if at < before || kept > most {
            forget.execute([entry])?;
            files.push(file);
        }
    }
    Ok(files)
}

/// The files that no row needs any more. The same message, fetched again, has the same file.
fn unnamed(tx: &Transaction<'_>, files: Vec<String>) -> Sql<Vec<String>> {
    let unfinished = outbox::UNFINISHED;
    let mut named = tx.prepare(&format!(
        "SELECT 1 FROM journal WHERE spooled = ?1 OR kept = ?1
         UNION SELECT 1 FROM outbox WHERE bytes = ?1 AND {unfinished}"
    ))?;
    let mut unnamed = Vec::new();
    for file in files {
        if !named.exists([&file])? {
            unnamed.push(file);
        }
    }
    Ok(unnamed)
}

fn journal(tx: &Transaction<'_>, before: i64) -> Sql<()> {
    let unfinished = outbox::UNFINISHED;
    let old = format!(
        "SELECT entry FROM journal WHERE at < ?1 AND done = 1
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.entry = journal.entry AND {unfinished})"
    );
    for table in ["target", "mbox", "leaving", "outbox", "journal"] {
        tx.execute(&format!("DELETE FROM {table} WHERE entry IN ({old})"), [before])?;
    }
    Ok(())
}
