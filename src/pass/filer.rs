//! File: makes decisions durable. The files are staged, recorded and published; notices go the same way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::plan::{Decided, Here, Planner};
use super::targets::Refused;
use super::{Notice, Report, World, files, mounted};
use crate::clean;
use crate::config::template::Template;
use crate::decision::Decision;
use crate::deliver::{Plan, files_of, publish};
use crate::error::Result;
use crate::message::{Bytes, DELIVERED, Envelope, Flags, Key, Message, NOTICES, OUTBOX, REFILTERED};
use crate::state::{Entry, EntryId, Owned, Published, Recording, Staged};

/// Files what was decided, one batch after the other.
pub struct Filer {
    pub(crate) world: World,
    /// The name space that it writes to.
    pub(crate) owned: Arc<Owned>,
    pub(super) account: String,
    into: Template,
    /// Rows that are published and not marked done yet. The next transaction marks them.
    done: Vec<EntryId>,
    /// Whether nothing may go to the inbox instead of a target that cannot take it.
    only_as_decided: bool,
    /// Targets that could not take messages of the batch at hand.
    refused: Refused,
    /// What was done.
    pub report: Report,
}

impl Filer {
    /// Starts for one account; its name is only for people.
    pub fn new(world: &World, owned: &Arc<Owned>, account: &str, into: Template) -> Self {
        Self {
            world: world.clone(),
            owned: Arc::clone(owned),
            account: account.to_owned(),
            into,
            done: Vec::new(),
            only_as_decided: false,
            refused: Refused::default(),
            report: Report::of(account),
        }
    }

    /// Hands everything over, and leaves a filer behind that has done nothing.
    pub(super) fn take(&mut self) -> Self {
        let empty = Self::new(&self.world, &self.owned, &self.account, self.into.clone());
        std::mem::replace(self, empty)
    }

    /// Reports an error where a target cannot take a message, instead of filing the message in the inbox.
    #[must_use]
    pub(crate) fn only_as_decided(self) -> Self {
        Self { only_as_decided: true, ..self }
    }

    /// The account that the keys of notices name. The slots of `deliver` share one. The outbox and the commands that
    /// move mail share another, because each finishes what the other left unfinished and reports what cannot be
    /// finished.
    fn notice_account(&self) -> &str {
        match self.owned.space() {
            _ if self.account == DELIVERED => DELIVERED,
            REFILTERED => OUTBOX,
            space => space,
        }
    }

    /// Makes sure that the folders of a message take it.
    pub(crate) fn ensure_folders(&self, decided: &Decided) -> Result<()> {
        self.planner().ensure(decided)
    }

    fn planner(&self) -> Planner<'_> {
        Planner { world: &self.world, owned: &self.owned, account: &self.account, into: &self.into }
    }

    /// Marks what is published as done.
    pub fn finish(&mut self) -> Result<()> {
        self.world.store.finish(&self.owned, &std::mem::take(&mut self.done))
    }

    /// Does the same, except for what waits for a folder.
    pub(crate) fn finish_but(&mut self, waits: impl Fn(EntryId) -> bool) -> Result<()> {
        self.done.retain(|id| !waits(*id));
        self.finish()
    }

    pub(super) fn notify_all(&mut self, notices: Vec<Notice>) -> Result<()> {
        Notice::gather(notices).iter().try_for_each(|notice| self.notify(notice))
    }

    /// Files a message of mailsluice itself, once for each key.
    pub fn notify(&mut self, notice: &Notice) -> Result<()> {
        let now = self.world.now();
        let key = notice.key(self.notice_account(), now);
        if self.world.store.remembered(&key)?.is_some() {
            return Ok(());
        }
        let message = notice.message(now, &self.world.host);
        self.keep(key, message, "a notice of mailsluice").map(drop)
    }

    /// Files bytes that no server has any more, without asking the rules.
    pub fn rescue(&mut self, key: Key, bytes: Vec<u8>) -> Result<Published> {
        let why = "found staged after a crash; the server does not list it any more";
        self.keep(key, Message::new(Bytes::Memory(bytes)), why)
    }

    /// Files a message in the inbox. Nothing is read from the state for this, so nothing can have changed.
    pub(super) fn keep(&mut self, key: Key, message: Message, why: &str) -> Result<Published> {
        self.carry_out(key, message, Decision::keep(why))
    }

    /// Files a message whose only copy was in the spool. The file keeps the name by which a lost state recognises it.
    pub(crate) fn keep_spooled(&mut self, key: Key, message: Message, spooled: &Path, why: &str) -> Result<Published> {
        let base = files::out_of_spool(&self.world, spooled, &key, self.world.now());
        self.carry_out_at(key, message, Decision::keep(why), base)
    }

    /// Carries out a decision that was made without rules.
    pub(crate) fn carry_out(&mut self, key: Key, message: Message, decision: Decision) -> Result<Published> {
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

    /// Returns `None` and does nothing if what a decision read from the state has changed.
    pub(crate) fn make_durable(&mut self, decided: Vec<Decided>) -> Result<Option<Published>> {
        if decided.is_empty() {
            return Ok(Some(Published::default()));
        }
        let (staged, remarks, came_in) = self.stage(decided)?;
        let stager = self.world.stager(&self.owned);
        let files = files_of(&staged);
        let lines = lines_about(&staged);
        let recorded = match self.world.store.record(&self.owned, staged, &self.done) {
            Ok(Recording::Recorded(recorded)) => recorded,
            Ok(Recording::Changed(_)) => {
                stager.unstage(&files, &came_in)?;
                self.owned.is_staging(false);
                return Ok(None);
            }
            Err(error) => {
                // Nothing was settled. Whatever the state says now, the message is fetched again.
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
        lines.iter().for_each(|line| tracing::info!("{line}"));
        for notice in std::mem::take(&mut self.refused).notices(&self.account) {
            // The messages are filed. An error would make the caller deliver them again.
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
                // Mail that is already in a folder stays where it is.
                Err(error) if self.only_as_decided || self.owned.space() == REFILTERED => return Err(error),
                // Each target is recorded once, so the loop ends.
                Err(error) => self.refused.record(error, &planner)?,
            }
        }
    }

    /// Big messages were copied from the spool into their folders. The spool keeps what is discarded or sent.
    fn drop_spool_files(&self, came_in: Vec<PathBuf>, published: &Published) -> Result<()> {
        let stays: BTreeSet<&PathBuf> = published.entries().flat_map(Entry::in_spool).collect();
        let goes = came_in.iter().filter(|path| !stays.contains(path));
        goes.into_iter().try_for_each(|path| super::leftovers::remove(&self.world, path))
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

/// One line for each message, for `-v`. What people write, such as the subject, does not belong into the log of a service.
fn lines_about(staged: &Staged) -> Vec<String> {
    if !tracing::enabled!(tracing::Level::INFO) {
        return Vec::new();
    }
    let line = |entry: &Entry| {
        let (outcome, rule) = (clean::short(&entry.outcome, 100), clean::short(&entry.rule, 60));
        format!("{}, {} bytes: {outcome} (by {rule})", entry.key, entry.size)
    };
    staged.entries().iter().map(line).collect()
}
