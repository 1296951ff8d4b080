//! Mail that is here already goes to another place: `refilter` and `undo`.
//!
//! The same order as for fetched mail, with the file in its old folder in the server's part: staged, recorded,
//! published, and only then is the old file removed. The row is marked done last, so that after a crash the next run
//! knows which old files to remove.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::commit::Committer;
use super::original::name_of;
use super::plan::Decided;
use super::{Decide, Leftovers, World};
use crate::config::template::Template;
use crate::deliver::{files_named, recover_with};
use crate::error::{Error, Result};
use crate::filter::Engine;
use crate::message::{Key, MOVED, REFILTERED, lasting_name};
use crate::state::{Leaving, Owned, Published, Unfinished, as_paths, sync_dirs};

/// Only one process moves mail, in a name space of its own: fetching goes on beside it. Finishes what an interrupted one
/// left half done.
pub(super) fn begin(world: &World, account: &str) -> Result<Committer> {
    let owned = world.own(REFILTERED, Duration::ZERO)?;
    resume(world, &owned)?;
    let engine: Arc<dyn Decide> = Arc::new(Engine::default());
    Ok(Committer::new(world, &owned, account, engine, Template::whole_folder()))
}

/// What was recorded and published leaves its old place; what was not published stays there, and what was only staged
/// is removed.
pub(super) fn resume(world: &World, owned: &Owned) -> Result<()> {
    let recovered = recover_with(&*world.disk, &*world.store, world.folders.root(), owned, &|rows| {
        let mut leaves = Vec::new();
        for row in rows {
            leaves.extend(left_by(world, row)?);
        }
        remove(world, &leaves)
    })?;
    recovered.lost.iter().try_for_each(|row| world.store.again(owned, row))?;
    Leftovers::find(world, owned)?.remove_all(world)?;
    owned.is_cleared();
    Ok(())
}

/// How versions before this one noted a file that a message leaves.
const FROM: &str = "moved from ";

/// The files that the message of an unfinished row was to leave.
fn left_by(world: &World, row: &Unfinished) -> Result<Vec<Leaving>> {
    if !row.leaves.is_empty() {
        return Ok(row.leaves.clone());
    }
    let entry = world.store.entry(row.id)?.filter(|entry| entry.row.run == 0);
    let notes = entry.map(|entry| entry.row.notes).unwrap_or_default();
    let paths = notes.iter().filter_map(|note| note.strip_prefix(FROM)).map(PathBuf::from);
    Ok(paths.map(|path| Leaving { path, number: None }).collect())
}

/// Where the files of a row are now: in their folders under whatever flags, or wherever a reader or `refilter` moved
/// them.
pub(super) fn files_of(world: &World, targets: &[crate::state::Target]) -> Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    for target in targets {
        let here = files_named(&*world.disk, &target.maildir, &target.staged, 0)?;
        let here = match here.is_empty() {
            true => files_named(&*world.disk, world.folders.root(), &target.staged, usize::MAX)?,
            false => here,
        };
        found.extend(here);
    }
    Ok(found.into_iter().collect())
}

impl Committer {
    /// Moves a batch. `None`: what the rules read from the state changed meanwhile, and nothing was done.
    pub(super) fn relocate(&mut self, decided: Vec<Decided>) -> Result<Option<Published>> {
        let leaves: Vec<Leaving> = decided.iter().flat_map(|one| one.leaves()).cloned().collect();
        let Some(published) = self.make_durable(decided)? else { return Ok(None) };
        remove(&self.world, &leaves)?;
        self.finish()?;
        Ok(Some(published))
    }
}

/// Files that a message leaves, known by what they are.
pub(super) fn leaving(world: &World, files: &[PathBuf]) -> Result<Vec<Leaving>> {
    let leaving = |path: &PathBuf| {
        let number = world.disk.number(path).map_err(|e| Error::disk(format!("reading {}", path.display()), e))?;
        Ok(Leaving { path: path.clone(), number: number.map(|(_, inode)| inode) })
    };
    files.iter().map(leaving).collect()
}

/// Where a file is now. A mail reader that marks or moves a message changes the folder and the flags, and keeps the rest of
/// its name; the file that the message goes to has another ending.
fn is_now(world: &World, leaving: &Leaving) -> Result<Vec<PathBuf>> {
    let Leaving { path, number: Some(number) } = leaving else { return Ok(vec![leaving.path.clone()]) };
    let is_it = |path: &Path| matches!(world.disk.number(path), Ok(Some((_, inode))) if inode == *number);
    if is_it(path) {
        return Ok(vec![path.clone()]);
    }
    let name = name_of(path);
    let folder = path.parent().and_then(Path::parent).unwrap_or(path);
    let root = world.folders.root();
    // Again, because it may move while it is looked for.
    for (maildir, depth) in [(folder, 0), (root, usize::MAX), (root, usize::MAX)] {
        let mut found = files_named(&*world.disk, maildir, &name, depth)?;
        found.retain(|path| is_it(path) && name_of(path) == name);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Removes files, durably.
fn remove(world: &World, leaves: &[Leaving]) -> Result<()> {
    let files = leaves.iter().map(|leaving| is_now(world, leaving)).collect::<Result<Vec<_>>>()?.concat();
    for file in &files {
        super::leftovers::remove(world, file)?;
    }
    let dirs: BTreeSet<PathBuf> = files.iter().filter_map(|file| file.parent()).map(Path::to_path_buf).collect();
    let dirs: Vec<PathBuf> = dirs.into_iter().filter(|dir| world.disk.exists(dir).unwrap_or(true)).collect();
    sync_dirs(&*world.disk, as_paths(&dirs)).map(drop).map_err(|e| Error::disk("syncing the folders", e))
}

/// The name that a moved file gets: the unique part stays, by which a lost state recognises it, and a new ending keeps
/// it apart from the file it comes from.
pub(super) fn moved_name(file_name: &str, key: &Key, now: jiff::Timestamp) -> String {
    let plain = lasting_name(file_name);
    let digest = Sha256::digest(format!("{key} {}", now.as_nanosecond()));
    format!("{plain}{MOVED}{}", data_encoding::HEXLOWER.encode(&digest[..4]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{DeliveryName, Origin};

    /// A reader had the folder open while it was refiltered.
    #[test]
    fn a_file_that_its_reader_marks_or_moves_is_known_by_what_it_is() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("Mail");
        for folder in ["INBOX", "read"] {
            ["tmp", "new", "cur"].iter().for_each(|sub| std::fs::create_dir_all(root.join(folder).join(sub)).unwrap());
        }
        let store =
            Arc::new(crate::state::SqliteStore::in_memory(crate::state::Places::new(home.path(), &root)).unwrap());
        let mail_root = crate::config::MailRoot { path: root.clone(), layout: crate::config::Layout::Fs };
        let world = World::new(store, Arc::new(crate::state::RealDisk), mail_root, home.path().join("state"));
        let mut path = root.join("INBOX/new/1.a.host");
        std::fs::write(&path, "mail").unwrap();
        let leaving = leaving(&world, std::slice::from_ref(&path)).unwrap().remove(0);
        std::fs::write(root.join("read/cur/1.a.host,R=0badcafe:2,"), "mail").unwrap();
        std::fs::write(root.join("read/cur/1.a.host:2,"), "a copy of the user's").unwrap();
        for to in ["INBOX/new/1.a.host", "INBOX/cur/1.a.host:2,S", "read/cur/1.a.host:2,FS"].map(|to| root.join(to)) {
            std::fs::rename(&path, &to).unwrap();
            path = to;
            assert_eq!(is_now(&world, &leaving).unwrap(), std::slice::from_ref(&path));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(is_now(&world, &leaving).unwrap().is_empty());
    }

    #[test]
    fn a_moved_file_is_still_recognised_and_its_name_does_not_grow() {
        let origin = Arc::new(Origin { account: "work".into(), folder: "INBOX".into(), generation: 1 });
        let key = Key::new(&origin, "7");
        let name = DeliveryName::of(&key);
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let once = moved_name(&format!("1700000000.{}.host:2,S", name.as_str()), &key, now);
        let twice = moved_name(&format!("{once}:2,FS"), &key, now);
        assert_eq!(once, twice);
        assert_eq!(DeliveryName::in_file_name(&format!("{twice}:2,S"), "work"), Some(name));
    }
}
