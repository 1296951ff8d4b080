//! Commit: decide about a batch, stage its files, record it, publish it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::decide::{Arrived, Decide};
use super::plan::{Decided, Here, Planner};
use super::stuck::Stuck;
use super::targets::Refused;
use super::{Cause, Notice, Report, World, mounted, relocate};
use crate::clean;
use crate::config::template::Template;
use crate::decision::Decision;
use crate::deliver::{Plan, files_of, publish};
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, DELIVERED, Envelope, Flags, Key, Message, NOTICES, OUTBOX, Origin, REFILTERED};
use crate::source::{Item, Listed};
use crate::state::{Attempt, Entry, EntryId, Lock, Mark, Owned, Published, Recording, Remembered, Staged, Trouble};

/// After so many failed attempts a message is set aside.
pub(super) const ATTEMPTS: u32 = 5;
/// So often a batch is decided when others change what its decisions read; then the next pass tries again.
const DECISIONS: u32 = 5;
/// Whoever records what was decided by what the state says waits so long for others that do.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message that is not tried again for now: what the user hears of it, and what is remembered then.
pub(super) struct GivenUp {
    pub(super) notice: Notice,
    pub(super) key: Key,
    pub(super) mark: Remembered,
}

/// Makes batches durable, one after the other.
pub struct Committer {
    pub(super) world: World,
    /// The name space that it writes for.
    pub(super) owned: Arc<Owned>,
    pub(super) account: String,
    pub(super) engine: Arc<dyn Decide>,
    into: Template,
    /// When the open folder was looked at for the first time.
    pub(super) first_look: Option<Timestamp>,
    /// The first run of the account; `None`: its messages come from no server.
    pub(super) first_run: Option<Timestamp>,
    /// Failed attempts at the messages of the open folder.
    pub(super) attempts: HashMap<Vec<u8>, Attempt>,
    /// Rows that are published and not marked done yet: they go with the next transaction.
    done: Vec<EntryId>,
    /// Nothing goes to the inbox in place of a target that cannot take it.
    only_as_decided: bool,
    /// Targets that could not take messages of the batch at hand.
    refused: Refused,
    /// What it did.
    pub report: Report,
}

impl Committer {
    /// For one account, whose name is for people.
    pub fn new(world: &World, owned: &Arc<Owned>, account: &str, engine: Arc<dyn Decide>, into: Template) -> Self {
        Self {
            world: world.clone(),
            owned: Arc::clone(owned),
            account: account.to_owned(),
            engine,
            into,
            first_look: None,
            first_run: None,
            attempts: HashMap::new(),
            done: Vec::new(),
            only_as_decided: false,
            refused: Refused::default(),
            report: Report::of(account),
        }
    }

    /// Files nothing in the inbox in place of a target that cannot take it: that is an error.
    #[must_use]
    pub(super) fn only_as_decided(self) -> Self {
        Self { only_as_decided: true, ..self }
    }

    /// Messages come from an account that began then.
    #[must_use]
    pub fn since(self, first_run: Timestamp) -> Self {
        Self { first_run: Some(first_run), ..self }
    }

    /// Hands everything over to the thread that commits; what stays is empty.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let empty = Self::new(&self.world, &self.owned, &self.account, Arc::clone(&self.engine), self.into.clone());
        std::mem::replace(self, empty)
    }

    /// Reads what is known of a folder: when it was first looked at, and the failed attempts at its messages.
    pub fn begin_folder(&mut self, origin: &Origin) -> Result<()> {
        self.first_look = Some(self.world.store.first_look(&self.owned, origin, self.world.now())?);
        self.attempts = self.world.store.attempts(origin)?;
        Ok(())
    }

    /// Parts the messages of a folder: second come those that could not be fetched before, for the connection may have broken
    /// because of them; the more often, the later.
    pub fn suspects_last(&self, wanted: Vec<Listed>) -> [Vec<Listed>; 2] {
        let failures = |listed: &Listed| match self.attempts.get(&listed.id) {
            Some(attempt) if attempt.trouble == Trouble::Fetch => attempt.count,
            _ => 0,
        };
        let (calm, mut suspects): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|listed| failures(listed) == 0);
        suspects.sort_by_key(failures);
        [calm, suspects]
    }

    /// The same for messages that were never looked at on a server: those on standard input.
    pub fn begin_stdin(&mut self, origin: &Origin) -> Result<()> {
        self.attempts = self.world.store.attempts(origin)?;
        Ok(())
    }

    /// The account that the keys of notices name. The slots of `deliver` share one, and so do the outbox and whoever moves
    /// mail: either finishes what is left half done, and says what cannot be.
    fn keys_of(&self) -> &str {
        match self.owned.space() {
            _ if self.account == DELIVERED => DELIVERED,
            REFILTERED => OUTBOX,
            space => space,
        }
    }

    pub(super) fn planner(&self) -> Planner<'_> {
        Planner { world: &self.world, owned: &self.owned, account: &self.account, into: &self.into }
    }

    /// Makes everything in the batch safe but what is deferred. What is in the result may be settled.
    pub fn commit(&mut self, items: Vec<Item>) -> Result<Published> {
        let mut arrived = Vec::with_capacity(items.len());
        let mut given_up = Vec::new();
        for item in items {
            match item {
                Item::Fetched(fetched) => arrived.push(Arrived::new(&self.world, fetched)),
                Item::Failed(key, error) => given_up.extend(self.failed(key, &error)?),
                Item::Doubtful { envelope, bytes, error } => given_up.extend(self.doubtful(envelope, bytes, &error)?),
                Item::Vanished(key) => tracing::debug!("{key} vanished before it was fetched"),
            }
        }
        self.give_up(given_up)?;
        self.decide_and_commit(arrived)
    }

    /// The notices before the marks: killed in between, the program would not say it any more.
    fn give_up(&mut self, given_up: Vec<GivenUp>) -> Result<()> {
        if given_up.is_empty() {
            return Ok(());
        }
        let (notices, marks): (Vec<_>, Vec<_>) = given_up.into_iter().map(|it| (it.notice, (it.key, it.mark))).unzip();
        self.notify_all(notices)?;
        self.world.store.mark(&self.owned, &marks)
    }

    fn notify_all(&mut self, notices: Vec<Notice>) -> Result<()> {
        Notice::gather(notices).iter().try_for_each(|notice| self.notify(notice))
    }

    /// Another process may change what was read while deciding: then the whole batch is decided anew. Whoever has read
    /// anything records under a lock and keeps it while deciding anew, so that many who take numbers of one counter are
    /// disturbed once each and do not wear each other out.
    fn decide_and_commit(&mut self, mut arrived: Vec<Arrived>) -> Result<Published> {
        let mut turn = None;
        for _ in 0..DECISIONS {
            let mut notices = Vec::new();
            let decided = self.decide_all(&mut arrived, &mut notices)?;
            // Before the messages that they are about: killed in between, the program would not say it any more.
            self.notify_all(notices)?;
            if turn.is_none() && decided.iter().any(|one| !one.decision.reads.is_empty()) {
                // Without the lock it is only less likely to end well.
                turn = Lock::take(&self.world.locks(), "(what rules read)", PATIENCE).ok();
            }
            if let Some(published) = self.make_durable(decided)? {
                return Ok(published);
            }
            tracing::info!("{}: what the rules had read changed meanwhile; they are asked again", self.account);
        }
        let text = format!("deciding about {} messages: what the rules read changed {DECISIONS} times", arrived.len());
        Err(Error::transient(Kind::Busy, text))
    }

    /// Marks what is published as done.
    pub fn finish(&mut self) -> Result<()> {
        self.world.store.finish(&self.owned, &std::mem::take(&mut self.done))
    }

    /// The same, but for what waits for a folder.
    pub(super) fn finish_but(&mut self, stuck: &Stuck) -> Result<()> {
        self.done.retain(|id| !stuck.has(*id));
        self.finish()
    }

    /// Files a message of our own, once for each key.
    pub fn notify(&mut self, notice: &Notice) -> Result<()> {
        let now = self.world.now();
        let key = notice.key(self.keys_of(), now);
        if self.world.store.remembered(&key)?.is_some() {
            return Ok(());
        }
        let message = notice.message(now, &self.world.host);
        self.keep(key, message, "a notice of mailsluice").map(drop)
    }

    /// Files bytes that no server has any more, without rules.
    pub fn rescue(&mut self, key: Key, bytes: Vec<u8>) -> Result<Published> {
        let why = "found staged after a crash; the server does not list it any more";
        self.keep(key, Message::new(Bytes::Memory(bytes)), why)
    }

    /// Nothing is read from the state for this, so nothing can have changed.
    pub(super) fn keep(&mut self, key: Key, message: Message, why: &str) -> Result<Published> {
        self.carry_out(key, message, Decision::keep(why))
    }

    /// Files a message that stood in the spool alone. The file's name is its own, by which a lost state recognises it.
    pub(super) fn keep_spooled(&mut self, key: Key, message: Message, spooled: &Path, why: &str) -> Result<Published> {
        let base = relocate::out_of_spool(&self.world, spooled, &key, self.world.now());
        self.carry_out_at(key, message, Decision::keep(why), base)
    }

    /// The same for what was decided without rules.
    pub(super) fn carry_out(&mut self, key: Key, message: Message, decision: Decision) -> Result<Published> {
        self.carry_out_at(key, message, decision, None)
    }

    fn carry_out_at(
        &mut self,
        key: Key,
        message: Message,
        decision: Decision,
        base: Option<Here>,
    ) -> Result<Published> {
        let envelope = Envelope { key, arrived: self.world.now(), flags: Flags::default(), announced: 0 };
        let decided = Decided { envelope, message: Arc::new(message), decision, base };
        Ok(self.make_durable(vec![decided])?.unwrap_or_default())
    }

    /// `None`: what a decision read from the state is no longer so, and nothing was done.
    pub(super) fn make_durable(&mut self, decided: Vec<Decided>) -> Result<Option<Published>> {
        if decided.is_empty() {
            return Ok(Some(Published::default()));
        }
        let (staged, remarks, came_in) = self.stage(decided)?;
        let stager = self.world.stager(&self.owned);
        let files = files_of(&staged);
        let recorded = match self.world.store.record(&self.owned, staged, &self.done) {
            Ok(Recording::Recorded(recorded)) => recorded,
            Ok(Recording::Changed(_)) => {
                stager.unstage(&files, &came_in)?;
                self.owned.is_staging(false);
                return Ok(None);
            }
            Err(error) => {
                // Nothing was settled, so whatever the state says now, the message comes again.
                stager.unstage(&files, &came_in).ok();
                return Err(error);
            }
        };
        self.done.clear();
        let published = publish(&*self.world.disk, &self.owned, recorded)?;
        self.done.extend(published.ids());
        self.drop_spool_files(came_in, &published)?;
        self.owned.is_staging(false);
        self.report.remarks.extend(remarks);
        self.count(&published);
        for notice in std::mem::take(&mut self.refused).notices(&self.account) {
            // The messages are here, and whoever heard of an error would give them again.
            if let Err(e) = self.notify(&notice) {
                self.report
                    .remarks
                    .push(format!("a notice could not be filed ({e}): {}", clean::line(notice.text.as_bytes())));
            }
        }
        Ok(Some(published))
    }

    /// Writes the files of a batch. Where a folder cannot take its messages, they are staged for the inbox.
    fn stage(&mut self, decided: Vec<Decided>) -> Result<(Staged, Vec<String>, Vec<PathBuf>)> {
        mounted(&self.world)?;
        loop {
            let planner = Planner { world: &self.world, owned: &self.owned, account: &self.account, into: &self.into };
            let mut decided = decided.clone();
            self.refused.redirect(&mut decided, &planner);
            let staged = planner.plan_all(decided).and_then(|(plans, remarks)| {
                let came_in = plans.iter().filter_map(Plan::came_in).map(PathBuf::from).collect();
                let staged = self.world.stager(&self.owned).stage(plans)?;
                Ok((staged, remarks, came_in))
            });
            match staged {
                Ok(staged) => return Ok(staged),
                // Mail that is here already stays where it is.
                Err(error) if self.only_as_decided || self.owned.space() == REFILTERED => return Err(error),
                // Each target is noted once, so this ends.
                Err(error) => self.refused.note(error, &planner)?,
            }
        }
    }

    /// Big messages were copied out of the spool into their folders; what is discarded or told stays there.
    fn drop_spool_files(&self, came_in: Vec<PathBuf>, published: &Published) -> Result<()> {
        let stays: BTreeSet<&PathBuf> = published.entries().flat_map(Entry::in_spool).collect();
        let goes = came_in.iter().filter(|path| !stays.contains(path));
        goes.into_iter().try_for_each(|path| super::leftovers::remove(&self.world, path))
    }

    /// A message the server could not give. After [`ATTEMPTS`] it is set aside and the user is told.
    fn failed(&mut self, key: Key, error: &Error) -> Result<Option<GivenUp>> {
        let cause = clean::line(error.to_string().as_bytes());
        if self.count_attempt(&key, &cause)? < ATTEMPTS {
            return Ok(None);
        }
        let mark = Remembered::unread(Mark::SetAside, 0, self.world.now());
        let notice = self.set_aside(&key, &cause);
        Ok(Some(GivenUp { key, mark, notice }))
    }

    pub(super) fn count_attempt(&mut self, key: &Key, cause: &str) -> Result<u32> {
        let now = self.world.now();
        let Attempt { count, .. } = self.world.store.attempt(&self.owned, key, Trouble::Fetch, cause, now)?;
        tracing::warn!("{key}: {cause} (attempt {count})");
        self.report.failed += 1;
        self.report.remarks.push(format!("{key} could not be fetched (attempt {count} of {ATTEMPTS}): {cause}"));
        Ok(count)
    }

    fn set_aside(&self, key: &Key, why: &str) -> Notice {
        let text = format!(
            "The message {key} could not be fetched in {ATTEMPTS} attempts: {why}.\n\nIt stays on the server and is \
             tried again in 24 hours. Other mail is not held up by it."
        );
        Notice { cause: Cause::SetAside, account: self.account.clone(), text }
    }

    fn count(&mut self, published: &Published) {
        let folders = &self.world.folders;
        for entry in published.entries().filter(|e| e.key.origin.folder != NOTICES) {
            self.report.new += 1;
            self.report.bytes += entry.size;
            self.report.told += u64::from(!entry.tellings.is_empty());
            if entry.is_filed_nowhere() && entry.tellings.is_empty() {
                self.report.discarded += 1;
            }
            let maildirs = entry.targets.iter().map(|target| folders.name_of(&target.maildir));
            for name in maildirs.chain(entry.mboxes.iter().map(|mbox| folders.name_of_mbox(&mbox.file))) {
                *self.report.folders.entry(name).or_default() += 1;
            }
        }
    }
}
