//! Recover: finish what a crash interrupted between record and publish.
//!
//! | the journal says | under `tmp/` | then |
//! |---|---|---|
//! | recorded | yes | publish |
//! | recorded | no | it was published; a reader may have moved it since |
//! | recorded over 24 h ago | no, and it stands nowhere | somebody cleaned `tmp/`: fetch again |

use jiff::{SignedDuration, Timestamp};

use super::publish::{Outcome, publish_one};
use crate::error::{Error, Result};
use crate::state::{Disk, Recovered, Store, Target, Unfinished, as_paths, sync_dirs, touched_dirs};

/// Mail readers and servers remove files from `tmp/` after 36 hours (Dovecot does); before this age an absent
/// file can only have been published.
const TMP_IS_TRUSTED: SignedDuration = SignedDuration::from_hours(24);

/// Publishes everything the account has recorded and not finished. `odd` in the result says whether there was
/// anything.
pub fn recover(disk: &dyn Disk, store: &dyn Store, account: &str, now: Timestamp) -> Result<Recovered> {
    let rows = store.unfinished(account)?;
    for row in &rows {
        recover_row(disk, store, row, now)?;
    }
    let dirs = touched_dirs(rows.iter().flat_map(|row| &row.targets));
    let dirs: Vec<_> = dirs.into_iter().filter(|dir| disk.exists(dir).unwrap_or(true)).collect();
    let proof = sync_dirs(disk, as_paths(&dirs)).map_err(|e| Error::disk("syncing the folders", e))?;
    store.finish(&rows.iter().map(|row| row.id).collect::<Vec<_>>())?;
    Ok(Recovered::new(!rows.is_empty(), proof))
}

fn recover_row(disk: &dyn Disk, store: &dyn Store, row: &Unfinished, now: Timestamp) -> Result<()> {
    let mut absent = 0;
    for target in &row.targets {
        if publish_one(disk, target)? == Outcome::NotStaged {
            absent += 1;
        }
    }
    let tmp_is_trusted = now.duration_since(row.at) < TMP_IS_TRUSTED;
    if absent < row.targets.len() || tmp_is_trusted {
        return Ok(());
    }
    for target in &row.targets {
        if stands(disk, target)? {
            return Ok(());
        }
    }
    // Better twice than never.
    store.again(row)
}

/// Whether the file is in the folder under any flags.
fn stands(disk: &dyn Disk, target: &Target) -> Result<bool> {
    for sub in ["new", "cur"] {
        let dir = target.maildir.join(sub);
        let names = disk.names(&dir).map_err(|e| Error::disk(format!("reading {}", dir.display()), e))?;
        if names.iter().any(|name| name.starts_with(&target.staged)) {
            return Ok(true);
        }
    }
    Ok(false)
}
