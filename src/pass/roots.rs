//! Folders outside the mail root (`maildir: {roots: …}`). A link in the mail root leads to each, so that filing,
//! searching and recovery see one tree. Each root has its own marker, so that a missing disk is not taken for an empty
//! folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::World;
use crate::error::{Error, Kind, Result};
use crate::state::{IDENTITY, Lock, Marker, ROOT};

/// How long a process waits for another one that is making the marker.
const MARKER_LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes sure that each root exists and is the one that the state knows, and that its link leads to it.
pub(super) fn are_mounted(world: &World) -> Result<()> {
    world.folders.roots().try_for_each(|(name, path)| {
        if world.disk.is_writable_by_others(path).unwrap_or(false) {
            let path = path.display();
            let text = format!(
                "others may write to {path}, which holds the folder `{name}`; `chmod o-w {path}` still lets a group write"
            );
            return Err(Error::permanent(Kind::Disk, text));
        }
        let known = world.store.fact(&fact(name))?;
        let found = marker(world, path)?;
        match (known, found) {
            (Some(known), Some(found)) if known == found.identity => link(world, name, path),
            (Some(_), Some(_)) => Err(not_the_root(name, path, "another one is mounted there.")),
            (Some(_), None) => {
                Err(not_the_root(name, path, "its marker `.mailsluice` is missing: is the disk mounted?"))
            }
            (None, Some(found)) if found.identity == identity(world, name)? => begin(world, name, path),
            (None, Some(_)) => {
                let why = "another mailsluice already files mail there, and two that do not know each other would take each other's mail for their own.";
                Err(not_the_root(name, path, why))
            }
            (None, None) if world.store.rebuilt().is_some() => {
                let why = "the state was lost, and it has no marker `.mailsluice`: is the disk mounted?";
                Err(not_the_root(name, path, why))
            }
            (None, None) => begin(world, name, path),
        }
    })
}

/// Takes a root that the state does not know yet. One process makes its marker, and the others wait.
fn begin(world: &World, name: &str, path: &Path) -> Result<()> {
    let _lock = Lock::take(&world.locks(), "(marker)", MARKER_LOCK_TIMEOUT)?;
    match world.store.fact(&fact(name))? {
        Some(_) => Ok(()),
        None => accept_one(world, name, path),
    }
}

/// Accepts each root as it is.
pub(super) fn accept(world: &World) -> Result<()> {
    let failed = |e| Error::disk("removing a link in the mail root", e);
    world.folders.roots().try_for_each(|(name, path)| {
        let link = world.folders.link_of(name);
        let leads_elsewhere = world.disk.number(&link).map_err(failed)? != world.disk.number(path).map_err(failed)?;
        if leads_elsewhere && world.disk.is_link(&link).map_err(failed)? {
            // A link holds no mail, and the config now says that the folder is elsewhere.
            world.disk.remove(&link).map_err(failed)?;
        }
        accept_one(world, name, path)
    })
}

/// Accepts one root. If it has a marker, the process that made it may have died before the state knew it.
fn accept_one(world: &World, name: &str, path: &Path) -> Result<()> {
    let failed = |e| Error::disk(format!("writing the marker of {}", path.display()), e);
    let (disk, folders) = (&*world.disk, &world.folders);
    let found = match marker(world, path)? {
        Some(found) => found,
        None => {
            let parent = path.parent().unwrap_or(path);
            if !disk.exists(parent).map_err(failed)? {
                let text = format!(
                    "{}, which should hold the folder `{name}`, does not exist: is the disk mounted?",
                    parent.display()
                );
                return Err(Error::transient(Kind::Disk, text));
            }
            let new = Marker { identity: identity(world, name)?, accounts: Vec::new() };
            folders.ensure_dir_of(disk, path, name)?;
            new.write(disk, path).map_err(failed)?;
            new
        }
    };
    folders.sync(disk, path).map_err(failed)?;
    link(world, name, path)?;
    world.store.set_fact(&fact(name), &found.identity)
}

/// The identity that this state gives to a root. After a crash, the next process recognises the marker as its own.
fn identity(world: &World, name: &str) -> Result<String> {
    let state = world.store.fact(IDENTITY)?.unwrap_or_default();
    let hash = Sha256::digest(format!("{state} {name}"));
    Ok(HEXLOWER.encode(&hash[..16]))
}

fn fact(name: &str) -> String {
    format!("{ROOT} {name}")
}

fn marker(world: &World, path: &Path) -> Result<Option<Marker>> {
    Marker::read_from(&*world.disk, path)
        .map_err(|e| Error::disk(format!("reading the marker of {}", path.display()), e))
}

fn not_the_root(name: &str, path: &Path, why: &str) -> Error {
    let path = path.display();
    let text = format!(
        "{path}, which holds the folder `{name}`, is not where mail was filed before: {why} Nothing is fetched or filed; \
         `mailsluice rebuild` accepts {path} as it is now"
    );
    Error::transient(Kind::Disk, text)
}

/// Makes the link if nothing is in its place.
fn link(world: &World, name: &str, path: &Path) -> Result<()> {
    let link = world.folders.link_of(name);
    let failed = |e| Error::disk(format!("linking {} to {}", link.display(), path.display()), e);
    let number = |path: &PathBuf| world.disk.number(path).map_err(failed);
    match (number(&link)?, number(&path.to_path_buf())?) {
        (Some(one), Some(other)) if one == other => Ok(()),
        (None, _) if !world.disk.is_link(&link).map_err(failed)? => {
            world.disk.link_to(path, &link).map_err(failed)?;
            world.folders.sync(&*world.disk, world.folders.root()).map_err(failed)
        }
        _ => {
            let text = format!(
                "{} is in the way: the config says that the folder `{name}` is in {}; move it away, or name another root",
                link.display(),
                path.display()
            );
            Err(Error::permanent(Kind::Config, text))
        }
    }
}
