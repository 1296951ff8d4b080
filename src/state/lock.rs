//! Locks between processes, one for each role. The kernel releases a lock when its holder dies.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::stop::is_stopping;

/// A file under our name must be ours, not a link.
const NO_SYMLINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// How often to try again.
const LOCK_POLL: Duration = Duration::from_millis(10);

/// Where the second line of a lock file starts. The first line has the same length for every process id, so the second
/// line stays whole when only the first is written.
const NOTE_OFFSET: u64 = 11;

/// The word in the file of a released lock, followed by the boot id of the machine.
const RELEASED: &str = "released ";

/// A held lock. Dropping it releases it and writes so to its file. Anything else in the file of a lock that nobody
/// holds was left by a process that died.
#[derive(Debug)]
pub struct Lock {
    file: File,
    interrupted: Option<String>,
    is_left: bool,
    /// Whether the file stays like that of a holder that died.
    stays_left: bool,
}

impl Lock {
    /// Takes the lock `name` below the state folder, or says who holds it. It never waits.
    pub fn try_take(locks: &Path, name: &str) -> Result<Self> {
        let (mut file, doing) = open(locks, name)?;
        match file.try_lock() {
            Ok(()) => Self::held(file, &doing),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).ok();
                let pid = text.lines().next().unwrap_or_default().trim();
                let holder = if pid.is_empty() { "another process" } else { pid };
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
                Err(e) if e.kind() == Kind::Busy && Instant::now() < until && !is_stopping() => {
                    std::thread::sleep(LOCK_POLL);
                }
                result => return result,
            }
        }
    }

    /// The id of the process that holds the lock `name` below the state folder, as it wrote it, or `None` if nobody
    /// does. While this runs, the lock seems to be taken.
    pub fn holder(locks: &Path, name: &str) -> Option<String> {
        let mut file = File::open(path_of(locks, name)).ok()?;
        match file.try_lock_shared() {
            Ok(()) => {
                file.unlock().ok();
                None
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).ok();
                Some(text.lines().next().unwrap_or_default().trim().to_owned())
            }
            Err(TryLockError::Error(_)) => None,
        }
    }

    /// Whether its file is still below that state folder: in another folder it keeps nobody out.
    pub fn stands(&self, locks: &Path, name: &str) -> bool {
        let id = |file: Metadata| (file.dev(), file.ino());
        let ours = self.file.metadata().map(id);
        ours.is_ok_and(|ours| std::fs::symlink_metadata(path_of(locks, name)).map(id).is_ok_and(|there| there == ours))
    }

    /// The note of the previous holder, if it died without releasing the lock.
    pub fn interrupted(&self) -> Option<&str> {
        self.interrupted.as_deref()
    }

    /// Whether something may be left: the previous holder died, the machine was started since it released the lock, or
    /// nobody ever held it.
    pub fn is_left(&self) -> bool {
        self.is_left
    }

    /// Releases the lock, and lets the next holder find out what is left.
    pub(super) fn release_unsettled(mut self) {
        self.stays_left = true;
    }

    /// Writes, without syncing, what is being done under the lock. Until then the file keeps the note of a holder that
    /// died, in case this process dies before it has dealt with it.
    pub fn note(&self, what: &str) -> Result<()> {
        let line = format!("{what}\n");
        let write = || {
            self.file.write_all_at(line.as_bytes(), NOTE_OFFSET)?;
            self.file.set_len(NOTE_OFFSET + line.len() as u64)
        };
        write().map_err(|e| Error::disk("writing what is being done", e))
    }

    fn held(mut file: File, doing: &str) -> Result<Self> {
        let mut text = String::new();
        let mut take_over = || {
            file.read_to_string(&mut text)?;
            let first_line = text.lines().next().unwrap_or_default();
            let released = first_line.strip_prefix(RELEASED).map(|start| !start.is_empty() && start == this_start());
            if released.is_some() {
                file.set_len(0)?;
            }
            file.write_all_at(format!("{:<10}\n", std::process::id()).as_bytes(), 0)?;
            Ok(released != Some(true))
        };
        let is_left = take_over().map_err(|e: std::io::Error| Error::disk(doing, e))?;
        let note = text.lines().nth(1).filter(|note| !note.is_empty());
        let interrupted = note.filter(|_| !text.starts_with(RELEASED)).map(str::to_owned);
        Ok(Self { file, interrupted, is_left, stays_left: false })
    }
}

/// The boot id, which changes at each start of the machine; empty if the system has none.
fn this_start() -> &'static str {
    static START: OnceLock<String> = OnceLock::new();
    START.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.map(|id| id.trim().to_owned()).unwrap_or_default()
    })
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only a hint for the next holder, because the lock itself is the kernel's. It is a single write over the old
        // content; from then on only the first line counts.
        if !self.stays_left {
            self.file.write_all_at(format!("{RELEASED}{}\n", this_start()).as_bytes(), 0).ok();
        }
        // Closing is not enough: a program that another thread is just starting also has the file open, until its exec.
        self.file.unlock().ok();
    }
}

fn path_of(locks: &Path, name: &str) -> PathBuf {
    locks.join(format!("{name}.lock"))
}

/// Opens a lock's file. The text says what is being done, for errors.
pub(super) fn open(locks: &Path, name: &str) -> Result<(File, String)> {
    let path = path_of(locks, name);
    let doing = format!("locking {}", path.display());
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(NO_SYMLINK);
    let file = options.open(&path).map_err(|e| Error::disk(&doing, e))?;
    Ok((file, doing))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forgets the lock except for its descriptor, as when the process is killed.
    fn die(lock: &Lock, path: &Path) {
        let left = std::fs::read(path).unwrap();
        lock.file.unlock().unwrap();
        std::fs::write(path, left).unwrap();
    }

    #[test]
    fn the_note_of_a_dead_holder_stays_until_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let take = || Lock::take(folder.path(), "x", Duration::ZERO).unwrap();

        let first = take();
        assert_eq!(first.interrupted(), None);
        first.note("a long note of the first").unwrap();
        die(&first, &path);
        let second = take();
        assert_eq!(second.interrupted(), Some("a long note of the first"));
        die(&second, &path);
        let third = take();
        assert_eq!(third.interrupted(), Some("a long note of the first"));
        third.note("short").unwrap();
        die(&third, &path);
        assert_eq!(take().interrupted(), Some("short"));
        assert_eq!(take().interrupted(), None, "it was released");
    }

    #[test]
    fn a_released_lock_is_free_although_a_child_has_its_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::try_take(folder.path(), "x").unwrap();
        let in_the_child = lock.file.try_clone().unwrap();
        drop(lock);
        assert!(Lock::try_take(folder.path(), "x").is_ok());
        drop(in_the_child);
    }

    #[test]
    fn who_holds_it_is_seen_without_taking_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Lock::holder(folder.path(), "x"), None);
        let held = Lock::try_take(folder.path(), "x").unwrap();
        assert_eq!(Lock::holder(folder.path(), "x"), Some(std::process::id().to_string()));
        assert!(held.stands(folder.path(), "x"));
        std::fs::remove_file(folder.path().join("x.lock")).unwrap();
        assert!(!held.stands(folder.path(), "x"));
        let other = Lock::try_take(folder.path(), "x").unwrap();
        assert!(!held.stands(folder.path(), "x") && other.stands(folder.path(), "x"));
        drop(other);
        assert_eq!(Lock::holder(folder.path(), "x"), None);
    }

    #[test]
    fn whoever_finds_it_held_learns_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::try_take(folder.path(), "x").unwrap();
        held.note("something").unwrap();
        let refusal = Lock::try_take(folder.path(), "x").unwrap_err().to_string();
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        assert!(!refusal.contains("something"), "{refusal}");
    }
}
