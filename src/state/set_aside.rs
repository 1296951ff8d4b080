//! What stands in the spool when there is no database is set aside.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::{RealDisk, sync_dirs};
use crate::error::{Error, Result};

/// The folder below the state folder that it goes to.
pub const SET_ASIDE: &str = "lost";

/// Moves the files of messages from the spool into [`SET_ASIDE`], durably. What is still being read from a caller was
/// never acknowledged and stays; so do messages on their way into mbox files, which recovery knows by their names.
pub(super) fn set_aside(state: &Path) -> Result<()> {
    let (spool, lost) = (state.join("spool"), state.join(SET_ASIDE));
    let failed = |e| Error::disk(format!("setting aside what stands in {}", spool.display()), e);
    let mut moved = false;
    for entry in std::fs::read_dir(&spool).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_message = entry.file_type().map_err(failed)?.is_file();
        if !is_message || entry.file_name().as_encoded_bytes().starts_with(b"incoming.") {
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
