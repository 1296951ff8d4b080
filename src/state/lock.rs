//! Locks between processes: one for each role, released by the kernel when its holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};

/// The time between two looks at a lock that somebody else holds.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A held lock. Dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    file: File,
    holder_died: bool,
}

impl Lock {
    /// Takes the lock `name` below the state folder, or says who holds it. Never waits.
    pub fn try_take(locks: &Path, name: &str) -> Result<Self> {
        let (mut file, doing) = open(locks, name)?;
        match file.try_lock() {
            Ok(()) => Self::held(file, &doing),
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).ok();
                let holder = if pid.trim().is_empty() { "another process" } else { pid.trim() };
                Err(Error::transient(Kind::Busy, format!("{name} is being worked on by mailsluice process {holder}")))
            }
            Err(TryLockError::Error(e)) => Err(Error::disk(doing, e)),
        }
    }

    /// Takes the lock, waiting up to `limit` for its holder.
    pub fn take(locks: &Path, name: &str, limit: Duration) -> Result<Self> {
        let until = Instant::now() + limit;
        loop {
            match Self::try_take(locks, name) {
                Err(e) if e.kind() == Kind::Busy && Instant::now() < until => std::thread::sleep(LOOK_AGAIN),
                result => return result,
            }
        }
    }

    /// Whether the holder before us died without releasing it: its process number still stands in the file.
    pub fn holder_died(&self) -> bool {
        self.holder_died
    }

    fn held(mut file: File, doing: &str) -> Result<Self> {
        let mut note_holder = || {
            let holder_died = file.metadata()?.len() > 0;
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())?;
            Ok(holder_died)
        };
        let holder_died = note_holder().map_err(|e| Error::disk(doing, e))?;
        Ok(Self { file, holder_died })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only a hint for the next holder; the lock itself is the kernel's.
        self.file.set_len(0).ok();
        // Closing is not enough: a program that is just being started holds a copy of the file until it runs.
        self.file.unlock().ok();
    }
}

fn open(locks: &Path, name: &str) -> Result<(File, String)> {
    let path = locks.join(format!("{name}.lock"));
    let doing = format!("locking {}", path.display());
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(|e| Error::disk(&doing, e))?;
    Ok((file, doing))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between fork and exec a child holds every open file.
    #[test]
    fn a_released_lock_is_free_although_a_program_is_just_being_started() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::try_take(folder.path(), "work").unwrap();
        let _copy_of_a_child = lock.file.try_clone().unwrap();
        assert!(Lock::try_take(folder.path(), "work").is_err());
        drop(lock);
        Lock::try_take(folder.path(), "work").unwrap();
    }
}
