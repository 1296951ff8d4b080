//! What a crash left behind: files that were staged or spooled for a name space and never recorded.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::World;
use crate::deliver::{Orphan, PublishedNames, find_originals, find_published, find_staged};
use crate::error::{Error, Result};
use crate::message::{DeliveryName, INCOMING, Key, space_tag};
use crate::state::{Owned, sync_dirs};

/// One walk serves all name spaces that are taken over, or seen for the first time, within this time. After a power cut
/// that is all of them.
const WALK_VALID_FOR: Duration = Duration::from_secs(60);

/// The last walks over the staged files, over the published files, and over the published files that rules did not
/// edit, for all accounts of the process.
#[derive(Clone, Debug, Default)]
pub struct LastWalks(Arc<Mutex<Option<Walked>>>, Last<PublishedNames>, Last<HashMap<DeliveryName, PathBuf>>);

type Last<T> = Arc<Mutex<Option<(Instant, T)>>>;

#[derive(Debug)]
struct Walked {
    at: Instant,
    staged: Arc<Vec<Orphan>>,
    /// The name spaces that have used this walk. One that asks again does so because of another crash.
    seen_by: BTreeSet<String>,
}

impl LastWalks {
    fn staged(&self, world: &World, space: &str) -> Result<Arc<Vec<Orphan>>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(walked) = last.as_mut().filter(|walked| walked.at.elapsed() < WALK_VALID_FOR)
            && walked.seen_by.insert(space.to_owned())
        {
            return Ok(Arc::clone(&walked.staged));
        }
        let mut staged = find_staged(&*world.disk, world.folders.root())?;
        let spool = world.mbox_spool();
        let names = world.disk.names(&spool).map_err(|e| Error::disk("reading the spool", e))?;
        staged.extend(names.iter().filter_map(|name| Orphan::of(spool.join(name))));
        let staged = Arc::new(staged);
        let seen_by = BTreeSet::from([space.to_owned()]);
        *last = Some(Walked { at: Instant::now(), staged: Arc::clone(&staged), seen_by });
        Ok(staged)
    }
}

impl LastWalks {
    /// The file names of an account's mail below the mail root. Whatever was published since the last walk has rows in
    /// the journal, so one walk serves all accounts.
    pub(super) fn published(&self, world: &World, space: &str) -> Result<Arc<HashSet<DeliveryName>>> {
        self.published_by_tag(world, &space_tag(space))
    }

    fn published_by_tag(&self, world: &World, tag: &str) -> Result<Arc<HashSet<DeliveryName>>> {
        let mut last = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|(at, _)| at.elapsed() >= WALK_VALID_FOR) {
            *last = Some((Instant::now(), find_published(&*world.disk, world.folders.root())?));
        }
        let names = last.as_ref().and_then(|(_, published)| published.get(tag));
        Ok(names.cloned().unwrap_or_default())
    }

    /// Drops the names if they are too old to be used.
    pub fn let_go(&self) {
        let mut last = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        last.take_if(|(at, _)| at.elapsed() >= WALK_VALID_FOR);
    }

    /// Whether a file of the message that has this path in the spool is below the mail root.
    pub(crate) fn is_spooled_published(&self, world: &World, spooled: &Path) -> Result<bool> {
        let Some((name, tag)) = DeliveryName::of_spooled(spooled) else { return Ok(false) };
        Ok(self.published_by_tag(world, &tag)?.contains(&name))
    }

    /// Whether a file of this message is below the mail root.
    pub fn is_published(&self, world: &World, key: &Key) -> Result<bool> {
        Ok(self.published(world, &key.origin.account)?.contains(&DeliveryName::of(key)))
    }

    /// The unedited file of a message, wherever it is below the mail root.
    pub(super) fn file_of(&self, world: &World, name: &DeliveryName) -> Result<Option<PathBuf>> {
        let mut last = self.2.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|(at, _)| at.elapsed() >= WALK_VALID_FOR) {
            *last = Some((Instant::now(), find_originals(&*world.disk, world.folders.root())?));
        }
        let found = last.as_ref().and_then(|(_, files)| files.get(name));
        Ok(found.filter(|path| world.disk.exists(path).unwrap_or(false)).cloned())
    }
}

/// The files of one name space that no journal row names.
#[derive(Debug, Default)]
pub struct Leftovers {
    orphans: HashMap<DeliveryName, Vec<PathBuf>>,
}

impl Leftovers {
    /// Finds them, if the previous owner may have left some. Call it after recovery.
    pub fn find(world: &World, owned: &Owned) -> Result<Self> {
        let mut orphans: HashMap<DeliveryName, Vec<PathBuf>> = HashMap::new();
        if !owned.may_have_left() {
            return Ok(Self { orphans });
        }
        let staged = world.walk.staged(world, owned.space())?;
        let (mut ours, mut edited) = (Vec::new(), Vec::new());
        for orphan in staged.iter().filter(|orphan| orphan.was_staged_for(owned.space())) {
            match orphan {
                // A notice is written again if its cause remains. A message that was being rescued is still where it
                // was found.
                notice if notice.was_written_for(owned.space()) => remove(world, &notice.path)?,
                version if version.is_edited() => edited.push(version),
                original => ours.push(original),
            }
        }
        // The message as it came goes before its edited versions, wherever it was staged. Each part of a message that
        // was split is another message, and only the whole one is recognised under another number.
        let mut add = |name: DeliveryName, path: PathBuf| orphans.entry(name).or_default().push(path);
        ours.into_iter().for_each(|orphan| add(orphan.name.clone(), orphan.path.clone()));
        let (torn, whole): (Vec<_>, Vec<_>) =
            spooled(world, owned.space())?.into_iter().partition(|path| is_incomplete(path));
        let named = |path: PathBuf| DeliveryName::of_spooled(&path).map(|(name, _)| (name, path));
        whole.into_iter().filter_map(named).for_each(|(name, path)| add(name, path));
        edited.into_iter().for_each(|orphan| add(orphan.name.clone(), orphan.path.clone()));
        torn.into_iter().filter_map(named).for_each(|(name, path)| add(name, path));
        Ok(Self { orphans })
    }

    /// Leaves out the files of messages that are recorded but cannot be published yet.
    #[must_use]
    pub fn without<'k>(mut self, recorded: impl Iterator<Item = &'k Key>) -> Self {
        recorded.for_each(|key| _ = self.orphans.remove(&DeliveryName::of(key)));
        self
    }

    /// Removes what a dead process staged for this name space of one message that will be fetched again.
    pub fn remove_of(world: &World, owned: &Owned, key: &Key) -> Result<()> {
        Self::remove_spooled_of(world, key)?;
        let ours = DeliveryName::of(key);
        let staged = world.walk.staged(world, owned.space())?;
        let of_it = staged.iter().filter(|orphan| orphan.was_staged_for(owned.space()) && orphan.name == ours);
        of_it.filter(|orphan| !orphan.was_written_for(owned.space())).try_for_each(|orphan| remove(world, &orphan.path))
    }

    /// Does the same in the spool alone.
    pub fn remove_spooled_of(world: &World, key: &Key) -> Result<()> {
        let ours = DeliveryName::of(key);
        let spooled = spooled(world, &key.origin.account)?;
        let of_it = spooled.iter().filter(|path| DeliveryName::of_spooled(path).is_some_and(|(name, _)| name == ours));
        of_it.map(PathBuf::as_path).try_for_each(|path| remove(world, path))
    }

    /// Removes all of them, because everything in them is written again from what is recorded. A file in a folder that
    /// cannot be written does no harm and is left to the next run. Returns whether all of them are gone.
    pub(crate) fn remove_all(self, world: &World) -> Result<bool> {
        let (mut removed, mut all) = (Vec::new(), true);
        for path in self.orphans.into_values().flatten() {
            match remove(world, &path) {
                Ok(()) => removed.push(path),
                Err(error) if error.target().is_some() => all = false,
                Err(error) => return Err(error),
            }
        }
        sync_dirs_of(world, &removed)?;
        Ok(all)
    }

    /// Removes the files of a message that was filed from one of them, or that is already filed.
    pub fn remove(world: &World, paths: &[PathBuf]) -> Result<()> {
        paths.iter().try_for_each(|path| remove(world, path))
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.orphans.is_empty()
    }

    /// Removes the files of messages that the server still lists: the messages are already filed, or will be fetched
    /// again.
    pub fn remove_listed(&mut self, world: &World, keys: impl Iterator<Item = Key>) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let mut removed = Vec::new();
        for key in keys {
            for path in self.orphans.remove(&DeliveryName::of(&key)).unwrap_or_default() {
                remove(world, &path)?;
                removed.push(path);
            }
        }
        // If a file came back after a power cut when the server had deleted its message, it would be rescued.
        sync_dirs_of(world, &removed)
    }

    /// Returns the messages that no folder of the server lists any more: the only copy may be one of these files. Files
    /// of a recorded message are removed. Each other message is returned with all its paths, to be filed from one of
    /// them.
    pub fn unlisted(self, world: &World) -> Result<Vec<(DeliveryName, Vec<PathBuf>)>> {
        let mut unlisted = Vec::new();
        for (name, paths) in self.orphans {
            let base = paths.iter().find_map(|path| Orphan::of(path.clone())).map(|orphan| orphan.base);
            // A file that is still being written to the spool is no message before its last byte.
            let is_torn = paths.iter().all(|path| is_incomplete(path));
            if is_torn || world.store.is_recorded(&base.unwrap_or_default())? {
                paths.iter().try_for_each(|path| remove(world, path))?;
            } else {
                unlisted.push((name, paths));
            }
        }
        Ok(unlisted)
    }
}

fn is_incomplete(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(INCOMING.as_bytes()))
}

/// The files in the spool that belong to messages of an account and that no row names.
fn spooled(world: &World, account: &str) -> Result<Vec<PathBuf>> {
    let folder = world.spool_folder();
    let names = world.disk.names(&folder).map_err(|e| Error::disk("reading the spool", e))?;
    let mut found = Vec::new();
    for name in names {
        let path = folder.join(&name);
        let is_ours = DeliveryName::of_spooled(&path).is_some_and(|(_, tag)| tag == space_tag(account));
        if is_ours && !world.store.is_spooled(&path)? {
            found.push(path);
        }
    }
    Ok(found)
}

fn sync_dirs_of(world: &World, files: &[PathBuf]) -> Result<()> {
    let dirs: BTreeSet<&Path> = files.iter().filter_map(|path| path.parent()).collect();
    sync_dirs(&*world.disk, dirs).map(drop).map_err(|e| Error::disk("syncing the folders", e))
}

/// Removes what a crash left, unless a row names it by now: a message that was fetched since may have the same name in
/// the spool.
pub(crate) fn remove(world: &World, path: &Path) -> Result<()> {
    if path.starts_with(world.spool_folder()) && world.store.is_spooled(path)? {
        return Ok(());
    }
    let doing = || format!("removing {}", path.display());
    match world.disk.remove(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) if path.starts_with(&world.state) => Err(Error::disk(doing(), e)),
        removed => removed.map_err(|e| Error::of_target(path.parent().unwrap_or(path), doing(), e)),
    }
}
