//! Moves the files in the spool out of the way when a new database is made.

use std::path::Path;
use std::time::Duration;

use super::{Disk, Lock, RealDisk, sync_dirs};
use crate::error::{Error, Result};
use crate::message::INCOMING;

/// The folder below the state folder for these files.
pub const SET_ASIDE: &str = "lost";
/// The folder in the spool for messages that wait for mbox files.
pub const MBOX_SPOOL: &str = "mbox";

/// Makes the empty file of a new database, once. The files in the spool belong to another database, and a file that no
/// row names would be removed as half written.
pub(super) fn begin_anew(state: &Path, file: &Path, patience: Duration) -> Result<()> {
    let _lock = Lock::take(&state.join("locks"), "(state)", patience)?;
    if file.exists() {
        // Another process was faster.
        return Ok(());
    }
    set_aside(state, &|_| Ok(false))?;
    RealDisk.create_whole(file, b"").map_err(|e| Error::disk(format!("making {}", file.display()), e))
}

/// Whether the spool holds files of messages.
pub(super) fn has_messages(state: &Path) -> Result<bool> {
    Ok(!messages(&state.join("spool"))?.is_empty())
}

/// The names of the messages in the spool. A file that is still being read from a caller was never acknowledged, and
/// recovery knows the messages that wait for mbox files by their names.
fn messages(spool: &Path) -> Result<Vec<String>> {
    let mut names = RealDisk.names(spool).map_err(|e| Error::disk(format!("reading {}", spool.display()), e))?;
    names.retain(|name| !name.starts_with(INCOMING) && name != MBOX_SPOOL);
    Ok(names)
}

/// Moves the files of messages from the spool to [`SET_ASIDE`], durably, except for those that a row still names.
pub(super) fn set_aside(state: &Path, is_named: &dyn Fn(&str) -> Result<bool>) -> Result<()> {
    let (spool, lost) = (state.join("spool"), state.join(SET_ASIDE));
    let mut moved = Vec::new();
    for name in messages(&spool)? {
        if !is_named(&name)? {
            moved.push(name);
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    let move_all = || {
        RealDisk.make_dir(&lost)?;
        moved.iter().try_for_each(|name| RealDisk.replace(&spool.join(name), &lost.join(name)))?;
        sync_dirs(&RealDisk, [lost.as_path(), &spool, state])
    };
    let failed = |e| Error::disk(format!("moving the files out of {}", spool.display()), e);
    move_all().map(drop).map_err(failed)
}
