//! The memory of a process that may die: a committed transaction survives, and nothing happens after the death.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use mailsluice::decision::Fact;
use mailsluice::deliver::publish;
use mailsluice::error::{Error, Kind, Result};
use mailsluice::message::{Key, Origin};
use mailsluice::state::{
    Attempt, Disk, Entry, EntryId, JournalEntry, JournalRow, Known, OutboxRow, Recording, Remembered, Rest,
    SqliteStore, Staged, Store, Trouble, Unfinished, sync_dirs,
};

use super::fate::{Dead, Fate};

/// A mistake in the order of things: for the negative controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The files are renamed into `new/` and only then recorded.
    PublishBeforeRecord,
    /// What was recorded is committed only with the next transaction, when the server was told to delete it.
    RecordAfterSettle,
}

/// The real store, as one process uses it.
pub struct MortalStore {
    fate: Fate,
    inner: Arc<SqliteStore>,
    disk: Arc<dyn Disk>,
    mistake: Option<Mistake>,
    /// What a [`Mistake::RecordAfterSettle`] has not recorded yet.
    pending: Mutex<Vec<Entry>>,
}

fn refused(dead: Dead) -> Error {
    Error::transient(Kind::State, "using the state").because(dead)
}

impl MortalStore {
    pub fn new(fate: &Fate, inner: &Arc<SqliteStore>, disk: Arc<dyn Disk>, mistake: Option<Mistake>) -> Self {
        Self { fate: fate.clone(), inner: Arc::clone(inner), disk, mistake, pending: Mutex::default() }
    }

    fn look(&self) -> Result<&SqliteStore> {
        self.fate.look().map_err(refused)?;
        Ok(&self.inner)
    }

    fn step(&self, what: &str) -> Result<&SqliteStore> {
        self.fate.step(|| format!("store: {what}")).map_err(refused)?;
        Ok(&self.inner)
    }

    /// A proof for entries that were staged properly, once more.
    fn staged_again(&self, entries: Vec<Entry>) -> Staged {
        Staged::new(entries, sync_dirs(&*self.disk, []).unwrap())
    }

    fn record_pending(&self) -> Result<()> {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap());
        if !pending.is_empty() {
            let recording = self.step("record, too late")?.record(self.staged_again(pending), &[])?;
            let Recording::Recorded(recorded) = recording else { panic!("nobody else is at work") };
            let proof = sync_dirs(&*self.disk, []).unwrap();
            let published: Vec<EntryId> = recorded.published(proof).ids().collect();
            self.inner.finish(&published)?;
        }
        Ok(())
    }
}

impl Store for MortalStore {
    fn known(&self, origin: &Arc<Origin>) -> Result<Known> {
        self.look()?.known(origin)
    }

    fn remembered(&self, key: &Key) -> Result<Option<Remembered>> {
        self.look()?.remembered(key)
    }

    fn earlier_generations(&self, origin: &Origin) -> Result<Vec<Arc<Origin>>> {
        self.look()?.earlier_generations(origin)
    }

    fn mark(&self, marks: &[(Key, Remembered)]) -> Result<()> {
        self.record_pending()?;
        self.step("mark")?.mark(marks)?;
        // The last thing that `deliver` does, so a crash after it must be a crash before something.
        self.step("marked").map(drop)
    }

    fn forget(&self, keys: &[Key]) -> Result<()> {
        self.step("forget")?.forget(keys)
    }

    fn record(&self, staged: Staged, done: &[EntryId]) -> Result<Recording> {
        match self.mistake {
            None => self.step("record")?.record(staged, done),
            Some(Mistake::PublishBeforeRecord) => {
                let entries = staged.entries().to_vec();
                let numbers = (0..).take(entries.len()).collect();
                publish(&*self.disk, self.staged_again(entries).recorded(numbers)?)?;
                self.step("record")?.record(staged, done)
            }
            Some(Mistake::RecordAfterSettle) => {
                self.pending.lock().unwrap().extend(staged.entries().iter().cloned());
                let numbers = (-1000..).take(staged.entries().len()).collect();
                staged.recorded(numbers).map(Recording::Recorded)
            }
        }
    }

    fn holds(&self, fact: &Fact, now: Timestamp) -> Result<bool> {
        self.look()?.holds(fact, now)
    }

    fn last_number(&self, counter: &str) -> Result<Option<u64>> {
        self.look()?.last_number(counter)
    }

    fn first_look(&self, origin: &Origin, now: Timestamp) -> Result<Timestamp> {
        self.step("first look")?.first_look(origin, now)
    }

    fn list_entries(&self, list: &str) -> Result<Vec<String>> {
        self.look()?.list_entries(list)
    }

    fn outbox(&self, entry: Option<EntryId>, limit: u32) -> Result<Vec<OutboxRow>> {
        self.look()?.outbox(entry, limit)
    }

    fn outbox_row(&self, id: i64) -> Result<Option<OutboxRow>> {
        self.look()?.outbox_row(id)
    }

    fn still_to_tell(&self) -> Result<Vec<OutboxRow>> {
        self.look()?.still_to_tell()
    }

    fn finish(&self, done: &[EntryId]) -> Result<()> {
        self.record_pending()?;
        if done.is_empty() {
            return Ok(());
        }
        self.step("finish")?.finish(done)
    }

    fn unfinished(&self, account: &str) -> Result<Vec<Unfinished>> {
        self.look()?.unfinished(account)
    }

    fn again(&self, row: &Unfinished) -> Result<()> {
        self.step("again")?.again(row)
    }

    fn deciding(&self, account: &str, key: Option<&Key>) -> Result<()> {
        self.step("deciding")?.deciding(account, key)
    }

    fn died_deciding(&self, account: &str) -> Result<Option<Key>> {
        self.look()?.died_deciding(account)
    }

    fn attempt(&self, key: &Key, trouble: Trouble, cause: &str, now: Timestamp) -> Result<Attempt> {
        self.step("attempt")?.attempt(key, trouble, cause, now)
    }

    fn attempts(&self, origin: &Origin) -> Result<HashMap<Vec<u8>, Attempt>> {
        self.look()?.attempts(origin)
    }

    fn listed(&self, origin: &Origin, missing: &[Vec<u8>], now: Timestamp) -> Result<()> {
        self.step("listed")?.listed(origin, missing, now)
    }

    fn is_recorded(&self, staged: &str) -> Result<bool> {
        self.look()?.is_recorded(staged)
    }

    fn is_spooled(&self, path: &Path) -> Result<bool> {
        self.look()?.is_spooled(path)
    }

    fn journal(&self, account: Option<&str>, limit: u32) -> Result<Vec<JournalRow>> {
        self.look()?.journal(account, limit)
    }

    fn due(&self, now: Timestamp, after: Option<(Timestamp, i64)>, limit: u32) -> Result<Vec<OutboxRow>> {
        self.look()?.due(now, after, limit)
    }

    fn being_sent(&self) -> Result<Vec<OutboxRow>> {
        self.look()?.being_sent()
    }

    fn claim(&self, id: i64, now: Timestamp, before: &[OutboxRow]) -> Result<bool> {
        self.step("claim")?.claim(id, now, before)
    }

    fn resolve(&self, rows: &[OutboxRow]) -> Result<()> {
        self.step("resolve")?.resolve(rows)
    }

    fn hold(&self, id: i64, now: Timestamp) -> Result<bool> {
        self.step("hold")?.hold(id, now)
    }

    fn hurry(&self, ids: &[i64], now: Timestamp) -> Result<()> {
        self.step("hurry")?.hurry(ids, now)
    }

    fn sent_since(&self, kinds: &[&str], since: Timestamp) -> Result<u64> {
        self.look()?.sent_since(kinds, since)
    }

    fn replied_since(&self, handle: &str, to: &str, since: Timestamp) -> Result<u64> {
        self.look()?.replied_since(handle, to, since)
    }

    fn rests(&self) -> Result<Vec<Rest>> {
        self.look()?.rests()
    }

    fn rest(&self, rest: &Rest) -> Result<()> {
        self.step("rest")?.rest(rest)
    }

    fn entry(&self, id: EntryId) -> Result<Option<JournalEntry>> {
        self.look()?.entry(id)
    }

    fn prune(&self, now: Timestamp) -> Result<Vec<PathBuf>> {
        self.step("prune")?.prune(now)
    }
}
