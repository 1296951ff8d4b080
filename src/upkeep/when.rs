//! The time when something was last done, in a small file that is replaced and synced like everything in the state. If
//! the file is lost, the work is done once more.

use std::io::Read;
use std::path::Path;

use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::pass::World;
use crate::pass::leftovers::remove;

/// How much of the file is read.
const MAX_FILE_BYTES: u64 = 1024;

/// The time in the first line of the file.
pub(super) fn last(world: &World, file: &Path) -> Option<Timestamp> {
    let mut text = String::new();
    world.disk.open(file).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text)).ok()?;
    text.lines().next()?.trim().parse().ok()
}

/// Writes a time, and a line for a person who reads the file.
pub(super) fn write_time(world: &World, file: &Path, at: Timestamp, about: &str) -> Result<()> {
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
