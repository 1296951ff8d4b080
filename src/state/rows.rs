//! Rows of journal, keys and files, as values.

use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction, params};

use super::{About, Attempt, Entry, EntryId, JournalRow, Mark, MboxTarget, Remembered, Target, Trouble, outbox};
use crate::message::Origin;

type Sql<T> = rusqlite::Result<T>;

/// Numbers of origins within one transaction, so that each is looked up once.
#[derive(Default)]
pub(super) struct Origins {
    last: Option<(Origin, i64)>,
}

impl Origins {
    pub(super) fn id(&mut self, tx: &Transaction<'_>, origin: &Origin) -> Sql<i64> {
        if let Some((known, id)) = &self.last
            && known == origin
        {
            return Ok(*id);
        }
        let Origin { account, folder, generation } = origin;
        tx.prepare_cached("INSERT OR IGNORE INTO origin (account, folder, generation) VALUES (?1, ?2, ?3)")?
            .execute(params![account, folder, generation])?;
        let id = tx
            .prepare_cached("SELECT origin FROM origin WHERE account = ?1 AND folder = ?2 AND generation = ?3")?
            .query_row(params![account, folder, generation], |row| row.get(0))?;
        self.last = Some((origin.clone(), id));
        Ok(id)
    }
}

pub(super) fn insert_entry(tx: &Transaction<'_>, origins: &mut Origins, entry: &Entry) -> Sql<EntryId> {
    let origin = origins.id(tx, &entry.key.origin)?;
    let here =
        Remembered { mark: Mark::Here, announced: entry.announced, head_hash: Some(entry.head_hash), at: entry.at };
    remember(tx, origin, &entry.key.id, &here)?;
    tx.prepare_cached("DELETE FROM attempt WHERE origin = ?1 AND id = ?2")?.execute(params![origin, entry.key.id])?;
    let About { from, subject, message_id } = &entry.about;
    let spooled = entry.spooled.as_ref().map(|p| p.to_string_lossy());
    let done = entry.targets.is_empty() && entry.mboxes.is_empty();
    tx.prepare_cached(
        "INSERT INTO journal (at, origin, id, sender, subject, message_id, size, rule, outcome, spooled, done, why,
         notes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        entry.at.as_second(),
        origin,
        entry.key.id,
        from,
        subject,
        message_id,
        entry.size,
        entry.rule,
        entry.outcome,
        spooled,
        done,
        entry.why,
        entry.notes.join("\n")
    ])?;
    let id = tx.last_insert_rowid();
    let mut insert = tx.prepare_cached("INSERT INTO target (entry, maildir, staged, info) VALUES (?1, ?2, ?3, ?4)")?;
    for target in &entry.targets {
        insert.execute(params![id, target.maildir.to_string_lossy(), target.staged, target.info])?;
    }
    let mut insert =
        tx.prepare_cached("INSERT INTO mbox (entry, file, spool, staged, line) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for MboxTarget { file, spool, staged, line, .. } in &entry.mboxes {
        insert.execute(params![id, file.to_string_lossy(), spool.to_string_lossy(), staged, line])?;
    }
    outbox::insert(tx, id, entry)?;
    Ok(id)
}

pub(super) fn remember(tx: &Transaction<'_>, origin: i64, id: &[u8], what: &Remembered) -> Sql<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO seen (origin, id, mark, announced, head_hash, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![origin, id, mark_number(what.mark), what.announced, what.head_hash, what.at.as_second()])?;
    Ok(())
}

pub(super) fn forget(tx: &Transaction<'_>, origin: i64, id: &[u8]) -> Sql<()> {
    tx.prepare_cached("DELETE FROM seen WHERE origin = ?1 AND id = ?2")?.execute(params![origin, id])?;
    Ok(())
}

pub(super) fn finish(tx: &Transaction<'_>, done: &[EntryId]) -> Sql<()> {
    let mut update = tx.prepare_cached("UPDATE journal SET done = 1 WHERE entry = ?1")?;
    done.iter().try_for_each(|id| update.execute([id]).map(drop))
}

pub(super) fn targets(db: &Connection, entry: EntryId) -> Sql<Vec<Target>> {
    let mut query = db.prepare_cached("SELECT maildir, staged, info FROM target WHERE entry = ?1")?;
    let rows = query.query_map([entry], |row| {
        Ok(Target { maildir: row.get::<_, String>(0)?.into(), staged: row.get(1)?, info: row.get(2)?, version: 0 })
    })?;
    rows.collect()
}

pub(super) fn mboxes(db: &Connection, entry: EntryId) -> Sql<Vec<MboxTarget>> {
    let mut query = db.prepare_cached("SELECT file, spool, staged, line FROM mbox WHERE entry = ?1")?;
    let rows = query.query_map([entry], |row| {
        let path = |n| row.get::<_, String>(n).map(PathBuf::from);
        Ok(MboxTarget { file: path(0)?, spool: path(1)?, staged: row.get(2)?, line: row.get(3)?, version: 0 })
    })?;
    rows.collect()
}

pub(super) fn journal_row(row: &Row<'_>) -> Sql<JournalRow> {
    let id: Vec<u8> = row.get(4)?;
    let spooled: Option<String> = row.get(12)?;
    let notes: String = row.get(14)?;
    Ok(JournalRow {
        id: row.get(0)?,
        at: time(row.get(1)?),
        account: row.get(2)?,
        folder: row.get(3)?,
        message: crate::clean::line(&id),
        about: About { from: row.get(5)?, subject: row.get(6)?, message_id: row.get(7)? },
        size: row.get(8)?,
        rule: row.get(9)?,
        outcome: row.get(10)?,
        why: row.get(13)?,
        notes: notes.lines().map(str::to_owned).collect(),
        files: spooled.map(PathBuf::from).into_iter().collect(),
        done: row.get(11)?,
    })
}

pub(super) fn remembered(row: &Row<'_>, from: usize) -> Sql<Remembered> {
    Ok(Remembered {
        mark: mark_of(row.get(from)?),
        announced: row.get(from + 1)?,
        head_hash: row.get(from + 2)?,
        at: time(row.get(from + 3)?),
    })
}

pub(super) fn attempt(row: &Row<'_>, from: usize) -> Sql<Attempt> {
    Ok(Attempt {
        count: row.get(from)?,
        trouble: trouble_of(row.get(from + 1)?),
        first: time(row.get(from + 2)?),
        cause: row.get(from + 3)?,
        at: time(row.get(from + 4)?),
    })
}

pub(super) fn trouble_number(trouble: Trouble) -> i64 {
    match trouble {
        Trouble::Fetch => 0,
        Trouble::Died => 1,
        Trouble::Deferred => 2,
    }
}

fn trouble_of(number: i64) -> Trouble {
    match number {
        1 => Trouble::Died,
        2 => Trouble::Deferred,
        _ => Trouble::Fetch,
    }
}

fn mark_number(mark: Mark) -> i64 {
    match mark {
        Mark::Here => 0,
        Mark::Skipped => 1,
        Mark::SetAside => 2,
        Mark::Settled => 3,
        Mark::TooOld => 4,
        Mark::Doubtful => 5,
    }
}

fn mark_of(number: i64) -> Mark {
    match number {
        1 => Mark::Skipped,
        2 => Mark::SetAside,
        3 => Mark::Settled,
        4 => Mark::TooOld,
        5 => Mark::Doubtful,
        _ => Mark::Here,
    }
}

pub(super) fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}
