//! What came of a pass.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};

/// What came of a pass over one account.
#[derive(Debug, Default)]
pub struct Report {
    /// The account.
    pub account: String,
    /// Messages that arrived here.
    pub new: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many went to each local folder.
    pub folders: BTreeMap<String, u64>,
    /// How many were discarded by a rule.
    pub discarded: u64,
    /// How many were deleted or moved on the server.
    pub settled: u64,
    /// How many went into the outbox.
    pub told: u64,
    /// How many could not be fetched this time.
    pub failed: u64,
    /// How many a rule put off: they stay on the server and are decided about later.
    pub deferred: u64,
    /// How many were not fetched because of `limit` or an interruption.
    pub left: u64,
    /// Things the user should know although the pass went on.
    pub remarks: Vec<String>,
    /// What broke a folder or the whole pass.
    pub errors: Vec<Error>,
    /// Which of the errors ended the whole pass early.
    pub broke_off: Option<usize>,
    /// Whether the server took the login and said what folders there are.
    pub is_answered: bool,
    /// Whether a notice told of a refused login.
    pub is_refusal_told: bool,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// An empty one.
    pub fn of(account: &str) -> Self {
        Self { account: account.to_owned(), ..Self::default() }
    }

    /// The exit code that this pass asks for: the worst of its errors, 75 when a message should be tried again.
    pub fn exit_code(&self) -> u8 {
        match exit_code(&self.errors) {
            0 if self.failed + self.deferred > 0 => 75,
            code => code,
        }
    }
}

/// A report as programs read it, and as it goes from the daemon to who asked for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    /// The account.
    pub account: String,
    /// Messages that arrived here.
    pub new: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many went to each local folder.
    pub folders: BTreeMap<String, u64>,
    /// How many were discarded by a rule.
    pub discarded: u64,
    /// How many were deleted or moved on the server.
    pub settled: u64,
    /// How many could not be fetched this time.
    pub failed: u64,
    /// How many a rule put off.
    pub deferred: u64,
    /// How many are left for the next run.
    pub left: u64,
    /// How long it took.
    pub seconds: f64,
    /// What the user should know although the pass went on.
    pub remarks: Vec<String>,
    /// What broke a folder or the whole pass.
    pub errors: Vec<Said>,
    /// The exit code that it asks for.
    pub code: u8,
    /// Whether its user paused the account, so that nothing was looked at.
    #[serde(default)]
    pub paused: bool,
}

/// An error as it is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The text.
    pub error: String,
    /// Whether trying again may help.
    pub transient: bool,
}

impl Passed {
    /// Of an account that is paused, which is no failure.
    pub fn paused(account: &str) -> Self {
        Self { account: account.to_owned(), paused: true, ..Self::default() }
    }
}

impl From<&Report> for Passed {
    fn from(report: &Report) -> Self {
        let said = |e: &Error| Said { error: e.to_string(), transient: e.is_transient() };
        Self {
            account: report.account.clone(),
            new: report.new,
            bytes: report.bytes,
            folders: report.folders.clone(),
            discarded: report.discarded,
            settled: report.settled,
            failed: report.failed,
            deferred: report.deferred,
            left: report.left,
            seconds: report.took.as_secs_f64(),
            remarks: report.remarks.clone(),
            errors: report.errors.iter().map(said).collect(),
            code: report.exit_code(),
            paused: false,
        }
    }
}

/// The exit code for several errors: one that somebody has to look at counts more than one that may go away.
pub(super) fn exit_code(errors: &[Error]) -> u8 {
    let permanent = errors.iter().find(|e| !e.is_transient() && e.kind() != Kind::Stopped);
    match permanent {
        Some(error) => error.exit_code(),
        None if errors.iter().any(Error::is_transient) => 75,
        None => 0,
    }
}
