//! The result of a pass.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};

/// The result of a pass over one account.
#[derive(Debug, Default)]
pub struct Report {
    /// The account.
    pub account: String,
    /// Messages that were filed here.
    pub new: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many went to each local folder.
    pub folders: BTreeMap<String, u64>,
    /// How many were discarded by a rule.
    pub discarded: u64,
    /// How many were deleted or moved on the server.
    pub settled: u64,
    /// How many have outbox items.
    pub told: u64,
    /// How many could not be fetched this time.
    pub failed: u64,
    /// How many a rule deferred: they stay on the server and are decided later.
    pub deferred: u64,
    /// How many were not fetched because of `limit` or an interruption.
    pub left: u64,
    /// Things the user should know although the pass went on.
    pub remarks: Vec<String>,
    /// What broke a folder or the whole pass.
    pub errors: Vec<Error>,
    /// Which of the errors ended the whole pass early.
    pub broke_off: Option<usize>,
    /// Whether the server accepted the login and listed the folders.
    pub is_answered: bool,
    /// Whether a notice about a refused login was filed.
    pub is_refusal_told: bool,
    /// How long the pass took.
    pub took: Duration,
}

impl Report {
    /// An empty report.
    pub fn of(account: &str) -> Self {
        Self { account: account.to_owned(), ..Self::default() }
    }

    /// The exit code of this pass: that of its worst error, or 75 if a message should be tried again.
    pub fn exit_code(&self) -> u8 {
        match exit_code(&self.errors) {
            0 if self.failed + self.deferred > 0 => 75,
            code => code,
        }
    }
}

/// A report as programs read it, and as the daemon sends it to the command that asked for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    /// The account.
    pub account: String,
    /// Messages that were filed here.
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
    /// How many a rule deferred.
    pub deferred: u64,
    /// How many are left for the next run.
    pub left: u64,
    /// How long the pass took.
    pub seconds: f64,
    /// What the user should know although the pass went on.
    pub remarks: Vec<String>,
    /// What broke a folder or the whole pass.
    pub errors: Vec<ReportedError>,
    /// The exit code of the pass.
    pub code: u8,
    /// Whether the account is paused, so that nothing was fetched.
    #[serde(default)]
    pub paused: bool,
}

/// An error in the form in which it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedError {
    /// The text.
    pub error: String,
    /// Whether trying again may help.
    pub transient: bool,
}

impl Passed {
    /// The report of an account that is paused, which is no failure.
    pub fn paused(account: &str) -> Self {
        Self { account: account.to_owned(), paused: true, ..Self::default() }
    }
}

impl From<&Report> for Passed {
    fn from(report: &Report) -> Self {
        let said = |e: &Error| ReportedError { error: e.to_string(), transient: e.is_transient() };
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

/// The exit code for several errors: a permanent error counts more than a transient one.
pub(crate) fn exit_code(errors: &[Error]) -> u8 {
    let permanent = errors.iter().find(|e| !e.is_transient() && e.kind() != Kind::Stopped);
    match permanent {
        Some(error) => error.exit_code(),
        None if errors.iter().any(Error::is_transient) => 75,
        None => 0,
    }
}
