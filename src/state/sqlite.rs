//! The store in SQLite, with a write-ahead log and `synchronous=FULL`, so that a committed transaction survives a power
//! cut.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::in_use::InUse;
use super::known;
use super::reserve::{Reserve, is_for_want_of_room};
use super::rows::{
    Origins, STOOD, attempt, finish, forget, insert_entry, mboxes, remember, remembered, remove_noted_keys, targets,
    time, trouble_number,
};
use super::slots::Slots;
use super::water::Water;
use super::{
    About, Attempt, Entry, EntryId, JournalEntries, JournalEntry, JournalRow, KeyPurpose, KnownOrigin, Later, Owned,
    Places, Recording, RememberedKey, RememberedKeys, Staged, Trouble, Unfinished, before, facts, folder_mark, journal,
    memory, outbox, owner, prune,
};
use crate::error::{Error, Kind, Result};
use crate::message::{Key, Origin};

/// The store that the program uses.
#[derive(Debug)]
pub struct SqliteStore {
    db: Mutex<Connection>,
    /// Released after the connection is closed. `None` for a database in memory.
    _in_use: Option<InUse>,
    slots: Slots,
    pub(super) places: Places,
    /// `None` for a database in memory.
    reserve: Option<Reserve>,
    /// The number of transactions, stored beside the state.
    pub(super) water: OnceLock<Water>,
    /// When the state was found to be older than it should be.
    pub(super) rebuilt: OnceLock<Option<Timestamp>>,
}

/// What a query gives.
pub(super) type Sql<T> = rusqlite::Result<T>;

impl SqliteStore {
    pub(super) fn new(db: Connection, in_use: Option<InUse>, slots: Slots, places: Places) -> Self {
        let reserve = in_use.as_ref().map(|_| Reserve::of(places.state()));
        let (db, water, rebuilt) = (Mutex::new(db), OnceLock::new(), OnceLock::new());
        Self { db, _in_use: in_use, slots, places, reserve, water, rebuilt }
    }

    pub(super) fn db(&self) -> MutexGuard<'_, Connection> {
        // A panic while the connection was locked rolled its transaction back, and the connection is sound.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<T>(&self, doing: &str, work: impl FnOnce(&Connection) -> Sql<T>) -> Result<T> {
        work(&self.db()).map_err(|e| Error::state(doing, e))
    }

    /// Whether a row names this file of the spool.
    pub(super) fn is_named(&self, name: &str) -> Result<bool> {
        self.read("looking up a spooled message", |db| {
            let unfinished = outbox::UNFINISHED;
            db.prepare_cached(&format!(
                "SELECT 1 FROM journal WHERE spooled = ?1 OR kept = ?1
                 UNION SELECT 1 FROM outbox WHERE bytes = ?1 AND {unfinished}"
            ))?
            .exists([name])
        })
    }

    /// The highest number of transactions that is stored beside the state.
    pub(super) fn highest_water(&self) -> u64 {
        self.water.get().map_or(0, Water::highest)
    }

    /// A transaction for no name space.
    pub(super) fn write<T>(&self, doing: &str, work: impl FnOnce(&Transaction<'_>) -> Sql<T>) -> Result<T> {
        let done = self.transaction(doing, Durable::Now, |tx| work(tx).map(Some))?;
        done.ok_or_else(|| Error::state(doing, "nothing was written"))
    }

    /// A transaction for the owner of a name space. It is refused if another process has taken over.
    pub(super) fn write_for<T>(
        &self,
        owned: &Owned,
        doing: &str,
        work: impl FnOnce(&Transaction<'_>) -> Sql<T>,
    ) -> Result<T> {
        self.write_as_owner(owned, doing, Durable::Now, work)
    }

    /// Does the same for an outcome that cannot be found out again. It is written even on a full disk: see [`Reserve`].
    pub(super) fn write_in_any_room(
        &self,
        owned: &Owned,
        doing: &str,
        work: impl Fn(&Transaction<'_>) -> Sql<()>,
    ) -> Result<()> {
        let written = self.write_for(owned, doing, &work);
        match (&written, &self.reserve) {
            // A commit that failed is rolled back as a whole. One whose sync failed is not tried again.
            (Err(error), Some(reserve)) if error.cause().is_some_and(is_for_want_of_room) => {
                reserve.let_go();
                self.write_for(owned, doing, &work)
            }
            _ => written,
        }
    }

    /// Makes sure that there will be such room.
    pub(super) fn keep_room(&self) -> Result<()> {
        let kept = self.reserve.as_ref().map_or(Ok(()), Reserve::keep);
        kept.map_err(|e| Error::state("nothing is sent, because there is no room to record the outcome", e))
    }

    /// Does the same for what would merely be done once more if a power cut undid it.
    pub(super) fn write_unsynced_for<T>(
        &self,
        owned: &Owned,
        doing: &str,
        work: impl FnOnce(&Transaction<'_>) -> Sql<T>,
    ) -> Result<T> {
        self.write_as_owner(owned, doing, Durable::WithTheNext, work)
    }

    fn write_as_owner<T>(
        &self,
        owned: &Owned,
        doing: &str,
        durable: Durable,
        work: impl FnOnce(&Transaction<'_>) -> Sql<T>,
    ) -> Result<T> {
        let done = self.transaction(doing, durable, |tx| match owner::holds(tx, owned)? {
            true => work(tx).map(Some),
            false => Ok(None),
        })?;
        done.ok_or_else(|| {
            let text = format!("{doing}: another process has taken over {}", owned.space());
            Error::transient(Kind::Busy, text)
        })
    }

    /// Runs a transaction; `None` rolls it back.
    fn transaction<T>(
        &self,
        doing: &str,
        durable: Durable,
        work: impl FnOnce(&Transaction<'_>) -> Sql<Option<T>>,
    ) -> Result<Option<T>> {
        let mut db = self.db();
        let run = |db: &mut Connection| {
            // Immediate: a writer that has to wait waits at the start, where nothing is lost.
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(value) = work(&tx)? else { return Ok(None) };
            let level = facts::raise_water(&tx)?;
            tx.commit()?;
            Ok(Some((value, level)))
        };
        let done = match durable {
            Durable::Now => run(&mut db),
            Durable::WithTheNext => without_sync(&mut db, run),
        };
        let done = done.map_err(|e: rusqlite::Error| Error::state(doing, e))?;
        Ok(done.map(|(value, level)| {
            // What a power cut may undo is not counted outside: the state would be behind its own number.
            if let Some(water) = self.water.get().filter(|_| durable == Durable::Now) {
                water.record(level);
            }
            value
        }))
    }
}

/// When a transaction survives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durable {
    /// When it is committed.
    Now,
    /// Together with the next transaction that is, or when the database is closed.
    WithTheNext,
}

/// Runs transactions that need not survive a power cut.
pub(super) fn without_sync<T>(db: &mut Connection, run: impl FnOnce(&mut Connection) -> Sql<T>) -> Sql<T> {
    db.pragma_update(None, "synchronous", "NORMAL")?;
    let done = run(db);
    db.pragma_update(None, "synchronous", "FULL")?;
    done
}

impl RememberedKeys for SqliteStore {
    fn known(&self, origin: &Arc<Origin>) -> Result<KnownOrigin> {
        self.read("reading which messages are known", |db| known::all(db, origin))
    }

    fn known_among(&self, origin: &Arc<Origin>, ids: &[Vec<u8>]) -> Result<KnownOrigin> {
        self.read("looking up which messages are known", |db| known::among(db, origin, ids))
    }

    fn was_looked_at(&self, origin: &Origin) -> Result<bool> {
        self.read("reading whether a folder was listed", |db| known::was_looked_at(db, origin))
    }

    fn remembered(&self, key: &Key) -> Result<Option<RememberedKey>> {
        let Origin { account, folder, generation } = &*key.origin;
        self.read("looking up a message", |db| {
            db.prepare_cached(
                "SELECT mark, announced, head_hash, at, dress FROM seen JOIN origin USING (origin)
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
                 AND EXISTS (SELECT 1 FROM seen WHERE seen.origin = origin.origin AND mark <> ?4) ORDER BY origin DESC",
            )?;
            let asked = params![origin.account, origin.folder, origin.generation, STOOD];
            let rows = query.query_map(asked, |row| row.get(0))?;
            rows.collect::<Sql<Vec<u32>>>()
        })?;
        Ok(generations.into_iter().map(|generation| Arc::new(Origin { generation, ..origin.clone() })).collect())
    }

    fn mark(&self, owned: &Owned, marks: &[(Key, RememberedKey)]) -> Result<()> {
        self.write_for(owned, "remembering messages", |tx| {
            let mut origins = Origins::default();
            marks.iter().try_for_each(|(key, what)| remember(tx, origins.id(tx, &key.origin)?, &key.id, what))
        })
    }

    fn renumber(&self, owned: &Owned, old: &[Key], new: &[(Key, RememberedKey)]) -> Result<()> {
        self.write_for(owned, "remembering messages under new numbers", |tx| {
            let mut origins = Origins::default();
            old.iter().try_for_each(|key| forget(tx, origins.id(tx, &key.origin)?, &key.id))?;
            new.iter().try_for_each(|(key, what)| remember(tx, origins.id(tx, &key.origin)?, &key.id, what))
        })
    }

    fn deciding(&self, owned: &Owned, key: Option<&Key>) -> Result<()> {
        self.slots.set_deciding(owned.space(), key)
    }

    fn died_deciding(&self, owned: &Owned) -> Result<Option<Key>> {
        self.slots.deciding(owned.space())
    }

    fn attempt(&self, owned: &Owned, key: &Key, trouble: Trouble, cause: &str, now: Timestamp) -> Result<Attempt> {
        self.write_for(owned, "counting a failed attempt", |tx| {
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

    fn first_look(&self, owned: &Owned, origin: &Origin, now: Timestamp) -> Result<Timestamp> {
        let Origin { account, folder, generation } = origin;
        let noted = self.read("reading when a folder was first listed", |db| {
            db.prepare_cached("SELECT at FROM first_look WHERE account = ?1 AND folder = ?2 AND generation = ?3")?
                .query_row(params![account, folder, generation], |row| row.get(0))
                .optional()
        })?;
        if let Some(noted) = noted {
            return Ok(time(noted));
        }
        self.write_unsynced_for(owned, "recording that a folder is listed", |tx| {
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

    fn listed(&self, owned: &Owned, origin: &Origin, missing: &[Vec<u8>], now: Timestamp) -> Result<()> {
        self.write_unsynced_for(owned, "recording which messages are gone", |tx| {
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

    fn is_here(&self, account: &str, head_hash: &[u8; 16]) -> Result<bool> {
        self.read("looking up a message by its header", |db| {
            db.prepare_cached(
                // This includes messages whose copy on the server was deleted.
                "SELECT 1 FROM seen JOIN origin USING (origin)
                 WHERE account = ?1 AND mark IN (0, 3, 6, 9, 10) AND head_hash = ?2",
            )?
            .exists(params![account, head_hash])
        })
    }
}

impl JournalEntries for SqliteStore {
    fn unfinished_spaces(&self) -> Result<Vec<String>> {
        self.read("reading what a crash left", |db| {
            let mut query = db.prepare_cached("SELECT DISTINCT owner FROM journal WHERE done = 0")?;
            query.query_map([], |row| row.get(0))?.collect()
        })
    }

    fn record(&self, owned: &Owned, staged: Staged, done: &[EntryId]) -> Result<Recording> {
        let ids = self.write_for(owned, "recording decisions", |tx| {
            if !memory::are_unchanged(tx, staged.entries())? {
                return Ok(None);
            }
            finish(tx, done)?;
            insert_all(tx, owned, &self.places, staged.entries()).map(Some)
        })?;
        match ids {
            Some(ids) => staged.recorded(ids).map(Recording::Recorded),
            None => Ok(Recording::Changed(staged)),
        }
    }

    fn finish(&self, owned: &Owned, done: &[EntryId]) -> Result<()> {
        if done.is_empty() {
            return Ok(());
        }
        self.write_for(owned, "marking messages as published", |tx| finish(tx, done))
    }

    fn unfinished(&self, space: &str) -> Result<Vec<Unfinished>> {
        self.read("reading what a crash left", |db| {
            let mut query = db.prepare_cached(
                "SELECT entry, journal.at, account, folder, generation, journal.id, head_hash, sender, subject, message_id
                 FROM journal JOIN origin USING (origin)
                 LEFT JOIN seen ON seen.origin = journal.origin AND seen.id = journal.id
                 WHERE done = 0 AND owner = ?1 ORDER BY entry",
            )?;
            let rows = query.query_map([space], |row| {
                let origin = Origin { account: row.get(2)?, folder: row.get(3)?, generation: row.get(4)? };
                let key = Key::new(&Arc::new(origin), row.get::<_, Vec<u8>>(5)?);
                let (targets, mboxes, leaves) = (Vec::new(), Vec::new(), Vec::new());
                let about = About { from: row.get(7)?, subject: row.get(8)?, message_id: row.get(9)? };
                Ok(Unfinished { id: row.get(0)?, at: time(row.get(1)?), key, targets, mboxes, leaves, head_hash: row.get(6)?, about })
            })?;
            let mut rows = rows.collect::<Sql<Vec<_>>>()?;
            rows.iter_mut().try_for_each(|row| {
                row.targets = targets(db, &self.places, row.id)?;
                row.mboxes = mboxes(db, &self.places, row.id)?;
                row.leaves = before::leaves(db, &self.places, row.id)?;
                Ok::<_, rusqlite::Error>(())
            })?;
            Ok(rows)
        })
    }

    fn again(&self, owned: &Owned, row: &Unfinished) -> Result<()> {
        self.write_for(owned, "giving up a message for a new delivery", |tx| {
            let origin = Origins::default().id(tx, &row.key.origin)?;
            let told = tx.prepare_cached("SELECT 1 FROM outbox WHERE entry = ?1")?.exists([row.id])?;
            let known = tx
                .prepare_cached("SELECT mark, announced, head_hash, at, dress FROM seen WHERE origin = ?1 AND id = ?2")?
                .query_row(params![origin, row.key.id], |row| remembered(row, 0))
                .optional()?;
            match known.filter(|_| told) {
                Some(known) => remember(tx, origin, &row.key.id, &RememberedKey { mark: KeyPurpose::Again, ..known })?,
                None => forget(tx, origin, &row.key.id)?,
            }
            folder_mark::forget(tx, origin)?;
            remove_noted_keys(tx, row.id)?;
            tx.execute(
                "UPDATE journal SET done = 1, noted = '', outcome = outcome || ' (its files are nowhere)' WHERE entry = ?1",
                [row.id],
            )?;
            Ok(())
        })
    }

    fn filed_as(&self, account: &str, message_id: &str) -> Result<Vec<EntryId>> {
        self.read("reading the journal", |db| journal::filed_as(db, account, message_id))
    }

    fn is_recorded(&self, staged: &str) -> Result<bool> {
        self.read("looking up a staged file", |db| {
            db.prepare_cached("SELECT 1 FROM target WHERE staged = ?1 UNION SELECT 1 FROM mbox WHERE staged = ?1")?
                .exists([staged])
        })
    }

    fn is_spooled(&self, path: &Path) -> Result<bool> {
        self.is_named(&Places::in_spool(path))
    }

    fn journal_in(&self, account: Option<&str>, numbers: Range<EntryId>, limit: u32) -> Result<Vec<JournalRow>> {
        self.read("reading the journal", |db| journal::newest(db, &self.places, account, numbers, limit))
    }

    fn about(&self, id: EntryId) -> Result<Option<About>> {
        self.read("reading the journal", |db| journal::about(db, id))
    }

    fn entry(&self, id: EntryId) -> Result<Option<JournalEntry>> {
        self.read("reading the journal", |db| journal::entry(db, &self.places, id))
    }

    fn run(&self, run: u64) -> Result<Vec<EntryId>> {
        self.read("reading the journal", |db| before::run(db, run))
    }

    fn was_brought_back(&self, id: EntryId) -> Result<bool> {
        self.read("reading the journal", |db| before::was_brought_back(db, id))
    }

    fn later(&self, id: EntryId, name: &str) -> Result<Vec<Later>> {
        self.read("reading the journal", |db| before::later(db, &self.places, id, name))
    }

    fn prune(&self, owned: &Owned, now: Timestamp, originals: u64) -> Result<Vec<PathBuf>> {
        let most = prune::Most { spooled: prune::MAX_SPOOLED_BYTES, originals };
        self.write_for(owned, "pruning the state", |tx| prune::prune(tx, now, &most))
            .map(|names| names.iter().map(|name| self.places.of_spool(name)).collect())
    }
}

fn insert_all(tx: &Transaction<'_>, owned: &Owned, places: &Places, entries: &[Entry]) -> Sql<Vec<EntryId>> {
    let mut origins = Origins::default();
    let mut ids = Vec::with_capacity(entries.len());
    for entry in entries {
        ids.push(insert_entry(tx, owned, places, &mut origins, entry)?);
        entry.writes.iter().try_for_each(|write| memory::write(tx, write, entry.at))?;
    }
    let written = entries.iter().flat_map(|entry| &entry.writes);
    memory::evict(tx, written, memory::MAX_KEYS, memory::MAX_ANSWERED)?;
    Ok(ids)
}
