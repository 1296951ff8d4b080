//! The files of lists. A file is read again when it has changed.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::config::address_books::Format;
use crate::config::entries::Entries;
use crate::config::lists;

/// What shows that a file has changed: times and size of the content, and the file's identity.
type ContentStamp = (i64, i64, u64, u64, u64);

/// The entries read from a file.
type InFile = (ContentStamp, Arc<Entries>);
/// The entries that a program printed, and when.
type CommandOutput = (Instant, Arc<Entries>);

/// The lists that were asked for, from files and from programs.
#[derive(Debug, Default)]
pub struct ListFiles {
    read: Mutex<HashMap<(PathBuf, Format), InFile>>,
    told: Mutex<HashMap<Vec<String>, CommandOutput>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ListFiles {
    /// The entries of the file as it is now, or an error if it cannot be read.
    pub fn entries(&self, path: &Path, format: &Format) -> io::Result<Arc<Entries>> {
        let looked = self.look(path, format);
        looked.inspect_err(|e| tracing::warn!("reading the list {}: {e}", path.display()))
    }

    /// What a program printed last, and when.
    pub fn told(&self, run: &[String]) -> Option<CommandOutput> {
        locked(&self.told).get(run).cloned()
    }

    /// Keeps what a program has just printed.
    pub fn keep(&self, run: &[String], entries: Entries) -> Arc<Entries> {
        let entries = Arc::new(entries);
        locked(&self.told).insert(run.to_vec(), (Instant::now(), Arc::clone(&entries)));
        entries
    }

    fn look(&self, path: &Path, format: &Format) -> io::Result<Arc<Entries>> {
        let metadata = std::fs::metadata(path)?;
        let stamp = (metadata.mtime(), metadata.mtime_nsec(), metadata.size(), metadata.ino(), metadata.dev());
        let mut read = locked(&self.read);
        let key = (path.to_path_buf(), format.clone());
        if let Some((_, entries)) = read.get(&key).filter(|(before, _)| *before == stamp) {
            return Ok(Arc::clone(entries));
        }
        let entries = Arc::new(lists::read_file(path, format)?);
        read.insert(key, (stamp, Arc::clone(&entries)));
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
        let entries = || lists.entries(&path, &Format::Lines);
        let texts = || entries().unwrap().iter().map(|entry| entry.text.clone()).collect::<Vec<_>>();
        assert!(entries().is_err());
        std::fs::write(&path, "# friends\n  A@Example.com # Anna\n\n@b.example\n").unwrap();
        let first = entries().unwrap();
        assert_eq!(texts(), ["a@example.com", "@b.example"]);
        assert!(Arc::ptr_eq(&first, &entries().unwrap()));
        std::fs::write(folder.path().join("new"), "c@example.com\n").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(texts(), ["c@example.com"]);
        std::fs::remove_file(&path).unwrap();
        assert!(entries().is_err());
    }
}
