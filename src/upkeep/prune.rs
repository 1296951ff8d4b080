//! Prune: removes what is older than the documented times, once a day.

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;

use super::when;
use crate::error::{Error, Kind, Result};
use crate::message::INCOMING;
use crate::pass::World;
use crate::pass::leftovers::remove;
use crate::safeguard::Safeguard;
use crate::state::sync_dirs;

/// The name space that lets one process prune at a time.
const SPACE: &str = "(prune)";
/// How often to prune.
const PRUNE_INTERVAL: SignedDuration = SignedDuration::from_hours(24);
/// How old a spool file that no row names must be before it is judged. No process takes this long between the first
/// byte and the record.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The prefix of a spool file that was moved away because no row names it, and that the state did not lose.
pub(crate) const UNKNOWN_PREFIX: &str = "nobodys.";

/// Removes old keys, journal entries and discarded mail, unless that was done today. It removes nothing while the clock
/// may be wrong.
pub fn prune(world: &World) -> Result<()> {
    let mark = world.state.join("pruned");
    let now = world.now();
    if when::last(world, &mark)
        .is_some_and(|last| (SignedDuration::ZERO..PRUNE_INTERVAL).contains(&now.duration_since(last)))
    {
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
    when::write_time(world, &mark, now, "")
}

/// Handles the files in the spool that no row needs. It removes what was sent, or never came whole from its caller. A
/// file that no row ever named may be the only copy of a message, so it is kept to be filed.
fn judge_abandoned(world: &World) -> Result<()> {
    let folder = world.spool_folder();
    for name in world.disk.names(&folder).map_err(|e| Error::disk("reading the spool", e))? {
        let path = folder.join(&name);
        let age = world.disk.age(&path).map_err(|e| Error::disk(format!("reading {}", path.display()), e))?;
        let is_folder = path == world.mbox_spool();
        if is_folder || age.is_none_or(|age| age <= ABANDONED_AFTER) || world.store.is_spooled(&path)? {
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

/// Moves a file to a folder whose files the next outbox run files as mail.
fn set_aside(world: &World, path: &Path, name: &str) -> Result<()> {
    let folder = world.set_aside();
    let moved = || {
        world.disk.make_dir(&folder)?;
        world.disk.rename(path, &folder.join(format!("{UNKNOWN_PREFIX}{name}")))?;
        sync_dirs(&*world.disk, [folder.as_path(), &world.spool_folder(), &world.state])
    };
    moved().map(drop).map_err(|e| Error::disk(format!("moving {} out of the spool", path.display()), e))
}
