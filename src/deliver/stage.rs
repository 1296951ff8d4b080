//! Stage: writes every file of a batch under `tmp/`, complete and durable, before anybody may see it.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::Folders;
use crate::decision::Version;
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, Message};
use crate::safeguard::Safeguard;
use crate::state::{Disk, Entry, MboxTarget, Original, Owned, Staged, Synced, Target, has_come, incoming, sync_dirs};

/// A decided message on its way to the disk.
#[derive(Debug)]
pub struct Plan {
    /// The message as it came, then the edited ones.
    pub versions: Vec<Arc<Message>>,
    /// The time of the file: when the message arrived.
    pub arrived: Timestamp,
    /// The journal entry.
    pub entry: Entry,
}

impl Plan {
    /// The spool file in which the message arrived, if it is big.
    pub fn came_in(&self) -> Option<&Path> {
        self.versions.first().and_then(|message| spool_file(message))
    }

    /// The message of a version. A wrong number would be a bug in the decision; the message as it came is always right.
    fn version(&self, version: Version) -> io::Result<&Message> {
        let found = self.versions.get(version).or_else(|| self.versions.first());
        found.map(|message| &**message).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    fn in_maildirs(&self) -> Vec<(PathBuf, Version)> {
        self.entry.targets.iter().map(|target| (target.tmp_path(), target.version)).collect()
    }

    fn in_spool(&self) -> Vec<(PathBuf, Version)> {
        let Entry { mboxes, tellings, spooled, before, .. } = &self.entry;
        let mut files: Vec<_> = mboxes.iter().map(|mbox| (mbox.staged_path(), mbox.version)).collect();
        files.extend(spooled.iter().map(|path| (path.clone(), 0)));
        if let Original::Whole(path) = &before.original {
            files.push((path.clone(), 0));
        }
        files.extend(tellings.iter().map(|(telling, path)| (path.clone(), telling.version)));
        files.sort();
        files.dedup();
        files
    }
}

/// All staged files of a batch.
pub fn files_of(staged: &Staged) -> Vec<PathBuf> {
    staged.entries().iter().flat_map(staged_files).collect()
}

/// All files that were staged for an entry.
fn staged_files(entry: &Entry) -> impl Iterator<Item = PathBuf> {
    let maildirs = entry.targets.iter().map(Target::tmp_path);
    maildirs.chain(entry.mboxes.iter().map(MboxTarget::staged_path)).chain(entry.in_spool().cloned())
}

/// The file of a message that is too big for memory. The code that wrote it has synced it.
fn spool_file(message: &Message) -> Option<&Path> {
    match message.bytes() {
        Bytes::Spooled { path, .. } => Some(path),
        _ => None,
    }
}

/// Writes batches.
#[derive(Clone, Copy)]
pub struct Stager<'a> {
    /// The disk.
    pub disk: &'a dyn Disk,
    /// The mail root.
    pub folders: &'a Folders,
    /// The name space that names the files.
    pub owned: &'a Owned,
    /// How many files are synced at the same time. On the disks measured, eight take half the time of one.
    pub threads: usize,
}

impl Stager<'_> {
    /// Writes and syncs every file of the batch, then the directories. After an error nothing of it remains under
    /// `tmp/` that this process could still remove.
    pub fn stage(self, plans: Vec<Plan>) -> Result<Staged> {
        self.owned.is_staging(true);
        self.ensure_folders(&plans)?;
        let written = self.write_all(&plans).and_then(|()| self.sync_dirs(plans.iter().map(|plan| &plan.entry)));
        match written {
            Ok(proof) => Ok(Staged::new(plans.into_iter().map(|plan| plan.entry).collect(), proof)),
            Err(e) => {
                // Best effort: the next run finds and judges what remains.
                for plan in &plans {
                    let files = staged_files(&plan.entry).filter(|path| plan.came_in() != Some(path));
                    files.for_each(|path| drop(self.disk.remove(&path)));
                }
                Err(e)
            }
        }
    }

    /// Removes a batch that was not recorded. The files in which its messages arrived stay.
    pub fn unstage(self, staged: &[PathBuf], came_in: &[PathBuf]) -> Result<()> {
        for path in staged.iter().filter(|path| !came_in.contains(path)) {
            match self.disk.remove(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::disk(format!("removing {}", path.display()), e));
                }
                _ => {}
            }
        }
        // If a file came back after a power cut when the server had deleted its message, it would be rescued.
        let dirs = staged.iter().filter_map(|path| path.parent());
        sync_dirs(self.disk, dirs).map(drop).map_err(|e| Error::disk("syncing the folders", e))
    }

    /// Checks each folder once, however many messages go there.
    fn ensure_folders(self, plans: &[Plan]) -> Result<()> {
        let targets = plans.iter().flat_map(|plan| &plan.entry.targets);
        let maildirs: BTreeSet<&Path> = targets.map(|target| &*target.maildir).collect();
        maildirs.into_iter().try_for_each(|maildir| self.folders.ensure(self.disk, maildir))?;
        let mboxes = plans.iter().flat_map(|plan| &plan.entry.mboxes);
        let mboxes: BTreeSet<(&Path, &Path)> = mboxes.map(|mbox| (&*mbox.spool, &*mbox.file)).collect();
        mboxes.into_iter().try_for_each(|(spool, file)| {
            self.folders.ensure_dir(self.disk, spool)?;
            self.folders.ensure_mbox(self.disk, file)
        })
    }

    fn sync_dirs<'e>(self, entries: impl Iterator<Item = &'e Entry>) -> Result<Synced> {
        if !Safeguard::SyncBeforeRecord.is_on() {
            return sync_dirs(self.disk, []).map_err(|e| Error::disk("syncing the folders", e));
        }
        let dirs: BTreeSet<PathBuf> =
            entries.flat_map(staged_files).filter_map(|path| path.parent().map(Path::to_path_buf)).collect();
        let synced = sync_dirs(self.disk, dirs.iter().map(PathBuf::as_path));
        synced.map_err(|e| Error::disk("syncing the folders", e))
    }

    fn write_all(self, plans: &[Plan]) -> Result<()> {
        let share = plans.len().div_ceil(self.threads.max(1)).max(1);
        if plans.len() <= 1 || self.threads <= 1 {
            return plans.iter().try_for_each(|plan| self.write_plan(plan));
        }
        std::thread::scope(|scope| {
            let work = |part| scope.spawn(move || part_of(part, |plan| self.write_plan(plan)));
            let workers: Vec<_> = plans.chunks(share).map(work).collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().unwrap_or_else(|_| Err(Error::transient(Kind::Disk, "a writing thread panicked")))
            })
        })
    }

    /// Maildirs and spool have separate files: otherwise a program that changes a message in place would change what is
    /// sent.
    fn write_plan(self, plan: &Plan) -> Result<()> {
        // The whole of a message that is split is in the spool before any of its parts is staged.
        let is_there = |(version, message): (Version, &Arc<Message>)| Some((version, spool_file(message)?.to_owned()));
        self.write_files(plan, plan.in_spool(), plan.versions.iter().enumerate().filter_map(is_there).collect())?;
        self.write_files(plan, plan.in_maildirs(), HashMap::new())
    }

    /// Writes the first file of each version, and links the others to it, or to one that exists already.
    fn write_files(
        self,
        plan: &Plan,
        files: Vec<(PathBuf, Version)>,
        mut written: HashMap<Version, PathBuf>,
    ) -> Result<()> {
        for (path, version) in files {
            let done = match written.get(&version) {
                Some(first) if *first == path => Ok(()),
                Some(first) if self.mode_of(first) != self.mode_of(&path) => self.write_new(&path, plan, version),
                Some(first) => self.link_or_write(first, &path, plan, version),
                None => self.write_new(&path, plan, version),
            };
            done.map_err(|e| match path.parent().filter(|dir| dir.ends_with("tmp")).and_then(Path::parent) {
                Some(maildir) => Error::of_target(maildir, format!("writing {}", path.display()), e),
                None => Error::disk(format!("writing {}", path.display()), e),
            })?;
            written.entry(version).or_insert(path);
        }
        Ok(())
    }

    /// The mode of a file in a Maildir that other users may read.
    fn mode_of(self, path: &Path) -> Option<u32> {
        let maildir = path.parent().filter(|dir| dir.ends_with("tmp")).and_then(Path::parent)?;
        self.folders.mode_in(maildir)
    }

    fn link_or_write(self, first: &Path, other: &Path, plan: &Plan, version: Version) -> io::Result<()> {
        match self.disk.link(first, other) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(other)?;
                self.disk.link(first, other)
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks) => {
                self.write_new(other, plan, version)
            }
            other => other,
        }
    }

    fn write_new(self, path: &Path, plan: &Plan, version: Version) -> io::Result<()> {
        if !plan.entry.in_spool().any(|spooled| spooled == path) {
            return self.write_at(path, plan, version);
        }
        // A file that is cut off here must not look like a message if it is found without its record.
        let incomplete = incoming(path);
        let written = self.write_at(&incomplete, plan, version).and_then(|()| has_come(self.disk, path));
        written.inspect_err(|_| _ = self.disk.remove(&incomplete))
    }

    fn write_at(self, path: &Path, plan: &Plan, version: Version) -> io::Result<()> {
        let message = plan.version(version)?;
        // The source is opened before a file in the way is removed, because they may be the same file.
        let source = message.bytes().reader(|path| self.disk.open(path))?;
        let mut file = match self.disk.create(path) {
            // An attempt that was never recorded left this file: its name is derived from the message's key, and we
            // hold the lock of that key's account.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(path)?;
                self.disk.create(path)?
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.create_after_ensuring(path)?,
            file => file?,
        };
        match (message.bytes(), source) {
            (Bytes::Memory(bytes), _) => file.write_all(bytes)?,
            (_, mut source) => copy_all(&mut source, &mut file, message.size())?,
        }
        // A spool file keeps the time when it was written. The message's own time says nothing about the file.
        let is_in_maildir = path.parent().is_some_and(|dir| dir.ends_with("tmp"));
        if let Some(mode) = self.mode_of(path) {
            file.set_mode(mode)?;
        }
        file.finish((is_in_maildir || !Safeguard::SpoolAgeIsWritten.is_on()).then_some(plan.arrived))
    }

    /// Creates a file in a folder that somebody removed while this process was running.
    fn create_after_ensuring(self, path: &Path) -> io::Result<Box<dyn crate::state::DiskFile>> {
        let tmp = path.parent().filter(|dir| dir.ends_with("tmp"));
        let Some(maildir) = tmp.and_then(Path::parent) else { return Err(io::ErrorKind::NotFound.into()) };
        self.folders.forget(maildir);
        self.folders.ensure(self.disk, maildir).map_err(io::Error::other)?;
        self.disk.create(path)
    }
}

fn part_of(plans: &[Plan], write: impl Fn(&Plan) -> Result<()>) -> Result<()> {
    plans.iter().try_for_each(write)
}

/// Copies a file. A spool file that has become shorter must not be filed.
fn copy_all(from: &mut dyn Read, to: &mut dyn Write, length: u64) -> io::Result<()> {
    let copied = io::copy(from, to)?;
    if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
