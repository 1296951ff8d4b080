//! The memory in SQLite: write-ahead log, `synchronous=FULL`, so a committed transaction survives a power cut.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::{
    About, Attempt, EntryId, JournalRow, Known, Mark, RealDisk, Recorded, Remembered, Staged, Store, Target,
    Unfinished, schema, sync_with_parents,
};
use crate::error::{Error, Kind, Result};
use crate::message::{Key, NOTICES, Origin, RECOVERED, STDIN};

/// A key that is missing from complete listings for so long is forgotten.
const FORGET_MISSING: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Journal rows are kept for so long.
const FORGET_JOURNAL: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Discarded mail is kept in the spool for so long.
const FORGET_SPOOL: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The store that the program uses.
#[derive(Debug)]
pub struct SqliteStore {
    db: Mutex<Connection>,
    slots: Slots,
}

/// Where the key being decided is noted.
#[derive(Debug)]
enum Slots {
    Folder(PathBuf),
    Memory(Mutex<HashMap<String, Vec<u8>>>),
}

type Sql<T> = rusqlite::Result<T>;

impl SqliteStore {
    /// Opens or creates the database in the state folder, which is created for its owner alone.
    pub fn open(state: &Path) -> Result<Self> {
        let doing = || format!("opening the state in {}", state.display());
        let slots = state.join("deciding");
        for dir in [state, &slots, &state.join("locks"), &state.join("spool")] {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|e| Error::state(doing(), e))?;
        }
        let file = state.join("state.db");
        let is_new = !file.exists();
        let exists = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&file);
        exists.map_err(|e| Error::state(doing(), e))?;
        let db = Connection::open(&file).map_err(|e| Error::state(doing(), e))?;
        let store = Self::with(db, Slots::Folder(slots)).map_err(|e| e.while_doing(doing()))?;
        if is_new {
            // SQLite syncs what is in the file; that there is a file is ours to keep.
            sync_with_parents(&RealDisk, state).map_err(|e| Error::state(doing(), e))?;
        }
        Ok(store)
    }

    /// A database that lives as long as this value: for tests and dry runs.
    pub fn in_memory() -> Result<Self> {
        let db = Connection::open_in_memory().map_err(|e| Error::state("opening a database in memory", e))?;
        Self::with(db, Slots::Memory(Mutex::default()))
    }

    fn with(db: Connection, slots: Slots) -> Result<Self> {
        let prepare = || -> Result<(), schema::UpgradeError> {
            db.busy_timeout(Duration::from_secs(30))?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "synchronous", "FULL")?;
            schema::upgrade(&db)
        };
        prepare().map_err(|e| match e {
            schema::UpgradeError::Later(_) => Error::permanent(Kind::State, "reading the state").because(e),
            e => Error::state("preparing the state", e),
        })?;
        db.set_prepared_statement_cache_capacity(32);
        Ok(Self { db: Mutex::new(db), slots })
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        // A panic while holding the connection rolled its transaction back; the connection is sound.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, doing: &str, work: impl FnOnce(&Connection) -> Sql<T>) -> Result<T> {
        work(&self.db()).map_err(|e| Error::state(doing, e))
    }

    fn write<T>(&self, doing: &str, work: impl FnOnce(&Transaction<'_>) -> Sql<T>) -> Result<T> {
        let mut db = self.db();
        let run = || {
            // Immediate: a writer that has to wait waits at the start, where nothing is lost by waiting.
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&tx)?;
            tx.commit()?;
            Ok(value)
        };
        run().map_err(|e: rusqlite::Error| Error::state(doing, e))
    }
}

impl Store for SqliteStore {
    fn known(&self, origin: &Arc<Origin>) -> Result<Known> {
        let (keys, first_time) = self.read("reading which messages are known", |db| {
            let mut query = db.prepare_cached(
                "SELECT id, mark, announced, head_hash, at FROM seen JOIN origin USING (origin)
                 WHERE account = ?1 AND folder = ?2 AND generation = ?3",
            )?;
            let rows = query.query_map(params![origin.account, origin.folder, origin.generation], |row| {
                Ok((row.get(0)?, remembered(row, 1)?))
            })?;
            let keys = rows.collect::<Sql<HashMap<_, _>>>()?;
            let found = db
                .prepare_cached("SELECT 1 FROM origin WHERE account = ?1 AND folder = ?2 AND generation = ?3")?
                .exists(params![origin.account, origin.folder, origin.generation])?;
            Ok((keys, !found))
        })?;
        Ok(Known::new(Arc::clone(origin), keys, first_time))
    }

    fn remembered(&self, key: &Key) -> Result<Option<Remembered>> {
        let Origin { account, folder, generation } = &*key.origin;
        self.read("looking a message up", |db| {
            db.prepare_cached(
                "SELECT mark, announced, head_hash, at FROM seen JOIN origin USING (origin)
                 WHERE account = ?1 AND folder = ?2 AND generation = ?3 AND id = ?4",
            )?
            .query_row(params![account, folder, generation, key.id], |row| remembered(row, 0))
            .optional()
        })
    }

    fn earlier_generations(&self, origin: &Origin) -> Result<Vec<Arc<Origin>>> {
        let generations = self.read("reading earlier generations", |db| {
            let mut query = db.prepare_cached(
                "SELECT generation FROM origin WHERE account = ?1 AND folder = ?2 AND generation <> ?3
                 AND EXISTS (SELECT 1 FROM seen WHERE seen.origin = origin.origin) ORDER BY origin DESC",
            )?;
            let rows = query.query_map(params![origin.account, origin.folder, origin.generation], |row| row.get(0))?;
            rows.collect::<Sql<Vec<u32>>>()
        })?;
        Ok(generations.into_iter().map(|generation| Arc::new(Origin { generation, ..origin.clone() })).collect())
    }

    fn mark(&self, marks: &[(Key, Remembered)]) -> Result<()> {
        self.write("remembering messages", |tx| {
            let mut origins = Origins::default();
            marks.iter().try_for_each(|(key, what)| remember(tx, origins.id(tx, &key.origin)?, &key.id, what))
        })
    }

    fn forget(&self, keys: &[Key]) -> Result<()> {
        self.write("forgetting messages", |tx| {
            let mut origins = Origins::default();
            keys.iter().try_for_each(|key| forget(tx, origins.id(tx, &key.origin)?, &key.id))
        })
    }

    fn record(&self, staged: Staged, done: &[EntryId]) -> Result<Recorded> {
        let ids = self.write("recording decisions", |tx| {
            finish(tx, done)?;
            let mut origins = Origins::default();
            staged.entries().iter().map(|entry| insert_entry(tx, &mut origins, entry)).collect::<Sql<Vec<_>>>()
        })?;
        staged.recorded(ids)
    }

    fn finish(&self, done: &[EntryId]) -> Result<()> {
        if done.is_empty() {
            return Ok(());
        }
        self.write("marking messages as published", |tx| finish(tx, done))
    }

    fn unfinished(&self, account: &str) -> Result<Vec<Unfinished>> {
        self.read("reading what a crash left", |db| {
            let mut query = db.prepare_cached(
                "SELECT entry, at, account, folder, generation, id FROM journal JOIN origin USING (origin)
                 WHERE done = 0 AND account = ?1 ORDER BY entry",
            )?;
            let rows = query.query_map([account], |row| {
                let origin = Origin { account: row.get(2)?, folder: row.get(3)?, generation: row.get(4)? };
                let key = Key::new(&Arc::new(origin), row.get::<_, Vec<u8>>(5)?);
                Ok(Unfinished { id: row.get(0)?, at: time(row.get(1)?), key, targets: Vec::new() })
            })?;
            let mut rows = rows.collect::<Sql<Vec<_>>>()?;
            rows.iter_mut().try_for_each(|row| {
                row.targets = targets(db, row.id)?;
                Ok::<_, rusqlite::Error>(())
            })?;
            Ok(rows)
        })
    }

    fn again(&self, row: &Unfinished) -> Result<()> {
        self.write("giving a message up for a new delivery", |tx| {
            let origin = Origins::default().id(tx, &row.key.origin)?;
            forget(tx, origin, &row.key.id)?;
            tx.execute(
                "UPDATE journal SET done = 1, outcome = outcome || ' (lost from tmp/, fetched again)' WHERE entry = ?1",
                [row.id],
            )?;
            Ok(())
        })
    }

    fn deciding(&self, account: &str, key: Option<&Key>) -> Result<()> {
        let note = key.map(slot_text).unwrap_or_default();
        match &self.slots {
            Slots::Memory(slots) => {
                slots.lock().unwrap_or_else(PoisonError::into_inner).insert(account.to_owned(), note);
                Ok(())
            }
            Slots::Folder(folder) => {
                let path = folder.join(account);
                let write = || {
                    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
                    file.write_all_at(&[note.as_slice(), b"\n"].concat(), 0)
                };
                write().map_err(|e| Error::state("noting the message being decided", e))
            }
        }
    }

    fn died_deciding(&self, account: &str) -> Result<Option<Key>> {
        let note = match &self.slots {
            Slots::Memory(slots) => {
                slots.lock().unwrap_or_else(PoisonError::into_inner).get(account).cloned().unwrap_or_default()
            }
            Slots::Folder(folder) => match std::fs::read(folder.join(account)) {
                Ok(note) => note,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                Err(e) => return Err(Error::state("reading the message being decided", e)),
            },
        };
        let line = note.split(|b| *b == b'\n').next().unwrap_or_default();
        Ok(slot_key(account, line))
    }

    fn attempt(&self, key: &Key, cause: &str, now: Timestamp) -> Result<u32> {
        self.write("counting a failed attempt", |tx| {
            let origin = Origins::default().id(tx, &key.origin)?;
            tx.query_row(
                "INSERT INTO attempt (origin, id, count, cause, at) VALUES (?1, ?2, 1, ?3, ?4)
                 ON CONFLICT DO UPDATE SET count = count + 1, cause = excluded.cause, at = excluded.at
                 RETURNING count",
                params![origin, key.id, cause, now.as_second()],
                |row| row.get(0),
            )
        })
    }

    fn attempts(&self, origin: &Origin) -> Result<HashMap<Vec<u8>, Attempt>> {
        self.read("reading failed attempts", |db| {
            let mut query = db.prepare_cached(
                "SELECT id, count, cause, at FROM attempt JOIN origin USING (origin)
                 WHERE account = ?1 AND folder = ?2 AND generation = ?3",
            )?;
            let rows = query.query_map(params![origin.account, origin.folder, origin.generation], |row| {
                Ok((row.get(0)?, Attempt { count: row.get(1)?, cause: row.get(2)?, at: time(row.get(3)?) }))
            })?;
            rows.collect()
        })
    }

    fn listed(&self, origin: &Origin, missing: &[Vec<u8>], now: Timestamp) -> Result<()> {
        self.write("noting which messages are gone", |tx| {
            let origin = Origins::default().id(tx, origin)?;
            let noted: HashSet<Vec<u8>> = tx
                .prepare_cached("SELECT id FROM seen WHERE origin = ?1 AND missing_since IS NOT NULL")?
                .query_map([origin], |row| row.get(0))?
                .collect::<Sql<_>>()?;
            let missing: HashSet<&Vec<u8>> = missing.iter().collect();
            let mut note = tx.prepare_cached("UPDATE seen SET missing_since = ?3 WHERE origin = ?1 AND id = ?2")?;
            for id in missing.iter().filter(|id| !noted.contains(**id)) {
                note.execute(params![origin, id, now.as_second()])?;
            }
            for id in noted.iter().filter(|id| !missing.contains(id)) {
                note.execute(params![origin, id, None::<i64>])?;
            }
            Ok(())
        })
    }

    fn is_recorded(&self, staged: &str) -> Result<bool> {
        self.read("looking up a staged file", |db| {
            db.prepare_cached("SELECT 1 FROM target WHERE staged = ?1")?.exists([staged])
        })
    }

    fn is_spooled(&self, path: &Path) -> Result<bool> {
        self.read("looking up a spooled message", |db| {
            db.prepare_cached("SELECT 1 FROM journal WHERE spooled = ?1")?.exists([path.to_string_lossy()])
        })
    }

    fn journal(&self, account: Option<&str>, limit: u32) -> Result<Vec<JournalRow>> {
        self.read("reading the journal", |db| {
            let mut query = db.prepare_cached(
                "SELECT entry, at, account, folder, id, sender, subject, message_id, size, rule, outcome, done, spooled, why
                 FROM journal JOIN origin USING (origin) WHERE ?1 IS NULL OR account = ?1 ORDER BY entry DESC LIMIT ?2",
            )?;
            let rows = query.query_map(params![account, limit], journal_row)?;
            let mut rows = rows.collect::<Sql<Vec<_>>>()?;
            rows.iter_mut().try_for_each(|row| {
                row.files.extend(targets(db, row.id)?.iter().map(Target::published_path));
                Ok::<_, rusqlite::Error>(())
            })?;
            Ok(rows)
        })
    }

    fn prune(&self, now: Timestamp) -> Result<Vec<PathBuf>> {
        let before = |age: SignedDuration| now.checked_sub(age).unwrap_or(Timestamp::MIN).as_second();
        self.write("pruning the state", |tx| {
            tx.execute("DELETE FROM seen WHERE missing_since < ?1", [before(FORGET_MISSING)])?;
            tx.execute(
                "DELETE FROM seen WHERE at < ?1
                 AND origin IN (SELECT origin FROM origin WHERE folder IN (?2, ?3, ?4))",
                params![before(FORGET_MISSING), STDIN, NOTICES, RECOVERED],
            )?;
            tx.execute("DELETE FROM attempt WHERE at < ?1", [before(FORGET_MISSING)])?;
            let mut old = tx.prepare("SELECT spooled FROM journal WHERE spooled IS NOT NULL AND at < ?1")?;
            let files = old.query_map([before(FORGET_SPOOL)], |row| row.get::<_, String>(0).map(PathBuf::from))?;
            let files = files.collect::<Sql<Vec<_>>>()?;
            tx.execute("UPDATE journal SET spooled = NULL WHERE at < ?1", [before(FORGET_SPOOL)])?;
            let old = before(FORGET_JOURNAL);
            tx.execute(
                "DELETE FROM target WHERE entry IN (SELECT entry FROM journal WHERE at < ?1 AND done = 1)",
                [old],
            )?;
            tx.execute("DELETE FROM journal WHERE at < ?1 AND done = 1", [old])?;
            Ok(files)
        })
    }
}

/// Numbers of origins within one transaction, so that each is looked up once.
#[derive(Default)]
struct Origins {
    last: Option<(Origin, i64)>,
}

impl Origins {
    fn id(&mut self, tx: &Transaction<'_>, origin: &Origin) -> Sql<i64> {
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

fn insert_entry(tx: &Transaction<'_>, origins: &mut Origins, entry: &super::Entry) -> Sql<EntryId> {
    let origin = origins.id(tx, &entry.key.origin)?;
    let here =
        Remembered { mark: Mark::Here, announced: entry.announced, head_hash: Some(entry.head_hash), at: entry.at };
    remember(tx, origin, &entry.key.id, &here)?;
    tx.prepare_cached("DELETE FROM attempt WHERE origin = ?1 AND id = ?2")?.execute(params![origin, entry.key.id])?;
    let About { from, subject, message_id } = &entry.about;
    let spooled = entry.spooled.as_ref().map(|p| p.to_string_lossy());
    let done = entry.targets.is_empty();
    tx.prepare_cached(
        "INSERT INTO journal (at, origin, id, sender, subject, message_id, size, rule, outcome, spooled, done, why)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
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
        entry.why
    ])?;
    let id = tx.last_insert_rowid();
    let mut insert = tx.prepare_cached("INSERT INTO target (entry, maildir, staged, info) VALUES (?1, ?2, ?3, ?4)")?;
    for target in &entry.targets {
        insert.execute(params![id, target.maildir.to_string_lossy(), target.staged, target.info])?;
    }
    Ok(id)
}

fn remember(tx: &Transaction<'_>, origin: i64, id: &[u8], what: &Remembered) -> Sql<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO seen (origin, id, mark, announced, head_hash, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![origin, id, mark_number(what.mark), what.announced, what.head_hash, what.at.as_second()])?;
    Ok(())
}

fn forget(tx: &Transaction<'_>, origin: i64, id: &[u8]) -> Sql<()> {
    tx.prepare_cached("DELETE FROM seen WHERE origin = ?1 AND id = ?2")?.execute(params![origin, id])?;
    Ok(())
}

fn finish(tx: &Transaction<'_>, done: &[EntryId]) -> Sql<()> {
    let mut update = tx.prepare_cached("UPDATE journal SET done = 1 WHERE entry = ?1")?;
    done.iter().try_for_each(|id| update.execute([id]).map(drop))
}

fn targets(db: &Connection, entry: EntryId) -> Sql<Vec<Target>> {
    let mut query = db.prepare_cached("SELECT maildir, staged, info FROM target WHERE entry = ?1")?;
    let rows = query.query_map([entry], |row| {
        Ok(Target { maildir: row.get::<_, String>(0)?.into(), staged: row.get(1)?, info: row.get(2)? })
    })?;
    rows.collect()
}

fn journal_row(row: &Row<'_>) -> Sql<JournalRow> {
    let id: Vec<u8> = row.get(4)?;
    let spooled: Option<String> = row.get(12)?;
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
        files: spooled.map(PathBuf::from).into_iter().collect(),
        done: row.get(11)?,
    })
}

fn remembered(row: &Row<'_>, from: usize) -> Sql<Remembered> {
    Ok(Remembered {
        mark: mark_of(row.get(from)?),
        announced: row.get(from + 1)?,
        head_hash: row.get(from + 2)?,
        at: time(row.get(from + 3)?),
    })
}

fn mark_number(mark: Mark) -> i64 {
    match mark {
        Mark::Here => 0,
        Mark::Skipped => 1,
        Mark::SetAside => 2,
        Mark::Settled => 3,
        Mark::TooOld => 4,
    }
}

fn mark_of(number: i64) -> Mark {
    match number {
        1 => Mark::Skipped,
        2 => Mark::SetAside,
        3 => Mark::Settled,
        4 => Mark::TooOld,
        _ => Mark::Here,
    }
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A key as one line of JSON: folder, generation, id in hex. The slot is one file for each account.
fn slot_text(key: &Key) -> Vec<u8> {
    let id = data_encoding::HEXLOWER.encode(&key.id);
    serde_json::json!([key.origin.folder, key.origin.generation, id]).to_string().into_bytes()
}

/// A torn or empty line means: nothing was being decided.
fn slot_key(account: &str, line: &[u8]) -> Option<Key> {
    let (folder, generation, id): (String, u32, String) = serde_json::from_slice(line).ok()?;
    let id = data_encoding::HEXLOWER.decode(id.as_bytes()).ok()?;
    Some(Key::new(&Arc::new(Origin { account: account.to_owned(), folder, generation }), id))
}
