//! What stands in a folder, and how much of that is told.

use std::sync::Arc;

use crate::message::Origin;

/// What is listed of a folder.
#[derive(Debug)]
pub struct Listing {
    /// The folder in its present generation.
    pub origin: Arc<Origin>,
    /// The ids, in the order of the server.
    pub ids: Vec<Vec<u8>>,
    /// Ids that the server had given to another message already.
    pub doubled: Vec<Vec<u8>>,
    /// Why nothing may be deleted in this pass, if something is odd.
    pub odd: Option<String>,
    /// Whether the server counts more messages than it lists: some cannot be fetched.
    pub is_short: bool,
    /// IMAP: the UID of the next message that arrives, where the server says it.
    pub uid_next: Option<u32>,
    /// How much of the folder it tells.
    pub reach: Reach,
}

impl Listing {
    /// The listing, where it tells all.
    pub fn complete(&self) -> Option<Complete<'_>> {
        (self.reach == Reach::Complete).then_some(Complete(self))
    }
}

/// How much of a folder a listing tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All that there is.
    Complete,
    /// What came since the folder was listed last. So many older messages stand there as well, as the server counts them.
    Since {
        /// How many.
        older: u32,
    },
}

/// A listing that tells all. Only what is missing from such a one is gone, and only what such a one lists may be settled.
#[derive(Clone, Copy, Debug)]
pub struct Complete<'l>(&'l Listing);

impl<'l> Complete<'l> {
    /// What it tells.
    pub fn listing(self) -> &'l Listing {
        self.0
    }
}

/// How an IMAP folder stood when all that it held was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stood {
    /// UIDVALIDITY; not 0.
    pub generation: u32,
    /// The UID of the next message that arrives: above all that were known.
    pub uid_next: u32,
    /// How many messages there were.
    pub exists: u32,
}
