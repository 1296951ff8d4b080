//! What a crash left behind: staged files that were never recorded, and half-written spool files.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::World;
use crate::deliver::{Orphan, find_orphans};
use crate::error::{Error, Result};
use crate::message::{DeliveryName, Key, written_for};
use crate::state::sync_dirs;

/// The staged files of one account that no journal row names.
#[derive(Debug)]
pub struct Leftovers {
    orphans: HashMap<DeliveryName, Vec<PathBuf>>,
}

impl Leftovers {
    /// Looks for them. Call it after recovery and under the account's lock.
    pub fn find(world: &World, account: &str) -> Result<Self> {
        remove_half_spooled(world, |_| true, account)?;
        remove_half_written(world, account)?;
        let mut orphans: HashMap<DeliveryName, Vec<PathBuf>> = HashMap::new();
        for Orphan { path, name } in orphans_of(world, account)? {
            orphans.entry(name).or_default().push(path);
        }
        // The message as it came stands before its edited versions.
        orphans.values_mut().for_each(|paths| paths.sort_by_key(|path| is_edited(path)));
        Ok(Self { orphans })
    }

    /// Removes what a dead process left of one message that will come again. Others of the same account may be at
    /// work in other processes.
    pub fn remove_of(world: &World, key: &Key) -> Result<()> {
        let ours = DeliveryName::of(key);
        remove_half_spooled(world, |name| name == &ours, &key.origin.account)?;
        let orphans = orphans_of(world, &key.origin.account)?;
        orphans.iter().filter(|orphan| orphan.name == ours).try_for_each(|orphan| remove(world, &orphan.path))
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.orphans.is_empty()
    }

    /// The server still lists these messages, so what was staged of them is worthless: they are here already or
    /// will be fetched again.
    pub fn remove_listed(&mut self, world: &World, keys: impl Iterator<Item = Key>) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let mut dirs = BTreeSet::new();
        for key in keys {
            for path in self.orphans.remove(&DeliveryName::of(&key)).unwrap_or_default() {
                remove(world, &path)?;
                dirs.extend(path.parent().map(Path::to_path_buf));
            }
        }
        // One that came back after a power cut, with its message deleted on the server by then, would be rescued.
        let synced = sync_dirs(&*world.disk, dirs.iter().map(PathBuf::as_path));
        synced.map(drop).map_err(|e| Error::disk("syncing the folders", e))
    }

    /// What no folder of the server lists any more: the only copy may be here. Files that belong to a recorded
    /// message are removed; of the others one each is returned to be filed, with the rest of its paths.
    pub fn unlisted(self, world: &World) -> Result<Vec<(DeliveryName, Vec<PathBuf>)>> {
        let mut unlisted = Vec::new();
        for (name, paths) in self.orphans {
            let staged = paths.first().and_then(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned());
            if world.store.is_recorded(&staged.unwrap_or_default())? {
                paths.iter().try_for_each(|path| remove(world, path))?;
            } else {
                unlisted.push((name, paths));
            }
        }
        Ok(unlisted)
    }
}

/// A notice that was not recorded is written again if its cause is still there; what was being rescued still stands
/// where it was found.
fn remove_half_written(world: &World, account: &str) -> Result<()> {
    let orphans = find_orphans(&*world.disk, world.folders.root(), &written_for(account))?;
    orphans.iter().try_for_each(|orphan| remove(world, &orphan.path))
}

/// Staged for Maildirs or for mbox files.
fn orphans_of(world: &World, account: &str) -> Result<Vec<Orphan>> {
    let mut orphans = find_orphans(&*world.disk, world.folders.root(), account)?;
    let spool = world.mbox_spool();
    let names = world.disk.names(&spool).map_err(|e| Error::disk("reading the spool", e))?;
    let ours = names.iter().filter_map(|file| Some((file, DeliveryName::in_file_name(file, account)?)));
    orphans.extend(ours.map(|(file, name)| Orphan { path: spool.join(file), name }));
    Ok(orphans)
}

fn is_edited(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(",V="))
}

/// A big message whose batch was not recorded is fetched again; its spool file is in the way. So is what was to be told.
fn remove_half_spooled(world: &World, is_wanted: impl Fn(&DeliveryName) -> bool, account: &str) -> Result<()> {
    let folder = world.spool_folder();
    let names = world.disk.names(&folder).map_err(|e| Error::disk("reading the spool", e))?;
    for name in names {
        let path = folder.join(&name);
        let is_ours = DeliveryName::in_file_name(&format!("0.{name}"), account).is_some_and(|name| is_wanted(&name));
        if is_ours && !world.store.is_spooled(&path)? {
            remove(world, &path)?;
        }
    }
    Ok(())
}

pub(super) fn remove(world: &World, path: &Path) -> Result<()> {
    match world.disk.remove(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::disk(format!("removing {}", path.display()), e))
        }
        _ => Ok(()),
    }
}
