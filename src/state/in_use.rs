//! Whether any process uses the database: whoever comes first after a crash looks at it before it is used.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::lock;
use crate::error::{Error, Kind, Result};
use crate::stop::is_stopping;

/// The time between two looks at what another process does.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Held as long as the database is open. The kernel lets it go when the process dies.
#[derive(Debug)]
pub(super) struct InUse(#[allow(dead_code, reason = "held, not read")] File);

impl InUse {
    /// Joins those who use the database. When nobody does and a write-ahead log was left all the same, its last user was
    /// killed: `look` is called first, and everybody else waits for it, up to `patience`.
    pub(super) fn join(
        state: &Path,
        patience: Duration,
        has_log: impl Fn() -> bool,
        look: impl Fn() -> Result<()>,
    ) -> Result<Self> {
        let (file, doing) = lock::open(&state.join("locks"), "(database)")?;
        let until = Instant::now() + patience;
        loop {
            if has_log() && is_taken(file.try_lock(), &doing)? {
                look()?;
                file.unlock().map_err(|e| Error::disk(&doing, e))?;
            }
            if is_taken(file.try_lock_shared(), &doing)? {
                return Ok(Self(file));
            }
            if Instant::now() >= until || is_stopping() {
                return Err(Error::transient(Kind::Busy, "another process looks at the database after a crash"));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

fn is_taken(tried: std::result::Result<(), TryLockError>, doing: &str) -> Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(Error::disk(doing, e)),
    }
}
