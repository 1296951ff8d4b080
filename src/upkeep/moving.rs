//! Moving: carries out the decisions of a refilter run in batches, so that no more than one batch is in memory.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::relocate;
use super::stuck::Stuck;
use crate::clean;
use crate::error::{Error, Kind, Result};
use crate::message::REFILTERED;
use crate::pass::files::name_of;
use crate::pass::{Decided, Filer, World};
use crate::state::Leaving;

/// How many messages one transaction moves.
const BATCH_MESSAGES: usize = 100;
/// How many bytes of messages a batch keeps in memory, unless a single message is bigger.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How exactly the time of a file is known, in seconds.
const FILE_TIME_SECONDS: i64 = 1;

const CHANGED: &str = "another process changed what the rules had read; run the command again for the rest";

/// Identifies the file that was read: the decision is about this file and no other.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileIdentity {
    number: Option<(u64, u64)>,
    changed: Timestamp,
}

impl FileIdentity {
    /// The identity of the file at a path, or `None` if there is no file.
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

    /// Whether it is still the same file with the same content.
    fn is_still(self, later: Self) -> bool {
        self.number == later.number && later.changed.as_second() <= self.changed.as_second() + FILE_TIME_SECONDS
    }
}

/// What a run moves. The name space is taken with the first batch, because a run that finds nothing to do needs none.
pub(super) struct Mover<'w> {
    world: &'w World,
    filer: Option<Filer>,
    waiting: Vec<(Decided, FileIdentity)>,
    bytes: usize,
    /// The number of the run, once something moved.
    pub(super) run: Option<u64>,
    /// How many messages moved or changed.
    pub(super) moved: u64,
    /// The files that were gone or changed when they were about to move.
    pub(super) gone: Vec<String>,
    /// Messages that moved and cannot leave their old folders yet.
    stuck: Stuck,
    /// How many of these this run moved.
    pub(super) left: u64,
    /// The files that stay because of a folder, with the cause.
    pub(super) held: Vec<(String, String)>,
    /// What else the user should know.
    pub(super) remarks: Vec<String>,
}

impl<'w> Mover<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        let (waiting, gone, held, remarks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let stuck = Stuck::default();
        Self { world, filer: None, waiting, bytes: 0, run: None, moved: 0, gone, stuck, left: 0, held, remarks }
    }

    /// Takes the name space at once, and finishes what an interrupted run left unfinished.
    pub(super) fn begin(world: &'w World) -> Result<Self> {
        let mut mover = Self::new(world);
        mover.filer = Some(mover.take_space()?);
        Ok(mover)
    }

    /// Returns the filer of the name space. After an error, the name space is taken again and the unfinished work
    /// is done first.
    fn take_space(&mut self) -> Result<Filer> {
        if let Some(filer) = self.filer.take() {
            return Ok(filer);
        }
        let (filer, stuck) = relocate::begin(self.world, REFILTERED)?;
        // The result includes everything that is stuck by now.
        self.stuck = stuck;
        for remark in self.stuck.remarks() {
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
        Ok(filer)
    }

    /// Why this message stays, if a folder is the reason. Then it counts as if no rule had been asked about it.
    pub(super) fn hindrance(&mut self, decided: &Decided) -> Result<Option<String>> {
        let filer = self.take_space()?;
        let why = match self.stuck.holds(decided.leaves()) {
            Some(why) => Some(why),
            None => filer.hindrance(decided)?.map(|error| clean::line(error.to_string().as_bytes())),
        };
        self.filer = Some(filer);
        Ok(why)
    }

    /// Whether nothing waits to be moved.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds one message, and moves all that wait when they are enough. Returns whether it moved them.
    pub(super) fn push(&mut self, decided: Decided, identity: FileIdentity) -> Result<bool> {
        let bytes = decided.in_memory();
        let mut flushed = false;
        if self.bytes + bytes > BATCH_BYTES && !self.waiting.is_empty() {
            self.flush()?;
            flushed = true;
        }
        self.bytes += bytes;
        self.waiting.push((decided, identity));
        if self.waiting.len() >= BATCH_MESSAGES || self.bytes >= BATCH_BYTES {
            self.flush()?;
            flushed = true;
        }
        Ok(flushed)
    }

    /// Moves all that wait. Returns an error if another process has changed what the rules had read: the rest has to be
    /// decided again.
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
        match self.relocate(batch.clone()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::transient(Kind::Busy, CHANGED)),
            // A cause that no check of the folder could find, such as a file name that becomes too long.
            Err(error) if error.target().is_some() => self.relocate_singly(batch),
            Err(error) => Err(error),
        }
    }

    /// Moves the messages of a batch singly, because a folder does not take some of them.
    fn relocate_singly(&mut self, batch: Vec<Decided>) -> Result<()> {
        for decided in batch {
            let files: Vec<String> = decided.leaves().iter().map(|leaving| name_of(&leaving.path)).collect();
            let why = match self.relocate(vec![decided]) {
                Ok(true) => continue,
                // Its decision took a message into account that stays.
                Ok(false) => CHANGED.to_owned(),
                Err(error) if error.target().is_some() => clean::line(error.to_string().as_bytes()),
                Err(error) => return Err(error),
            };
            self.held.extend(files.into_iter().map(|file| (file, why.clone())));
        }
        Ok(())
    }

    /// Returns whether the batch was moved. It is not if another process has changed what the rules had read.
    fn relocate(&mut self, batch: Vec<Decided>) -> Result<bool> {
        let mut filer = self.take_space()?;
        let Some((published, stuck)) = filer.relocate(batch)? else { return Ok(false) };
        self.run = Some(filer.owned.generation());
        self.moved += published.entries().count() as u64;
        self.left += stuck.count();
        self.remarks.extend(stuck.remarks());
        self.stuck.extend(stuck);
        self.filer = Some(filer);
        Ok(true)
    }
}

/// Whether the files are still as they were when they were read: a mail reader may have moved, read or replaced them
/// since.
fn is_unchanged(world: &World, decided: &Decided, identity: FileIdentity) -> Result<bool> {
    for leaving in decided.leaves() {
        match FileIdentity::of(world, &leaving.path)? {
            Some(now) if identity.is_still(now) => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}
