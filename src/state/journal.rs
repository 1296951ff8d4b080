//! The journal for people and `undo`.

use std::ops::Range;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{journal_row, mboxes, targets};
use super::sqlite::Sql;
use super::{About, EntryId, JournalEntry, Places, Target, before};

/// A journal entry as `mailsluice log` shows it.
#[derive(Clone, Debug)]
pub struct JournalRow {
    /// Its number.
    pub id: EntryId,
    /// When it was decided.
    pub at: Timestamp,
    /// The account.
    pub account: String,
    /// The folder on the server.
    pub folder: String,
    /// UID, UIDL or hash.
    pub message: String,
    /// From, Subject, Message-ID.
    pub about: About,
    /// The size as filed.
    pub size: u64,
    /// The rule.
    pub rule: String,
    /// The conditions that were true.
    pub why: String,
    /// What happened.
    pub outcome: String,
    /// What rules asked to be logged, and what else there is to know.
    pub notes: Vec<String>,
    /// The files, as published.
    pub files: Vec<PathBuf>,
    /// Whether publishing is known to be complete.
    pub done: bool,
    /// The run of `refilter`, `maintain` or `undo` that moved it, or 0.
    pub run: u64,
    /// The files that it left.
    pub left: Vec<PathBuf>,
}

/// The columns that [`journal_row`] reads, in its order. An account has its present label.
const ROWS: &str =
    "SELECT entry, at, COALESCE(label, origin.account), folder, id, sender, subject, message_id, size, rule,
     outcome, done, spooled, why, notes, run
     FROM journal JOIN origin USING (origin) LEFT JOIN account ON account.space = origin.account";

/// The newest entries with numbers in a range, of one account or of all, newest first.
pub(super) fn newest(
    db: &Connection,
    places: &Places,
    account: Option<&str>,
    numbers: Range<EntryId>,
    limit: u32,
) -> Sql<Vec<JournalRow>> {
    let mut query = db.prepare_cached(&format!(
        "{ROWS} WHERE entry >= ?2 AND entry < ?3 AND (?1 IS NULL OR COALESCE(label, origin.account) = ?1)
         ORDER BY entry DESC LIMIT ?4"
    ))?;
    let rows = query.query_map(params![account, numbers.start, numbers.end, limit], |row| journal_row(row, places))?;
    let mut rows = rows.collect::<Sql<Vec<_>>>()?;
    for row in &mut rows {
        row.files.extend(targets(db, places, row.id)?.iter().map(Target::published_path));
        row.files.extend(mboxes(db, places, row.id)?.into_iter().map(|mbox| mbox.file));
        row.left = before::leaves(db, places, row.id)?.into_iter().map(|leaving| leaving.path).collect();
    }
    Ok(rows)
}

/// The entries of an account's messages with that Message-ID.
pub(super) fn filed_as(db: &Connection, account: &str, message_id: &str) -> Sql<Vec<EntryId>> {
    let mut query = db.prepare_cached(
        "SELECT entry FROM journal JOIN origin USING (origin)
         WHERE account = ?1 AND message_id = ?2 ORDER BY entry DESC LIMIT 8",
    )?;
    query.query_map(params![account, message_id], |row| row.get(0))?.collect()
}

/// Sender, subject and Message-ID of one entry.
pub(super) fn about(db: &Connection, id: EntryId) -> Sql<Option<About>> {
    let mut query = db.prepare_cached("SELECT sender, subject, message_id FROM journal WHERE entry = ?1")?;
    let about = |row: &Row<'_>| Ok(About { from: row.get(0)?, subject: row.get(1)?, message_id: row.get(2)? });
    query.query_row([id], about).optional()
}

/// One entry with everything that it led to.
pub(super) fn entry(db: &Connection, places: &Places, id: EntryId) -> Sql<Option<JournalEntry>> {
    let mut query = db.prepare_cached(&format!("{ROWS} WHERE entry = ?1"))?;
    let Some(row) = query.query_row([id], |row| journal_row(row, places)).optional()? else { return Ok(None) };
    let (targets, mboxes) = (targets(db, places, id)?, mboxes(db, places, id)?);
    let spooled = row.files.first().cloned();
    let mut before = before::of(db, places, id)?;
    // Entries of earlier versions have it only in the names of their files.
    let seconds = || targets.first().and_then(|target| target.staged.split('.').next()?.parse().ok());
    before.arrived = before.arrived.or_else(|| Timestamp::from_second(seconds()?).ok());
    Ok(Some(JournalEntry { row, targets, mboxes, spooled, before }))
}
