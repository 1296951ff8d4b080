//! What a server says unasked, at any time (RFC 3501 7): how the open folder changes, and with NOTIFY (RFC 5465) the others.

use std::collections::HashMap;

use imap_proto::{MailboxDatum, Response};

use super::glance::status_in;
use crate::source::Glance;

/// Of no more folders it is kept what is said.
const MOST: usize = 100_000;
/// The server could not keep up, and tells no more (RFC 5465 5.8).
const OVERFLOW: &str = "[NOTIFICATIONOVERFLOW";

/// One thing that is said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// So many messages are in the open folder.
    Exists(u32),
    /// A message of it is gone.
    Expunged,
    /// What stands in the folder of this name of the server's.
    Status(String, Glance),
    /// A folder came, went, or has another name.
    Folder,
    Overflow,
}

/// What a reply says, if it may be news.
pub(super) fn said_in(reply: &Response<'_>) -> Option<Said> {
    match reply {
        Response::MailboxData(MailboxDatum::Exists(n)) => Some(Said::Exists(*n)),
        Response::Expunge(_) => Some(Said::Expunged),
        Response::MailboxData(MailboxDatum::List(_)) => Some(Said::Folder),
        Response::Data { outcome, .. } => {
            outcome.information.as_deref().filter(|text| text.starts_with(OVERFLOW)).map(|_| Said::Overflow)
        }
        reply => status_in(reply).map(|(wire, glance)| Said::Status(wire.to_owned(), glance)),
    }
}

/// What was said of folders that are not open, and not heard of yet.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last of each, by the server's names.
    statuses: HashMap<String, Glance>,
    /// Whether folders came or went.
    pub(super) folders_changed: bool,
    /// Whether the server could not keep up, or we.
    pub(super) overflowed: bool,
}

impl Told {
    pub(super) fn status(&mut self, wire: String, glance: Glance) {
        if self.statuses.len() >= MOST {
            self.statuses.clear();
            self.overflowed = true;
        }
        self.statuses.insert(wire, glance);
    }

    pub(super) fn take_statuses(&mut self) -> HashMap<String, Glance> {
        std::mem::take(&mut self.statuses)
    }
}

/// What is selected on the server.
#[derive(Debug, Default)]
pub(super) enum Selection {
    #[default]
    Nothing,
    /// A command that selects was sent, and it is not known what came of it.
    Unknown,
    Folder(Open),
}

/// An open folder, as it is now.
#[derive(Debug)]
pub(super) struct Open {
    /// As the config spells it.
    pub(super) folder: String,
    /// Whether it was opened for reading alone.
    pub(super) is_examined: bool,
    /// Whether a session waited since: before that, what went is what a pass took away.
    pub(super) is_waited_in: bool,
    pub(super) exists: u32,
    /// So many messages went since it was opened, or since this was looked at.
    pub(super) expunged: u32,
}

impl Selection {
    /// Takes in what is said of the open folder.
    pub(super) fn note(&mut self, said: &Said) {
        let Self::Folder(open) = self else { return };
        match said {
            Said::Exists(n) => open.exists = *n,
            Said::Expunged => {
                open.exists = open.exists.saturating_sub(1);
                open.expunged = open.expunged.saturating_add(1);
            }
            _ => {}
        }
    }

    pub(super) fn open(&mut self) -> Option<&mut Open> {
        match self {
            Self::Folder(open) => Some(open),
            _ => None,
        }
    }
}
