//! What is remembered between runs, and the order in which things become durable.
//!
//! | step | type | what is on disk when it exists |
//! |---|---|---|
//! | stage | [`Staged`] | every file complete and synced under `tmp/`, its directories synced |
//! | record | [`Recorded`] | the decision, the staged names and the key, in one committed transaction |
//! | publish | [`Published`] | every file renamed to `new/` or `cur/`, those directories synced |
//! | settle | [`Settlement`] | (the server may now delete its copy) |
//!
//! Each type can be made only from the one above it, so the compiler guarantees that no message leaves a server before
//! it is safely filed. All mail files are touched through [`Disk`], and everything remembered through [`Store`]: the
//! crash tests run the same pipeline over a disk that forgets everything unsynced.

mod accounts;
mod before;
mod clock;
mod counts;
mod disk;
mod facts;
mod folder_mark;
mod how_it_left;
mod in_use;
mod incoming;
mod journal;
mod known;
mod lock;
mod marker;
mod memory;
mod opening;
mod outbox;
mod owned;
mod owner;
mod pacing;
mod places;
mod progress;
mod prune;
mod registry;
mod reserve;
mod rows;
mod schema;
mod set_aside;
mod slots;
mod sqlite;
mod standing;
mod store;
mod water;

pub use before::{Before, Later, Leaving, Original};
pub use clock::{Clock, is_possible};
pub use disk::{Disk, DiskFile, LOCK_TIMEOUT, RealDisk, SharedFile, Synced, sync_dirs, sync_parent, sync_with_parents};
pub use facts::{IDENTITY, ROOT};
pub use folder_mark::{FolderMark, FolderMarks};
pub use how_it_left::HowItLeft;
pub use incoming::{has_come, incoming};
pub use journal::JournalRow;
pub use lock::Lock;
pub use marker::Marker;
pub use outbox::Outbox;
pub use owned::{Owned, Stamp};
pub use pacing::{Pace, Pacing, PartialFailure};
pub use places::Places;
pub use progress::{
    About, Entry, EntryId, MboxTarget, Published, Recorded, Recording, Recovered, Settlement, Staged, Sub, Target,
    as_paths, touched_dirs,
};
pub use registry::{Registered, Registry};
pub use set_aside::{MBOX_SPOOL, SET_ASIDE};
pub use sqlite::SqliteStore;
pub use standing::Standing;
pub use store::{
    Attempt, JournalEntries, JournalEntry, KeyPurpose, KnownOrigin, OutboxRow, OutboxState, OwedCopy, RecipientEnd,
    RememberedKey, RememberedKeys, Rest, RuleFacts, Store, Trouble, Unfinished,
};
