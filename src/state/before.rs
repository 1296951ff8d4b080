//! What a message was before something was done with it, as far as the journal keeps it: for `undo`, and for recovery
//! after a crash.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::sqlite::Sql;
use super::{Entry, EntryId, Owned, Places};
use crate::message::{Flags, NOTICES, REFILTERED, UNDONE, lasting_name};

/// How long originals are kept.
const FORGET_ORIGINALS: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A message before it was decided about.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// When it arrived.
    pub arrived: Option<Timestamp>,
    /// The flags that it would have had without rules.
    pub flags: Option<Flags>,
    /// Its bytes, as far as they are in no folder.
    pub original: Original,
    /// The files below the mail root that it leaves.
    pub leaves: Vec<Leaving>,
}

/// A file that a message leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Where it was.
    pub path: PathBuf,
    /// The inode by which the file is recognised when a mail reader marks or moves it, if it is known.
    pub number: Option<u64>,
}

/// The bytes of a message before rules edited it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Original {
    /// The message was filed unchanged, or nothing is kept any more.
    #[default]
    Filed,
    /// The bytes before the body, because only those were edited.
    Head(Vec<u8>),
    /// The file in the spool with the whole message.
    Whole(PathBuf),
}

/// A later change to the files of a journal entry.
#[derive(Clone, Debug)]
pub struct Later {
    /// The later entry.
    pub id: EntryId,
    /// The file in the spool with the message before that change, if its body changed.
    pub kept: Option<PathBuf>,
    /// The entry that it undid.
    pub undid: Option<EntryId>,
}

pub(super) fn insert(tx: &Transaction<'_>, owned: &Owned, places: &Places, id: EntryId, entry: &Entry) -> Sql<()> {
    let before = &entry.before;
    let (original, kept) = match &before.original {
        Original::Filed => (None, None),
        Original::Head(head) => (Some(head), None),
        Original::Whole(path) => (None, Some(Places::in_spool(path))),
    };
    // The run did not do anything to a notice that it filed.
    let is_moved = owned.space() == REFILTERED && entry.key.origin.folder != NOTICES;
    let run = if is_moved { owned.generation() } else { 0 };
    tx.prepare_cached(
        "UPDATE journal SET original = ?2, kept = ?3, arrived = ?4, flags = ?5, run = ?6 WHERE entry = ?1",
    )?
    .execute(params![
        id,
        original,
        kept,
        before.arrived.map(Timestamp::as_second),
        before.flags.as_ref().map(Flags::to_text),
        run
    ])?;
    let mut insert =
        tx.prepare_cached("INSERT OR IGNORE INTO leaving (entry, file, base, number) VALUES (?1, ?2, ?3, ?4)")?;
    for Leaving { path, number } in &before.leaves {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        insert.execute(params![id, places.in_root(path), lasting_name(&name), number.map(u64::cast_signed)])?;
    }
    Ok(())
}

pub(super) fn of(db: &Connection, places: &Places, id: EntryId) -> Sql<Before> {
    let mut query = db.prepare_cached("SELECT original, kept, arrived, flags FROM journal WHERE entry = ?1")?;
    let found = query.query_row([id], |row| {
        let original = match (row.get::<_, Option<Vec<u8>>>(0)?, row.get::<_, Option<String>>(1)?) {
            (Some(head), _) => Original::Head(head),
            (None, Some(name)) => Original::Whole(places.of_spool(&name)),
            (None, None) => Original::Filed,
        };
        let arrived = row.get::<_, Option<i64>>(2)?.and_then(|second| Timestamp::from_second(second).ok());
        let flags = row.get::<_, Option<String>>(3)?.map(|text| Flags::from_text(&text));
        Ok(Before { arrived, flags, original, leaves: Vec::new() })
    });
    let before = found.optional()?.unwrap_or_default();
    Ok(Before { leaves: leaves(db, places, id)?, ..before })
}

pub(super) fn leaves(db: &Connection, places: &Places, id: EntryId) -> Sql<Vec<Leaving>> {
    let mut query = db.prepare_cached("SELECT file, number FROM leaving WHERE entry = ?1")?;
    let leaving = |row: &rusqlite::Row<'_>| {
        let path = places.of_root(&row.get::<_, String>(0)?);
        Ok(Leaving { path, number: row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned) })
    };
    query.query_map([id], leaving)?.collect()
}

/// The later entries that concern files of that name, the oldest first.
pub(super) fn later(db: &Connection, places: &Places, id: EntryId, name: &str) -> Sql<Vec<Later>> {
    let mut query = db.prepare_cached(
        "SELECT DISTINCT entry, kept, account, journal.id FROM leaving JOIN journal USING (entry) JOIN origin USING (origin)
         WHERE base = ?1 AND entry > ?2 ORDER BY entry",
    )?;
    let rows = query.query_map(params![lasting_name(name), id], |row| {
        let kept = row.get::<_, Option<String>>(1)?.map(|name| places.of_spool(&name));
        let is_undo = row.get::<_, String>(2)? == UNDONE;
        let key: Vec<u8> = row.get(3)?;
        let undid = std::str::from_utf8(&key).ok().filter(|_| is_undo).and_then(|id| id.parse().ok());
        Ok(Later { id: row.get(0)?, kept, undid })
    })?;
    rows.collect()
}

/// The entries of one run of `refilter`, `maintain` or `undo`, the newest first.
pub(super) fn run(db: &Connection, run: u64) -> Sql<Vec<EntryId>> {
    let mut query = db.prepare_cached("SELECT entry FROM journal WHERE run = ?1 AND run > 0 ORDER BY entry DESC")?;
    query.query_map([run], |row| row.get(0))?.collect()
}

/// Whether `undo` brought the message of an entry back, to any folder.
pub(super) fn was_brought_back(db: &Connection, id: EntryId) -> Sql<bool> {
    db.prepare_cached("SELECT 1 FROM seen JOIN origin USING (origin) WHERE account = ?1 AND id = ?2")?
        .exists(params![UNDONE, id.to_string().into_bytes()])
}

/// Forgets the originals that are too old or too many, the oldest first. Returns the spool files that these entries
/// named.
pub(super) fn prune(tx: &Transaction<'_>, now: Timestamp, most: u64) -> Sql<Vec<String>> {
    let oldest = now.checked_sub(FORGET_ORIGINALS).unwrap_or(Timestamp::MIN).as_second();
    let mut query = tx.prepare(
        "SELECT entry, kept, COALESCE(length(original), size), at FROM journal
         WHERE original IS NOT NULL OR kept IS NOT NULL ORDER BY at DESC, entry DESC",
    )?;
    let rows = query.query_map([], |row| {
        Ok((row.get::<_, EntryId>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, u64>(2)?, row.get::<_, i64>(3)?))
    })?;
    let mut total = 0u64;
    let mut files = Vec::new();
    let mut forget = tx.prepare("UPDATE journal SET original = NULL, kept = NULL WHERE entry = ?1")?;
    for (entry, file, size, at) in rows.collect::<Sql<Vec<_>>>()? {
        total = total.saturating_add(size);
        if at < oldest || total > most {
            forget.execute([entry])?;
            files.extend(file);
        }
    }
    Ok(files)
}
