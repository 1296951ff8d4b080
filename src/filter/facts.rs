//! What rules may ask the world: the only window of this module.
//!
//! Asking must be repeatable: it happens while deciding, changes nothing, and happens again after a crash.

use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, Zoned};

use crate::config::entries::{Entries, ListedEntry};
use crate::config::lists::EntriesOrigin;
use crate::config::template::FolderName;
use crate::decision::{Contents, Counted, Fact};
use crate::message::Message;

/// The world as rules see it. `pass` answers from clock, state and programs; `explain` and `test` answer from what they
/// were told.
pub trait Facts: Send + Sync {
    /// The time, in the user's time zone.
    fn now(&self) -> Zoned;

    /// Whether something stands in the state.
    fn holds(&self, fact: &Fact) -> Result<bool, Unanswered>;

    /// The last number that a counter gave.
    fn last_number(&self, counter: &str) -> Result<Option<u64>, Unanswered>;

    /// How many messages were counted.
    fn counted(&self, of: &Counted) -> Result<u64, Unanswered>;

    /// When the folder that the message comes from was looked at for the first time. `None`: it comes from no folder, or
    /// that does not matter.
    fn first_look(&self) -> Option<Timestamp> {
        None
    }

    /// Whether the message stood on the server before the first run of its account.
    fn stood(&self) -> Result<bool, Unanswered> {
        Ok(false)
    }

    /// The entries of a list that can change: of a file, read again when it changed, or of a program, asked again when its
    /// time is over.
    fn list(&self, origin: &EntriesOrigin) -> KnownList;

    /// The value of an entry of a database list.
    fn list_value(&self, _list: &str, _entry: &str) -> Result<Option<String>, Unanswered> {
        Ok(None)
    }

    /// The entries of a database list.
    fn list_entries(&self, _list: &str) -> Result<Vec<ListedEntry>, Unanswered> {
        Ok(Vec::new())
    }

    /// Whether the message is filed here already, and filtered again.
    fn is_filed(&self) -> bool {
        false
    }

    /// What is in a local folder; `None`: there is none of that name.
    fn folder(&self, _folder: &FolderName) -> Result<Option<Contents>, Unanswered> {
        Ok(None)
    }

    /// Runs a program and waits for it.
    fn ask(&self, question: &Ask<'_>) -> FactAnswer;
}

/// What is known of a list that can change.
#[derive(Clone, Debug)]
pub enum KnownList {
    /// Its entries.
    Entries(Arc<Entries>),
    /// Nobody was asked: `explain` and `test` start no program.
    NotAsked,
    /// They cannot be read now; in words.
    Failed(String),
}

/// The state could not be asked: no decision can be made now.
#[derive(Debug, thiserror::Error)]
#[error("the state could not be read: {0}")]
pub struct Unanswered(pub String);

/// A program to be run while deciding.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The program and its arguments, expanded. Never through a shell.
    pub run: &'a [String],
    /// What it reads; `None`: nothing.
    pub input: Option<&'a Message>,
    /// Its process group is killed after this.
    pub timeout: Duration,
    /// The most bytes that are taken from its standard output; more is a failure.
    pub most: usize,
    /// One at a time of this name; none: as many as come.
    pub lock: Option<&'a str>,
    /// Variables beside the fixed small environment, with our prefix: `MAILSLUICE_SENDER`.
    pub environment: &'a [(&'static str, String)],
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactAnswer {
    /// It ended with this code, having written this.
    Ended {
        /// The exit code.
        code: i32,
        /// Its standard output.
        out: Vec<u8>,
    },
    /// It failed without an exit code: not found, killed by a signal, too slow, too talkative. In words.
    Failed(String),
    /// Nobody was asked: `explain` and `test` start no program.
    NotAsked,
}
