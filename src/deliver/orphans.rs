//! Orphans: files that were staged and never recorded, because the program died in between.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::message::DeliveryName;
use crate::state::Disk;

/// How deep below the mail root folders are looked for.
const DEEPEST: usize = 12;

/// A staged file without a journal row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Where it is.
    pub path: PathBuf,
    /// The message it belongs to.
    pub name: DeliveryName,
}

/// The account's orphans below the mail root. Call it after [`super::recover`], which publishes everything
/// that was recorded: what is left under `tmp/` was not.
pub fn find(disk: &dyn Disk, root: &Path, account: &str) -> Result<Vec<Orphan>> {
    let mut found = Vec::new();
    search(disk, root, account, DEEPEST, &mut found)?;
    Ok(found)
}

fn search(disk: &dyn Disk, dir: &Path, account: &str, depth: usize, found: &mut Vec<Orphan>) -> Result<()> {
    for name in list(disk, dir)? {
        match name.as_str() {
            "tmp" => {
                let tmp = dir.join("tmp");
                let ours = list(disk, &tmp)?.into_iter().filter_map(|file| {
                    DeliveryName::in_file_name(&file, account).map(|name| Orphan { path: tmp.join(file), name })
                });
                found.extend(ours);
            }
            "new" | "cur" => {}
            _ if depth > 0 => search(disk, &dir.join(&name), account, depth - 1, found)?,
            _ => {}
        }
    }
    Ok(())
}

/// What is no directory, or may not be read, holds no orphan of ours.
fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>> {
    match disk.names(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => Ok(Vec::new()),
        names => names.map_err(|e| Error::disk(format!("reading {}", dir.display()), e)),
    }
}
