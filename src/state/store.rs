//! The narrow door to everything that is remembered.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::outbox::FURTHEST;
use super::{
    Before, EntryId, FolderMarks, Later, Leaving, MboxTarget, Outbox, Owned, Pacing, Recording, Registry, Staged,
    Target,
};
use crate::config::entries::Entry as ListEntry;
use crate::decision::{Counted, Fact, Telling, Write};
use crate::error::Result;
use crate::message::{Key, Origin};

/// The memory of the program. Every writing call is one durable transaction, which is refused when the name space it is
/// made for was taken over by another process.
pub trait Store: Registry + Outbox + Pacing + FolderMarks + Send + Sync {
    /// The name spaces with rows that were recorded and not marked done.
    fn unfinished_spaces(&self) -> Result<Vec<String>>;

    /// What is remembered of an origin's messages.
    fn known(&self, origin: &Arc<Origin>) -> Result<Known>;

    /// What is remembered of these messages of an origin, and no more.
    fn known_among(&self, origin: &Arc<Origin>, ids: &[Vec<u8>]) -> Result<Known>;

    /// Whether an origin was looked at before.
    fn was_looked_at(&self, origin: &Origin) -> Result<bool>;

    /// What is remembered of one key.
    fn remembered(&self, key: &Key) -> Result<Option<Remembered>>;

    /// Earlier generations (UIDVALIDITY values) of the same folder that still hold keys, newest first.
    fn earlier_generations(&self, origin: &Origin) -> Result<Vec<Arc<Origin>>>;

    /// Remembers keys without delivering anything: skipped, set aside, deleted on the server, recognised.
    fn mark(&self, owned: &Owned, marks: &[(Key, Remembered)]) -> Result<()>;

    /// Forgets keys and remembers others in their place, in one transaction: in between every message would count as new.
    fn renumber(&self, owned: &Owned, old: &[Key], new: &[(Key, Remembered)]) -> Result<()>;

    /// Records decided and staged messages with what they write and tell, and marks earlier rows done, in one
    /// transaction. That asks again what the decisions read: where another answer came out, nothing is recorded.
    fn record(&self, owned: &Owned, staged: Staged, done: &[EntryId]) -> Result<Recording>;

    /// The answer to a question of a rule.
    fn holds(&self, fact: &Fact, now: Timestamp) -> Result<bool>;

    /// The last number that a counter gave.
    fn last_number(&self, counter: &str) -> Result<Option<u64>>;

    /// How many messages were counted, these among them, which are about to be.
    fn counted(&self, of: &Counted, coming: &HashSet<i64>) -> Result<u64>;

    /// The entries of a list that rules write, with their values, sorted.
    fn list_entries(&self, list: &str, now: Timestamp) -> Result<Vec<ListEntry>>;

    /// The value of an entry of such a list.
    fn list_value(&self, list: &str, entry: &str) -> Result<Option<String>>;

    /// Changes lists as rules do; for a person who asks for it.
    fn change_lists(&self, writes: &[Write], now: Timestamp) -> Result<()>;

    /// Marks journal rows as published.
    fn finish(&self, owned: &Owned, done: &[EntryId]) -> Result<()>;

    /// The rows that were recorded for a name space and not marked done.
    fn unfinished(&self, space: &str) -> Result<Vec<Unfinished>>;

    /// Gives up a recorded row whose files are nowhere: the message counts as new again, and what its rules noted is taken
    /// back, so that it does not meet itself. What it told stays told.
    fn again(&self, owned: &Owned, row: &Unfinished) -> Result<()>;

    /// Notes, without syncing, which message is being decided in a name space; `None` when no longer. Survives the process.
    fn deciding(&self, owned: &Owned, key: Option<&Key>) -> Result<()>;

    /// Which message was being decided when the last owner of this name space died.
    fn died_deciding(&self, owned: &Owned) -> Result<Option<Key>>;

    /// Counts a failed attempt at a message. Another trouble than the last time begins to count anew.
    fn attempt(&self, owned: &Owned, key: &Key, trouble: Trouble, cause: &str, now: Timestamp) -> Result<Attempt>;

    /// When an origin was looked at for the first time: now, if it was not yet.
    fn first_look(&self, owned: &Owned, origin: &Origin, now: Timestamp) -> Result<Timestamp>;

    /// The failed attempts at an origin's messages, by id.
    fn attempts(&self, origin: &Origin) -> Result<HashMap<Vec<u8>, Attempt>>;

    /// Notes which keys a complete listing did not hold; they are pruned after a grace time.
    fn listed(&self, owned: &Owned, origin: &Origin, missing: &[Vec<u8>], now: Timestamp) -> Result<()>;

    /// Whether a message with this header came from that account and is here.
    fn is_here(&self, account: &str, head_hash: &[u8; 16]) -> Result<bool>;

    /// The rows of messages with that Message-ID that came from an account, the newest first, at most eight.
    fn filed_as(&self, account: &str, message_id: &str) -> Result<Vec<EntryId>>;

    /// Whether a staged file of that name, for a Maildir or an mbox, belongs to a recorded message.
    fn is_recorded(&self, staged: &str) -> Result<bool>;

    /// Whether that file in the spool, known by its name alone, is needed: the journal names it, or a row of the outbox that
    /// is not finished.
    fn is_spooled(&self, path: &Path) -> Result<bool>;

    /// The newest journal entries, newest first.
    fn journal(&self, account: Option<&str>, limit: u32) -> Result<Vec<JournalRow>> {
        self.journal_in(account, 0..EntryId::MAX, limit)
    }

    /// The newest of the journal entries whose numbers are in a range, newest first.
    fn journal_in(&self, account: Option<&str>, numbers: Range<EntryId>, limit: u32) -> Result<Vec<JournalRow>>;

    /// One journal row with everything that it led to.
    fn entry(&self, id: EntryId) -> Result<Option<JournalEntry>>;

    /// The rows of a run of `refilter`, `maintain` or `undo`, the newest first.
    fn run(&self, run: u64) -> Result<Vec<EntryId>>;

    /// Whether `undo` brought the message of a journal row back.
    fn was_brought_back(&self, id: EntryId) -> Result<bool>;

    /// What was done with the files of that name after this row, the oldest first.
    fn later(&self, id: EntryId, name: &str) -> Result<Vec<Later>>;

    /// Removes what the documented rules let go, and of originals what is more than so many bytes; returns spool files that nothing names any more.
    fn prune(&self, owned: &Owned, now: Timestamp, originals: u64) -> Result<Vec<PathBuf>>;
}

/// Why a key is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The message is here.
    Here,
    /// It was there before the first run, which was told not to fetch it.
    Skipped,
    /// It could not be fetched, several times; the user was told.
    SetAside,
    /// It was here and the server's copy was deleted or moved.
    Settled,
    /// What came of it is here and may not be all of it: its copy on the server is never settled, and it is fetched once
    /// more when the server says something else about it.
    Doubtful,
    /// POP3: it is older than the account's `since`. The time is that of its arrival.
    TooOld,
    /// It was recorded and its files are nowhere: it is fetched again and told to nobody.
    Again,
    /// Another message stands under its id now.
    Replaced,
    /// It was deleted on the server, which lists it still. The time is that of the last attempt.
    NotLetGo,
    /// Another server's dress of a message that is here: it stays on the server.
    Redressed,
    /// It is here, and on the server a copy of it stands where it is to be moved to.
    Copied,
    /// It stood on the server at the account's first run and was not fetched yet, or was recorded without telling anybody
    /// and is fetched again. It is new, and no [`Known`] holds it.
    Stood,
}

/// One remembered key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Why.
    pub mark: Mark,
    /// The size the server announced.
    pub announced: u64,
    /// The hash of the header block, where it was seen.
    pub head_hash: Option<[u8; 16]>,
    /// The hash of the fields that no server changes, where they were seen.
    pub dress: Option<[u8; 16]>,
    /// When: for [`Mark::Here`] and [`Mark::Settled`] the time of fetching, for [`Mark::Skipped`] and
    /// [`Mark::TooOld`] the time of arrival, for [`Mark::SetAside`] the time of the last attempt.
    pub at: Timestamp,
}

impl Remembered {
    /// Of a message whose header was not read.
    pub fn unread(mark: Mark, announced: u64, at: Timestamp) -> Self {
        Self { mark, announced, head_hash: None, dress: None, at }
    }
}

/// Everything remembered of one origin.
#[derive(Debug)]
pub struct Known {
    origin: Arc<Origin>,
    keys: HashMap<Vec<u8>, Remembered>,
    missing: HashSet<Vec<u8>>,
    first_time: bool,
}

impl Known {
    /// Puts it together; for a [`Store`]. `missing`: the ids that the last complete listing lacked.
    pub fn new(
        origin: Arc<Origin>,
        keys: HashMap<Vec<u8>, Remembered>,
        missing: HashSet<Vec<u8>>,
        first_time: bool,
    ) -> Self {
        Self { origin, keys, missing, first_time }
    }

    /// Whether the last complete listing lacked an id: what is listed under it now may be another message.
    pub fn was_missing(&self, id: &[u8]) -> bool {
        self.missing.contains(id)
    }

    /// Whether this folder was never looked at before. An empty folder that was looked at is not new.
    pub fn is_first_time(&self) -> bool {
        self.first_time
    }

    /// Whose keys these are.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// What is remembered of one id.
    pub fn get(&self, id: &[u8]) -> Option<&Remembered> {
        self.keys.get(id)
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Remembered)> {
        self.keys.iter().map(|(id, r)| (id.as_slice(), r))
    }

    /// The messages that are here.
    pub fn here(&self) -> impl Iterator<Item = (&[u8], &Remembered)> {
        self.iter().filter(|(_, r)| matches!(r.mark, Mark::Here | Mark::Copied))
    }

    /// The key of an id.
    pub fn key(&self, id: &[u8]) -> Key {
        Key::new(&self.origin, id)
    }
}

/// A recorded row whose publishing is not known to be complete.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// Its number.
    pub id: EntryId,
    /// The message.
    pub key: Key,
    /// When it was recorded.
    pub at: Timestamp,
    /// The files.
    pub targets: Vec<Target>,
    /// The mbox files.
    pub mboxes: Vec<MboxTarget>,
    /// The files that it leaves.
    pub leaves: Vec<Leaving>,
    /// The hash of its header block, as far as it is known.
    pub head_hash: Option<[u8; 16]>,
    /// From and Subject, for people.
    pub about: super::About,
}

/// Why an attempt at a message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server could not give it.
    Fetch,
    /// The program died while deciding about it.
    Died,
    /// A rule asked to be asked later.
    Deferred,
}

/// Something told, or to be told.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Its number.
    pub id: i64,
    /// The journal row that it belongs to.
    pub entry: EntryId,
    /// The account that the message came from.
    pub account: String,
    /// The folder there.
    pub folder: String,
    /// Its place among the tellings of that row.
    pub n: u32,
    /// What, and to whom still.
    pub telling: Telling,
    /// Of several recipients those for whom it is over, in the order in which it was.
    pub ended: Vec<Ended>,
    /// The file in the spool with the bytes.
    pub bytes: PathBuf,
    /// How far it is.
    pub state: OutboxState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub due: Timestamp,
    /// When it was decided.
    pub at: Timestamp,
    /// Since when it waits: it was decided then, or the user tried it again.
    pub since: Timestamp,
    /// What the relay or the program said last.
    pub said: String,
    /// When that was.
    pub changed: Timestamp,
    /// The copy that is owed of what was sent.
    pub copy: Option<OwedCopy>,
}

/// A copy of what was sent (`fcc`), which is not filed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedCopy {
    /// What was sent.
    pub message: Vec<u8>,
    /// How often it could not be filed.
    pub attempts: u32,
    /// Why, the last time.
    pub said: String,
}

/// What became of one of several recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The address.
    pub to: String,
    /// Whether it was refused for good; else it was sent.
    pub is_refused: bool,
    /// What the relay said.
    pub said: String,
}

impl OutboxRow {
    /// Notes what became of a recipient.
    pub fn end(&mut self, ended: Ended) {
        self.ended.retain(|other| other.to != ended.to);
        self.ended.push(ended);
    }

    /// What was said last: by whoever was told, or of the copy that is owed.
    pub fn last_said(&self) -> &str {
        match &self.copy {
            Some(copy) if !copy.said.is_empty() => &copy.said,
            _ => &self.said,
        }
    }

    /// The recipients that were refused while others were not.
    pub fn refused(&self) -> impl Iterator<Item = &Ended> {
        self.ended.iter().filter(|ended| ended.is_refused)
    }

    /// How far it is, in words: for some recipients perhaps otherwise than for others.
    pub fn state_in_words(&self) -> &'static str {
        match self.state {
            OutboxState::Sent if self.refused().next().is_some() => "sent in part",
            state => state.word(),
        }
    }
}

/// A relay that is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Its name.
    pub relay: String,
    /// For which sender; empty: for all.
    pub sender: String,
    /// Until when.
    pub until: Timestamp,
    /// How often in a row it failed.
    pub failures: u32,
    /// Why.
    pub cause: String,
}

impl Rest {
    /// Whether it lasts at this time. One that ends further ahead than any was noted by a clock that was ahead.
    pub fn is_at(&self, now: Timestamp) -> bool {
        self.until > now && self.until.duration_since(now) <= FURTHEST
    }

    /// Whether it is this relay that rests, for this sender or for all.
    pub fn concerns(&self, relay: &str, sender: &str) -> bool {
        self.relay == relay && (self.sender.is_empty() || self.sender == sender)
    }
}

/// How far a telling is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxState {
    /// It waits for its time.
    Waiting,
    /// Somebody is at it, or died at it.
    Sending,
    /// It was told.
    Sent,
    /// It was given up.
    Failed,
    /// The user put it aside.
    Held,
    /// The user gave it up while another process was sending: that one carries it out.
    Dropped,
    /// It was told, and the copy of it is not filed yet.
    CopyOwed,
    /// It was given up, and its message is not filed yet: it is not tried again.
    Unfiled,
}

impl OutboxState {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Dropped => "dropped",
            Self::Unfiled => "given up, not filed yet",
            Self::CopyOwed => "sent, copy owed",
        }
    }
}

/// Failed attempts at one message.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// How many with the same trouble.
    pub count: u32,
    /// The trouble.
    pub trouble: Trouble,
    /// When the first of them was.
    pub first: Timestamp,
    /// The last cause.
    pub cause: String,
    /// When that was.
    pub at: Timestamp,
}

/// A journal row with everything that it led to, for `undo`.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// The row.
    pub row: JournalRow,
    /// The files.
    pub targets: Vec<Target>,
    /// The mbox files.
    pub mboxes: Vec<MboxTarget>,
    /// Its file in the spool.
    pub spooled: Option<PathBuf>,
    /// What the message was before.
    pub before: Before,
}

/// A journal row as `mailsluice log` shows it.
#[derive(Clone, Debug)]
pub struct JournalRow {
    /// Its number.
    pub id: EntryId,
    /// When it was decided.
    pub at: Timestamp,
    /// The account.
    pub account: String,
    /// The folder on the server.
    pub folder: String,
    /// UID, UIDL or hash.
    pub message: String,
    /// From, Subject, Message-ID.
    pub about: super::About,
    /// The size as filed.
    pub size: u64,
    /// The rule.
    pub rule: String,
    /// The conditions that were true.
    pub why: String,
    /// What happened.
    pub outcome: String,
    /// What rules asked to be logged, and what else there is to know.
    pub notes: Vec<String>,
    /// The files, as published.
    pub files: Vec<PathBuf>,
    /// Whether publishing is known to be complete.
    pub done: bool,
    /// The run of `refilter`, `maintain` or `undo` that moved it; 0 for what came from elsewhere.
    pub run: u64,
    /// The files that it left.
    pub left: Vec<PathBuf>,
}
