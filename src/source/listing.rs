//! The content of a folder, as far as a listing covers it.

use std::sync::Arc;

use crate::message::Origin;

/// A listing of a folder.
#[derive(Debug)]
pub struct Listing {
    /// The folder, with its present generation.
    pub origin: Arc<Origin>,
    /// The ids, in the server's order.
    pub ids: Vec<Vec<u8>>,
    /// Ids for messages whose name on the server was already taken by another message.
    pub doubled: Vec<Vec<u8>>,
    /// Why nothing may be deleted in this pass, if something is odd.
    pub odd: Option<String>,
    /// Whether the server counts more messages than it lists, so that some cannot be fetched.
    pub is_short: bool,
    /// IMAP: UIDNEXT, if the server says it.
    pub uid_next: Option<u32>,
    /// How much of the folder the listing covers.
    pub reach: Reach,
}

impl Listing {
    /// The listing, if it covers the whole folder.
    pub fn complete(&self) -> Option<Complete<'_>> {
        (self.reach == Reach::Complete).then_some(Complete(self))
    }
}

/// How much of a folder a listing covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All messages.
    Complete,
    /// The messages that were added since the previous listing. The older ones are still there.
    Since {
        /// The number of older messages, as the server counts them.
        older: u32,
    },
}

/// A listing of the whole folder. Only a message that is missing from such a listing is gone, and only one that it lists may be
/// settled.
#[derive(Clone, Copy, Debug)]
pub struct Complete<'l>(&'l Listing);

impl<'l> Complete<'l> {
    /// The listing itself.
    pub fn listing(self) -> &'l Listing {
        self.0
    }
}

/// The state of an IMAP folder when all of its messages were known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stood {
    /// UIDVALIDITY. Never 0.
    pub generation: u32,
    /// UIDNEXT: above all UIDs that were known.
    pub uid_next: u32,
    /// The number of messages.
    pub exists: u32,
}
