//! Prune: what is remembered longer than the documented time is let go, once a day.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::World;
use super::leftovers::remove;
use crate::error::{Error, Result};

/// Once a day is often enough.
const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// A message on standard input that was never delivered leaves its spool file, and so does one that was told when the program
/// was killed at once; nobody reads, or stages and does not record, for so long.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Removes old keys, journal rows and discarded mail, if that was not done today.
pub fn prune(world: &World) -> Result<()> {
    let mark = world.state.join("pruned");
    let now = world.now();
    let last = std::fs::metadata(&mark).and_then(|m| m.modified()).ok().and_then(|t| Timestamp::try_from(t).ok());
    if last.is_some_and(|last| now.duration_since(last) < EVERY) {
        return Ok(());
    }
    for path in world.store.prune(now)? {
        remove(world, &path)?;
    }
    remove_abandoned(world)?;
    std::fs::write(&mark, "").map_err(|e| Error::disk(format!("writing {}", mark.display()), e))
}

fn remove_abandoned(world: &World) -> Result<()> {
    let folder = world.spool_folder();
    for name in world.disk.names(&folder).map_err(|e| Error::disk("reading the spool", e))? {
        let path = folder.join(&name);
        let age = std::fs::metadata(&path).and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
        if path.is_file() && age.is_some_and(|age| age > ABANDONED) && !world.store.is_spooled(&path)? {
            remove(world, &path)?;
        }
    }
    Ok(())
}
