//! Unsolicited data (RFC 3501 7): changes of the open folder, and with NOTIFY (RFC 5465) of the others.

use std::collections::HashMap;

use imap_proto::{MailboxDatum, Response};

use super::glance::status_in;
use crate::source::Glance;

/// The most folders whose notifications are kept.
const MOST_STATUSES: usize = 100_000;
/// The code by which a server says that it cannot keep up and sends no more notifications (RFC 5465 5.8).
const OVERFLOW: &str = "[NOTIFICATIONOVERFLOW";

/// One piece of unsolicited data.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UntaggedNews {
    /// The number of messages in the open folder.
    Exists(u32),
    /// A message of the open folder was removed.
    Expunged,
    /// The status of the folder with this name on the server.
    Status(String, Glance),
    /// A folder was created, deleted or renamed.
    Folder,
    Overflow,
}

/// The data in a reply, if it may be news.
pub(super) fn said_in(reply: &Response<'_>) -> Option<UntaggedNews> {
    match reply {
        Response::MailboxData(MailboxDatum::Exists(n)) => Some(UntaggedNews::Exists(*n)),
        Response::Expunge(_) => Some(UntaggedNews::Expunged),
        Response::MailboxData(MailboxDatum::List(_)) => Some(UntaggedNews::Folder),
        Response::Data { outcome, .. } => {
            outcome.information.as_deref().filter(|text| text.starts_with(OVERFLOW)).map(|_| UntaggedNews::Overflow)
        }
        reply => status_in(reply).map(|(wire, glance)| UntaggedNews::Status(wire.to_owned(), glance)),
    }
}

/// Notifications about folders that are not open, until they are taken.
#[derive(Debug, Default)]
pub(super) struct ToldFolders {
    /// The last status of each folder, by its name on the server.
    statuses: HashMap<String, Glance>,
    /// Whether folders were created, deleted or renamed.
    pub(super) folders_changed: bool,
    /// Whether notifications were lost, by the server or by us.
    pub(super) overflowed: bool,
}

impl ToldFolders {
    pub(super) fn status(&mut self, wire: String, glance: Glance) {
        if self.statuses.len() >= MOST_STATUSES {
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
    /// A command that selects a folder was sent, and its outcome is not known.
    Unknown,
    Folder(OpenFolder),
}

/// The state of the open folder.
#[derive(Debug)]
pub(super) struct OpenFolder {
    /// The name as the config spells it.
    pub(super) folder: String,
    /// Whether it was opened read-only.
    pub(super) is_examined: bool,
    /// Whether the session has waited in it. Before that, removed messages are those that the pass removed.
    pub(super) is_waited_in: bool,
    pub(super) exists: u32,
    /// How many messages were removed since it was opened, or since this number was last taken.
    pub(super) expunged: u32,
}

impl Selection {
    /// Records unsolicited data about the open folder.
    pub(super) fn record(&mut self, said: &UntaggedNews) {
        let Self::Folder(open) = self else { return };
        match said {
            UntaggedNews::Exists(n) => open.exists = *n,
            UntaggedNews::Expunged => {
                open.exists = open.exists.saturating_sub(1);
                open.expunged = open.expunged.saturating_add(1);
            }
            _ => {}
        }
    }

    pub(super) fn open(&mut self) -> Option<&mut OpenFolder> {
        match self {
            Self::Folder(open) => Some(open),
            _ => None,
        }
    }
}
