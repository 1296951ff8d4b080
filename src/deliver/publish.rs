//! Publish: the rename that makes a message visible, and the sync that makes it durable.

use std::io::{self, Read};
use std::path::Path;

use super::mbox;
use crate::error::{Error, Kind, Result};
use crate::safeguard::Safeguard;
use crate::state::{Disk, Owned, Published, Recorded, Target, as_paths, sync_dirs, touched_dirs};

/// Renames every staged file of a recorded batch into `new/` or `cur/`, appends to the mbox files, and syncs the
/// directories of both. The owner has just staged these files. If one is gone, somebody removed it, and it counts as
/// not published.
pub fn publish(disk: &dyn Disk, owned: &Owned, recorded: Recorded) -> Result<Published> {
    for target in recorded.targets() {
        if publish_one(disk, target).map_err(Error::of_everything)? == PublishOutcome::NotStaged
            && Safeguard::GoneIsNotPublished.is_on()
        {
            let text = format!("{} is gone, which {} had just staged", target.tmp_path().display(), owned.space());
            return Err(Error::transient(Kind::Disk, text));
        }
    }
    mbox::publish(disk, recorded.mboxes())?;
    let mut dirs = touched_dirs(recorded.targets());
    dirs.extend(mbox::touched_dirs(recorded.mboxes()));
    let proof = sync_dirs(disk, as_paths(&dirs)).map_err(|e| Error::disk("syncing the folders", e))?;
    Ok(recorded.published(proof))
}

/// The result for a staged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublishOutcome {
    /// It is where it should be.
    Published,
    /// It was not under `tmp/`.
    NotStaged,
}

/// Renames one file. If the name is taken, the file there is ours from before a crash, and the staged one is removed.
pub(super) fn publish_one(disk: &dyn Disk, target: &Target) -> Result<PublishOutcome> {
    let (from, to) = (target.tmp_path(), target.published_path());
    let result = match disk.rename(&from, &to) {
        Ok(()) => Ok(PublishOutcome::Published),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => publish_beside(disk, &from, &to),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(PublishOutcome::NotStaged),
        Err(e) => Err(e),
    };
    result.map_err(|e| Error::of_target(&target.maildir, format!("publishing {}", to.display()), e))
}

/// Handles a name that is taken. If the bytes are the same, this program published them before a crash. Otherwise both
/// files stay.
fn publish_beside(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<PublishOutcome> {
    if is_same(&mut *disk.open(from)?, &mut *disk.open(to)?)? {
        return disk.remove(from).map(|()| PublishOutcome::Published);
    }
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let (base, info) = name.split_at(name.find(":2,").unwrap_or(name.len()));
    for n in 2..=MAX_SAME_NAMES {
        match disk.rename(from, &to.with_file_name(format!("{base},N={n}{info}"))) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            renamed => return renamed.map(|()| PublishOutcome::Published),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// How many files with one name may be beside each other.
const MAX_SAME_NAMES: u32 = 100;

fn is_same(one: &mut dyn Read, other: &mut dyn Read) -> io::Result<bool> {
    let (mut ours, mut theirs) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    loop {
        let read = fill(one, &mut ours)?;
        if fill(other, &mut theirs)? != read || ours[..read] != theirs[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

const BUFFER_BYTES: usize = 64 * 1024;

fn fill(from: &mut dyn Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match from.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
