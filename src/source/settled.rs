//! What a server was asked for, and what came of it.

use crate::error::{Error, Result};
use crate::message::Key;
use crate::state::Settlement;

/// The folders to fetch.
#[derive(Debug)]
pub struct Chosen {
    /// Their names.
    pub folders: Vec<String>,
    /// What the config asks for and is not to be had.
    pub errors: Vec<Error>,
    /// What else the user should know of them.
    pub remarks: Vec<String>,
}

/// What came of the retention in a folder. It may have been done for some messages and not for others.
#[derive(Debug, Default)]
pub struct Settled {
    /// Messages that are gone from it.
    pub gone: Vec<Key>,
    /// Messages that stand in it still, and of which copies stand where they are to be moved to.
    pub copied: Vec<Settlement>,
    /// What was asked for and did not happen.
    pub errors: Vec<Error>,
}

impl Settled {
    /// With the error that ended it, if one did.
    pub(super) fn ended(mut self, result: Result<()>, folder: &str) -> Self {
        self.errors.extend(result.err());
        self.errors = self.errors.into_iter().map(|error| error.while_doing(folder)).collect();
        self
    }
}
