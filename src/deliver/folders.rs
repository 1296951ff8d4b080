//! Where a folder is on disk, and how it is made durable.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::contents::FolderContents;
use super::{mbox, orphans};
use crate::charsets::mutf7;
use crate::config::template::{self, FolderName};
use crate::config::{Encoding, Layout, MailRoot};
use crate::decision::Contents;
use crate::error::{Error, Result};
use crate::state::{Disk, sync_parent};

/// The folders of a mail root.
#[derive(Debug)]
pub struct Folders {
    root: MailRoot,
    /// Maildirs, mbox files and other folders that this process has made sure of.
    durable: Mutex<BTreeSet<PathBuf>>,
    /// Directories whose entries in all directories above them this process has synced.
    entries: Mutex<BTreeSet<PathBuf>>,
    contents: FolderContents,
}

impl Folders {
    /// Creates nothing yet.
    pub fn new(root: MailRoot) -> Self {
        Self { root, durable: Mutex::default(), entries: Mutex::default(), contents: FolderContents::default() }
    }

    /// The root directory.
    pub fn root(&self) -> &Path {
        &self.root.path
    }

    /// The Maildir of a folder.
    pub fn maildir(&self, folder: &FolderName) -> PathBuf {
        let folder = self.named(folder);
        match self.root.layout {
            Layout::Fs => self.below(&folder),
            Layout::MaildirPlusPlus if *folder == FolderName::inbox() => self.root.path.clone(),
            Layout::MaildirPlusPlus => self.root.path.join(self.on_disk(&maildir_plus_plus(&folder)).as_ref()),
        }
    }

    /// The local name of a folder that is named by its role.
    pub fn named<'f>(&self, folder: &'f FolderName) -> Cow<'f, FolderName> {
        let Some((role, usual)) = folder.role().and_then(template::role) else { return Cow::Borrowed(folder) };
        let usual = || FolderName::parse_safe(usual, None);
        let called = self.root.roles.get(role).cloned().unwrap_or_else(usual);
        Cow::Owned(called.with_below(&folder.components()[1..]))
    }

    /// The mode of the files in a folder, if users other than the owner may read them.
    pub fn mode_of(&self, name: &str) -> Option<u32> {
        let holds = |folder: &FolderName| {
            let folder = self.named(folder).to_string();
            name.strip_prefix(&folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let found = self.root.modes.iter().filter(|(folder, _)| holds(folder));
        found.max_by_key(|(folder, _)| folder.components().len()).map(|(_, mode)| *mode)
    }

    /// The mode of the files in a Maildir, if users other than the owner may read them.
    pub fn mode_in(&self, maildir: &Path) -> Option<u32> {
        if self.root.modes.is_empty() { None } else { self.mode_of(&self.name_of(maildir)) }
    }

    /// The path of a folder, with a directory for each level.
    fn below(&self, folder: &FolderName) -> PathBuf {
        folder.components().iter().fold(self.root.path.clone(), |path, name| path.join(self.on_disk(name).as_ref()))
    }

    /// A name as it is on the disk.
    fn on_disk<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match self.root.encoding {
            Encoding::Utf8 => name.into(),
            Encoding::Utf7 => mutf7::encode(name).into(),
        }
    }

    /// The name of a path below the root, for people.
    fn shown(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.root.path).unwrap_or(path).to_string_lossy();
        match self.root.encoding {
            Encoding::Utf8 => below.into_owned(),
            Encoding::Utf7 => below.split('/').map(mutf7::decode).collect::<Vec<_>>().join("/"),
        }
    }

    /// The name of a Maildir below the root, for people: `lists/rust`.
    pub fn name_of(&self, maildir: &Path) -> String {
        let below = self.shown(maildir);
        match self.root.layout {
            Layout::Fs => below,
            Layout::MaildirPlusPlus if below.is_empty() => "INBOX".to_owned(),
            Layout::MaildirPlusPlus => below.trim_start_matches('.').replace('.', "/").replace("%2E", "."),
        }
    }

    /// The names of all local folders, sorted.
    pub fn all(&self, disk: &dyn Disk) -> Result<Vec<String>> {
        let mut maildirs = Vec::new();
        orphans::maildirs(disk, self.root(), &mut maildirs)?;
        let mut names: Vec<String> = maildirs
            .iter()
            .map(|maildir| (maildir, self.name_of(maildir)))
            // A folder made by another program may have a name that we cannot produce.
            .filter(|(maildir, name)| self.maildir(&FolderName::parse_safe(name, Some('/'))) == **maildir)
            .map(|(_, name)| name)
            .collect();
        names.sort();
        Ok(names)
    }

    /// The contents of a folder, or `None` if it does not exist.
    pub fn contents(&self, disk: &dyn Disk, folder: &FolderName) -> Result<Option<Contents>> {
        let maildir = self.maildir(folder);
        let is_there = disk.exists(&maildir.join("cur"));
        match is_there.map_err(|e| Error::disk(format!("looking for the folder {}", maildir.display()), e))? {
            true => self.contents.of(disk, &maildir).map(Some),
            false => Ok(None),
        }
    }

    /// The name of an mbox file, for people.
    pub fn name_of_mbox(&self, file: &Path) -> String {
        self.shown(file)
    }

    /// Makes sure that a Maildir exists and survives a power cut. On its first use in this process, every directory
    /// above it is synced even if it exists: an earlier process may have died before it did so.
    pub fn ensure(&self, disk: &dyn Disk, maildir: &Path) -> Result<()> {
        let failed = |e| Error::of_target(maildir, format!("creating the folder {}", maildir.display()), e);
        if self.durable().contains(maildir) {
            match usable(disk, maildir) {
                // Somebody removed it while this process was running.
                Err(e) if e.kind() == io::ErrorKind::NotFound => self.forget(maildir),
                usable => return usable.map_err(failed),
            }
        }
        self.require_root(disk)?;
        self.create(disk, maildir).and_then(|()| usable(disk, maildir)).map_err(failed)?;
        self.durable().insert(maildir.to_path_buf());
        Ok(())
    }

    /// The mbox file of a folder.
    pub fn mbox(&self, folder: &FolderName) -> PathBuf {
        self.below(&self.named(folder))
    }

    /// Makes sure that an mbox file exists, can be written and survives a power cut. A directory of that name is
    /// reported here, before anything is recorded.
    pub fn ensure_mbox(&self, disk: &dyn Disk, file: &Path) -> Result<()> {
        if self.durable().contains(file) {
            return Ok(());
        }
        self.require_root(disk)?;
        let dir = file.parent().unwrap_or(file);
        let create = || {
            self.create_dir(disk, dir)?;
            let is_new = !disk.exists(file)?;
            mbox::create(disk, file)?;
            if let Some(mode) = self.mode_of(&self.name_of_mbox(file)).filter(|_| is_new) {
                disk.set_mode(file, mode)?;
            }
            self.sync(disk, dir)
        };
        create().map_err(|e| Error::of_target(file, format!("creating the mbox {}", file.display()), e))?;
        self.durable().insert(file.to_path_buf());
        Ok(())
    }

    /// The folders outside the mail root, each with its path.
    pub fn roots(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.root.roots.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// Where the link to a folder outside the mail root is.
    pub fn link_of(&self, name: &str) -> PathBuf {
        self.root.path.join(self.on_disk(name).as_ref())
    }

    /// Makes sure that the directory of a folder exists and survives a power cut.
    pub fn ensure_dir_of(&self, disk: &dyn Disk, dir: &Path, folder: &str) -> Result<()> {
        let is_there = disk.exists(dir).map_err(|e| Error::disk(format!("looking for {}", dir.display()), e))?;
        self.ensure_dir(disk, dir)?;
        match self.mode_of(folder).filter(|_| !is_there) {
            Some(mode) => disk
                .set_mode(dir, entered_by_readers(mode))
                .map_err(|e| Error::disk(format!("creating the folder {}", dir.display()), e)),
            None => Ok(()),
        }
    }

    /// Makes the mail root. Only the code that makes its marker calls this: a missing root may be a disk that is not
    /// mounted.
    pub fn ensure_root(&self, disk: &dyn Disk) -> Result<()> {
        self.ensure_dir(disk, self.root())
    }

    /// Makes sure that a directory exists and survives a power cut.
    pub fn ensure_dir(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        if self.durable().contains(dir) {
            return Ok(());
        }
        let made = self.create_dir(disk, dir).and_then(|()| self.sync(disk, dir));
        made.map_err(|e| Error::disk(format!("creating the folder {}", dir.display()), e))?;
        self.durable().insert(dir.to_path_buf());
        Ok(())
    }

    fn require_root(&self, disk: &dyn Disk) -> Result<()> {
        let root = self.root();
        match disk.exists(root) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let text = format!("the mail root {} is gone", root.display());
                Err(Error::disk(text, io::ErrorKind::NotFound.into()))
            }
            Err(e) => Err(Error::disk(format!("looking for {}", root.display()), e)),
        }
    }

    /// Syncs a directory and those above it, up to one that was synced before, so that the whole path to it survives a
    /// power cut.
    pub fn sync(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        disk.sync_dir(dir)?;
        for entry in dir.ancestors() {
            if self.entries().contains(entry) || !sync_parent(disk, entry)? {
                break;
            }
        }
        self.entries().extend(dir.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn create(&self, disk: &dyn Disk, maildir: &Path) -> io::Result<()> {
        self.create_dir(disk, maildir)?;
        for sub in ["cur", "new", "tmp"] {
            self.make_dir(disk, &maildir.join(sub), maildir)?;
        }
        self.sync(disk, maildir)
    }

    fn create_dir(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> = Vec::new();
        for dir in dir.ancestors() {
            if disk.exists(dir)? {
                break;
            }
            missing.push(dir);
        }
        // A directory that somebody removed is new again.
        self.entries().retain(|entry| !missing.contains(&entry.as_path()));
        missing.iter().rev().try_for_each(|dir| self.make_dir(disk, dir, dir))
    }

    /// Makes a directory of a folder, with the mode for those who may read the folder.
    fn make_dir(&self, disk: &dyn Disk, dir: &Path, folder: &Path) -> io::Result<()> {
        let is_new = disk.make_dir(dir)?;
        match self.mode_in(folder).filter(|_| is_new && dir.starts_with(&self.root.path)) {
            Some(mode) => disk.set_mode(dir, entered_by_readers(mode)),
            None => Ok(()),
        }
    }

    /// Forgets that a Maildir exists, because somebody removed it.
    pub fn forget(&self, maildir: &Path) {
        self.durable().remove(maildir);
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn durable(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `lists/rust` is `.lists.rust`. A dot inside a component would look like another level, so it is escaped.
fn maildir_plus_plus(folder: &FolderName) -> String {
    folder.components().iter().map(|c| format!(".{}", c.replace('.', "%2E"))).collect()
}

/// The mode of a directory: those who may read it may also enter it.
fn entered_by_readers(mode: u32) -> u32 {
    mode | (mode & 0o444) >> 2
}

/// Checks that a folder can be written, before anything is recorded for it.
fn usable(disk: &dyn Disk, maildir: &Path) -> io::Result<()> {
    ["cur", "new", "tmp"].iter().try_for_each(|sub| disk.writable(&maildir.join(sub)))
}

/// The last part of a Maildir file name: the name of this machine. The two characters that would break a Maildir name
/// are escaped as its specification says.
pub fn host_part() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = if name.is_empty() { "localhost".to_owned() } else { name };
    name.replace('/', "\\057").replace(':', "\\072")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(parts: &[&str]) -> FolderName {
        FolderName::parse_safe(&parts.join("/"), Some('/'))
    }

    #[test]
    fn both_layouts() {
        let at = |layout| Folders::new(MailRoot { layout, ..MailRoot::at("/m") });
        assert_eq!(at(Layout::Fs).maildir(&folder(&["lists", "rust"])), Path::new("/m/lists/rust"));
        assert_eq!(at(Layout::Fs).maildir(&FolderName::inbox()), Path::new("/m/INBOX"));
        let plus = at(Layout::MaildirPlusPlus);
        assert_eq!(plus.maildir(&FolderName::inbox()), Path::new("/m"));
        assert_eq!(plus.maildir(&folder(&["lists", "a.b"])), Path::new("/m/.lists.a%2Eb"));
    }

    #[test]
    fn names_beyond_ascii_stand_as_imap_servers_read_them() {
        let at = |layout| Folders::new(MailRoot { layout, encoding: Encoding::Utf7, ..MailRoot::at("/m") });
        for (parts, fs, plus) in [
            (&["Entwürfe"][..], "/m/Entw&APw-rfe", "/m/.Entw&APw-rfe"),
            (&["R&D", "日本"], "/m/R&-D/&ZeVnLA-", "/m/.R&-D.&ZeVnLA-"),
            (&["lists", "a.b"], "/m/lists/a.b", "/m/.lists.a%2Eb"),
        ] {
            for (layout, path) in [(Layout::Fs, fs), (Layout::MaildirPlusPlus, plus)] {
                let folders = at(layout);
                assert_eq!(folders.maildir(&folder(parts)), Path::new(path));
                assert_eq!(folders.name_of(Path::new(path)), parts.join("/"));
            }
        }
        assert_eq!(at(Layout::MaildirPlusPlus).maildir(&FolderName::inbox()), Path::new("/m"));
    }
}
