//! The types that carry a batch of messages from "decided" to "the server may forget it".

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Before, Known, Original, Stamp, Synced, Unfinished};
use crate::decision::{Read, Telling, Version, Write};
use crate::error::{Error, Kind, Result};
use crate::message::{DeliveryName, Key};

/// The number of a journal row.
pub type EntryId = i64;

/// `new/` or `cur/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sub {
    /// Unseen and without flags.
    New,
    /// With flags in its name.
    Cur,
}

/// One file that a message becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The Maildir.
    pub maildir: PathBuf,
    /// The file name: `SECONDS.NAME.HOST`.
    pub staged: String,
    /// Who staged it: the end of its name under `tmp/`.
    pub stamp: Stamp,
    /// The flags part of the published name: empty, or `:2,FS`.
    pub info: String,
    /// Which bytes it holds. Not remembered: when it is recorded, they are in the file.
    pub version: Version,
}

/// An mbox file that a message is appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MboxTarget {
    /// The mbox file.
    pub file: PathBuf,
    /// The folder in which the bytes wait.
    pub spool: PathBuf,
    /// Their name there: `SECONDS.NAME.HOST` and more, so that an account knows its own.
    pub staged: String,
    /// Who staged it: the end of that name.
    pub stamp: Stamp,
    /// The line before the message: `From SENDER DATE STAGED`. No two messages have the same.
    pub line: String,
    /// Which bytes.
    pub version: Version,
}

impl MboxTarget {
    /// Where it waits.
    pub fn staged_path(&self) -> PathBuf {
        self.spool.join(format!("{}{}", self.staged, self.stamp.as_str()))
    }
}

impl Target {
    /// Where it waits.
    pub fn tmp_path(&self) -> PathBuf {
        self.maildir.join("tmp").join(format!("{}{}", self.staged, self.stamp.as_str()))
    }

    /// `new/` without flags, `cur/` with.
    pub fn sub(&self) -> Sub {
        if self.info.is_empty() { Sub::New } else { Sub::Cur }
    }

    /// The directory it is published in.
    pub fn published_dir(&self) -> PathBuf {
        self.maildir.join(match self.sub() {
            Sub::New => "new",
            Sub::Cur => "cur",
        })
    }

    /// Where it is published.
    pub fn published_path(&self) -> PathBuf {
        self.published_dir().join(format!("{}{}", self.staged, self.info))
    }
}

/// One decided message: its key, what becomes of it, and what the journal says about it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its identity at the source.
    pub key: Key,
    /// The unique part of its file names.
    pub name: DeliveryName,
    /// How its key is remembered: [`super::Mark::Here`], or doubted.
    pub mark: super::Mark,
    /// The size the server announced.
    pub announced: u64,
    /// The hash of its header block.
    pub head_hash: [u8; 16],
    /// The hash of the fields that no server changes.
    pub dress: [u8; 16],
    /// The size as filed.
    pub size: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// From, Subject and Message-ID, shortened, so that a person recognises it in the log.
    pub about: About,
    /// The rule that decided, or why none did.
    pub rule: String,
    /// The conditions that were true, with the values that made them so.
    pub why: String,
    /// What happened to it, in words: `fileinto lists/rust`.
    pub outcome: String,
    /// What rules asked to be logged, and what else there is to know; each one line.
    pub notes: Vec<String>,
    /// The files it becomes; none when it was discarded.
    pub targets: Vec<Target>,
    /// The mbox files it is appended to.
    pub mboxes: Vec<MboxTarget>,
    /// Where its bytes are kept when it stands in no folder.
    pub spooled: Option<PathBuf>,
    /// What it was before.
    pub before: Before,
    /// What its rules read from the state.
    pub reads: Vec<Read>,
    /// What they write into it.
    pub writes: Vec<Write>,
    /// What goes to the outbox, with the file in the spool that holds its bytes.
    pub tellings: Vec<(Telling, PathBuf)>,
}

impl Entry {
    /// The files in the spool that its bytes are kept or told from.
    pub fn in_spool(&self) -> impl Iterator<Item = &PathBuf> {
        let kept = match &self.before.original {
            Original::Whole(path) => Some(path),
            Original::Filed | Original::Head(_) => None,
        };
        self.tellings.iter().map(|(_, path)| path).chain(&self.spooled).chain(kept)
    }

    /// Whether it stands in no folder.
    pub fn is_filed_nowhere(&self) -> bool {
        self.targets.is_empty() && self.mboxes.is_empty()
    }
}

/// By what a person recognises a message.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The From field.
    pub from: String,
    /// The Subject field.
    pub subject: String,
    /// The Message-ID field.
    pub message_id: String,
}

/// Messages whose files are complete and durable under `tmp/`.
#[derive(Debug)]
pub struct Staged {
    entries: Vec<Entry>,
}

impl Staged {
    /// Takes the proof that the files' directories were synced.
    pub fn new(entries: Vec<Entry>, _proof: Synced) -> Self {
        Self { entries }
    }

    /// What is to be recorded.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The next step, made by a [`super::Store`] with one id for each entry, after its transaction was committed.
    pub fn recorded(self, ids: Vec<EntryId>) -> Result<Recorded> {
        if ids.len() != self.entries.len() {
            return Err(Error::permanent(Kind::State, "the journal did not number every message"));
        }
        Ok(Recorded { entries: ids.into_iter().zip(self.entries).collect() })
    }
}

/// What came of recording a batch.
#[derive(Debug)]
pub enum Recording {
    /// It stands in the journal.
    Recorded(Recorded),
    /// Something that a decision read from the state is no longer so. Nothing was recorded; the staged files are to be
    /// removed, and the batch is to be decided anew.
    Changed(Staged),
}

/// Messages whose decision stands in the journal.
#[derive(Debug)]
pub struct Recorded {
    entries: Vec<(EntryId, Entry)>,
}

impl Recorded {
    /// The files to publish.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.entries.iter().flat_map(|(_, entry)| &entry.targets)
    }

    /// What is to be appended to mbox files.
    pub fn mboxes(&self) -> impl Iterator<Item = &MboxTarget> {
        self.entries.iter().flat_map(|(_, entry)| &entry.mboxes)
    }

    /// The next step, with the proof that the directories were synced after the renames.
    pub fn published(self, _proof: Synced) -> Published {
        Published { entries: self.entries }
    }
}

/// Messages that are safe here, whatever happens now.
#[derive(Debug, Default)]
pub struct Published {
    entries: Vec<(EntryId, Entry)>,
}

impl Published {
    /// The journal rows that can be marked done.
    pub fn ids(&self) -> impl Iterator<Item = EntryId> {
        self.entries.iter().map(|(id, _)| *id)
    }

    /// What was published, for the summary.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// The permission for each message to leave the server.
    pub fn settlements(&self) -> impl Iterator<Item = Settlement> {
        // Where no size was announced nothing proves that this is all of it; the next pass looks at it once more.
        let is_proven = |entry: &&Entry| entry.announced > 0 || entry.size == 0;
        let proven = self.entries.iter().map(|(_, entry)| entry).filter(is_proven);
        proven.map(|entry| Settlement { key: entry.key.clone(), is_copied: false })
    }
}

/// The proof that every recorded message of an account was published: recovery has run.
#[derive(Debug)]
pub struct Recovered {
    odd: bool,
    /// What was recorded and stands nowhere: not published. Its rows are unfinished still.
    pub lost: Vec<Unfinished>,
}

impl Recovered {
    /// Made by recovery after the directories were synced. `odd` says that there was something to recover; then
    /// nothing is deleted on the server in this pass.
    pub fn new(odd: bool, lost: Vec<Unfinished>, _proof: Synced) -> Self {
        Self { odd, lost }
    }

    /// Whether a crash left something behind.
    pub fn is_odd(&self) -> bool {
        self.odd
    }
}

/// The permission for a message to leave the server. It exists only for a message that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    key: Key,
    is_copied: bool,
}

impl Settlement {
    /// For messages of earlier runs that the server still has, fetched before `before`.
    pub fn of_earlier(known: &Known, _proof: &Recovered, before: Timestamp) -> Vec<Self> {
        let earlier = known.here().filter(|(_, r)| r.at <= before);
        earlier.map(|(id, r)| Self { key: known.key(id), is_copied: r.mark == super::Mark::Copied }).collect()
    }

    /// For messages that were deleted before, the last time before `before`, and that the server lists still.
    pub fn not_let_go(known: &Known, _proof: &Recovered, before: Timestamp) -> Vec<Self> {
        let again = known.iter().filter(|(_, r)| r.mark == super::Mark::NotLetGo && r.at <= before);
        again.map(|(id, _)| Self { key: known.key(id), is_copied: false }).collect()
    }

    /// Which message.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether a copy stands where it is to be moved to: what is left is to take it away where it stands.
    pub fn is_copied(&self) -> bool {
        self.is_copied
    }
}

/// The directories that hold the staged and published names of these files.
pub fn touched_dirs<'a>(targets: impl Iterator<Item = &'a Target>) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = targets.flat_map(|t| [t.published_dir(), t.maildir.join("tmp")]).collect();
    dirs.sort();
    dirs.dedup();
    dirs
}

/// Borrowed paths, as [`super::sync_dirs`] wants them.
pub fn as_paths(dirs: &[PathBuf]) -> impl Iterator<Item = &Path> {
    dirs.iter().map(PathBuf::as_path)
}
