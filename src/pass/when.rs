//! When something was done last, in a small file of its own: replaced and synced like everything of the state. One that is
//! lost all the same lets it be done once more.

use std::io::Read;
use std::path::Path;

use jiff::Timestamp;

use super::World;
use super::leftovers::remove;
use crate::error::{Error, Result};

/// So much of the file is read.
const MOST: u64 = 1024;

/// The time that its first line holds.
pub(super) fn last(world: &World, file: &Path) -> Option<Timestamp> {
    let mut text = String::new();
    world.disk.open(file).and_then(|file| file.take(MOST).read_to_string(&mut text)).ok()?;
    text.lines().next()?.trim().parse().ok()
}

/// Notes a time, and a line for whoever reads the file.
pub(super) fn note(world: &World, file: &Path, at: Timestamp, about: &str) -> Result<()> {
    let new = file.with_extension("new");
    remove(world, &new)?;
    let write = || {
        let folder = file.parent().unwrap_or(&world.state);
        world.disk.make_dir(folder)?;
        let mut written = world.disk.create(&new)?;
        written.write_all(format!("{at}\n{about}").as_bytes())?;
        written.finish(None)?;
        world.disk.replace(&new, file)?;
        world.disk.sync_dir(folder)
    };
    write().map_err(|e| Error::disk(format!("writing {}", file.display()), e))
}
