//! The memory of a process that may die: a committed transaction survives, and nothing happens after the death.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use mailsluice::config::entries::ListedEntry as ListEntry;
use mailsluice::decision::{Counted, Fact, Write};
use mailsluice::deliver::publish;
use mailsluice::error::{Error, Kind, Result};
use mailsluice::message::{Key, Origin};
use mailsluice::state::{
    About, Attempt, Clock, Disk, Entry, EntryId, FolderMark, FolderMarks, JournalEntries, JournalEntry, JournalRow,
    KnownOrigin, Later, Outbox, OutboxRow, Owned, Pace, Pacing, PartialFailure, Places, Recording, Registered,
    Registry, RememberedKey, RememberedKeys, Rest, RuleFacts, SqliteStore, Staged, Standing, Trouble, Unfinished,
    sync_dirs,
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

    fn record_pending(&self, owned: &Owned) -> Result<()> {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap());
        if !pending.is_empty() {
            let recording = self.step("record, too late")?.record(owned, self.staged_again(pending), &[])?;
            let Recording::Recorded(recorded) = recording else { panic!("nobody else is at work") };
            let proof = sync_dirs(&*self.disk, []).unwrap();
            let published: Vec<EntryId> = recorded.published(proof).ids().collect();
            self.inner.finish(owned, &published)?;
        }
        Ok(())
    }
}

impl Registry for MortalStore {
    /// Nothing of it is needed after a crash, so it is no step.
    fn take_over(&self, space: &str, incarnation: &str) -> Result<u64> {
        self.look()?.take_over(space, incarnation)
    }

    fn register(&self, accounts: &[(String, String)], claimed: &[String], now: Timestamp) -> Result<Vec<Registered>> {
        let known = self.look()?.accounts()?;
        let is_known = |(label, identity): &(String, String)| {
            known.iter().any(|known| known.label == *label && known.identity == *identity)
        };
        match accounts.iter().all(is_known) {
            true => self.look()?.register(accounts, claimed, now),
            false => self.step("account")?.register(accounts, claimed, now),
        }
    }

    fn adopt_accounts(&self, known: &[Registered]) -> Result<()> {
        self.look()?.adopt_accounts(known)
    }

    fn accounts(&self) -> Result<Vec<Registered>> {
        self.look()?.accounts()
    }

    fn fact(&self, name: &str) -> Result<Option<String>> {
        self.look()?.fact(name)
    }

    fn set_fact(&self, name: &str, value: &str) -> Result<()> {
        self.step("fact")?.set_fact(name, value)
    }

    fn standing(&self) -> Result<Vec<Standing>> {
        self.look()?.standing()
    }

    fn set_standing(&self, owned: &Owned, standing: &Standing) -> Result<()> {
        self.step("standing")?.set_standing(owned, standing)
    }

    fn end_standing(&self, owned: &Owned, about: &str) -> Result<()> {
        self.step("end of standing")?.end_standing(owned, about)
    }

    /// The clocks of these tests stand still in the past.
    fn observe(&self, _: Timestamp, _: bool) -> Result<Clock> {
        Ok(Clock::Plausible)
    }

    fn rebuilt(&self) -> Option<Timestamp> {
        self.inner.rebuilt()
    }

    fn is_recognised(&self, origin: &Origin) -> Result<bool> {
        self.look()?.is_recognised(origin)
    }

    fn set_recognised(&self, owned: &Owned, origin: &Origin, now: Timestamp) -> Result<()> {
        self.step("recognised")?.set_recognised(owned, origin, now)
    }
}

impl FolderMarks for MortalStore {
    fn folder_mark(&self, space: &str, folder: &str) -> Result<Option<FolderMark>> {
        self.look()?.folder_mark(space, folder)
    }

    fn set_folder_mark(&self, owned: &Owned, folder: &str, mark: Option<&FolderMark>) -> Result<()> {
        self.step("folder mark")?.set_folder_mark(owned, folder, mark)
    }
}

/// No mail hangs on it, so it is no step.
impl Pacing for MortalStore {
    fn pace(&self, whose: &str) -> Result<Option<Pace>> {
        self.look()?.pace(whose)
    }

    fn set_pace(&self, whose: &str, pace: Option<&Pace>) -> Result<()> {
        self.look()?.set_pace(whose, pace)
    }

    fn partial_failure(&self, account: &str) -> Result<Option<PartialFailure>> {
        self.look()?.partial_failure(account)
    }

    fn set_partial_failure(&self, account: &str, failure: Option<&PartialFailure>) -> Result<()> {
        self.look()?.set_partial_failure(account, failure)
    }

    fn paused(&self) -> Result<Vec<(String, Timestamp)>> {
        self.look()?.paused()
    }

    fn pause(&self, account: &str, now: Timestamp) -> Result<()> {
        self.look()?.pause(account, now)
    }

    fn resume(&self, account: &str) -> Result<()> {
        self.look()?.resume(account)
    }

    fn most_connections(&self, space: &str) -> Result<Option<(u32, Timestamp)>> {
        self.look()?.most_connections(space)
    }

    fn set_most_connections(&self, space: &str, most: u32, now: Timestamp) -> Result<()> {
        self.look()?.set_most_connections(space, most, now)
    }

    fn last_mail(&self) -> Result<Vec<(String, Timestamp)>> {
        self.look()?.last_mail()
    }
}

impl Outbox for MortalStore {
    fn outbox(&self, entry: Option<EntryId>, limit: u32) -> Result<Vec<OutboxRow>> {
        self.look()?.outbox(entry, limit)
    }

    fn outbox_row(&self, id: i64) -> Result<Option<OutboxRow>> {
        self.look()?.outbox_row(id)
    }

    fn still_to_tell(&self) -> Result<Vec<OutboxRow>> {
        self.look()?.still_to_tell()
    }

    fn due(&self, now: Timestamp, after: Option<(Timestamp, i64)>, limit: u32) -> Result<Vec<OutboxRow>> {
        self.look()?.due(now, after, limit)
    }

    fn being_sent(&self, owned: &Owned) -> Result<Vec<OutboxRow>> {
        self.look()?.being_sent(owned)
    }

    fn claim(&self, owned: &Owned, id: i64, now: Timestamp, before: &[OutboxRow]) -> Result<bool> {
        self.step("claim")?.claim(owned, id, now, before)
    }

    fn resolve(&self, owned: &Owned, rows: &[OutboxRow]) -> Result<()> {
        self.step("resolve")?.resolve(owned, rows)
    }

    fn hurry(&self, ids: &[i64], now: Timestamp) -> Result<()> {
        self.step("hurry")?.hurry(ids, now)
    }

    fn hold(&self, id: i64, now: Timestamp) -> Result<bool> {
        self.step("hold")?.hold(id, now)
    }

    fn ask_to_drop(&self, id: i64, now: Timestamp) -> Result<bool> {
        self.step("ask to drop")?.ask_to_drop(id, now)
    }

    fn to_give_up(&self) -> Result<Vec<OutboxRow>> {
        self.look()?.to_give_up()
    }

    fn copies_due(&self, now: Timestamp) -> Result<Vec<OutboxRow>> {
        self.look()?.copies_due(now)
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

    fn rest(&self, owned: &Owned, rest: &Rest) -> Result<()> {
        self.step("rest")?.rest(owned, rest)
    }

    fn was_told(&self, path: &Path) -> Result<bool> {
        self.look()?.was_told(path)
    }
}

impl RememberedKeys for MortalStore {
    fn known(&self, origin: &Arc<Origin>) -> Result<KnownOrigin> {
        self.look()?.known(origin)
    }

    fn known_among(&self, origin: &Arc<Origin>, ids: &[Vec<u8>]) -> Result<KnownOrigin> {
        self.look()?.known_among(origin, ids)
    }

    fn was_looked_at(&self, origin: &Origin) -> Result<bool> {
        self.look()?.was_looked_at(origin)
    }

    fn remembered(&self, key: &Key) -> Result<Option<RememberedKey>> {
        self.look()?.remembered(key)
    }

    fn earlier_generations(&self, origin: &Origin) -> Result<Vec<Arc<Origin>>> {
        self.look()?.earlier_generations(origin)
    }

    fn mark(&self, owned: &Owned, marks: &[(Key, RememberedKey)]) -> Result<()> {
        self.record_pending(owned)?;
        self.step("mark")?.mark(owned, marks)?;
        // The last thing that `deliver` does, so a crash after it must be a crash before something.
        self.step("marked").map(drop)
    }

    fn renumber(&self, owned: &Owned, old: &[Key], new: &[(Key, RememberedKey)]) -> Result<()> {
        self.step("renumber")?.renumber(owned, old, new)
    }

    fn first_look(&self, owned: &Owned, origin: &Origin, now: Timestamp) -> Result<Timestamp> {
        self.step("first look")?.first_look(owned, origin, now)
    }

    fn deciding(&self, owned: &Owned, key: Option<&Key>) -> Result<()> {
        self.step("deciding")?.deciding(owned, key)
    }

    fn died_deciding(&self, owned: &Owned) -> Result<Option<Key>> {
        self.look()?.died_deciding(owned)
    }

    fn attempt(&self, owned: &Owned, key: &Key, trouble: Trouble, cause: &str, now: Timestamp) -> Result<Attempt> {
        self.step("attempt")?.attempt(owned, key, trouble, cause, now)
    }

    fn attempts(&self, origin: &Origin) -> Result<HashMap<Vec<u8>, Attempt>> {
        self.look()?.attempts(origin)
    }

    fn listed(&self, owned: &Owned, origin: &Origin, missing: &[Vec<u8>], now: Timestamp) -> Result<()> {
        self.step("listed")?.listed(owned, origin, missing, now)
    }

    fn is_here(&self, account: &str, head_hash: &[u8; 16]) -> Result<bool> {
        self.look()?.is_here(account, head_hash)
    }
}

impl RuleFacts for MortalStore {
    fn holds(&self, fact: &Fact, now: Timestamp) -> Result<bool> {
        self.look()?.holds(fact, now)
    }

    fn last_number(&self, counter: &str) -> Result<Option<u64>> {
        self.look()?.last_number(counter)
    }

    fn counted(&self, of: &Counted, coming: &HashSet<i64>) -> Result<u64> {
        self.look()?.counted(of, coming)
    }

    fn list_entries(&self, list: &str, now: Timestamp) -> Result<Vec<ListEntry>> {
        self.look()?.list_entries(list, now)
    }

    fn list_value(&self, list: &str, entry: &str) -> Result<Option<String>> {
        self.look()?.list_value(list, entry)
    }

    fn change_lists(&self, writes: &[Write], now: Timestamp) -> Result<()> {
        self.look()?.change_lists(writes, now)
    }
}

impl JournalEntries for MortalStore {
    fn unfinished_spaces(&self) -> Result<Vec<String>> {
        self.look()?.unfinished_spaces()
    }

    fn record(&self, owned: &Owned, staged: Staged, done: &[EntryId]) -> Result<Recording> {
        match self.mistake {
            // It is the process that dies that makes it.
            _ if self.mistake == Some(Mistake::PublishBeforeRecord) && !self.fate.is_doomed() => {
                self.step("record")?.record(owned, staged, done)
            }
            None => self.step("record")?.record(owned, staged, done),
            Some(Mistake::PublishBeforeRecord) => {
                let entries = staged.entries().to_vec();
                let numbers = (0..).take(entries.len()).collect();
                publish(&*self.disk, owned, self.staged_again(entries).recorded(numbers)?)?;
                self.step("record")?.record(owned, staged, done)
            }
            Some(Mistake::RecordAfterSettle) => {
                self.pending.lock().unwrap().extend(staged.entries().iter().cloned());
                let numbers = (-1000..).take(staged.entries().len()).collect();
                staged.recorded(numbers).map(Recording::Recorded)
            }
        }
    }

    fn finish(&self, owned: &Owned, done: &[EntryId]) -> Result<()> {
        self.record_pending(owned)?;
        if done.is_empty() {
            return Ok(());
        }
        self.step("finish")?.finish(owned, done)
    }

    fn unfinished(&self, space: &str) -> Result<Vec<Unfinished>> {
        self.look()?.unfinished(space)
    }

    fn again(&self, owned: &Owned, row: &Unfinished) -> Result<()> {
        self.step("again")?.again(owned, row)
    }

    fn filed_as(&self, account: &str, message_id: &str) -> Result<Vec<EntryId>> {
        self.look()?.filed_as(account, message_id)
    }

    fn is_recorded(&self, staged: &str) -> Result<bool> {
        self.look()?.is_recorded(staged)
    }

    fn is_spooled(&self, path: &Path) -> Result<bool> {
        self.look()?.is_spooled(path)
    }

    fn journal_in(&self, account: Option<&str>, numbers: Range<EntryId>, limit: u32) -> Result<Vec<JournalRow>> {
        self.look()?.journal_in(account, numbers, limit)
    }

    fn about(&self, id: EntryId) -> Result<Option<About>> {
        self.look()?.about(id)
    }

    fn entry(&self, id: EntryId) -> Result<Option<JournalEntry>> {
        self.look()?.entry(id)
    }

    fn run(&self, run: u64) -> Result<Vec<EntryId>> {
        self.look()?.run(run)
    }

    fn was_brought_back(&self, id: EntryId) -> Result<bool> {
        self.look()?.was_brought_back(id)
    }

    fn later(&self, id: EntryId, name: &str) -> Result<Vec<Later>> {
        self.look()?.later(id, name)
    }

    fn prune(&self, owned: &Owned, now: Timestamp, originals: u64) -> Result<Vec<PathBuf>> {
        self.step("prune")?.prune(owned, now, originals)
    }
}

/// A database that outlives the processes of a test.
pub fn in_memory(state: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::in_memory(Places::new(state, Path::new(super::world::MAIL))).unwrap())
}

/// Who is asked for what another process left.
pub fn owner(store: &SqliteStore, state: &Path, space: &str) -> Owned {
    Owned::take(store, &state.join("locks"), space, Duration::ZERO).unwrap()
}
