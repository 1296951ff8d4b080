//! Undo: brings back a message that a rule filed, changed or discarded, as it was, to the folder where it would be
//! without rules.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::relocate;
use crate::clean;
use crate::config::template::FolderName;
use crate::decision::{Action, Decision, Filing, Place};
use crate::deliver::Letters;
use crate::error::{Error, Kind, Result};
use crate::message::{Envelope, Flags, Key, MOVED, OUTBOX, Origin, UNDONE, lasting_name, without_version};
use crate::pass::files::{files_of, moved_name, name_of, out_of_spool};
use crate::pass::original::{self, OriginalMessage};
use crate::pass::{Decided, Filer, Here, World};
use crate::state::{EntryId, JournalEntry, Later, OutboxState, Target};

/// A message that was brought back.
#[derive(Debug)]
pub struct Undone {
    /// The Subject, shortened.
    pub subject: String,
    /// The folder where it is now.
    pub folder: String,
    /// What cannot be taken back.
    pub remarks: Vec<String>,
    /// Whether its old file could not be removed. It waits until its folder can be written.
    pub is_left: bool,
}

/// Returns the folder where the message of a journal entry belongs, judged by the entry's account and folder on the
/// server.
pub type Home<'h> = &'h dyn Fn(&JournalEntry) -> FolderName;

/// Brings the message of a journal entry back.
pub fn undo(world: &World, id: EntryId, home: Home<'_>) -> Result<Undone> {
    Undoing::begin(world, home)?.undo(id)
}

/// Brings messages back, one after the other.
pub struct Undoing<'w> {
    world: &'w World,
    home: Home<'w>,
    filer: Option<Filer>,
    /// What else the user should know.
    remarks: Vec<String>,
}

impl<'w> Undoing<'w> {
    /// Finishes first what an interrupted run left unfinished.
    pub fn begin(world: &'w World, home: Home<'w>) -> Result<Self> {
        let (filer, stuck) = relocate::begin(world, UNDONE)?;
        Ok(Self { world, home, filer: Some(filer), remarks: stuck.remarks() })
    }

    /// What to say about mail that moved earlier and cannot be finished yet.
    pub fn remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    /// The entries of a run of `refilter` or `maintain` that were not brought back yet, the newest first.
    pub fn of_run(&self, run: u64) -> Result<Vec<EntryId>> {
        let all = self.world.store.run(run)?;
        if all.is_empty() {
            return refuse(format!("there is no run {run}; `mailsluice log` shows the numbers of runs"));
        }
        let mut left = Vec::new();
        for id in all {
            let Some(entry) = self.world.store.entry(id)? else { continue };
            if self.world.store.remembered(&self.key(id, &(self.home)(&entry)))?.is_none() {
                left.push(id);
            }
        }
        Ok(left)
    }

    /// Brings the message of a journal entry back.
    pub fn undo(&mut self, id: EntryId) -> Result<Undone> {
        let Some(entry) = self.world.store.entry(id)? else {
            return refuse(format!("there is no entry {id} in the journal; `mailsluice log` shows their numbers"));
        };
        let (decided, folder, mut remarks) = self.decide(id, &entry)?;
        if !entry.mboxes.is_empty() {
            remarks.push("what was filed into an mbox stays there".to_owned());
        }
        // After an error, the next call starts again, and finishes first what this one left.
        let mut filer = match self.filer.take() {
            Some(filer) => filer,
            None => relocate::begin(self.world, UNDONE)?.0,
        };
        if let Some(error) = filer.hindrance(&decided)? {
            self.filer = Some(filer);
            return Err(error);
        }
        let stuck = filer.relocate(vec![decided])?.map(|(_, stuck)| stuck).unwrap_or_default();
        self.filer = Some(filer);
        let is_left = stuck.count() > 0;
        remarks.extend(stuck.remarks());
        remarks.extend(self.report_sent(id)?);
        Ok(Undone { subject: entry.row.about.subject, folder: folder.to_string(), remarks, is_left })
    }

    fn key(&self, id: EntryId, folder: &FolderName) -> Key {
        let origin = Arc::new(Origin { account: UNDONE.to_owned(), folder: folder.to_string(), generation: 0 });
        Key::new(&origin, id.to_string())
    }

    fn decide(&self, id: EntryId, entry: &JournalEntry) -> Result<(Decided, FolderName, Vec<String>)> {
        if entry.row.account == UNDONE {
            return refuse(format!("entry {id} is itself an undo; apply the rules again with `mailsluice refilter`"));
        }
        let folder = (self.home)(entry);
        let key = self.key(id, &folder);
        if self.world.store.remembered(&key)?.is_some() {
            return refuse(format!("entry {id} was brought back already"));
        }
        if self.was_filed_when_given_up(id, entry)? {
            return refuse(format!("the message of entry {id} could not be sent, so it is in the inbox"));
        }
        let later = self.later(id, entry)?;
        if let Some(undid) = later.iter().filter_map(|later| later.undid).find(|undid| *undid < id) {
            return refuse(format!("entry {id} was undone already, with entry {undid} before it"));
        }
        let files = files_of(self.world, &entry.targets)?;
        let Some(found) = original::find(self.world, entry, &files, &later)? else {
            return refuse(not_found_text(id, entry));
        };
        let flags = self.flags(entry, &files)?;
        self.refuse_if_unchanged(id, &folder, &files, &found, &flags)?;
        let OriginalMessage { message, is_original, remark } = found;
        let arrived = entry.before.arrived.unwrap_or(entry.row.at);
        let envelope = Envelope { key, arrived, flags: flags.before.clone(), announced: 0 };
        let place = Filing { place: Place::Keep, flags: flags.before, version: 0 };
        let why = vec![format!("undo of entry {id}")];
        let decision = Decision { actions: vec![Action::File(place)], why, ..Decision::default() };
        let leaves = relocate::leaving(self.world, &files)?;
        let from_folder = files.first().map(|file| {
            let name = name_of(file);
            let is_ours = is_original && !entry.targets.iter().any(|target| target.staged.contains(MOVED));
            let name = if is_ours { without_version(&name) } else { &name };
            Here { name: moved_name(name, &envelope.key, self.world.now()), leaves }
        });
        let out_of_spool = |spooled: &PathBuf| out_of_spool(self.world, spooled, &envelope.key, envelope.arrived);
        let here = from_folder.or_else(|| entry.spooled.as_ref().and_then(out_of_spool));
        let decided = Decided { envelope, message: Arc::new(message), decision, base: here };
        Ok((decided, folder, remark.map(str::to_owned).into_iter().collect()))
    }

    /// What was sent about the message, which cannot be taken back.
    fn report_sent(&self, id: EntryId) -> Result<Vec<String>> {
        let rows = self.world.store.outbox(Some(id), MAX_ITEMS_REPORTED)?;
        let said = rows.into_iter().filter_map(|row| {
            let telling = clean::short(&row.telling.to_string(), 100);
            match row.state {
                OutboxState::Waiting | OutboxState::Sending | OutboxState::Held => {
                    Some(format!("`{telling}` still waits: `mailsluice queue drop {}` keeps it from going out", row.id))
                }
                OutboxState::Sent | OutboxState::CopyOwed => Some(format!("`{telling}` went out and stays out")),
                OutboxState::Failed | OutboxState::Dropped | OutboxState::Unfiled => None,
            }
        });
        Ok(said.collect())
    }

    /// Whether the message could not be sent, and is still where it was filed for that reason.
    fn was_filed_when_given_up(&self, id: EntryId, entry: &JournalEntry) -> Result<bool> {
        let key = given_up_key(id);
        let Some(spooled) = &entry.spooled else { return Ok(false) };
        if self.world.store.remembered(&key)?.is_none() {
            return Ok(false);
        }
        let walk = &self.world.walk;
        // Earlier versions named the file by the key.
        Ok(walk.is_spooled_published(self.world, spooled)? || walk.is_published(self.world, &key)?)
    }

    /// What has happened to the files of an entry since.
    fn later(&self, id: EntryId, entry: &JournalEntry) -> Result<Vec<Later>> {
        let mut names: Vec<&str> = entry.targets.iter().map(|target| lasting_name(&target.staged)).collect();
        names.sort_unstable();
        names.dedup();
        let mut all = Vec::new();
        for name in names {
            all.extend(self.world.store.later(id, name)?);
        }
        all.sort_by_key(|later| later.id);
        Ok(all)
    }

    /// The present flags, without what the rules changed.
    fn flags(&self, entry: &JournalEntry, files: &[PathBuf]) -> Result<FlagChange> {
        let Some(file) = files.first() else {
            let before = entry.before.flags.clone().unwrap_or_default();
            return Ok(FlagChange { now: before.clone(), before });
        };
        let now = self.letters_of(file)?.flags(&file.file_name().unwrap_or_default().to_string_lossy());
        let target = entry.targets.iter().find(|target| lasting_name(&target.staged) == lasting_name(&name_of(file)));
        let (Some(before), Some(target)) = (&entry.before.flags, target) else {
            return Ok(FlagChange { before: now.clone(), now });
        };
        let published = self.letters_of(&target.published_path())?.flags(&file_name(target));
        Ok(FlagChange { before: now.without_change(before, &published), now })
    }

    fn letters_of(&self, file: &Path) -> Result<Letters> {
        let maildir = file.parent().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
        Letters::read(&*self.world.disk, &maildir)
    }

    /// Refuses to undo a message that is in its folder as it came: there is nothing to do.
    fn refuse_if_unchanged(
        &self,
        id: EntryId,
        folder: &FolderName,
        files: &[PathBuf],
        found: &OriginalMessage,
        flags: &FlagChange,
    ) -> Result<()> {
        let home = self.world.folders.maildir(folder);
        let is_home = files.iter().any(|file| file.starts_with(&home) && is_directly_in(file, &home));
        match is_home && !found.is_original && flags.before == flags.now {
            true => refuse(format!("the message of entry {id} is in {folder} already")),
            false => Ok(()),
        }
    }
}

/// How many outbox items of a message are reported.
const MAX_ITEMS_REPORTED: u32 = 20;

/// The present flags of a message, and those that it would have without its rules.
struct FlagChange {
    now: Flags,
    before: Flags,
}

fn refuse<T>(text: String) -> Result<T> {
    Err(Error::permanent(Kind::Usage, text))
}

fn not_found_text(id: EntryId, entry: &JournalEntry) -> String {
    match entry.mboxes.first() {
        Some(mbox) => {
            let file = mbox.file.display();
            format!("the message of entry {id} is only in the mbox {file}; take it out of there with your mail reader")
        }
        None => {
            format!(
                "the message of entry {id} cannot be found any more: it was deleted, or discarded more than 30 days ago"
            )
        }
    }
}

fn file_name(target: &Target) -> String {
    format!("{}{}", target.staged, target.info)
}

/// `maildir/new/x`, not `maildir/sub/new/x`.
fn is_directly_in(file: &Path, maildir: &Path) -> bool {
    file.parent().and_then(Path::parent) == Some(maildir)
}

/// The key of a message that is filed because it could not be sent. It does not depend on the attempt: after a crash
/// there is one more attempt, and the copy is in the inbox already. Nor does it depend on the outbox item: another item
/// of the same message may have been given up before.
pub(crate) fn given_up_key(entry: EntryId) -> Key {
    let origin = Origin { account: OUTBOX.to_owned(), folder: "INBOX".to_owned(), generation: 0 };
    Key::new(&Arc::new(origin), format!("entry {entry}"))
}
