//! A disk in memory that forgets at a power cut whatever was not synced.
//!
//! | what | survives a power cut once |
//! |---|---|
//! | the content of a file | the file was synced; before that it is empty |
//! | a name in a directory, its removal, the name of a new directory | that directory was synced |
//! | a rename | [`Rename::EachSide`]: either side when its own directory was synced, so the file may stand in both or in none. [`Rename::Atomic`], as journaling file systems do it: both sides when either directory was synced |
//!
//! A process that is killed loses nothing: [`Death::Killed`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use mailsluice::state::{Disk, DiskFile, SharedFile};

use super::fate::Fate;

/// What a rename is to the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rename {
    EachSide,
    Atomic,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Kill -9: the machine goes on, and with it everything in its caches.
    Killed,
    /// Only what was synced is left.
    PowerCut,
}

/// A sync that does nothing: for the negative controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Of every directory of this name: `new`, `cur`, `tmp`.
    Directory(&'static str),
    /// Of every other directory: those that hold new folders.
    Parents,
    /// Of every directory, as far as files of this name are concerned.
    Name(&'static str),
    /// Of every file.
    Files,
}

/// Clones are the same disk.
#[derive(Clone)]
pub struct ForgetfulDisk {
    fate: Fate,
    rename: Rename,
    lie: Arc<Mutex<Option<Lie>>>,
    inner: Arc<Mutex<Inner>>,
}

type FileId = usize;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory,
    File(FileId),
}

type Tree = BTreeMap<PathBuf, Node>;

#[derive(Default)]
struct Inner {
    /// The contents, as programs see them and as they are on the platter.
    files: Vec<(Vec<u8>, Vec<u8>)>,
    seen: Tree,
    durable: Tree,
    /// Renames of which neither directory was synced.
    renamed: Vec<(PathBuf, PathBuf)>,
    /// How many files there were when the process began: those are old.
    old: FileId,
}

impl ForgetfulDisk {
    /// Empty but for these directories, which are durable.
    pub fn with_directories(fate: &Fate, rename: Rename, lie: Option<Lie>, directories: &[&Path]) -> Self {
        let ancestors = directories.iter().flat_map(|dir| dir.ancestors());
        let tree: Tree = ancestors.map(|dir| (dir.to_path_buf(), Node::Directory)).collect();
        let inner = Inner { seen: tree.clone(), durable: tree, ..Inner::default() };
        let lie = Arc::new(Mutex::new(lie));
        Self { fate: fate.clone(), rename, lie, inner: Arc::new(Mutex::new(inner)) }
    }

    /// Honest until now, it lies from here on: the marker of the mail root stands.
    pub fn lie_from_now_on(&self, lie: Option<Lie>) {
        *self.lie.lock().unwrap() = lie;
    }

    /// After the death of the process; a new one finds what is left.
    pub fn restart(&self, death: Death) {
        let mut inner = self.lock();
        if death == Death::PowerCut {
            inner.forget_unsynced();
        }
        inner.old = inner.files.len();
    }

    /// Every file below a directory, without counting as a step.
    pub fn files_below(&self, dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let inner = self.lock();
        let below = inner.seen.iter().filter(|(path, _)| path.starts_with(dir));
        below
            .filter_map(|(path, node)| match node {
                Node::File(id) => Some((path.clone(), inner.files[*id].0.clone())),
                Node::Directory => None,
            })
            .collect()
    }

    /// As a mail reader does when it is opened: new mail becomes seen mail. It syncs what it does.
    pub fn open_in_a_mail_reader(&self) {
        let mut inner = self.lock();
        let is_new = |path: &PathBuf| path.parent().is_some_and(|dir| dir.ends_with("new"));
        let new: Vec<PathBuf> = inner.seen.keys().filter(|path| is_new(path)).cloned().collect();
        for path in new {
            let name = format!("{}:2,S", path.file_name().unwrap().to_str().unwrap());
            let cur = path.parent().unwrap().with_file_name("cur");
            inner.rename(&path, &cur.join(name)).unwrap();
            inner.sync_dir(&cur, Rename::Atomic, None);
            inner.sync_dir(path.parent().unwrap(), Rename::Atomic, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, what: &str, path: &Path) -> io::Result<MutexGuard<'_, Inner>> {
        self.fate.step(|| format!("{what} {}", path.display()))?;
        Ok(self.lock())
    }

    fn look(&self) -> io::Result<MutexGuard<'_, Inner>> {
        self.fate.look()?;
        Ok(self.lock())
    }

    fn lie(&self) -> Option<Lie> {
        *self.lie.lock().unwrap()
    }

    fn lies_about(&self, dir: &Path) -> bool {
        let is_one_of = |names: &[&str]| names.iter().any(|name| dir.ends_with(name));
        match self.lie() {
            Some(Lie::Directory(name)) => is_one_of(&[name]),
            Some(Lie::Parents) => !is_one_of(&["new", "cur", "tmp", "spool"]),
            Some(Lie::Files | Lie::Name(_)) | None => false,
        }
    }
}

impl Inner {
    fn create(&mut self, path: &Path, node: Node) -> io::Result<()> {
        if self.seen.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self.seen.get(path.parent().unwrap()) != Some(&Node::Directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.seen.insert(path.to_path_buf(), node);
        Ok(())
    }

    fn file(&self, path: &Path) -> io::Result<FileId> {
        match self.seen.get(path) {
            Some(Node::File(id)) => Ok(*id),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = Node::File(self.file(from)?);
        self.create(to, node)?;
        self.seen.remove(from);
        self.renamed.push((from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn sync_file(&mut self, id: FileId, lie: Option<Lie>) {
        if lie != Some(Lie::Files) {
            let (seen, durable) = &mut self.files[id];
            durable.clone_from(seen);
        }
    }

    fn sync_dir(&mut self, dir: &Path, rename: Rename, lie: Option<Lie>) {
        let is_here = |path: &Path| path.parent() == Some(dir);
        let (done, open) =
            std::mem::take(&mut self.renamed).into_iter().partition(|(from, to)| is_here(from) || is_here(to));
        self.renamed = open;
        if rename == Rename::Atomic {
            let done: Vec<(PathBuf, PathBuf)> = done;
            for path in done.iter().flat_map(|(from, to)| [from, to]) {
                self.sync_name(path);
            }
        }
        let names: BTreeSet<PathBuf> =
            self.seen.keys().chain(self.durable.keys()).filter(|path| is_here(path)).cloned().collect();
        let is_left_out = |path: &Path| matches!(lie, Some(Lie::Name(name)) if path.ends_with(name));
        names.iter().filter(|path| !is_left_out(path)).for_each(|path| self.sync_name(path));
    }

    fn sync_name(&mut self, path: &Path) {
        match self.seen.get(path) {
            Some(node) => self.durable.insert(path.to_path_buf(), *node),
            None => self.durable.remove(path),
        };
    }

    fn forget_unsynced(&mut self) {
        // In the order of paths a directory comes before what is in it.
        let mut left = Tree::new();
        for (path, node) in &self.durable {
            if path.parent().is_none_or(|dir| left.contains_key(dir)) {
                left.insert(path.clone(), *node);
            }
        }
        self.files.iter_mut().for_each(|(seen, durable)| seen.clone_from(durable));
        self.durable.clone_from(&left);
        self.seen = left;
        self.renamed.clear();
    }
}

impl Disk for ForgetfulDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.step("create", path)?;
        let id = inner.files.len();
        inner.create(path, Node::File(id))?;
        inner.files.push(Default::default());
        Ok(Box::new(OpenFile { disk: self.clone(), id, path: path.to_path_buf() }))
    }

    fn create_whole(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut inner = self.step("create", path)?;
        let id = inner.files.len();
        inner.create(path, Node::File(id))?;
        inner.files.push(Default::default());
        inner.files[id].0 = content.to_vec();
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let inner = self.look()?;
        let id = inner.file(path)?;
        Ok(Box::new(io::Cursor::new(inner.files[id].0.clone())))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.step("link", to)?;
        let node = Node::File(inner.file(from)?);
        inner.create(to, node)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename to", to)?.rename(from, to)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.step("replace", to)?;
        inner.file(from)?;
        inner.seen.remove(to);
        inner.rename(from, to)
    }

    /// Between two processes time passes.
    fn age(&self, path: &Path) -> io::Result<Option<Duration>> {
        let inner = self.look()?;
        match inner.file(path) {
            Ok(id) => Ok(Some(Duration::from_secs(if id < inner.old { 3600 } else { 0 }))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn open_shared(&self, path: &Path) -> io::Result<Box<dyn SharedFile>> {
        let mut inner = self.step("open", path)?;
        let id = match inner.file(path) {
            Ok(id) => id,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let id = inner.files.len();
                inner.create(path, Node::File(id))?;
                inner.files.push(Default::default());
                id
            }
            Err(e) => return Err(e),
        };
        Ok(Box::new(OpenFile { disk: self.clone(), id, path: path.to_path_buf() }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.step("remove", path)?;
        inner.file(path)?;
        inner.seen.remove(path);
        Ok(())
    }

    fn make_dir(&self, path: &Path) -> io::Result<bool> {
        let mut inner = self.step("make directory", path)?;
        match inner.seen.get(path) {
            Some(Node::Directory) => Ok(false),
            _ => inner.create(path, Node::Directory).map(|()| true),
        }
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inner = self.look()?;
        let here = inner.seen.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.look()?.seen.contains_key(path))
    }

    fn number(&self, _: &Path) -> io::Result<Option<(u64, u64)>> {
        Ok(None)
    }

    fn is_writable_by_others(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn set_mode(&self, _: &Path, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn link_to(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn is_link(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn stamp(&self, _: &Path) -> io::Result<Option<(u64, i128)>> {
        Ok(None)
    }

    fn writable(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.step("sync directory", dir)?;
        if inner.seen.get(dir) != Some(&Node::Directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !self.lies_about(dir) {
            inner.sync_dir(dir, self.rename, self.lie());
        }
        Ok(())
    }
}

struct OpenFile {
    disk: ForgetfulDisk,
    id: FileId,
    path: PathBuf,
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.disk.step("write", &self.path)?;
        inner.files[self.id].0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SharedFile for OpenFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.look()?.files[self.id].0.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.look()?;
        let left = inner.files[self.id].0.get(offset as usize..).unwrap_or_default();
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        Ok(length)
    }

    /// In two pieces: a process can die between them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        [first, second].into_iter().filter(|piece| !piece.is_empty()).try_for_each(|piece| self.write_all(piece))
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut inner = self.disk.step("truncate", &self.path)?;
        inner.files[self.id].0.truncate(length as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.step("sync", &self.path)?;
        inner.sync_file(self.id, self.disk.lie());
        Ok(())
    }
}

impl DiskFile for OpenFile {
    fn set_mode(&self, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _modified: Option<Timestamp>) -> io::Result<()> {
        let mut inner = self.disk.step("sync", &self.path)?;
        inner.sync_file(self.id, self.disk.lie());
        Ok(())
    }
}

mod tests {
    use super::*;

    const DIRECTORIES: [&str; 2] = ["/a", "/b"];

    fn disk(rename: Rename) -> ForgetfulDisk {
        ForgetfulDisk::with_directories(&Fate::default(), rename, None, &DIRECTORIES.map(Path::new))
    }

    fn write(disk: &ForgetfulDisk, path: &str, is_synced: bool) {
        let mut file = disk.create(Path::new(path)).unwrap();
        file.write_all(b"content").unwrap();
        if is_synced {
            file.finish(None).unwrap();
        }
    }

    fn left(disk: &ForgetfulDisk) -> Vec<String> {
        disk.restart(Death::PowerCut);
        let line =
            |(path, bytes): (PathBuf, Vec<u8>)| format!("{}={}", path.display(), String::from_utf8(bytes).unwrap());
        disk.files_below(Path::new("/")).into_iter().map(line).collect()
    }

    #[test]
    fn a_file_needs_its_own_sync_and_that_of_its_directory() {
        let disk = disk(Rename::EachSide);
        write(&disk, "/a/both", true);
        write(&disk, "/a/half", false);
        disk.sync_dir(Path::new("/a")).unwrap();
        write(&disk, "/b/nameless", true);
        assert_eq!(left(&disk), ["/a/both=content", "/a/half="]);
    }

    #[test]
    fn each_side_of_a_rename_has_its_own_sync() {
        let renamed = |rename, synced: &str| {
            let disk = disk(rename);
            write(&disk, "/a/x", true);
            disk.sync_dir(Path::new("/a")).unwrap();
            disk.rename(Path::new("/a/x"), Path::new("/b/x")).unwrap();
            disk.sync_dir(Path::new(synced)).unwrap();
            left(&disk)
        };
        assert_eq!(renamed(Rename::EachSide, "/a"), Vec::<String>::new());
        assert_eq!(renamed(Rename::EachSide, "/b"), ["/a/x=content", "/b/x=content"]);
        assert_eq!(renamed(Rename::EachSide, "/"), ["/a/x=content"]);
        assert_eq!(renamed(Rename::Atomic, "/a"), ["/b/x=content"]);
        assert_eq!(renamed(Rename::Atomic, "/b"), ["/b/x=content"]);
        assert_eq!(renamed(Rename::Atomic, "/"), ["/a/x=content"]);
    }

    #[test]
    fn a_new_directory_is_lost_with_all_that_is_in_it() {
        let disk = disk(Rename::EachSide);
        disk.make_dir(Path::new("/a/new")).unwrap();
        write(&disk, "/a/new/x", true);
        disk.sync_dir(Path::new("/a/new")).unwrap();
        assert_eq!(left(&disk), Vec::<String>::new());
        assert!(!disk.exists(Path::new("/a/new")).unwrap());
    }

    #[test]
    fn a_removal_that_was_not_synced_is_undone() {
        let disk = disk(Rename::EachSide);
        write(&disk, "/a/x", true);
        disk.sync_dir(Path::new("/a")).unwrap();
        disk.remove(Path::new("/a/x")).unwrap();
        assert_eq!(left(&disk), ["/a/x=content"]);
    }
}
