//! Our files below the mail root: orphans, which were staged and never recorded, and published mail whose record was
//! lost.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::message::{DeliveryName, MOVED, REFILTERED, lasting_name, space_tag, written_for};
use crate::safeguard::Safeguard;
use crate::state::{Disk, Stamp};

/// How many levels below the mail root are searched.
const MAX_FOLDER_DEPTH: usize = 12;
/// How often a tree is walked again if files in it move.
const MAX_WALKS: usize = 5;

/// A staged file without a journal row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Where it is.
    pub path: PathBuf,
    /// The message it belongs to.
    pub name: DeliveryName,
    /// The tag of that message's account.
    tag: String,
    /// The name that it would have been published under.
    pub base: String,
    stamp: Stamp,
}

impl Orphan {
    /// The orphan at a path, if its name is one of ours.
    pub fn of(path: PathBuf) -> Option<Self> {
        let file = path.file_name()?.to_str()?;
        let (base, stamp) = Stamp::split(file);
        let is_moved = stamp != Stamp::default() || base.contains(MOVED);
        let (name, tag) = match DeliveryName::of_anybody(base) {
            Some((name, tag)) => (name, tag.to_owned()),
            // Mail of other programs that `refilter` was moving.
            None if is_moved => (DeliveryName::of_another_program(base), String::new()),
            None => return None,
        };
        let base = base.to_owned();
        Some(Self { path, name, tag, base, stamp })
    }

    /// Whether it was staged for that name space. Files of versions without stamps belong to `refilter` if their mail
    /// was being moved, and otherwise to the account of their message.
    pub fn was_staged_for(&self, space: &str) -> bool {
        let by_stamp = self.stamp.is_of(space).filter(|_| Safeguard::StagedByOwner.is_on());
        by_stamp.unwrap_or_else(|| match self.base.contains(MOVED) && Safeguard::StagedByOwner.is_on() {
            true => space == REFILTERED,
            false => self.tag == space_tag(space) || self.tag == space_tag(&written_for(space)),
        })
    }

    /// Whether it is a notice or rescued mail, which is never an only copy.
    pub fn was_written_for(&self, space: &str) -> bool {
        self.tag == space_tag(&written_for(space))
    }

    /// Whether it is an edited version of the message.
    pub fn is_edited(&self) -> bool {
        self.base.contains(",V=")
    }
}

/// Everything staged below the mail root, in one walk. Some of it belongs to live processes, and some was recorded. The
/// owner of a name space judges its own files, after [`super::recover`].
pub fn find_staged(disk: &dyn Disk, root: &Path) -> Result<Vec<Orphan>> {
    let mut found = Vec::new();
    search(disk, root, &["tmp"], MAX_FOLDER_DEPTH, &mut |path, _| found.extend(Orphan::of(path)))?;
    Ok(found)
}

/// The names of our mail below the mail root, by the tags of their accounts.
pub type PublishedNames = HashMap<String, Arc<HashSet<DeliveryName>>>;

/// The names of our mail below the mail root, whatever flags it has, for all accounts.
pub fn find_published(disk: &dyn Disk, root: &Path) -> Result<PublishedNames> {
    let mut found: HashMap<String, HashSet<DeliveryName>> = HashMap::new();
    until_nothing_is_new(|| {
        let mut new = 0;
        search(disk, root, &["new", "cur"], MAX_FOLDER_DEPTH, &mut |_, file| {
            let Some((name, tag)) = DeliveryName::of_anybody(file) else { return };
            let is_new = match found.get_mut(tag) {
                Some(names) => names.insert(name),
                None => found.insert(tag.to_owned(), HashSet::from([name])).is_none(),
            };
            new += usize::from(is_new);
        })?;
        Ok(new)
    })?;
    Ok(found.into_iter().map(|(tag, names)| (tag, Arc::new(names))).collect())
}

/// Walks again until a walk finds nothing new. A mail reader may move a file from a folder that was not read yet to one
/// that was, and a missing name must not be taken for a missing file.
fn until_nothing_is_new(mut walk: impl FnMut() -> Result<usize>) -> Result<()> {
    for _ in 0..MAX_WALKS {
        if walk()? == 0 {
            break;
        }
    }
    Ok(())
}

/// Where the unedited files of our messages are, whatever their flags and wherever they were moved: one file each.
pub fn find_originals(disk: &dyn Disk, root: &Path) -> Result<HashMap<DeliveryName, PathBuf>> {
    let mut found = HashMap::new();
    search(disk, root, &["new", "cur"], MAX_FOLDER_DEPTH, &mut |path, file| {
        if let Some((name, _)) = DeliveryName::of_anybody(file).filter(|_| !file.contains(",V=")) {
            found.insert(name, path);
        }
    })?;
    Ok(found)
}

/// The names of all our mail below the mail root, without flags and without the suffix of a move.
pub(super) fn find_all_published(disk: &dyn Disk, root: &Path) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    until_nothing_is_new(|| {
        let before = found.len();
        search(disk, root, &["new", "cur"], MAX_FOLDER_DEPTH, &mut |_, file| {
            if DeliveryName::of_anybody(file).is_some() || file.contains(MOVED) {
                let name = file.split(":2,").next().unwrap_or(file);
                // A moved file also stands for its earlier name.
                found.extend([name.to_owned(), lasting_name(file).to_owned()]);
            }
        })?;
        Ok(found.len() - before)
    })?;
    Ok(found)
}

/// The files with this name under any flags, in a Maildir and up to `depth` levels of folders below it. A file that was
/// moved since has another suffix, `,R=…`.
pub fn files_named(disk: &dyn Disk, maildir: &Path, name: &str, depth: usize) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    search(disk, maildir, &["new", "cur"], depth.min(MAX_FOLDER_DEPTH), &mut |path, file| {
        if lasting_name(file) == lasting_name(name) {
            found.push(path);
        }
    })?;
    Ok(found)
}

/// The Maildirs at and below a directory.
pub(super) fn maildirs(disk: &dyn Disk, root: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    below(&mut VisitedFolders::new(disk), root, MAX_FOLDER_DEPTH, found)
}

fn below(walk: &mut VisitedFolders<'_>, dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if !walk.is_new(dir)? {
        return Ok(());
    }
    let names = list(walk.disk, dir)?;
    if ["cur", "new", "tmp"].iter().all(|sub| names.iter().any(|name| name == sub)) {
        found.push(dir.to_path_buf());
    }
    let folders = names.iter().filter(|name| !matches!(name.as_str(), "cur" | "new" | "tmp"));
    for name in folders.filter(|_| depth > 0) {
        below(walk, &dir.join(name), depth - 1, found)?;
    }
    Ok(())
}

/// The directories that were visited, so that none is visited again through a symlink.
struct VisitedFolders<'a> {
    disk: &'a dyn Disk,
    visited: HashSet<(u64, u64)>,
}

impl<'a> VisitedFolders<'a> {
    fn new(disk: &'a dyn Disk) -> Self {
        Self { disk, visited: HashSet::new() }
    }

    fn is_new(&mut self, dir: &Path) -> Result<bool> {
        match self.disk.number(dir) {
            Ok(number) => Ok(number.is_none_or(|number| self.visited.insert(number))),
            // A loop of symlinks, or a directory that may not be read.
            Err(e) if is_closed(&e) => Ok(false),
            Err(e) => Err(Error::disk(format!("reading {}", dir.display()), e)),
        }
    }
}

/// Walks the folders and passes each file in the wanted subdirectories to `each`.
fn search(
    disk: &dyn Disk,
    dir: &Path,
    wanted: &[&str],
    depth: usize,
    each: &mut dyn FnMut(PathBuf, &str),
) -> Result<()> {
    search_in(&mut VisitedFolders::new(disk), dir, wanted, depth, each)
}

fn search_in(
    walk: &mut VisitedFolders<'_>,
    dir: &Path,
    wanted: &[&str],
    depth: usize,
    each: &mut dyn FnMut(PathBuf, &str),
) -> Result<()> {
    if !walk.is_new(dir)? {
        return Ok(());
    }
    for name in list(walk.disk, dir)? {
        let path = dir.join(&name);
        match name.as_str() {
            sub if wanted.contains(&sub) => {
                list(walk.disk, &path)?.iter().for_each(|file| each(path.join(file), file));
            }
            "tmp" | "new" | "cur" => {}
            _ if depth > 0 => search_in(walk, &path, wanted, depth - 1, each)?,
            _ => {}
        }
    }
    Ok(())
}

/// The names in a directory. Nothing of ours is in a file, or in a directory that may not be read.
fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>> {
    match disk.names(dir) {
        Err(e) if is_closed(&e) => Ok(Vec::new()),
        names => names.map_err(|e| Error::disk(format!("reading {}", dir.display()), e)),
    }
}

fn is_closed(e: &std::io::Error) -> bool {
    e.kind() == std::io::ErrorKind::PermissionDenied || e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}
