//! Checks that the mail root is the one that the state knows before anything is written there. Below another root, such
//! as the empty mount point of a disk, a missing file does not mean that it was never published.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use super::{World, roots};
use crate::error::{Error, Kind, Result};
use crate::safeguard::Safeguard;
use crate::state::{Lock, Marker, ROOT, Registered};

/// How long a process waits for another one that is making the marker.
const MARKER_LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// How many rows of the journal are asked for their folders.
const JOURNAL_ROWS_CHECKED: u32 = 200;

/// The proof that the mail root is the one that the state knows.
#[derive(Clone, Debug)]
pub struct Mounted(());

/// Checks the marker of the mail root, and makes it if the state does not know one yet.
pub fn mounted(world: &World) -> Result<Mounted> {
    let mounted = main_root(world)?;
    roots::are_mounted(world)?;
    Ok(mounted)
}

fn main_root(world: &World) -> Result<Mounted> {
    if world.disk.is_writable_by_others(world.folders.root()).unwrap_or(false) {
        let root = world.folders.root().display();
        let text = format!("others may write to the mail root {root}; `chmod o-w {root}` makes it yours alone");
        return Err(Error::permanent(Kind::Disk, text));
    }
    let known = world.store.fact(ROOT)?;
    let found = marker(world)?;
    match (known, found) {
        (Some(known), Some(found)) if known == found.identity => {
            adopt_forgotten(world, &found)?;
            Ok(Mounted(()))
        }
        (Some(_), _) if !Safeguard::RootIsMounted.is_on() => Ok(Mounted(())),
        (Some(_), Some(_)) => Err(not_the_root(world, "another mail root is mounted there.")),
        (Some(_), None) => Err(not_the_root(world, "its marker `.mailsluice` is missing: is the disk mounted?")),
        (None, _) => begin(world),
    }
}

/// Takes over the accounts from the marker: a state that was restored while the root was not mounted does not know
/// them.
fn adopt_forgotten(world: &World, marker: &Marker) -> Result<()> {
    if world.store.rebuilt().is_none() {
        return Ok(());
    }
    let known: HashSet<String> = world.store.accounts()?.into_iter().map(|account| account.space).collect();
    match marker.accounts.iter().all(|account| known.contains(&account.space)) {
        true => Ok(()),
        false => world.store.adopt_accounts(&marker.accounts),
    }
}

fn marker(world: &World) -> Result<Option<Marker>> {
    let root = world.folders.root();
    Marker::read_from(&*world.disk, root)
        .map_err(|e| Error::disk(format!("reading the marker of {}", root.display()), e))
}

fn not_the_root(world: &World, why: &str) -> Error {
    let root = world.folders.root().display();
    let text = format!(
        "the mail root {root} is not the one that mail was filed in: {why} Nothing is fetched or filed; \
         `mailsluice rebuild` accepts {root} as it is now"
    );
    Error::transient(Kind::Disk, text)
}

/// Handles a state that knows no root: it is new, or was written by a version that made no markers.
fn begin(world: &World) -> Result<Mounted> {
    let _lock = Lock::take(&world.locks(), "(marker)", MARKER_LOCK_TIMEOUT)?;
    if world.store.fact(ROOT)?.is_some() {
        return main_root(world);
    }
    if marker(world)?.is_none() {
        if world.store.rebuilt().is_some() {
            let why = "the state was lost, and it has no marker `.mailsluice`: is the disk mounted?";
            return Err(not_the_root(world, why));
        }
        if !agrees(world)? {
            let why = "it has none of the folders that the journal names: is the disk mounted?";
            return Err(not_the_root(world, why));
        }
    }
    accept(world)
}

/// Accepts all roots as they are.
pub(crate) fn accept_all(world: &World) -> Result<Mounted> {
    let mounted = accept(world)?;
    roots::accept(world)?;
    Ok(mounted)
}

/// Accepts the root as it is: makes a marker if there is none, and records it in the state.
fn accept(world: &World) -> Result<Mounted> {
    let found = match marker(world)? {
        Some(found) => {
            // The process that made the marker may have died before it was durable.
            let synced = world.folders.sync(&*world.disk, world.folders.root());
            synced.map_err(|e| Error::disk("syncing the mail root", e))?;
            found
        }
        None => {
            let new = Marker { accounts: world.store.accounts()?, ..Marker::new()? };
            write(world, &new)?;
            new
        }
    };
    world.store.adopt_accounts(&found.accounts)?;
    world.store.set_fact(ROOT, &found.identity)?;
    Ok(Mounted(()))
}

fn write(world: &World, marker: &Marker) -> Result<()> {
    let root = world.folders.root();
    world.folders.ensure_root(&*world.disk)?;
    let written = marker.write(&*world.disk, root).and_then(|()| world.folders.sync(&*world.disk, root));
    written.map_err(|e| Error::disk(format!("writing the marker of {}", root.display()), e))
}

/// Writes the accounts of the state to the marker, where they outlive the state.
pub fn note_accounts(world: &World, _mounted: &Mounted) -> Result<()> {
    let as_marked = |account: Registered| Registered { moved: None, is_new: false, was_looked_at: false, ..account };
    let are_noted = || -> Result<bool> {
        let accounts: Vec<Registered> = world.store.accounts()?.into_iter().map(as_marked).collect();
        Ok(marker(world)?.is_some_and(|marker| marker.accounts == accounts))
    };
    if are_noted()? {
        return Ok(());
    }
    let _lock = Lock::take(&world.locks(), "(marker)", MARKER_LOCK_TIMEOUT)?;
    match marker(world)? {
        // The previous holder of the lock wrote all accounts that were registered, and this one too.
        Some(_) if are_noted()? => Ok(()),
        Some(marker) => write(world, &Marker { accounts: world.store.accounts()?, ..marker }),
        None => Err(not_the_root(world, "its marker `.mailsluice` is missing: is the disk mounted?")),
    }
}

/// Whether the journal and the files agree: at least one folder that mail was filed in lately must exist.
fn agrees(world: &World) -> Result<bool> {
    let rows = world.store.journal(None, JOURNAL_ROWS_CHECKED)?;
    let dir_of = |file: PathBuf| file.parent().map(PathBuf::from);
    let dirs: BTreeSet<PathBuf> = rows.into_iter().flat_map(|row| row.files).filter_map(dir_of).collect();
    let below: Vec<&PathBuf> = dirs.iter().filter(|dir| dir.starts_with(world.folders.root())).collect();
    if below.is_empty() {
        return Ok(true);
    }
    for dir in below {
        let there = world.disk.exists(dir).map_err(|e| Error::disk(format!("looking for {}", dir.display()), e))?;
        if there {
            return Ok(true);
        }
    }
    Ok(false)
}
