//! Recover: finish what a crash interrupted between record and publish.
//!
//! | the journal says | under `tmp/` | then |
//! |---|---|---|
//! | recorded | yes | publish, unless it stands in its folder as well |
//! | recorded | no | it was published; a reader may have moved it since |
//! | recorded over 24 h ago | no, and it stands nowhere | somebody cleaned `tmp/`: fetch again |

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::mbox;
use super::publish::{Outcome, publish_one};
use crate::error::{Error, Result};
use crate::state::{Disk, Recovered, Store, Target, Unfinished, as_paths, sync_dirs, touched_dirs};

/// Mail readers and servers remove files from `tmp/` after 36 hours (Dovecot does); before this age an absent
/// file can only have been published.
const TMP_IS_TRUSTED: SignedDuration = SignedDuration::from_hours(24);

/// Publishes everything the account has recorded and not finished. `odd` in the result says whether there was
/// anything.
pub fn recover(disk: &dyn Disk, store: &dyn Store, account: &str, now: Timestamp) -> Result<Recovered> {
    recover_with(disk, store, account, now, &|_| Ok(()))
}

/// [`recover`], with something that must be done between publishing the rows and forgetting that they were unfinished.
pub fn recover_with(
    disk: &dyn Disk,
    store: &dyn Store,
    account: &str,
    now: Timestamp,
    settle: &dyn Fn(&[Unfinished]) -> Result<()>,
) -> Result<Recovered> {
    let rows = store.unfinished(account)?;
    let mut standing = Standing { disk, names: HashMap::new() };
    for row in &rows {
        recover_row(disk, store, &mut standing, row, now)?;
    }
    let mut dirs = touched_dirs(rows.iter().flat_map(|row| &row.targets));
    dirs.extend(mbox::touched_dirs(rows.iter().flat_map(|row| &row.mboxes)));
    let dirs: Vec<_> = dirs.into_iter().filter(|dir| disk.exists(dir).unwrap_or(true)).collect();
    let proof = sync_dirs(disk, as_paths(&dirs)).map_err(|e| Error::disk("syncing the folders", e))?;
    settle(&rows)?;
    store.finish(&rows.iter().map(|row| row.id).collect::<Vec<_>>())?;
    Ok(Recovered::new(!rows.is_empty(), proof))
}

fn recover_row(
    disk: &dyn Disk,
    store: &dyn Store,
    standing: &mut Standing<'_>,
    row: &Unfinished,
    now: Timestamp,
) -> Result<()> {
    let mut published = 0;
    for target in &row.targets {
        if standing.holds(target)? {
            remove_staged(disk, target)?;
            published += 1;
        } else if publish_one(disk, target)? == Outcome::Published {
            published += 1;
        }
    }
    for target in &row.mboxes {
        mbox::finish(disk, target)?;
        published += 1;
    }
    let tmp_is_trusted = now.duration_since(row.at) < TMP_IS_TRUSTED;
    if published > 0 || row.targets.is_empty() || tmp_is_trusted {
        return Ok(());
    }
    // Better twice than never.
    store.again(row)
}

/// Where a rename is not atomic, the file can stand in both places, and a reader may have moved the published one.
fn remove_staged(disk: &dyn Disk, target: &Target) -> Result<()> {
    let path = target.tmp_path();
    match disk.remove(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::disk(format!("removing {}", path.display()), e)),
        _ => Ok(()),
    }
}

/// The names in the folders, each folder read once.
struct Standing<'a> {
    disk: &'a dyn Disk,
    names: HashMap<PathBuf, BTreeSet<String>>,
}

impl Standing<'_> {
    /// Whether the file is in the folder under any flags. Another version of the message has a longer name.
    fn holds(&mut self, target: &Target) -> Result<bool> {
        let names = match self.names.entry(target.maildir.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(read_names(self.disk, &target.maildir)?),
        };
        let from_here_on = names.range::<str, _>((Bound::Included(target.staged.as_str()), Bound::Unbounded));
        let mut endings = from_here_on.map_while(|name| name.strip_prefix(target.staged.as_str()));
        Ok(endings.any(|ending| ending.is_empty() || ending.starts_with(':')))
    }
}

fn read_names(disk: &dyn Disk, maildir: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for sub in ["new", "cur"] {
        let dir = maildir.join(sub);
        names.extend(disk.names(&dir).map_err(|e| Error::disk(format!("reading {}", dir.display()), e))?);
    }
    Ok(names)
}
