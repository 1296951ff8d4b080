//! The narrow interface to everything that is remembered.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::JournalRow;
use super::outbox::LONGEST_WAIT;
use super::{
    Before, EntryId, FolderMarks, Later, Leaving, MboxTarget, Outbox, Owned, Pacing, Recording, Registry, Staged,
    Target,
};
use crate::config::entries::ListedEntry as ListEntry;
use crate::decision::{Counted, Fact, Telling, Write};
use crate::error::Result;
use crate::message::{Key, Origin};

/// What is remembered of the messages on servers, and of attempts at them.
pub trait RememberedKeys {
    /// What is remembered of an origin's messages.
    fn known(&self, origin: &Arc<Origin>) -> Result<KnownOrigin>;

    /// What is remembered of these messages of an origin, and no more.
    fn known_among(&self, origin: &Arc<Origin>, ids: &[Vec<u8>]) -> Result<KnownOrigin>;

    /// Whether an origin was listed before.
    fn was_looked_at(&self, origin: &Origin) -> Result<bool>;

    /// What is remembered of one key.
    fn remembered(&self, key: &Key) -> Result<Option<RememberedKey>>;

    /// Earlier generations (UIDVALIDITY values) of the same folder that still hold keys, newest first.
    fn earlier_generations(&self, origin: &Origin) -> Result<Vec<Arc<Origin>>>;

    /// Remembers keys without delivering anything: skipped, set aside, deleted on the server, recognised.
    fn mark(&self, owned: &Owned, marks: &[(Key, RememberedKey)]) -> Result<()>;

    /// Forgets keys and remembers others instead, in one transaction: in between, every message would count as new.
    fn renumber(&self, owned: &Owned, old: &[Key], new: &[(Key, RememberedKey)]) -> Result<()>;

    /// Remembers, without syncing, which message is being decided in a name space; `None` when that is over. It
    /// survives the process.
    fn deciding(&self, owned: &Owned, key: Option<&Key>) -> Result<()>;

    /// Which message was being decided when the last owner of this name space died.
    fn died_deciding(&self, owned: &Owned) -> Result<Option<Key>>;

    /// Counts a failed attempt at a message. A new kind of trouble starts a new count.
    fn attempt(&self, owned: &Owned, key: &Key, trouble: Trouble, cause: &str, now: Timestamp) -> Result<Attempt>;

    /// When an origin was listed for the first time: now, if it was not before.
    fn first_look(&self, owned: &Owned, origin: &Origin, now: Timestamp) -> Result<Timestamp>;

    /// The failed attempts at an origin's messages, by id.
    fn attempts(&self, origin: &Origin) -> Result<HashMap<Vec<u8>, Attempt>>;

    /// Records which keys a complete listing lacked. They are pruned after a grace time.
    fn listed(&self, owned: &Owned, origin: &Origin, missing: &[Vec<u8>], now: Timestamp) -> Result<()>;

    /// Whether a message with this header came from that account and is filed.
    fn is_here(&self, account: &str, head_hash: &[u8; 16]) -> Result<bool>;
}

/// What rules remember: the answers to their questions, counters and lists.
pub trait RuleFacts {
    /// The answer to a rule's question.
    fn holds(&self, fact: &Fact, now: Timestamp) -> Result<bool>;

    /// The last number that was taken from a counter.
    fn last_number(&self, counter: &str) -> Result<Option<u64>>;

    /// How many messages were counted, including those that are about to be.
    fn counted(&self, of: &Counted, coming: &HashSet<i64>) -> Result<u64>;

    /// The entries of a list that rules write, with their values, sorted.
    fn list_entries(&self, list: &str, now: Timestamp) -> Result<Vec<ListEntry>>;

    /// The value of an entry in such a list.
    fn list_value(&self, list: &str, entry: &str) -> Result<Option<String>>;

    /// Changes lists as rules do, for a person who asks for it.
    fn change_lists(&self, writes: &[Write], now: Timestamp) -> Result<()>;
}

/// What was decided and filed, and what a crash left unfinished of it.
pub trait JournalEntries {
    /// The name spaces with entries that were recorded and not marked done.
    fn unfinished_spaces(&self) -> Result<Vec<String>>;

    /// Records decided and staged messages with what they write and send, and marks earlier entries done, in one
    /// transaction. It checks again what the decisions read; if an answer has changed, nothing is recorded.
    fn record(&self, owned: &Owned, staged: Staged, done: &[EntryId]) -> Result<Recording>;

    /// Marks journal entries as published.
    fn finish(&self, owned: &Owned, done: &[EntryId]) -> Result<()>;

    /// The entries that were recorded for a name space and not marked done.
    fn unfinished(&self, space: &str) -> Result<Vec<Unfinished>>;

    /// Gives up a recorded entry whose files are gone. The message counts as new again. What its rules recorded is
    /// removed, so that it is not taken for a duplicate of itself. What was sent stays sent.
    fn again(&self, owned: &Owned, row: &Unfinished) -> Result<()>;

    /// The entries of messages with that Message-ID from an account, the newest first, at most eight.
    fn filed_as(&self, account: &str, message_id: &str) -> Result<Vec<EntryId>>;

    /// Whether a staged file of that name, for a Maildir or an mbox, belongs to a recorded message.
    fn is_recorded(&self, staged: &str) -> Result<bool>;

    /// Whether that file in the spool, identified by its name alone, is still needed: by a journal entry, or by an
    /// outbox item that is not finished.
    fn is_spooled(&self, path: &Path) -> Result<bool>;

    /// The newest journal entries, newest first.
    fn journal(&self, account: Option<&str>, limit: u32) -> Result<Vec<JournalRow>> {
        self.journal_in(account, 0..EntryId::MAX, limit)
    }

    /// The newest of the journal entries whose numbers are in a range, newest first.
    fn journal_in(&self, account: Option<&str>, numbers: Range<EntryId>, limit: u32) -> Result<Vec<JournalRow>>;

    /// Sender, subject and Message-ID of a journal entry.
    fn about(&self, id: EntryId) -> Result<Option<super::About>>;

    /// One journal entry with everything that it led to.
    fn entry(&self, id: EntryId) -> Result<Option<JournalEntry>>;

    /// The entries of a run of `refilter`, `maintain` or `undo`, the newest first.
    fn run(&self, run: u64) -> Result<Vec<EntryId>>;

    /// Whether `undo` brought the message of an entry back.
    fn was_brought_back(&self, id: EntryId) -> Result<bool>;

    /// The later changes to files of that name, the oldest first.
    fn later(&self, id: EntryId, name: &str) -> Result<Vec<Later>>;

    /// Removes what is older than the documented times, and originals beyond that many bytes. Returns the spool files
    /// that nothing names any more.
    fn prune(&self, owned: &Owned, now: Timestamp, originals: u64) -> Result<Vec<PathBuf>>;
}

/// What the program remembers. Every writing call is one durable transaction. It is refused if another process has
/// taken over the name space.
pub trait Store:
    Registry + RememberedKeys + RuleFacts + JournalEntries + Outbox + Pacing + FolderMarks + Send + Sync
{
}

impl<T> Store for T where
    T: Registry + RememberedKeys + RuleFacts + JournalEntries + Outbox + Pacing + FolderMarks + Send + Sync
{
}

/// Why a key is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPurpose {
    /// The message is filed.
    Here,
    /// It was on the server before the first run, which was not to fetch it.
    Skipped,
    /// It could not be fetched, several times, and the user got a notice.
    SetAside,
    /// It was filed, and the server's copy was deleted or moved.
    Settled,
    /// What came of it is filed and may be incomplete. Its copy on the server is never settled, and it is fetched once
    /// more when the server describes it differently.
    Doubtful,
    /// POP3: it is older than the account's `since`. The time is that of its arrival.
    TooOld,
    /// It was recorded and its files are gone: it is fetched again, and nothing is sent about it.
    Again,
    /// The server lists another message under its id now.
    Replaced,
    /// It was deleted on the server, which still lists it. The time is that of the last attempt.
    NotLetGo,
    /// The server changed the header of a message that is filed: it stays on the server.
    Redressed,
    /// It is filed, and the server has a copy of it in the folder that it is to be moved to.
    Copied,
    /// It was on the server at the account's first run and is not fetched yet, or it was recorded without sending
    /// anything and is fetched again. It is new, and no [`Known`] holds it.
    Stood,
}

/// One remembered key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberedKey {
    /// Why it is remembered.
    pub mark: KeyPurpose,
    /// The size the server announced.
    pub announced: u64,
    /// The hash of the header block, if it was seen.
    pub head_hash: Option<[u8; 16]>,
    /// The hash of the fields that no server changes, if they were seen.
    pub dress: Option<[u8; 16]>,
    /// The time of fetching for [`Mark::Here`] and [`Mark::Settled`], the time of arrival for [`Mark::Skipped`] and
    /// [`Mark::TooOld`], and the time of the last attempt for [`Mark::SetAside`].
    pub at: Timestamp,
}

impl RememberedKey {
    /// A message whose header was not read.
    pub fn unread(mark: KeyPurpose, announced: u64, at: Timestamp) -> Self {
        Self { mark, announced, head_hash: None, dress: None, at }
    }
}

/// Everything remembered of one origin.
#[derive(Debug)]
pub struct KnownOrigin {
    origin: Arc<Origin>,
    keys: HashMap<Vec<u8>, RememberedKey>,
    missing: HashSet<Vec<u8>>,
    first_time: bool,
}

impl KnownOrigin {
    /// Builds it, for a [`Store`]. `missing` holds the ids that the last complete listing lacked.
    pub fn new(
        origin: Arc<Origin>,
        keys: HashMap<Vec<u8>, RememberedKey>,
        missing: HashSet<Vec<u8>>,
        first_time: bool,
    ) -> Self {
        Self { origin, keys, missing, first_time }
    }

    /// Whether the last complete listing lacked an id: what is listed under it now may be another message.
    pub fn was_missing(&self, id: &[u8]) -> bool {
        self.missing.contains(id)
    }

    /// Whether this folder was never listed before. An empty folder that was listed is not new.
    pub fn is_first_time(&self) -> bool {
        self.first_time
    }

    /// The origin of these keys.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// What is remembered of one id.
    pub fn get(&self, id: &[u8]) -> Option<&RememberedKey> {
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

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &RememberedKey)> {
        self.keys.iter().map(|(id, r)| (id.as_slice(), r))
    }

    /// The messages that are filed.
    pub fn here(&self) -> impl Iterator<Item = (&[u8], &RememberedKey)> {
        self.iter().filter(|(_, r)| matches!(r.mark, KeyPurpose::Here | KeyPurpose::Copied))
    }

    /// The key of an id.
    pub fn key(&self, id: &[u8]) -> Key {
        Key::new(&self.origin, id)
    }
}

/// A recorded entry whose publishing is not known to be complete.
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
    /// The hash of its header block, if it is known.
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
    /// A rule deferred it.
    Deferred,
}

/// An outbox item.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Its number.
    pub id: i64,
    /// The journal entry that it belongs to.
    pub entry: EntryId,
    /// The account that the message came from.
    pub account: String,
    /// The folder on the server.
    pub folder: String,
    /// Its index among the items of that entry.
    pub n: u32,
    /// What is sent, and to whom still.
    pub telling: Telling,
    /// The recipients that are finished, in order.
    pub ended: Vec<RecipientEnd>,
    /// The file in the spool with the bytes.
    pub bytes: PathBuf,
    /// Its state.
    pub state: OutboxState,
    /// The number of attempts.
    pub attempts: u32,
    /// When the next attempt is due.
    pub due: Timestamp,
    /// When it was decided.
    pub at: Timestamp,
    /// Since when it waits: since the decision, or since the user tried it again.
    pub since: Timestamp,
    /// The last reply of the relay or the program.
    pub said: String,
    /// When that reply came.
    pub changed: Timestamp,
    /// The copy of the sent message that is still to be filed.
    pub copy: Option<OwedCopy>,
}

/// A copy of a sent message (`fcc`) that is not filed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedCopy {
    /// What was sent.
    pub message: Vec<u8>,
    /// How often it could not be filed.
    pub attempts: u32,
    /// The last cause.
    pub said: String,
}

/// The outcome for one of several recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientEnd {
    /// The address.
    pub to: String,
    /// Whether it was refused for good; otherwise it was sent.
    pub is_refused: bool,
    /// The relay's reply.
    pub said: String,
}

impl OutboxRow {
    /// Records the outcome for a recipient.
    pub fn end(&mut self, ended: RecipientEnd) {
        self.ended.retain(|other| other.to != ended.to);
        self.ended.push(ended);
    }

    /// The last reply, or the last error about the copy that is owed.
    pub fn last_said(&self) -> &str {
        match &self.copy {
            Some(copy) if !copy.said.is_empty() => &copy.said,
            _ => &self.said,
        }
    }

    /// The recipients that were refused while others were not.
    pub fn refused(&self) -> impl Iterator<Item = &RecipientEnd> {
        self.ended.iter().filter(|ended| ended.is_refused)
    }

    /// The state in words. It may differ between recipients.
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
    /// The sender for whom it rests, or empty for all.
    pub sender: String,
    /// When the rest ends.
    pub until: Timestamp,
    /// How many times in a row it failed.
    pub failures: u32,
    /// The cause.
    pub cause: String,
}

impl Rest {
    /// Whether the rest lasts at this time. If it ends later than any rest can, it was recorded by a clock that was
    /// ahead.
    pub fn is_at(&self, now: Timestamp) -> bool {
        self.until > now && self.until.duration_since(now) <= LONGEST_WAIT
    }

    /// Whether this relay rests, for this sender or for all.
    pub fn concerns(&self, relay: &str, sender: &str) -> bool {
        self.relay == relay && (self.sender.is_empty() || self.sender == sender)
    }
}

/// The state of an outbox item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxState {
    /// It waits until it is due.
    Waiting,
    /// A process is sending it, or died while sending it.
    Sending,
    /// It was sent.
    Sent,
    /// It was given up.
    Failed,
    /// It is held: by the user, or because the state is an older copy.
    Held,
    /// The user gave it up while another process was sending. That process carries it out.
    Dropped,
    /// It was sent, and its copy is not filed yet.
    CopyOwed,
    /// It was given up, and its message is not filed yet. It is not tried again.
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
    /// How many there were with the same trouble.
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

/// A journal entry with everything that it led to, for `undo`.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// The entry.
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
