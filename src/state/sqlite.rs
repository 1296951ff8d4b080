//! The memory in SQLite: write-ahead log, `synchronous=FULL`, so a committed transaction survives a power cut.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::rows::{
    Origins, attempt, finish, forget, insert_entry, journal_row, mboxes, remember, remembered, targets, time,
    trouble_number,
};
use super::set_aside::begin_anew;
use super::slots::Slots;
use super::{
    Attempt, Entry, EntryId, JournalEntry, JournalRow, Known, OutboxRow, RealDisk, Recording, Remembered, Rest, Staged,
    Store, Target, Trouble, Unfinished, memory, outbox, prune, schema, sync_with_parents,
};
use crate::decision::Fact;
use crate::error::{Error, Kind, Result};
use crate::message::{Key, Origin};

/// The store that the program uses.
#[derive(Debug)]
pub struct SqliteStore {
    db: Mutex<Connection>,
    slots: Slots,
}

type Sql<T> = rusqlite::Result<T>;

/// So long one process waits for others.
const PATIENCE: Duration = Duration::from_secs(30);

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
        if is_new {
            begin_anew(state, &file, PATIENCE).map_err(|e| e.while_doing(doing()))?;
        }
        let db = Connection::open(&file).map_err(|e| Error::state(doing(), e))?;
        let store = Self::with(db, Slots::Folder(slots)).map_err(|e| e.while_doing(doing()))?;
        if is_new {
            // SQLite syncs what is in the file; that there is a file is ours to keep.
            sync_with_parents(&RealDisk, state).map_err(|e| Error::state(doing(), e))?;
        }
        Ok(store)
    }

    /// Whether there is a database in the state folder.
    pub fn exists(state: &Path) -> bool {
        state.join("state.db").exists()
    }

    /// A database that lives as long as this value: for tests and dry runs.
    pub fn in_memory() -> Result<Self> {
        let db = Connection::open_in_memory().map_err(|e| Error::state("opening a database in memory", e))?;
        Self::with(db, Slots::Memory(Mutex::default()))
    }

    fn with(db: Connection, slots: Slots) -> Result<Self> {
        let prepare = || -> Result<(), schema::UpgradeError> {
            db.busy_timeout(PATIENCE)?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "synchronous", "FULL")?;
            schema::upgrade(&db)
        };
        // Going over to write-ahead logging needs the file alone, and SQLite does not wait for that: many processes may be
        // making a new database at once.
        let until = Instant::now() + PATIENCE;
        let mut prepared = prepare();
        while prepared.as_ref().is_err_and(schema::UpgradeError::is_busy) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            prepared = prepare();
        }
        prepared.map_err(|e| match e {
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

    fn record(&self, staged: Staged, done: &[EntryId]) -> Result<Recording> {
        let ids = self.write("recording decisions", |tx| {
            if !memory::are_unchanged(tx, staged.entries())? {
                return Ok(None);
            }
            finish(tx, done)?;
            insert_all(tx, staged.entries()).map(Some)
        })?;
        match ids {
            Some(ids) => staged.recorded(ids).map(Recording::Recorded),
            None => Ok(Recording::Changed(staged)),
        }
    }

    fn holds(&self, fact: &Fact, now: Timestamp) -> Result<bool> {
        self.read("asking what is remembered", |db| memory::holds(db, fact, now))
    }

    fn last_number(&self, counter: &str) -> Result<Option<u64>> {
        self.read("reading a counter", |db| memory::last_number(db, counter))
    }

    fn list_entries(&self, list: &str) -> Result<Vec<String>> {
        self.read("reading a list", |db| memory::list_entries(db, list))
    }

    fn outbox(&self, entry: Option<EntryId>, limit: u32) -> Result<Vec<OutboxRow>> {
        self.read("reading the outbox", |db| outbox::rows(db, entry, limit))
    }

    fn outbox_row(&self, id: i64) -> Result<Option<OutboxRow>> {
        self.read("reading the outbox", |db| outbox::row(db, id))
    }

    fn still_to_tell(&self) -> Result<Vec<OutboxRow>> {
        self.read("reading the outbox", outbox::still_to_tell)
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
                let (targets, mboxes) = (Vec::new(), Vec::new());
                Ok(Unfinished { id: row.get(0)?, at: time(row.get(1)?), key, targets, mboxes })
            })?;
            let mut rows = rows.collect::<Sql<Vec<_>>>()?;
            rows.iter_mut().try_for_each(|row| {
                row.targets = targets(db, row.id)?;
                row.mboxes = mboxes(db, row.id)?;
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
        self.slots.note(account, key)
    }

    fn died_deciding(&self, account: &str) -> Result<Option<Key>> {
        self.slots.noted(account)
    }

    fn attempt(&self, key: &Key, trouble: Trouble, cause: &str, now: Timestamp) -> Result<Attempt> {
        self.write("counting a failed attempt", |tx| {
            let origin = Origins::default().id(tx, &key.origin)?;
            tx.query_row(
                "INSERT INTO attempt (origin, id, count, trouble, first, cause, at) VALUES (?1, ?2, 1, ?3, ?5, ?4, ?5)
                 ON CONFLICT DO UPDATE SET
                     count = CASE WHEN trouble = excluded.trouble THEN count + 1 ELSE 1 END,
                     first = CASE WHEN trouble = excluded.trouble THEN first ELSE excluded.first END,
                     trouble = excluded.trouble, cause = excluded.cause, at = excluded.at
                 RETURNING count, trouble, first, cause, at",
                params![origin, key.id, trouble_number(trouble), cause, now.as_second()],
                |row| attempt(row, 0),
            )
        })
    }

    fn first_look(&self, origin: &Origin, now: Timestamp) -> Result<Timestamp> {
        let Origin { account, folder, generation } = origin;
        let noted = self.read("asking when a folder was first looked at", |db| {
            db.prepare_cached("SELECT at FROM first_look WHERE account = ?1 AND folder = ?2 AND generation = ?3")?
                .query_row(params![account, folder, generation], |row| row.get(0))
                .optional()
        })?;
        if let Some(noted) = noted {
            return Ok(time(noted));
        }
        self.write("noting that a folder is looked at", |tx| {
            tx.execute(
                "INSERT OR IGNORE INTO first_look (account, folder, generation, at) VALUES (?1, ?2, ?3, ?4)",
                params![account, folder, generation, now.as_second()],
            )
        })?;
        Ok(now)
    }

    fn attempts(&self, origin: &Origin) -> Result<HashMap<Vec<u8>, Attempt>> {
        self.read("reading failed attempts", |db| {
            let mut query = db.prepare_cached(
                "SELECT id, count, trouble, first, cause, at FROM attempt JOIN origin USING (origin)
                 WHERE account = ?1 AND folder = ?2 AND generation = ?3",
            )?;
            let rows = query.query_map(params![origin.account, origin.folder, origin.generation], |row| {
                Ok((row.get(0)?, attempt(row, 1)?))
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
            db.prepare_cached("SELECT 1 FROM target WHERE staged = ?1 UNION SELECT 1 FROM mbox WHERE staged = ?1")?
                .exists([staged])
        })
    }

    fn is_spooled(&self, path: &Path) -> Result<bool> {
        self.read("looking up a spooled message", |db| {
            let unfinished = outbox::UNFINISHED;
            db.prepare_cached(&format!(
                "SELECT 1 FROM journal WHERE spooled = ?1 UNION SELECT 1 FROM outbox WHERE bytes = ?1 AND {unfinished}"
            ))?
            .exists([path.to_string_lossy()])
        })
    }

    fn journal(&self, account: Option<&str>, limit: u32) -> Result<Vec<JournalRow>> {
        self.read("reading the journal", |db| {
            let mut query = db.prepare_cached(
                "SELECT entry, at, account, folder, id, sender, subject, message_id, size, rule, outcome, done, spooled, why,
                 notes
                 FROM journal JOIN origin USING (origin) WHERE ?1 IS NULL OR account = ?1 ORDER BY entry DESC LIMIT ?2",
            )?;
            let rows = query.query_map(params![account, limit], journal_row)?;
            let mut rows = rows.collect::<Sql<Vec<_>>>()?;
            rows.iter_mut().try_for_each(|row| {
                row.files.extend(targets(db, row.id)?.iter().map(Target::published_path));
                row.files.extend(mboxes(db, row.id)?.into_iter().map(|mbox| mbox.file));
                Ok::<_, rusqlite::Error>(())
            })?;
            Ok(rows)
        })
    }

    fn due(&self, now: Timestamp, after: Option<(Timestamp, i64)>, limit: u32) -> Result<Vec<OutboxRow>> {
        self.read("reading the outbox", |db| outbox::due(db, now, after, limit))
    }

    fn being_sent(&self) -> Result<Vec<OutboxRow>> {
        self.read("reading the outbox", outbox::being_sent)
    }

    fn claim(&self, id: i64, now: Timestamp, before: &[OutboxRow]) -> Result<bool> {
        self.write("taking something out of the outbox", |tx| {
            before.iter().try_for_each(|row| outbox::resolve(tx, row))?;
            outbox::claim(tx, id, now)
        })
    }

    fn resolve(&self, rows: &[OutboxRow]) -> Result<()> {
        self.write("noting what was sent", |tx| rows.iter().try_for_each(|row| outbox::resolve(tx, row)))
    }

    fn hold(&self, id: i64, now: Timestamp) -> Result<bool> {
        self.write("putting a row aside", |tx| outbox::hold(tx, id, now))
    }

    fn hurry(&self, ids: &[i64], now: Timestamp) -> Result<()> {
        self.write("making what waits due", |tx| outbox::hurry(tx, ids, now))
    }

    fn sent_since(&self, kinds: &[&str], since: Timestamp) -> Result<u64> {
        self.read("counting what was sent", |db| outbox::sent_since(db, kinds, since))
    }

    fn replied_since(&self, handle: &str, to: &str, since: Timestamp) -> Result<u64> {
        self.read("counting the replies to a sender", |db| outbox::replied_since(db, handle, to, since))
    }

    fn rests(&self) -> Result<Vec<Rest>> {
        self.read("reading which relays rest", outbox::rests)
    }

    fn rest(&self, rest: &Rest) -> Result<()> {
        self.write("letting a relay rest", |tx| outbox::rest(tx, rest))
    }

    fn entry(&self, id: EntryId) -> Result<Option<JournalEntry>> {
        self.read("reading the journal", |db| {
            let mut query = db.prepare_cached(
                "SELECT entry, at, account, folder, id, sender, subject, message_id, size, rule, outcome, done, spooled, why,
                 notes
                 FROM journal JOIN origin USING (origin) WHERE entry = ?1",
            )?;
            let Some(row) = query.query_row([id], journal_row).optional()? else { return Ok(None) };
            let (targets, mboxes) = (targets(db, id)?, mboxes(db, id)?);
            let spooled = row.files.first().cloned();
            let seconds = targets.first().and_then(|target| target.staged.split('.').next()?.parse().ok());
            let arrived = seconds.and_then(|seconds: i64| Timestamp::from_second(seconds).ok());
            Ok(Some(JournalEntry { row, targets, mboxes, spooled, arrived }))
        })
    }

    fn prune(&self, now: Timestamp) -> Result<Vec<PathBuf>> {
        self.write("pruning the state", |tx| prune::prune(tx, now, prune::MOST_SPOOLED))
    }
}

fn insert_all(tx: &Transaction<'_>, entries: &[Entry]) -> Sql<Vec<EntryId>> {
    let mut origins = Origins::default();
    let mut ids = Vec::with_capacity(entries.len());
    for entry in entries {
        ids.push(insert_entry(tx, &mut origins, entry)?);
        entry.writes.iter().try_for_each(|write| memory::write(tx, write, entry.at))?;
    }
    let written = entries.iter().flat_map(|entry| &entry.writes);
    memory::evict(tx, written, memory::MOST_KEYS, memory::MOST_ANSWERED)?;
    Ok(ids)
}
