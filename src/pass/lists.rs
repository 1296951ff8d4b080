//! The files of lists, read again when they changed.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::lists;

/// By what a change is seen: time and size of the content, and which file it is.
type Stamp = (i64, i64, u64, u64, u64);

type Entries = Arc<HashSet<String>>;

/// Every list file that was asked for.
#[derive(Debug, Default)]
pub struct ListFiles {
    read: Mutex<HashMap<PathBuf, (Stamp, Entries)>>,
}

impl ListFiles {
    /// The entries as they stand in the file now; `None` when it cannot be read.
    pub fn entries(&self, path: &Path) -> Option<Entries> {
        let looked = self.look(path);
        looked.inspect_err(|e| tracing::warn!("reading the list {}: {e}", path.display())).ok()
    }

    fn look(&self, path: &Path) -> io::Result<Entries> {
        let metadata = std::fs::metadata(path)?;
        let stamp = (metadata.mtime(), metadata.mtime_nsec(), metadata.size(), metadata.ino(), metadata.dev());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, entries)) = read.get(path).filter(|(before, _)| *before == stamp) {
            return Ok(Arc::clone(entries));
        }
        let entries = Arc::new(lists::read_file(path)?);
        read.insert(path.to_path_buf(), (stamp, Arc::clone(&entries)));
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let lists = ListFiles::default();
        assert_eq!(lists.entries(&path), None);
        std::fs::write(&path, "# friends\n  A@Example.com # Anna\n\n@b.example\n").unwrap();
        let first = lists.entries(&path).unwrap();
        assert_eq!(*first, HashSet::from(["a@example.com".to_owned(), "@b.example".to_owned()]));
        assert!(Arc::ptr_eq(&first, &lists.entries(&path).unwrap()));
        std::fs::write(folder.path().join("new"), "c@example.com\n").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(*lists.entries(&path).unwrap(), HashSet::from(["c@example.com".to_owned()]));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(lists.entries(&path), None);
    }
}
