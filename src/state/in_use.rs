//! Whether any process uses the database. After a crash, the first process checks the database before it is used.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::lock;
use crate::error::{Error, Kind, Result};
use crate::stop::is_stopping;

/// How often to check what another process does.
const IN_USE_POLL: Duration = Duration::from_millis(10);

/// Held as long as the database is open. The kernel releases it when the process dies.
#[derive(Debug)]
pub(super) struct InUse(#[allow(dead_code, reason = "held, not read")] File);

impl InUse {
    /// Joins the users of the database. If there is none and a write-ahead log was left, the last user was killed. Then
    /// `look` is called first, and all others wait for it, up to `patience`.
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
                return Err(Error::transient(Kind::Busy, "another process is checking the database after a crash"));
            }
            std::thread::sleep(IN_USE_POLL);
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
