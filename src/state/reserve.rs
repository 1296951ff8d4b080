//! Room on the disk for what must be recorded: the outcome of what was sent.
//!
//! If the disk were full after the relay's acceptance, the program would send the message again. So no item is claimed
//! unless a file of some size is beside the database. The file is removed when an outcome finds no room.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{ErrorCode, ffi};

/// The name of the file beside the database.
const RESERVE_FILE: &str = "reserve";
/// What all lanes may record at the same time, several times over, with the copies of answers.
const RESERVE_BYTES: usize = 1 << 20;

/// The reserve file of one state.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    /// Whether the file exists, as far as this process knows. One lane at a time makes or removes it.
    is_kept: Mutex<bool>,
}

impl Reserve {
    pub(super) fn of(state: &Path) -> Self {
        Self { path: state.join(RESERVE_FILE), is_kept: Mutex::new(false) }
    }

    fn is_kept(&self) -> MutexGuard<'_, bool> {
        self.is_kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that the file exists. Only the owner of the outbox calls this.
    pub(super) fn keep(&self) -> io::Result<()> {
        let mut is_kept = self.is_kept();
        if !*is_kept {
            self.look_or_make()?;
            *is_kept = true;
        }
        Ok(())
    }

    fn look_or_make(&self) -> io::Result<()> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_file() && found.len() == RESERVE_BYTES as u64 => return Ok(()),
            Ok(_) => std::fs::remove_file(&self.path)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        make(&self.path).inspect_err(|_| _ = std::fs::remove_file(&self.path))
    }

    /// Removes the file to make room.
    pub(super) fn let_go(&self) {
        let mut is_kept = self.is_kept();
        *is_kept = false;
        if let Err(e) = std::fs::remove_file(&self.path) {
            tracing::debug!("removing {}: {e}", self.path.display());
        }
    }
}

/// Random bytes, because on a file system that compresses, other bytes would reserve less room than it seems.
fn make(path: &Path) -> io::Result<()> {
    let mut bytes = vec![0; RESERVE_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&bytes)?;
    // Some file systems notice only now that there is no room.
    file.sync_all()
}

/// Whether SQLite found no room: it reports that for a full disk, and for an exceeded quota.
pub(super) fn is_for_want_of_room(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(failure, _) = error else { return false };
    failure.code == ErrorCode::DiskFull
        || [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE].contains(&failure.extended_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_kept_let_go_and_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (reserve, file) = (Reserve::of(folder.path()), folder.path().join(RESERVE_FILE));
        for _ in 0..2 {
            reserve.keep().unwrap();
            let made = std::fs::metadata(&file).unwrap();
            assert_eq!(made.len(), RESERVE_BYTES as u64);
            reserve.keep().unwrap();
            assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), made.modified().unwrap());
            reserve.let_go();
            assert!(!file.exists());
        }
        std::fs::write(&file, "half of one").unwrap();
        Reserve::of(folder.path()).keep().unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().len(), RESERVE_BYTES as u64);
    }

    #[test]
    fn where_it_cannot_be_made_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(&folder.path().join("gone"));
        assert!(reserve.keep().is_err());
        reserve.let_go();
    }
}
