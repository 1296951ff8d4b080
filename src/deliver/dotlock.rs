//! Dot locks: `FILE.lock`, the lock that Dovecot and all other mail programs understand.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use crate::state::{Disk, LOCK_TIMEOUT};
use crate::stop::is_stopping;

/// A lock that nobody touched for this long belongs to a program that died. Dovecot also waits two minutes, and touches
/// its own locks more often.
const STALE_AFTER: Duration = Duration::from_secs(120);
/// How often to try again.
const LOCK_POLL: Duration = Duration::from_millis(20);
/// How much of a lock file is read.
const MAX_LOCK_FILE_BYTES: u64 = 1024;

/// The locks that this process holds or is taking. A lock with its process id that is not among them was left by a
/// process that died.
static OURS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A lock, held until it is dropped.
pub(super) struct Dotlock<'a> {
    disk: &'a dyn Disk,
    reserved: Reserved,
}

impl<'a> Dotlock<'a> {
    /// Takes the lock at that path, waiting up to [`LOCK_TIMEOUT`] for its holder.
    pub(super) fn take(disk: &'a dyn Disk, path: &Path) -> io::Result<Self> {
        let until = Instant::now() + LOCK_TIMEOUT;
        loop {
            if let Some(reserved) = Reserved::try_take(path) {
                match create(disk, path) {
                    Ok(()) => return Ok(Self { disk, reserved }),
                    Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                    Err(_) if is_stale(disk, path)? => {
                        remove(disk, path)?;
                        continue;
                    }
                    Err(_) => {}
                }
            }
            if Instant::now() >= until || is_stopping() {
                let text = format!("another program keeps {} locked", path.display());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
            }
            std::thread::sleep(LOCK_POLL);
        }
    }
}

impl Drop for Dotlock<'_> {
    fn drop(&mut self) {
        // If the file stays, it has our process id, and we recognise it as stale.
        remove(self.disk, &self.reserved.0).ok();
    }
}

/// Lets one thread of the process take a lock at a time.
struct Reserved(PathBuf);

impl Reserved {
    fn try_take(path: &Path) -> Option<Self> {
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        ours.insert(path.to_path_buf()).then(|| Self(path.to_path_buf()))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        OURS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Writes the lock as Dovecot does: `PID:HOST`. A lock without a number, from a process that was killed before it wrote
/// one, would block everybody until it is stale.
fn create(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.create_whole(path, format!("{}:{}", std::process::id(), host()).as_bytes())
}

fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Whether the holder of the lock is gone, or the lock is too old.
fn is_stale(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    let mut text = String::new();
    match disk.open(path).map(|file| file.take(MAX_LOCK_FILE_BYTES).read_to_string(&mut text)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(e),
        // A file that is no text holds no number.
        Ok(_) => {}
    }
    let is_dead = match text.trim().split_once(':') {
        Some((pid, on)) if on == host() => pid.parse().is_ok_and(is_gone),
        _ => false,
    };
    Ok(is_dead || disk.age(path)?.is_none_or(|age| age > STALE_AFTER))
}

fn is_gone(pid: i32) -> bool {
    let is_our_own = u32::try_from(pid).is_ok_and(|pid| pid == std::process::id());
    let exists = |pid| match test_kill_process(pid) {
        Ok(()) | Err(rustix::io::Errno::PERM) => true,
        Err(_) => false,
    };
    is_our_own || !Pid::from_raw(pid).is_some_and(exists)
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::RealDisk;

    #[test]
    fn whoever_died_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        for left in [format!("{}:{}", std::process::id(), host()), format!("{}:{}", i32::MAX, host())] {
            std::fs::write(&path, left).unwrap();
            drop(Dotlock::take(&RealDisk, &path).unwrap());
            assert!(!path.exists());
        }
        for held in [format!("1:{}", host()), "77:elsewhere".to_owned(), String::new()] {
            std::fs::write(&path, held).unwrap();
            assert!(!is_stale(&RealDisk, &path).unwrap());
            let long_ago = std::time::SystemTime::now() - STALE_AFTER * 2;
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
            assert!(is_stale(&RealDisk, &path).unwrap());
        }
    }

    /// A process that is killed while it takes a lock would otherwise leave a lock that says nothing about its holder.
    #[test]
    fn a_lock_never_stands_there_without_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..3_000).for_each(|_| drop(Dotlock::take(&RealDisk, &path).unwrap()));
                done.store(true, std::sync::atomic::Ordering::Release);
            });
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                if let Ok(text) = std::fs::read_to_string(&path) {
                    assert!(text.contains(':'), "a lock with {text:?} in it");
                }
            }
        });
    }

    #[test]
    fn threads_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let count = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let _lock = Dotlock::take(&RealDisk, &path).unwrap();
                    let before = *count.lock().unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                    *count.lock().unwrap() = before + 1;
                });
            }
        });
        assert_eq!(*count.lock().unwrap(), 4);
    }
}
