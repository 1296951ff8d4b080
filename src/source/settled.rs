//! What was requested from a server, and the outcome.

use crate::error::{Error, Result};
use crate::message::Key;
use crate::state::Settlement;

/// The folders to fetch.
#[derive(Debug)]
pub struct Chosen {
    /// Their names.
    pub folders: Vec<String>,
    /// What the config asks for but cannot be fetched.
    pub errors: Vec<Error>,
    /// Other things that the user should know about them.
    pub remarks: Vec<String>,
}

/// The outcome of applying the retention in a folder. It may have succeeded for some messages only.
#[derive(Debug, Default)]
pub struct Settled {
    /// Messages that are gone from the folder.
    pub gone: Vec<Key>,
    /// Messages that were copied to the target folder but are still in this one.
    pub copied: Vec<Settlement>,
    /// What failed.
    pub errors: Vec<Error>,
}

impl Settled {
    /// Adds the error that ended the work, if there was one.
    pub(super) fn ended(mut self, result: Result<()>, folder: &str) -> Self {
        self.errors.extend(result.err());
        self.errors = self.errors.into_iter().map(|error| error.while_doing(folder)).collect();
        self
    }
}
