//! Publish: the rename that makes a message appear, and the sync that makes it stay.

use std::io;

use super::mbox;
use crate::error::{Error, Result};
use crate::state::{Disk, Published, Recorded, Target, as_paths, sync_dirs, touched_dirs};

/// Renames every staged file of a recorded batch into `new/` or `cur/`, appends to the mbox files, and syncs the
/// directories of both.
pub fn publish(disk: &dyn Disk, recorded: Recorded) -> Result<Published> {
    for target in recorded.targets() {
        publish_one(disk, target)?;
    }
    mbox::publish(disk, recorded.mboxes())?;
    let mut dirs = touched_dirs(recorded.targets());
    dirs.extend(mbox::touched_dirs(recorded.mboxes()));
    let proof = sync_dirs(disk, as_paths(&dirs)).map_err(|e| Error::disk("syncing the folders", e))?;
    Ok(recorded.published(proof))
}

/// What became of a staged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It stands where it should.
    Published,
    /// It was not under `tmp/`.
    NotStaged,
}

/// Renames one file. A name that is already taken is our own, from before a crash: then the staged one goes.
pub(super) fn publish_one(disk: &dyn Disk, target: &Target) -> Result<Outcome> {
    let (from, to) = (target.tmp_path(), target.published_path());
    let result = match disk.rename(&from, &to) {
        Ok(()) => Ok(Outcome::Published),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => disk.remove(&from).map(|()| Outcome::Published),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Outcome::NotStaged),
        Err(e) => Err(e),
    };
    result.map_err(|e| Error::disk(format!("publishing {}", to.display()), e))
}
