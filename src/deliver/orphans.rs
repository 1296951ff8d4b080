//! Files of ours below the mail root: orphans, that were staged and never recorded, and published mail whose
//! record was lost.

use std::collections::HashSet;
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
pub fn find_orphans(disk: &dyn Disk, root: &Path, account: &str) -> Result<Vec<Orphan>> {
    let mut found = Vec::new();
    search(disk, root, &["tmp"], DEEPEST, &mut |path, file| {
        found.extend(DeliveryName::in_file_name(file, account).map(|name| Orphan { path, name }));
    })?;
    Ok(found)
}

/// The names of the account's mail that stands below the mail root, whatever flags it has by now.
pub fn find_published(disk: &dyn Disk, root: &Path, account: &str) -> Result<HashSet<DeliveryName>> {
    let mut found = HashSet::new();
    search(disk, root, &["new", "cur"], DEEPEST, &mut |_, file| {
        found.extend(DeliveryName::in_file_name(file, account));
    })?;
    Ok(found)
}

/// The files with this name under any flags, in a Maildir and up to `depth` levels of folders below it. A file that was
/// moved since has another ending, `,R=…`.
pub fn files_named(disk: &dyn Disk, maildir: &Path, name: &str, depth: usize) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    search(disk, maildir, &["new", "cur"], depth.min(DEEPEST), &mut |path, file| {
        if unique(file) == unique(name) {
            found.push(path);
        }
    })?;
    Ok(found)
}

/// The part of a file name that stays when the file is moved.
fn unique(file: &str) -> &str {
    let base = file.split(":2,").next().unwrap_or(file);
    base.split(",R=").next().unwrap_or(base)
}

/// Removes staged files of mail that was being moved and not recorded: it still stands where it was. Call it when nobody
/// else moves mail.
pub fn remove_staged_moves(disk: &dyn Disk, root: &Path) -> Result<()> {
    let mut found = Vec::new();
    search(disk, root, &["tmp"], DEEPEST, &mut |path, file| {
        if file.contains(",R=") {
            found.push(path);
        }
    })?;
    found
        .iter()
        .try_for_each(|path| disk.remove(path).map_err(|e| Error::disk(format!("removing {}", path.display()), e)))
}

/// Walks the folders and gives each file in the wanted subdirectories to `each`.
fn search(
    disk: &dyn Disk,
    dir: &Path,
    wanted: &[&str],
    depth: usize,
    each: &mut dyn FnMut(PathBuf, &str),
) -> Result<()> {
    for name in list(disk, dir)? {
        let path = dir.join(&name);
        match name.as_str() {
            sub if wanted.contains(&sub) => {
                list(disk, &path)?.iter().for_each(|file| each(path.join(file), file));
            }
            "tmp" | "new" | "cur" => {}
            _ if depth > 0 => search(disk, &path, wanted, depth - 1, each)?,
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
