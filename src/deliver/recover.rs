//! Recover: finishes what a crash interrupted between record and publish. The caller owns the name space and has proven
//! the mail root. So nobody else is working on it, and a file that is nowhere is really gone.
//!
//! | the journal says | under `tmp/` | in its folder, or anywhere below the root | then |
//! |---|---|---|---|
//! | recorded | yes | no | publish |
//! | recorded | yes | in its folder | a rename that was not atomic: remove the one under `tmp/` |
//! | recorded | no | yes | it was published |
//! | recorded | no | no | it was not published: it is [`Recovered::lost`], to be fetched again or said |

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use super::mbox;
use super::orphans::find_all_published;
use super::publish::{PublishOutcome, publish_one};
use crate::error::{Error, Result};
use crate::safeguard::Safeguard;
use crate::state::{
    Disk, EntryId, JournalEntries, Owned, Recovered, Target, Unfinished, as_paths, sync_dirs, touched_dirs,
};

/// A row that cannot be finished now because of one folder, with the system's error.
pub type Held = (Unfinished, Error);

/// Publishes everything that was recorded for the name space and not finished. What is lost stays unfinished. What is
/// in a folder that cannot be read also stays unfinished, and is an error.
pub fn recover(disk: &dyn Disk, store: &dyn JournalEntries, root: &Path, owned: &Owned) -> Result<Recovered> {
    let (recovered, held) = recover_what_can_be(disk, store, root, owned)?;
    held.into_iter().next().map_or(Ok(recovered), |(_, error)| Err(error))
}

/// Does the same, but a row that one folder or mbox holds up does not keep other mail from coming. The row stays
/// unfinished, so that nothing is deleted on the server meanwhile.
pub fn recover_what_can_be(
    disk: &dyn Disk,
    store: &dyn JournalEntries,
    root: &Path,
    owned: &Owned,
) -> Result<(Recovered, Vec<Held>)> {
    let all = |rows: &[Unfinished]| Ok(rows.iter().map(|row| row.id).collect());
    recover_with(disk, store, root, owned, &mut { all })
}

/// [`recover`], with a step between publishing the rows and marking them finished. `settle` returns the rows for which
/// that step succeeded. A folder that cannot be read holds up only its own rows.
pub fn recover_with(
    disk: &dyn Disk,
    store: &dyn JournalEntries,
    root: &Path,
    owned: &Owned,
    settle: &mut dyn FnMut(&[Unfinished]) -> Result<Vec<EntryId>>,
) -> Result<(Recovered, Vec<Held>)> {
    let rows = store.unfinished(owned.space())?;
    let odd = !rows.is_empty();
    let mut standing = StandingNames { disk, names: HashMap::new() };
    let (mut published, mut absent, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        match is_published(disk, &mut standing, &row) {
            Ok(true) => published.push(row),
            Ok(false) => absent.push(row),
            Err(error) if error.target().is_some() => held.push((row, error)),
            Err(error) => return Err(error),
        }
    }
    let lost = still_absent(disk, root, absent, &mut published)?;
    let mut dirs = touched_dirs(published.iter().flat_map(|row| &row.targets));
    dirs.extend(mbox::touched_dirs(published.iter().flat_map(|row| &row.mboxes)));
    let dirs: Vec<_> = dirs.into_iter().filter(|dir| disk.exists(dir).unwrap_or(true)).collect();
    let proof = sync_dirs(disk, as_paths(&dirs)).map_err(|e| Error::disk("syncing the folders", e))?;
    store.finish(owned, &settle(&published)?)?;
    Ok((Recovered::new(odd, lost, proof), held))
}

/// Publishes what is staged of a row. Returns whether any of its files is known to be in its folder or in an mbox.
fn is_published(disk: &dyn Disk, standing: &mut StandingNames<'_>, row: &Unfinished) -> Result<bool> {
    // A message that is only discarded or sent has nothing to publish; it only leaves its old place.
    let mut stands = row.targets.is_empty() && row.mboxes.is_empty();
    for target in &row.targets {
        if standing.holds(target)? {
            remove_staged(disk, target)?;
            stands = true;
        } else {
            stands |= match publish_one(disk, target) {
                // The folder has become unreadable. What is staged there cannot be reached either.
                Err(error) if error.target().is_some() => false,
                outcome => outcome? == PublishOutcome::Published,
            };
        }
    }
    for target in &row.mboxes {
        stands |= mbox::finish(disk, target)?;
    }
    Ok(stands || !Safeguard::AbsenceIsNoProof.is_on())
}

/// Returns the rows whose files are nowhere, among those whose files are not where they should be: a mail reader may
/// have moved them. One walk serves all rows.
fn still_absent(
    disk: &dyn Disk,
    root: &Path,
    absent: Vec<Unfinished>,
    published: &mut Vec<Unfinished>,
) -> Result<Vec<Unfinished>> {
    if absent.is_empty() {
        return Ok(absent);
    }
    let everywhere = find_all_published(disk, root)?;
    let stands = |row: &Unfinished| row.targets.iter().any(|target| everywhere.contains(&target.staged));
    let (moved, lost): (Vec<_>, Vec<_>) = absent.into_iter().partition(stands);
    published.extend(moved);
    Ok(lost)
}

/// If a rename is not atomic, the file can be in both places, and a mail reader may have moved the published one.
fn remove_staged(disk: &dyn Disk, target: &Target) -> Result<()> {
    let path = target.tmp_path();
    match disk.remove(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::disk(format!("removing {}", path.display()), e)),
        _ => Ok(()),
    }
}

/// The names in the folders. Each folder is read once.
struct StandingNames<'a> {
    disk: &'a dyn Disk,
    names: HashMap<PathBuf, BTreeSet<String>>,
}

impl StandingNames<'_> {
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
        let found = disk.names(&dir);
        names.extend(found.map_err(|e| Error::of_target(maildir, format!("reading {}", dir.display()), e))?);
    }
    Ok(names)
}
