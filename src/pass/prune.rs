//! Prune: what is remembered longer than the documented time is let go, once a day.

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;

use super::leftovers::remove;
use super::tell::nobodys;
use super::{World, when};
use crate::error::{Error, Kind, Result};
use crate::message::INCOMING;
use crate::safeguard::Safeguard;
use crate::state::sync_dirs;

/// Its name space: one process prunes.
const SPACE: &str = "(prune)";
/// Once a day is often enough.
const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// Spool files that nothing names are looked at when they were written so long ago: nobody takes so long from the first
/// byte to the record.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Removes old keys, journal rows and discarded mail, if that was not done today. By a clock that may be wrong nothing is.
pub fn prune(world: &World) -> Result<()> {
    let mark = world.state.join("pruned");
    let now = world.now();
    if when::last(world, &mark).is_some_and(|last| (SignedDuration::ZERO..EVERY).contains(&now.duration_since(last))) {
        return Ok(());
    }
    if !world.is_time_plausible()? {
        tracing::warn!("the clock may be wrong, so nothing is pruned");
        return Ok(());
    }
    let owned = match world.own_without_root(SPACE, Duration::ZERO) {
        Err(e) if e.kind() == Kind::Busy => return Ok(()),
        owned => owned?,
    };
    for path in world.store.prune(&owned, now, world.originals)? {
        remove(world, &path)?;
    }
    judge_abandoned(world)?;
    when::note(world, &mark, now, "")
}

/// Files in the spool that no row needs. What was told, or never came whole from its caller, goes; what no row ever named
/// may be the only copy of something and is filed.
fn judge_abandoned(world: &World) -> Result<()> {
    let folder = world.spool_folder();
    for name in world.disk.names(&folder).map_err(|e| Error::disk("reading the spool", e))? {
        let path = folder.join(&name);
        let age = world.disk.age(&path).map_err(|e| Error::disk(format!("reading {}", path.display()), e))?;
        let is_folder = path == world.mbox_spool();
        if is_folder || age.is_none_or(|age| age <= ABANDONED) || world.store.is_spooled(&path)? {
            continue;
        }
        let is_worthless = name.starts_with(INCOMING) || world.store.was_told(&path)?;
        match is_worthless || !Safeguard::UnknownSpoolIsKept.is_on() {
            true => remove(world, &path)?,
            false => set_aside(world, &path, &name)?,
        }
    }
    Ok(())
}

/// Whoever empties the outbox files what stands there.
fn set_aside(world: &World, path: &Path, name: &str) -> Result<()> {
    let folder = world.set_aside();
    let moved = || {
        world.disk.make_dir(&folder)?;
        world.disk.rename(path, &folder.join(nobodys(name)))?;
        sync_dirs(&*world.disk, [folder.as_path(), &world.spool_folder(), &world.state])
    };
    moved().map(drop).map_err(|e| Error::disk(format!("setting {} aside", path.display()), e))
}
