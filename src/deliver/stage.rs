//! Stage: every file of a batch complete and durable under `tmp/`, before anybody may see it.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::Folders;
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, Message};
use crate::state::{Disk, Entry, Staged, as_paths, sync_dirs};

/// A decided message on its way to the disk.
#[derive(Debug)]
pub struct Plan {
    /// The bytes.
    pub message: Arc<Message>,
    /// The file time: when the message arrived.
    pub arrived: Timestamp,
    /// What becomes of it.
    pub entry: Entry,
}

/// Writes batches.
#[derive(Clone, Copy)]
pub struct Stager<'a> {
    /// The disk.
    pub disk: &'a dyn Disk,
    /// The mail root.
    pub folders: &'a Folders,
    /// How many files are synced at the same time. Eight halve the time of one on the disks measured.
    pub threads: usize,
}

impl Stager<'_> {
    /// Writes and syncs every file of the batch, then the directories. After an error nothing of it remains
    /// under `tmp/` that this process could still remove.
    pub fn stage(self, plans: Vec<Plan>) -> Result<Staged> {
        for plan in &plans {
            for target in &plan.entry.targets {
                self.folders.ensure(self.disk, &target.maildir)?;
            }
        }
        let written = self.write_all(&plans).and_then(|()| {
            let dirs = dirs_of(&plans);
            sync_dirs(self.disk, as_paths(&dirs)).map_err(|e| Error::disk("syncing the folders", e))
        });
        match written {
            Ok(proof) => Ok(Staged::new(plans.into_iter().map(|plan| plan.entry).collect(), proof)),
            Err(e) => {
                self.remove_all(&plans);
                Err(e)
            }
        }
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

    fn write_plan(self, plan: &Plan) -> Result<()> {
        let doing = |path: &Path| format!("writing {}", path.display());
        let mut targets = plan.entry.targets.iter();
        if let Some(first) = targets.next() {
            let first = first.tmp_path();
            self.write_new(&first, plan).map_err(|e| Error::disk(doing(&first), e))?;
            for other in targets {
                let other = other.tmp_path();
                self.link_or_write(&first, &other, plan).map_err(|e| Error::disk(doing(&other), e))?;
            }
        }
        match (&plan.entry.spooled, plan.message.bytes()) {
            // The file under a new head is another message: what is to be spooled must be written out.
            (Some(path), Bytes::Memory(_) | Bytes::Rehead { .. }) => {
                self.write_new(path, plan).map_err(|e| Error::disk(doing(path), e))
            }
            // A spooled message was synced by whoever wrote it, and stands where it should or beside it.
            (Some(path), Bytes::Spooled { path: at, .. }) if at != path => {
                self.rename_over(at, path).map_err(|e| Error::disk(doing(path), e))
            }
            _ => Ok(()),
        }
    }

    fn link_or_write(self, first: &Path, other: &Path, plan: &Plan) -> io::Result<()> {
        match self.disk.link(first, other) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(other)?;
                self.disk.link(first, other)
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks) => {
                self.write_new(other, plan)
            }
            other => other,
        }
    }

    /// As in [`Self::write_new`], what an unrecorded attempt left is not in the way.
    fn rename_over(self, from: &Path, to: &Path) -> io::Result<()> {
        match self.disk.rename(from, to) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(to)?;
                self.disk.rename(from, to)
            }
            other => other,
        }
    }

    fn write_new(self, path: &Path, plan: &Plan) -> io::Result<()> {
        // Opened before anything in the way is removed, which may be this very file.
        let source = plan.message.bytes().reader(|path| self.disk.open(path))?;
        let mut file = match self.disk.create(path) {
            // What an attempt that was never recorded left behind: the name is derived from the message's key,
            // and the lock on that key's account is ours.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(path)?;
                self.disk.create(path)?
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.create_after_ensuring(path)?,
            file => file?,
        };
        match (plan.message.bytes(), source) {
            (Bytes::Memory(bytes), _) => file.write_all(bytes)?,
            (_, mut source) => copy_all(&mut source, &mut file, plan.message.size())?,
        }
        file.finish(plan.arrived)
    }

    /// Somebody removed the folder while we were running.
    fn create_after_ensuring(self, path: &Path) -> io::Result<Box<dyn crate::state::DiskFile>> {
        let maildir = path.parent().and_then(Path::parent).unwrap_or(path);
        self.folders.doubt(maildir);
        self.folders.ensure(self.disk, maildir).map_err(io::Error::other)?;
        self.disk.create(path)
    }

    fn remove_all(self, plans: &[Plan]) {
        for plan in plans {
            let paths = plan.entry.targets.iter().map(|t| t.tmp_path());
            // Best effort: what remains is found and judged by the next run.
            paths.for_each(|path| drop(self.disk.remove(&path)));
        }
    }
}

fn part_of(plans: &[Plan], write: impl Fn(&Plan) -> Result<()>) -> Result<()> {
    plans.iter().try_for_each(write)
}

/// A spool file that has become shorter is no message that may be filed.
fn copy_all(from: &mut dyn Read, to: &mut dyn Write, length: u64) -> io::Result<()> {
    let copied = io::copy(from, to)?;
    if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// `tmp/` of every Maildir touched, and the spool.
fn dirs_of(plans: &[Plan]) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    for plan in plans {
        dirs.extend(plan.entry.targets.iter().map(|t| t.maildir.join("tmp")));
        dirs.extend(plan.entry.spooled.as_deref().and_then(Path::parent).map(Path::to_path_buf));
    }
    dirs.sort();
    dirs.dedup();
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layout, MailRoot};
    use crate::message::{DeliveryName, Key, Origin};
    use crate::state::{About, RealDisk, Target};
    use std::sync::Arc;

    /// What is staged of `Old: 1\n\nbody\n` under a new head, and what stands in the spool then.
    fn stage(length: u64, folders: &[&str], is_spooled: bool) -> (Vec<String>, Option<String>) {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join("spooled");
        std::fs::write(&spool, "Old: 1\n\nbody\n").unwrap();
        let head = b"New: 2\n\n".to_vec();
        let message = Message::new(Bytes::Rehead { head, path: spool.clone(), body_at: 8, length });
        let key = Key::new(&Arc::new(Origin { account: "a".into(), folder: "f".into(), generation: 1 }), "1");
        let target = |folder: &&str| Target {
            maildir: dir.path().join("Mail").join(folder),
            staged: "1.name.host".into(),
            info: String::new(),
        };
        let entry = Entry {
            name: DeliveryName::of(&key),
            key,
            announced: 0,
            head_hash: message.head_hash(),
            size: message.size(),
            at: Timestamp::UNIX_EPOCH,
            about: About::default(),
            rule: String::new(),
            why: String::new(),
            outcome: String::new(),
            targets: folders.iter().map(target).collect(),
            spooled: is_spooled.then(|| spool.clone()),
        };
        let paths: Vec<PathBuf> = entry.targets.iter().map(Target::tmp_path).collect();
        let folders = Folders::new(MailRoot { path: dir.path().join("Mail"), layout: Layout::Fs });
        let stager = Stager { disk: &RealDisk, folders: &folders, threads: 1 };
        _ = stager.stage(vec![Plan { message, arrived: Timestamp::UNIX_EPOCH, entry }]);
        let staged = paths.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        (staged, std::fs::read_to_string(spool).ok())
    }

    #[test]
    fn a_message_with_a_new_head_is_written_with_its_old_body() {
        let (staged, spool) = stage(13, &["A", "B"], false);
        assert_eq!(staged, ["New: 2\n\nbody\n", "New: 2\n\nbody\n"]);
        assert_eq!(spool.as_deref(), Some("Old: 1\n\nbody\n"));
    }

    #[test]
    fn a_new_head_is_spooled_as_a_whole_even_over_its_own_file() {
        assert_eq!(stage(13, &[], true).1.as_deref(), Some("New: 2\n\nbody\n"));
    }

    #[test]
    fn a_spool_file_that_became_shorter_is_not_staged() {
        assert_eq!(stage(99, &["A"], false).0, [""; 0]);
    }
}
