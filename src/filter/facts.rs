//! What rules may ask the world. This is the only way in which the rules reach anything outside this module.
//!
//! A question must not change anything, because it may be asked again after a crash.

use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, Zoned};

use crate::config::entries::{Entries, ListedEntry};
use crate::config::lists::EntriesOrigin;
use crate::config::template::FolderName;
use crate::decision::{Contents, Counted, Fact};
use crate::message::Message;

/// The world as rules see it. `pass` answers from the clock, the state and programs; `explain` and `test` answer from
/// given values.
pub trait Facts: Send + Sync {
    /// The time, in the user's time zone.
    fn now(&self) -> Zoned;

    /// Whether a fact is true in the state.
    fn holds(&self, fact: &Fact) -> Result<bool, Unanswered>;

    /// The last number that a counter assigned.
    fn last_number(&self, counter: &str) -> Result<Option<u64>, Unanswered>;

    /// How many messages were counted.
    fn counted(&self, of: &Counted) -> Result<u64, Unanswered>;

    /// When the folder of the message was read for the first time. `None` if it comes from no folder, or if that does
    /// not matter.
    fn first_look(&self) -> Option<Timestamp> {
        None
    }

    /// Whether the message was on the server before the first run of its account.
    fn stood(&self) -> Result<bool, Unanswered> {
        Ok(false)
    }

    /// The entries of a list that can change. A file is read again when it has changed; a program runs again when its
    /// answer has expired.
    fn list(&self, origin: &EntriesOrigin) -> KnownList;

    /// The value of an entry of a database list.
    fn list_value(&self, _list: &str, _entry: &str) -> Result<Option<String>, Unanswered> {
        Ok(None)
    }

    /// The entries of a database list.
    fn list_entries(&self, _list: &str) -> Result<Vec<ListedEntry>, Unanswered> {
        Ok(Vec::new())
    }

    /// Whether the message is filed locally already and is filtered again.
    fn is_filed(&self) -> bool {
        false
    }

    /// What is in a local folder; `None` if it does not exist.
    fn folder(&self, _folder: &FolderName) -> Result<Option<Contents>, Unanswered> {
        Ok(None)
    }

    /// Runs a program and waits for it.
    fn ask(&self, question: &Ask<'_>) -> FactAnswer;
}

/// The content of a list that can change.
#[derive(Clone, Debug)]
pub enum KnownList {
    /// Its entries.
    Entries(Arc<Entries>),
    /// Unknown, because `explain` and `test` run no programs.
    NotAsked,
    /// The list cannot be read now, for this reason.
    Failed(String),
}

/// The state could not be read, so no decision is possible now.
#[derive(Debug, thiserror::Error)]
#[error("the state could not be read: {0}")]
pub struct Unanswered(pub String);

/// A program to run during a decision.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The program and its expanded arguments. They are not passed through a shell.
    pub run: &'a [String],
    /// The message that it reads, if any.
    pub input: Option<&'a Message>,
    /// After this time, its process group is killed.
    pub timeout: Duration,
    /// The maximum size of its output in bytes. More output is a failure.
    pub most: usize,
    /// Only one program with this lock name runs at a time. `None` sets no limit.
    pub lock: Option<&'a str>,
    /// Variables in addition to the small fixed environment, with our prefix: `MAILSLUICE_SENDER`.
    pub environment: &'a [(&'static str, String)],
}

/// The result of running a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactAnswer {
    /// It exited.
    Ended {
        /// The exit code.
        code: i32,
        /// Its standard output.
        out: Vec<u8>,
    },
    /// It failed without an exit code, for this reason: not found, killed by a signal, too slow, or too much output.
    Failed(String),
    /// It did not run, because `explain` and `test` run no programs.
    NotAsked,
}
