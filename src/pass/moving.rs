//! Moving: what a refilter run has decided is done in batches, so that no more of it is in memory than one of them.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::World;
use super::commit::Committer;
use super::original::name_of;
use super::plan::Decided;
use super::relocate;
use crate::error::{Error, Kind, Result};
use crate::message::REFILTERED;
use crate::state::Leaving;

/// So many messages are moved in one transaction.
const BATCH: usize = 100;
/// So many bytes of messages are in memory meanwhile, unless one alone has more.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// The time of a file is known as exactly as this, in seconds.
const EXACT: i64 = 1;

/// By what a file is known as the one that was read: the decision is about it and about no other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    number: Option<(u64, u64)>,
    changed: Timestamp,
}

impl Identity {
    /// Of the file at that path; `None` when there is none.
    pub(super) fn of(world: &World, path: &Path) -> Result<Option<Self>> {
        let failed = |e: std::io::Error| Error::disk(format!("reading {}", path.display()), e);
        let Some(age) = world.disk.age(path).map_err(failed)? else { return Ok(None) };
        let changed = world.now().checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(Some(Self { number: world.disk.number(path).map_err(failed)?, changed }))
    }

    /// The file at that path, which a message leaves.
    pub(super) fn leaving(self, path: PathBuf) -> Leaving {
        Leaving { path, number: self.number.map(|(_, inode)| inode) }
    }

    /// When the message arrived, as its file says.
    pub(super) fn arrived(self) -> Timestamp {
        self.changed
    }

    /// Whether it is the same file still, with the same content.
    fn is_still(self, later: Self) -> bool {
        self.number == later.number && later.changed.as_second() <= self.changed.as_second() + EXACT
    }
}

/// What a run moves. The name space is taken with the first batch: a run that finds nothing to do needs none.
pub(super) struct Mover<'w> {
    world: &'w World,
    committer: Option<Committer>,
    waiting: Vec<(Decided, Identity)>,
    bytes: usize,
    /// The number of the run, once something moved.
    pub(super) run: Option<u64>,
    /// How many messages moved or changed.
    pub(super) moved: u64,
    /// The files that were gone or changed when their turn came.
    pub(super) gone: Vec<String>,
}

impl<'w> Mover<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        Self { world, committer: None, waiting: Vec::new(), bytes: 0, run: None, moved: 0, gone: Vec::new() }
    }

    /// Takes the name space at once, and finishes what an interrupted run left half done.
    pub(super) fn begin(world: &'w World) -> Result<Self> {
        Ok(Self { committer: Some(relocate::begin(world, REFILTERED)?), ..Self::new(world) })
    }

    /// Whether all that it took is done.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes one more, and moves all that wait when they are enough. Whether it did.
    pub(super) fn push(&mut self, decided: Decided, identity: Identity) -> Result<bool> {
        let bytes = decided.in_memory();
        let mut flushed = false;
        if self.bytes + bytes > BATCH_BYTES && !self.waiting.is_empty() {
            self.flush()?;
            flushed = true;
        }
        self.bytes += bytes;
        self.waiting.push((decided, identity));
        if self.waiting.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.flush()?;
            flushed = true;
        }
        Ok(flushed)
    }

    /// Moves all that wait. `Err` when another process changed what the rules had read: then the rest is to be looked at
    /// again.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        let mut batch = Vec::with_capacity(self.waiting.len());
        for (decided, identity) in std::mem::take(&mut self.waiting) {
            match is_unchanged(self.world, &decided, identity)? {
                true => batch.push(decided),
                false => self.gone.extend(decided.leaves().iter().map(|leaving| name_of(&leaving.path))),
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        // After an error the next batch begins anew, and finishes first what this one left.
        let mut committer = self.committer.take().map_or_else(|| relocate::begin(self.world, REFILTERED), Ok)?;
        let Some(published) = committer.relocate(batch)? else {
            let text = "another process changed what the rules had read; run it again for the rest";
            return Err(Error::transient(Kind::Busy, text));
        };
        self.run = Some(committer.owned.generation());
        self.moved += published.entries().count() as u64;
        self.committer = Some(committer);
        Ok(())
    }
}

/// Whether the files are still where they were looked at: a reader may have moved, read or replaced them since.
fn is_unchanged(world: &World, decided: &Decided, identity: Identity) -> Result<bool> {
    for leaving in decided.leaves() {
        match Identity::of(world, &leaving.path)? {
            Some(now) if identity.is_still(now) => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}
