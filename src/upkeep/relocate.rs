//! Relocate: mail that is already filed goes to another place, for `refilter` and `undo`.
//!
//! The order is the same as for fetched mail, with the file in its old folder in the role of the server: the message is
//! staged, recorded and published, and only then is the old file removed. The row is marked done last, so that after a
//! crash the next run knows which old files to remove.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::stuck::Stuck;
use crate::config::template::Template;
use crate::deliver::{files_named, recover_with};
use crate::error::{Error, Result};
use crate::message::REFILTERED;
use crate::pass::files::name_of;
use crate::pass::{Decided, Filer, Leftovers, World};
use crate::state::{EntryId, Leaving, Owned, Published, Unfinished};

/// Takes the name space in which one process at a time moves mail, while fetching goes on. It finishes what an
/// interrupted process left unfinished; what cannot be finished yet waits, and the user gets a notice.
pub(super) fn begin(world: &World, account: &str) -> Result<(Filer, Stuck)> {
    let owned = world.own(REFILTERED, Duration::ZERO)?;
    let stuck = resume(world, &owned)?;
    let mut filer = Filer::new(world, &owned, account, Template::whole_folder());
    stuck.notify(&mut filer)?;
    Ok((filer, stuck))
}

/// Removes the old files of what was recorded and published. What was not published stays where it was, and what was
/// only staged is removed.
pub(super) fn resume(world: &World, owned: &Owned) -> Result<Stuck> {
    let mut stuck = Stuck::default();
    let mut settle = |rows: &[Unfinished]| {
        let rows = rows.iter().map(|row| Ok((row.id, left_by(world, row)?))).collect::<Result<Vec<_>>>()?;
        remove(world, &rows, &mut stuck)?;
        Ok(rows.into_iter().map(|(id, _)| id).filter(|id| !stuck.has(*id)).collect())
    };
    let (recovered, held) = recover_with(&*world.disk, &*world.store, world.folders.root(), owned, &mut settle)?;
    for (row, error) in held {
        stuck.add_error(Some(row.id), &left_by(world, &row)?, error)?;
    }
    recovered.lost.iter().try_for_each(|row| world.store.again(owned, row))?;
    if Leftovers::find(world, owned)?.remove_all(world)? {
        owned.is_cleared();
    }
    Ok(stuck)
}

/// How earlier versions recorded a file that a message leaves.
const MOVED_FROM: &str = "moved from ";

/// The files that the message of an unfinished row was about to leave.
fn left_by(world: &World, row: &Unfinished) -> Result<Vec<Leaving>> {
    if !row.leaves.is_empty() {
        return Ok(row.leaves.clone());
    }
    let entry = world.store.entry(row.id)?.filter(|entry| entry.row.run == 0);
    let notes = entry.map(|entry| entry.row.notes).unwrap_or_default();
    let paths = notes.iter().filter_map(|note| note.strip_prefix(MOVED_FROM)).map(PathBuf::from);
    Ok(paths.map(|path| Leaving { path, number: None }).collect())
}

impl Filer {
    /// Why a message cannot be moved now, if it cannot: its target does not take it, or its old folder cannot be
    /// written. This is checked before anything is done, so that the message is never in both.
    pub(super) fn hindrance(&self, decided: &Decided) -> Result<Option<Error>> {
        let leaving = decided.leaves().iter().try_for_each(|leaving| may_leave(&self.world, &leaving.path));
        match leaving.and_then(|()| self.ensure_folders(decided)) {
            Err(error) if error.target().is_none() => Err(error),
            tried => Ok(tried.err()),
        }
    }

    /// Moves a batch, and collects what cannot be removed from its old place. Returns `None` and does nothing if what
    /// the rules read from the state has changed.
    pub(super) fn relocate(&mut self, decided: Vec<Decided>) -> Result<Option<(Published, Stuck)>> {
        let Some(published) = self.make_durable(decided)? else { return Ok(None) };
        let leaves = published.entries().map(|entry| entry.before.leaves.clone());
        let rows: Vec<_> = published.ids().zip(leaves).collect();
        let mut stuck = Stuck::default();
        remove(&self.world, &rows, &mut stuck)?;
        self.finish_but(|id| stuck.has(id))?;
        stuck.notify(self)?;
        Ok(Some((published, stuck)))
    }
}

fn may_leave(world: &World, path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(path);
    let writable = world.disk.writable(dir);
    writable.map_err(|e| Error::of_target(dir, format!("removing mail from {}", dir.display()), e))
}

/// Files that a message leaves, with their inode numbers.
pub(super) fn leaving(world: &World, files: &[PathBuf]) -> Result<Vec<Leaving>> {
    let leaving = |path: &PathBuf| {
        let number = world.disk.number(path).map_err(|e| Error::disk(format!("reading {}", path.display()), e))?;
        Ok(Leaving { path: path.clone(), number: number.map(|(_, inode)| inode) })
    };
    files.iter().map(leaving).collect()
}

/// Where a file is now. A mail reader that marks or moves a message changes the folder and the flags, and keeps the
/// rest of the name. The message's new file has another ending.
fn whereabouts(world: &World, leaving: &Leaving) -> Result<Vec<PathBuf>> {
    let Leaving { path, number: Some(number) } = leaving else { return Ok(vec![leaving.path.clone()]) };
    let is_it = |path: &Path| matches!(world.disk.number(path), Ok(Some((_, inode))) if inode == *number);
    match world.disk.number(path) {
        Ok(Some((_, inode))) if inode == *number => return Ok(vec![path.clone()]),
        // Nothing is known about a folder that may not be read.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => return Err(cannot_leave(path, e)),
        _ => {}
    }
    let name = name_of(path);
    let folder = path.parent().and_then(Path::parent).unwrap_or(path);
    let root = world.folders.root();
    // The root is searched twice, because the file may move during the search.
    for (maildir, depth) in [(folder, 0), (root, usize::MAX), (root, usize::MAX)] {
        let mut found = files_named(&*world.disk, maildir, &name, depth)?;
        found.retain(|path| is_it(path) && name_of(path) == name);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

fn cannot_leave(path: &Path, error: std::io::Error) -> Error {
    Error::of_target(path.parent().unwrap_or(path), format!("removing {}", path.display()), error)
}

/// Removes the files that rows leave, durably. A row whose file cannot be removed is added to `stuck`, and the others
/// go on.
fn remove(world: &World, rows: &[(EntryId, Vec<Leaving>)], stuck: &mut Stuck) -> Result<()> {
    let mut dirs: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for (n, (id, leaves)) in rows.iter().enumerate() {
        match remove_one(world, leaves) {
            Ok(touched) => touched.into_iter().for_each(|dir| dirs.entry(dir).or_default().push(n)),
            Err(error) => stuck.add_error(Some(*id), leaves, error)?,
        }
    }
    for (dir, touched_by) in dirs.iter().filter(|(dir, _)| world.disk.exists(dir).unwrap_or(true)) {
        let Err(e) = world.disk.sync_dir(dir) else { continue };
        let error = Error::of_target(dir, format!("syncing {}", dir.display()), e);
        let Some(folder) = error.target() else { return Err(error) };
        touched_by
            .iter()
            .filter_map(|n| rows.get(*n))
            .for_each(|(id, leaves)| stuck.add(Some(*id), leaves, folder, &error));
    }
    Ok(())
}

/// Removes the files that one message leaves. Returns the directories to sync, even where a file is gone already: the
/// process that removed it may have died before the sync.
fn remove_one(world: &World, leaves: &[Leaving]) -> Result<BTreeSet<PathBuf>> {
    let mut dirs = BTreeSet::new();
    for leaving in leaves {
        let files = whereabouts(world, leaving)?;
        for file in &files {
            match world.disk.remove(file) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(cannot_leave(file, e)),
                _ => {}
            }
        }
        dirs.extend(files.iter().chain([&leaving.path]).filter_map(|file| file.parent()).map(Path::to_path_buf));
    }
    Ok(dirs)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A mail reader had the folder open while it was refiltered.
    #[test]
    fn a_file_that_its_reader_marks_or_moves_is_known_by_what_it_is() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("Mail");
        for folder in ["INBOX", "read"] {
            ["tmp", "new", "cur"].iter().for_each(|sub| std::fs::create_dir_all(root.join(folder).join(sub)).unwrap());
        }
        let store =
            Arc::new(crate::state::SqliteStore::in_memory(crate::state::Places::new(home.path(), &root)).unwrap());
        let mail_root = crate::config::MailRoot::at(&root);
        let world = World::new(store, Arc::new(crate::state::RealDisk), mail_root, home.path().join("state"));
        let mut path = root.join("INBOX/new/1.a.host");
        std::fs::write(&path, "mail").unwrap();
        let leaving = leaving(&world, std::slice::from_ref(&path)).unwrap().remove(0);
        std::fs::write(root.join("read/cur/1.a.host,R=0badcafe:2,"), "mail").unwrap();
        std::fs::write(root.join("read/cur/1.a.host:2,"), "a copy of the user's").unwrap();
        for to in ["INBOX/new/1.a.host", "INBOX/cur/1.a.host:2,S", "read/cur/1.a.host:2,FS"].map(|to| root.join(to)) {
            std::fs::rename(&path, &to).unwrap();
            path = to;
            assert_eq!(whereabouts(&world, &leaving).unwrap(), std::slice::from_ref(&path));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(whereabouts(&world, &leaving).unwrap().is_empty());
    }
}
