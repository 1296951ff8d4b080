//! The folders of the config. Rows hold names relative to them.

use std::path::{Path, PathBuf};

use super::MBOX_SPOOL;
use crate::safeguard::Safeguard;

/// The folders that rows refer to. A state that was moved, or is reached by another path, is the same state.
#[derive(Clone, Debug)]
pub struct Places {
    state: PathBuf,
    root: PathBuf,
}

impl Places {
    /// The state folder and the mail root.
    pub fn new(state: &Path, root: &Path) -> Self {
        Self { state: state.to_owned(), root: root.to_owned() }
    }

    /// The state folder.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The mail root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file of the spool as rows hold it: its name.
    pub(super) fn in_spool(path: &Path) -> String {
        match Safeguard::SpoolByName.is_on() {
            true => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            false => path.to_string_lossy().into_owned(),
        }
    }

    /// The path of the spool file with that name.
    pub(super) fn of_spool(&self, name: &str) -> PathBuf {
        self.state.join("spool").join(name)
    }

    /// The folder of the messages that wait for mbox files.
    pub(super) fn mbox_spool(&self) -> PathBuf {
        self.of_spool(MBOX_SPOOL)
    }

    /// A path below the mail root as rows hold it: relative to the root.
    pub(super) fn in_root(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// The path for a relative or absolute path in a row.
    pub(super) fn of_root(&self, below: &str) -> PathBuf {
        if below.is_empty() { self.root.clone() } else { self.root.join(below) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_row_holds_is_where_the_folders_are_now() {
        let before = Places::new(Path::new("/home/me/state"), Path::new("/home/me/Mail"));
        let now = Places::new(Path::new("/data/state"), Path::new("/data/Mail"));
        let again = |path: &str| now.of_root(&before.in_root(Path::new(path)));
        assert_eq!(again("/home/me/Mail/lists/rust"), Path::new("/data/Mail/lists/rust"));
        assert_eq!(again("/home/me/Mail"), Path::new("/data/Mail"));
        assert_eq!(again("/elsewhere/x"), Path::new("/elsewhere/x"));
        let file = Places::in_spool(Path::new("/home/me/state/spool/abc"));
        assert_eq!(now.of_spool(&file), Path::new("/data/state/spool/abc"));
    }
}
