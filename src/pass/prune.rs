//! Prune: what is remembered longer than the documented time is let go, once a day.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::World;
use super::leftovers::remove;
use crate::error::{Error, Result};

/// Its name space: one process prunes.
const SPACE: &str = "(prune)";
/// Once a day is often enough.
const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// Spool files that nothing names go when they are older than this. A message on standard input that was never delivered
/// leaves one, and so does one that was told just before the program was killed; nobody takes so long from the first byte
/// to the record.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Removes old keys, journal rows and discarded mail, if that was not done today.
pub fn prune(world: &World) -> Result<()> {
    let mark = world.state.join("pruned");
    let now = world.now();
    let last = std::fs::metadata(&mark).and_then(|m| m.modified()).ok().and_then(|t| Timestamp::try_from(t).ok());
    if last.is_some_and(|last| now.duration_since(last) < EVERY) {
        return Ok(());
    }
    let owned = world.own_without_root(SPACE, Duration::ZERO)?;
    for path in world.store.prune(&owned, now)? {
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
