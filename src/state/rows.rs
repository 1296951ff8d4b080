//! Rows of the journal, of keys and of files, as values.

use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction, params};

use super::sqlite::Sql;
use super::{
    About, Attempt, Entry, EntryId, JournalRow, KeyPurpose, MboxTarget, Owned, Places, RememberedKey, Stamp, Target,
    Trouble, before, outbox,
};
use crate::decision::{ANSWERED, Write};
use crate::message::Origin;

/// The numbers of origins within one transaction, so that each is looked up once.
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

/// Records one entry for an owner.
pub(super) fn insert_entry(
    tx: &Transaction<'_>,
    owned: &Owned,
    places: &Places,
    origins: &mut Origins,
    entry: &Entry,
) -> Sql<EntryId> {
    let origin = origins.id(tx, &entry.key.origin)?;
    let (head_hash, dress) = (Some(entry.head_hash), Some(entry.dress));
    let here = RememberedKey { mark: entry.mark, announced: entry.announced, head_hash, dress, at: entry.at };
    remember(tx, origin, &entry.key.id, &here)?;
    tx.prepare_cached("DELETE FROM attempt WHERE origin = ?1 AND id = ?2")?.execute(params![origin, entry.key.id])?;
    let About { from, subject, message_id } = &entry.about;
    let spooled = entry.spooled.as_deref().map(Places::in_spool);
    let done = entry.targets.is_empty() && entry.mboxes.is_empty() && entry.before.leaves.is_empty();
    tx.prepare_cached(
        "INSERT INTO journal (at, origin, id, sender, subject, message_id, size, rule, outcome, spooled, done, why,
         notes, owner, noted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
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
        entry.notes.join("\n"),
        owned.space(),
        if done { String::new() } else { noted_keys(&entry.writes) }
    ])?;
    let id = tx.last_insert_rowid();
    let mut insert =
        tx.prepare_cached("INSERT INTO target (entry, maildir, staged, info, stamp) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for Target { maildir, staged, info, stamp, .. } in &entry.targets {
        insert.execute(params![id, places.in_root(maildir), staged, info, stamp.as_str()])?;
    }
    let mut insert = tx
        .prepare_cached("INSERT INTO mbox (entry, file, spool, staged, line, stamp) VALUES (?1, ?2, '', ?3, ?4, ?5)")?;
    for MboxTarget { file, staged, line, stamp, .. } in &entry.mboxes {
        insert.execute(params![id, places.in_root(file), staged, line, stamp.as_str()])?;
    }
    before::insert(tx, owned, places, id, entry)?;
    outbox::insert(tx, id, entry)?;
    Ok(id)
}

pub(super) fn remember(tx: &Transaction<'_>, origin: i64, id: &[u8], what: &RememberedKey) -> Sql<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO seen (origin, id, mark, announced, head_hash, at, dress) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        origin,
        id,
        mark_number(what.mark),
        what.announced,
        what.head_hash,
        what.at.as_second(),
        what.dress
    ])?;
    Ok(())
}

pub(super) fn forget(tx: &Transaction<'_>, origin: i64, id: &[u8]) -> Sql<()> {
    tx.prepare_cached("DELETE FROM seen WHERE origin = ?1 AND id = ?2")?.execute(params![origin, id])?;
    Ok(())
}

/// The keys that rules recorded, as the journal holds them until the message is published.
fn noted_keys(writes: &[Write]) -> String {
    let keys: Vec<(&str, &str)> = writes
        .iter()
        .filter_map(|write| match write {
            Write::Seen { handle, key, .. } if handle != ANSWERED => Some((handle.as_str(), key.as_str())),
            _ => None,
        })
        .collect();
    if keys.is_empty() { String::new() } else { serde_json::to_string(&keys).unwrap_or_default() }
}

/// Removes the keys that rules recorded about a message whose files are gone, so that it is not taken for a duplicate
/// of itself.
pub(super) fn remove_noted_keys(tx: &Transaction<'_>, entry: EntryId) -> Sql<()> {
    let noted: String = tx.query_row("SELECT noted FROM journal WHERE entry = ?1", [entry], |row| row.get(0))?;
    let keys: Vec<(String, String)> = serde_json::from_str(&noted).unwrap_or_default();
    for (handle, key) in keys {
        tx.prepare_cached("DELETE FROM seen_key WHERE handle = ?1 AND key = ?2")?.execute([handle, key])?;
    }
    Ok(())
}

pub(super) fn finish(tx: &Transaction<'_>, done: &[EntryId]) -> Sql<()> {
    let mut update = tx.prepare_cached("UPDATE journal SET done = 1, noted = '' WHERE entry = ?1")?;
    done.iter().try_for_each(|id| update.execute([id]).map(drop))
}

pub(super) fn targets(db: &Connection, places: &Places, entry: EntryId) -> Sql<Vec<Target>> {
    let mut query = db.prepare_cached("SELECT maildir, staged, info, stamp FROM target WHERE entry = ?1")?;
    let rows = query.query_map([entry], |row| {
        let maildir = places.of_root(&row.get::<_, String>(0)?);
        let stamp = Stamp::parse(&row.get::<_, String>(3)?);
        Ok(Target { maildir, staged: row.get(1)?, stamp, info: row.get(2)?, version: 0 })
    })?;
    rows.collect()
}

pub(super) fn mboxes(db: &Connection, places: &Places, entry: EntryId) -> Sql<Vec<MboxTarget>> {
    let mut query = db.prepare_cached("SELECT file, staged, line, stamp FROM mbox WHERE entry = ?1")?;
    let rows = query.query_map([entry], |row| {
        let file = places.of_root(&row.get::<_, String>(0)?);
        let (spool, stamp) = (places.mbox_spool(), Stamp::parse(&row.get::<_, String>(3)?));
        Ok(MboxTarget { file, spool, staged: row.get(1)?, stamp, line: row.get(2)?, version: 0 })
    })?;
    rows.collect()
}

pub(super) fn journal_row(row: &Row<'_>, places: &Places) -> Sql<JournalRow> {
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
        files: spooled.map(|name| places.of_spool(&name)).into_iter().collect(),
        done: row.get(11)?,
        run: row.get(15)?,
        left: Vec::new(),
    })
}

pub(super) fn remembered(row: &Row<'_>, from: usize) -> Sql<RememberedKey> {
    Ok(RememberedKey {
        mark: mark_of(row.get(from)?),
        announced: row.get(from + 1)?,
        head_hash: row.get(from + 2)?,
        at: time(row.get(from + 3)?),
        dress: row.get(from + 4)?,
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

/// The number of [`Mark::Stood`].
pub(super) const STOOD: i64 = 11;

fn mark_number(mark: KeyPurpose) -> i64 {
    match mark {
        KeyPurpose::Here => 0,
        KeyPurpose::Skipped => 1,
        KeyPurpose::SetAside => 2,
        KeyPurpose::Settled => 3,
        KeyPurpose::TooOld => 4,
        KeyPurpose::Again => 5,
        KeyPurpose::Replaced => 8,
        KeyPurpose::NotLetGo => 9,
        KeyPurpose::Redressed => 6,
        KeyPurpose::Doubtful => 7,
        KeyPurpose::Copied => 10,
        KeyPurpose::Stood => STOOD,
    }
}

fn mark_of(number: i64) -> KeyPurpose {
    match number {
        1 => KeyPurpose::Skipped,
        2 => KeyPurpose::SetAside,
        3 => KeyPurpose::Settled,
        4 => KeyPurpose::TooOld,
        5 => KeyPurpose::Again,
        8 => KeyPurpose::Replaced,
        9 => KeyPurpose::NotLetGo,
        6 => KeyPurpose::Redressed,
        10 => KeyPurpose::Copied,
        7 => KeyPurpose::Doubtful,
        STOOD => KeyPurpose::Stood,
        _ => KeyPurpose::Here,
    }
}

pub(super) fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}
