//! The types that carry a batch of messages from "decided" to "the server may delete it".

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Before, KnownOrigin, Original, Stamp, Synced, Unfinished};
use crate::decision::{AnsweredQuestion, Telling, Version, Write};
use crate::error::{Error, Kind, Result};
use crate::message::{DeliveryName, Key};

/// The number of a journal entry.
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
    /// The version of the message that it holds. This is not stored: when it is recorded, the bytes are in the file.
    pub version: Version,
}

/// An mbox file that a message is appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MboxTarget {
    /// The mbox file.
    pub file: PathBuf,
    /// The folder in which the bytes wait.
    pub spool: PathBuf,
    /// Their name there: `SECONDS.NAME.HOST` and more, so that an account recognises its own.
    pub staged: String,
    /// Who staged it: the end of that name.
    pub stamp: Stamp,
    /// The line before the message: `From SENDER DATE STAGED`. No two messages have the same.
    pub line: String,
    /// The version of the message.
    pub version: Version,
}

impl MboxTarget {
    /// The path where it waits.
    pub fn staged_path(&self) -> PathBuf {
        self.spool.join(format!("{}{}", self.staged, self.stamp.as_str()))
    }
}

impl Target {
    /// The path where it waits.
    pub fn tmp_path(&self) -> PathBuf {
        self.maildir.join("tmp").join(format!("{}{}", self.staged, self.stamp.as_str()))
    }

    /// `new/` without flags, `cur/` with flags.
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

    /// The path of the published file.
    pub fn published_path(&self) -> PathBuf {
        self.published_dir().join(format!("{}{}", self.staged, self.info))
    }
}

/// A decided message: its key, what becomes of it, and what the journal says about it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its identity at the source.
    pub key: Key,
    /// The unique part of its file names.
    pub name: DeliveryName,
    /// How its key is remembered: [`super::Mark::Here`], or as doubtful.
    pub mark: super::KeyPurpose,
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
    /// What happened to it, in words, such as `fileinto lists/rust`.
    pub outcome: String,
    /// What rules asked to be logged, and other remarks, one line each.
    pub notes: Vec<String>,
    /// The files that it becomes; none if it was discarded.
    pub targets: Vec<Target>,
    /// The mbox files that it is appended to.
    pub mboxes: Vec<MboxTarget>,
    /// The spool file with its bytes, if it is in no folder.
    pub spooled: Option<PathBuf>,
    /// The message before its rules.
    pub before: Before,
    /// What its rules read from the state.
    pub reads: Vec<AnsweredQuestion>,
    /// What its rules write to the state.
    pub writes: Vec<Write>,
    /// What goes to the outbox, with the file in the spool that holds its bytes.
    pub tellings: Vec<(Telling, PathBuf)>,
}

impl Entry {
    /// The spool files that hold its bytes for keeping or sending.
    pub fn in_spool(&self) -> impl Iterator<Item = &PathBuf> {
        let kept = match &self.before.original {
            Original::Whole(path) => Some(path),
            Original::Filed | Original::Head(_) => None,
        };
        self.tellings.iter().map(|(_, path)| path).chain(&self.spooled).chain(kept)
    }

    /// Whether it is in no folder.
    pub fn is_filed_nowhere(&self) -> bool {
        self.targets.is_empty() && self.mboxes.is_empty()
    }
}

/// What a person recognises a message by.
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

    /// The entries to record.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The next step. A [`super::Store`] makes it with one id for each entry, after it has committed the transaction.
    pub fn recorded(self, ids: Vec<EntryId>) -> Result<Recorded> {
        if ids.len() != self.entries.len() {
            return Err(Error::permanent(Kind::State, "the journal did not number every message"));
        }
        Ok(Recorded { entries: ids.into_iter().zip(self.entries).collect() })
    }
}

/// The result of recording a batch.
#[derive(Debug)]
pub enum Recording {
    /// The batch is in the journal.
    Recorded(Recorded),
    /// Something that a decision read from the state has changed. Nothing was recorded. The caller removes the staged
    /// files and decides the batch again.
    Changed(Staged),
}

/// Messages whose decisions are in the journal.
#[derive(Debug)]
pub struct Recorded {
    entries: Vec<(EntryId, Entry)>,
}

impl Recorded {
    /// The files to publish.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.entries.iter().flat_map(|(_, entry)| &entry.targets)
    }

    /// The messages to append to mbox files.
    pub fn mboxes(&self) -> impl Iterator<Item = &MboxTarget> {
        self.entries.iter().flat_map(|(_, entry)| &entry.mboxes)
    }

    /// The next step, with the proof that the directories were synced after the renames.
    pub fn published(self, _proof: Synced) -> Published {
        Published { entries: self.entries }
    }
}

/// Messages that are safely filed, whatever happens now.
#[derive(Debug, Default)]
pub struct Published {
    entries: Vec<(EntryId, Entry)>,
}

impl Published {
    /// The journal entries that can be marked done.
    pub fn ids(&self) -> impl Iterator<Item = EntryId> {
        self.entries.iter().map(|(id, _)| *id)
    }

    /// What was published, for the summary.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// The permission for each message to leave the server.
    pub fn settlements(&self) -> impl Iterator<Item = Settlement> {
        // If no size was announced, nothing proves that the message is complete. The next pass checks it once more.
        let is_proven = |entry: &&Entry| entry.announced > 0 || entry.size == 0;
        let proven = self.entries.iter().map(|(_, entry)| entry).filter(is_proven);
        proven.map(|entry| Settlement { key: entry.key.clone(), is_copied: false })
    }
}

/// The proof that every recorded message of an account was published: recovery has run.
#[derive(Debug)]
pub struct Recovered {
    odd: bool,
    /// Entries that were recorded and have no file: they were not published, and are still unfinished.
    pub lost: Vec<Unfinished>,
}

impl Recovered {
    /// Recovery makes it after the directories were synced. `odd` says that there was something to recover; then this
    /// pass deletes nothing on the server.
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
    /// The permissions for messages of earlier runs that the server still has, fetched before `before`.
    pub fn of_earlier(known: &KnownOrigin, _proof: &Recovered, before: Timestamp) -> Vec<Self> {
        let earlier = known.here().filter(|(_, r)| r.at <= before);
        earlier.map(|(id, r)| Self { key: known.key(id), is_copied: r.mark == super::KeyPurpose::Copied }).collect()
    }

    /// The permissions for messages that were deleted, the last time before `before`, and that the server still lists.
    pub fn not_let_go(known: &KnownOrigin, _proof: &Recovered, before: Timestamp) -> Vec<Self> {
        let again = known.iter().filter(|(_, r)| r.mark == super::KeyPurpose::NotLetGo && r.at <= before);
        again.map(|(id, _)| Self { key: known.key(id), is_copied: false }).collect()
    }

    /// The message.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether the server has a copy in the target folder, so that only the original has to be removed.
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

/// Borrowed paths for [`super::sync_dirs`].
pub fn as_paths(dirs: &[PathBuf]) -> impl Iterator<Item = &Path> {
    dirs.iter().map(PathBuf::as_path)
}
