//! Named locks for programs: with `lock: spamc` only one program runs under this name at a time, whoever starts it.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::stop::is_stopping;

/// The time between two attempts to take a lock.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTurn {
    #[error("the lock `{0}` cannot be taken: {1}")]
    Unusable(String, rustix::io::Errno),
    #[error("stopped while waiting for the lock `{0}`")]
    Stopped(String),
    #[error("another program had the lock `{0}` for {1} s")]
    Late(String, u64),
}

/// A lock. It is released when this is dropped, or when the process ends.
#[derive(Debug)]
pub(crate) struct Turn(#[allow(dead_code, reason = "the lock lives as long as the file is open")] OwnedFd);

impl Turn {
    /// Waits until nobody else holds the lock of this name, for at most `patience`. The lock file in `folder` is never
    /// removed, because then two processes could hold the lock.
    pub(crate) fn take(folder: &Path, name: &str, patience: Duration) -> Result<Self, NoTurn> {
        let path = folder.join(format!("program-{name}"));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let unusable = |error| NoTurn::Unusable(name.to_owned(), error);
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(unusable)?;
        let until = Instant::now() + patience;
        loop {
            // The lock belongs to the open file, so threads of one process exclude each other too.
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(unusable(error)),
            }
            if is_stopping() {
                return Err(NoTurn::Stopped(name.to_owned()));
            }
            if Instant::now() >= until {
                return Err(NoTurn::Late(name.to_owned(), patience.as_secs()));
            }
            std::thread::sleep(LOCK_POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_one_name_wait_for_each_other_and_two_names_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let short = Duration::from_millis(50);
        let first = Turn::take(folder.path(), "spamc", short).unwrap();
        assert!(Turn::take(folder.path(), "spamc", short).unwrap_err().to_string().contains("had the lock `spamc`"));
        Turn::take(folder.path(), "clamc", short).unwrap();
        drop(first);
        Turn::take(folder.path(), "spamc", short).unwrap();
    }
}
