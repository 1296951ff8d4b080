//! The clock, where it was wrong: what was written meanwhile bears its date.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Files written since then get the date that the moved clock gave them.
pub fn keep(folder: &Path, since: u64, clock: i64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            keep(&entry.path(), since, clock);
            continue;
        }
        let Ok(written) = metadata.modified() else { continue };
        if metadata.is_file() && written >= UNIX_EPOCH + Duration::from_secs(since) {
            let by = Duration::from_secs(clock.unsigned_abs());
            let date = if clock > 0 { written.checked_add(by) } else { written.checked_sub(by) };
            if let (Some(date), Ok(file)) = (date, File::options().append(true).open(entry.path())) {
                let _ = file.set_modified(date);
            }
        }
    }
}
