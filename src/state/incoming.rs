//! Files that are being written to the spool. Until the last byte is durable, a file has a name that no code takes for
//! a message.

use std::io;
use std::path::{Path, PathBuf};

use super::Disk;
use crate::message::INCOMING;

/// The name of a spool file while it is written.
pub fn incoming(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(INCOMING);
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// Gives a complete file its name. If an attempt that was never recorded left a file of that name, this replaces it.
pub fn has_come(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.rename(&incoming(path), path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(path)?;
            disk.rename(&incoming(path), path)
        }
        renamed => renamed,
    }
}
