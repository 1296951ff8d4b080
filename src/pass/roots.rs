//! Folders that lie elsewhere (`maildir: {roots: …}`): a link in the mail root leads to each, so that for whoever files, finds
//! or recovers mail there is one tree. Each has a marker of its own: one that is away is not taken for an empty one.

use std::path::{Path, PathBuf};

use super::World;
use crate::error::{Error, Kind, Result};
use crate::state::{Marker, ROOT};

/// Makes sure that each is there and the one that the state knows, and that its link leads there.
pub(super) fn are_mounted(world: &World) -> Result<()> {
    world.folders.roots().try_for_each(|(name, path)| {
        if world.disk.is_writable_by_others(path).unwrap_or(false) {
            let path = path.display();
            let text = format!(
                "others may write to {path}, where the folder `{name}` lies; `chmod o-w {path}` lets a group alone"
            );
            return Err(Error::permanent(Kind::Disk, text));
        }
        let known = world.store.fact(&fact(name))?;
        let found = marker(world, path)?;
        match (known, found) {
            (Some(known), Some(found)) if known == found.identity => link(world, name, path),
            (Some(_), Some(_)) => Err(not_the_root(name, path, "another one stands there.")),
            (Some(_), None) => {
                Err(not_the_root(name, path, "its marker `.mailsluice` is missing: is the disk mounted?"))
            }
            (None, None) if world.store.rebuilt().is_some() => {
                let why = "the state was lost, and it has no marker `.mailsluice`: is the disk mounted?";
                Err(not_the_root(name, path, why))
            }
            (None, _) => accept_one(world, name, path),
        }
    })
}

/// Takes each as it is.
pub(super) fn accept(world: &World) -> Result<()> {
    world.folders.roots().try_for_each(|(name, path)| accept_one(world, name, path))
}

/// Others who file there may have made its marker.
fn accept_one(world: &World, name: &str, path: &Path) -> Result<()> {
    let failed = |e| Error::disk(format!("writing the marker of {}", path.display()), e);
    let (disk, folders) = (&*world.disk, &world.folders);
    let found = match marker(world, path)? {
        Some(found) => found,
        None => {
            let new = Marker::new()?;
            folders.ensure_dir_of(disk, path, name)?;
            new.write(disk, path).map_err(failed)?;
            if let Some(mode) = folders.mode_of(name) {
                disk.set_mode(&path.join(Marker::FILE), mode).map_err(failed)?;
            }
            new
        }
    };
    folders.sync(disk, path).map_err(failed)?;
    link(world, name, path)?;
    world.store.set_fact(&fact(name), &found.identity)
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
        "{path}, where the folder `{name}` lies, is not what mail was filed in: {why} Nothing is fetched or filed; \
         `mailsluice rebuild` takes {path} as it is now"
    );
    Error::transient(Kind::Disk, text)
}

/// Makes the link where nothing stands in its place.
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
                "{} is in the way: the config says that the folder `{name}` lies in {}; move it away, or name another root",
                link.display(),
                path.display()
            );
            Err(Error::permanent(Kind::Config, text))
        }
    }
}
