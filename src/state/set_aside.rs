//! A database is made anew: what stands in the spool is set aside first.

use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use super::{Lock, RealDisk, sync_dirs};
use crate::error::{Error, Result};
use crate::message::INCOMING;

/// The folder below the state folder that it goes to.
pub const SET_ASIDE: &str = "lost";

/// Makes the empty file of a new database, once. What stands in the spool was put there for another database; a file that no row names would be
/// removed as half written.
pub(super) fn begin_anew(state: &Path, file: &Path, patience: Duration) -> Result<()> {
    let _lock = Lock::take(&state.join("locks"), "(state)", patience)?;
    if file.exists() {
        // Another process was faster.
        return Ok(());
    }
    set_aside(state, &|_| Ok(false))?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.map(drop).map_err(|e| Error::disk(format!("making {}", file.display()), e))
}

/// Whether the spool holds files of messages.
pub(super) fn has_messages(state: &Path) -> Result<bool> {
    let spool = state.join("spool");
    let failed = |e| Error::disk(format!("reading {}", spool.display()), e);
    for entry in std::fs::read_dir(&spool).map_err(failed)? {
        if is_message(&entry.map_err(failed)?).map_err(failed)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_message(entry: &std::fs::DirEntry) -> std::io::Result<bool> {
    Ok(entry.file_type()?.is_file() && !entry.file_name().as_encoded_bytes().starts_with(INCOMING.as_bytes()))
}

/// Moves the files of messages from the spool into [`SET_ASIDE`], durably, but for those that a row still names. What is
/// still being read from a caller was never acknowledged and stays; so do messages on their way into mbox files, which
/// recovery knows by their names.
pub(super) fn set_aside(state: &Path, is_named: &dyn Fn(&str) -> Result<bool>) -> Result<()> {
    let (spool, lost) = (state.join("spool"), state.join(SET_ASIDE));
    let failed = |e| Error::disk(format!("setting aside what stands in {}", spool.display()), e);
    let mut moved = false;
    for entry in std::fs::read_dir(&spool).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !is_message(&entry).map_err(failed)? {
            continue;
        }
        if entry.file_name().to_str().map_or(Ok(false), is_named)? {
            continue;
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&lost).map_err(failed)?;
        std::fs::rename(entry.path(), lost.join(entry.file_name())).map_err(failed)?;
        moved = true;
    }
    if moved {
        sync_dirs(&RealDisk, [lost.as_path(), &spool, state]).map_err(failed)?;
    }
    Ok(())
}
