//! Commit: decide about a batch, count what could not be fetched, and file the rest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::decide::{Arrived, Decide};
use super::filer::Filer;
use super::{Cause, Notice};
use crate::clean;
use crate::error::{Error, Kind, Result};
use crate::message::{Key, Origin};
use crate::source::{FetchOutcome, Listed};
use crate::state::{Attempt, KeyPurpose, Lock, Published, RememberedKey, Trouble};

/// A message is set aside after this many failed attempts.
pub(super) const MAX_FETCH_ATTEMPTS: u32 = 5;
/// How often a batch is decided again when other processes change what its decisions read. Then the next pass tries
/// again.
const MAX_DECISIONS: u32 = 5;
/// How long a process that has read the state waits for the others that record by what they read.
const READS_LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// A message that is not tried again for now: the notice for the user, and the mark that is remembered with it.
pub(super) struct GivenUpMessage {
    pub(super) notice: Notice,
    pub(super) key: Key,
    pub(super) mark: RememberedKey,
}

/// Decides about batches and files them, one after the other.
pub struct Committer {
    /// What files the messages, and notices about them.
    pub filer: Filer,
    pub(super) engine: Arc<dyn Decide>,
    /// When the open folder was first listed.
    pub(super) first_look: Option<Timestamp>,
    /// The first run of the account, or `None` if its messages come from no server.
    pub(super) first_run: Option<Timestamp>,
    /// Failed attempts at the messages of the open folder.
    pub(super) attempts: HashMap<Vec<u8>, Attempt>,
}

impl Committer {
    /// Decides with these rules.
    pub fn new(filer: Filer, engine: Arc<dyn Decide>) -> Self {
        Self { filer, engine, first_look: None, first_run: None, attempts: HashMap::new() }
    }

    /// The messages come from an account whose first run was then.
    #[must_use]
    pub fn since(self, first_run: Timestamp) -> Self {
        Self { first_run: Some(first_run), ..self }
    }

    /// Hands everything over to the thread that commits, and leaves an empty committer behind.
    #[must_use]
    pub fn take(&mut self) -> Self {
        Self {
            filer: self.filer.take(),
            engine: Arc::clone(&self.engine),
            first_look: self.first_look.take(),
            first_run: self.first_run.take(),
            attempts: std::mem::take(&mut self.attempts),
        }
    }

    /// Reads what is known of a folder: when it was first listed, and the failed attempts at its messages.
    pub fn begin_folder(&mut self, origin: &Origin) -> Result<()> {
        self.first_look = Some(self.filer.world.store.first_look(&self.filer.owned, origin, self.filer.world.now())?);
        self.attempts = self.filer.world.store.attempts(origin)?;
        Ok(())
    }

    /// Splits the messages of a folder. The second part holds those that could not be fetched before, because the
    /// connection may have broken because of them. Those that failed most often come last.
    pub fn suspects_last(&self, wanted: Vec<Listed>) -> [Vec<Listed>; 2] {
        let failures = |listed: &Listed| match self.attempts.get(&listed.id) {
            Some(attempt) if attempt.trouble == Trouble::Fetch => attempt.count,
            _ => 0,
        };
        let (calm, mut suspects): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|listed| failures(listed) == 0);
        suspects.sort_by_key(failures);
        [calm, suspects]
    }

    /// Does the same for messages from standard input, which were never listed on a server.
    pub fn begin_stdin(&mut self, origin: &Origin) -> Result<()> {
        self.attempts = self.filer.world.store.attempts(origin)?;
        Ok(())
    }

    /// Makes everything in the batch safe, except for what is deferred. Whatever is in the result may be settled.
    pub fn commit(&mut self, items: Vec<FetchOutcome>) -> Result<Published> {
        let mut arrived = Vec::with_capacity(items.len());
        let mut given_up = Vec::new();
        for item in items {
            match item {
                FetchOutcome::Fetched(fetched) => arrived.push(Arrived::new(&self.filer.world, fetched)),
                FetchOutcome::Failed(key, error) => given_up.extend(self.count_failure(key, &error)?),
                FetchOutcome::Doubtful { envelope, bytes, error } => {
                    given_up.extend(self.doubtful(envelope, bytes, &error)?)
                }
                FetchOutcome::Vanished(key) => tracing::debug!("{key} vanished before it was fetched"),
            }
        }
        self.give_up(given_up)?;
        self.decide_and_commit(arrived)
    }

    /// Files the notices before it records the marks: after a crash in between, the program would not say it again.
    fn give_up(&mut self, given_up: Vec<GivenUpMessage>) -> Result<()> {
        if given_up.is_empty() {
            return Ok(());
        }
        let (notices, marks): (Vec<_>, Vec<_>) = given_up.into_iter().map(|it| (it.notice, (it.key, it.mark))).unzip();
        self.filer.notify_all(notices)?;
        self.filer.world.store.mark(&self.filer.owned, &marks)
    }

    /// Decides the whole batch again when another process has changed what was read while deciding. A process that has
    /// read anything records under a lock and keeps the lock while it decides again. Many processes that take numbers
    /// from one counter thus disturb each other once and no more.
    fn decide_and_commit(&mut self, mut arrived: Vec<Arrived>) -> Result<Published> {
        let mut reads_lock = None;
        for _ in 0..MAX_DECISIONS {
            let mut notices = Vec::new();
            let decided = self.decide_all(&mut arrived, &mut notices)?;
            // The notices before the messages that they are about: after a crash in between, the program would not say
            // it again.
            self.filer.notify_all(notices)?;
            if reads_lock.is_none() && decided.iter().any(|one| !one.decision.reads.is_empty()) {
                // Without the lock, it is only less likely to succeed.
                reads_lock = Lock::take(&self.filer.world.locks(), "(what rules read)", READS_LOCK_TIMEOUT).ok();
            }
            if let Some(published) = self.filer.make_durable(decided)? {
                return Ok(published);
            }
            tracing::info!("{}: what the rules had read has changed; asking them again", self.filer.account);
        }
        let text =
            format!("deciding about {} messages: what the rules read changed {MAX_DECISIONS} times", arrived.len());
        Err(Error::transient(Kind::Busy, text))
    }

    /// Counts a message that the server could not give. After [`MAX_FETCH_ATTEMPTS`] it is set aside and the user gets
    /// a notice.
    fn count_failure(&mut self, key: Key, error: &Error) -> Result<Option<GivenUpMessage>> {
        let cause = clean::line(error.to_string().as_bytes());
        if self.count_attempt(&key, &cause)? < MAX_FETCH_ATTEMPTS {
            return Ok(None);
        }
        let mark = RememberedKey::unread(KeyPurpose::SetAside, 0, self.filer.world.now());
        let notice = self.set_aside(&key, &cause);
        Ok(Some(GivenUpMessage { key, mark, notice }))
    }

    pub(super) fn count_attempt(&mut self, key: &Key, cause: &str) -> Result<u32> {
        let now = self.filer.world.now();
        let Attempt { count, .. } =
            self.filer.world.store.attempt(&self.filer.owned, key, Trouble::Fetch, cause, now)?;
        tracing::warn!("{key}: {cause} (attempt {count})");
        self.filer.report.failed += 1;
        self.filer
            .report
            .remarks
            .push(format!("{key} could not be fetched (attempt {count} of {MAX_FETCH_ATTEMPTS}): {cause}"));
        Ok(count)
    }

    fn set_aside(&self, key: &Key, why: &str) -> Notice {
        let text = format!(
            "The message {key} could not be fetched in {MAX_FETCH_ATTEMPTS} attempts: {why}.\n\nIt stays on the server and is \
             tried again in 24 hours. Other mail is not held up by it."
        );
        Notice { cause: Cause::SetAside, account: self.filer.account.clone(), text }
    }
}
