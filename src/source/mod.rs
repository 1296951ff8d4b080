//! Where mail comes from: IMAP and POP3 servers behind one interface.
//!
//! A pass over an account calls its source in this order: [`Source::connect`], [`Source::folders`], then for each
//! folder [`Source::open`] (which messages there are), [`Source::describe`] (the size, date and flags of those that may be
//! fetched), [`Source::fetch`] (the messages, in batches), [`Source::settle`] (keep, mark, delete or move), and at the end
//! [`Source::close`]. POP3 deletes only when QUIT is answered, so `close` returns what was settled.

mod arrival;
mod batch;
mod glance;
pub mod imap;
mod listed;
mod listing;
mod named;
mod news;
mod offers;
mod outlet;
pub mod pop3;
mod settled;
mod spool;
mod whole;

pub use batch::{BATCH_BYTES, BATCH_MESSAGES, WINDOW};
pub use glance::{Glance, Stat};
pub use listed::{FetchOutcome, Fetched, Listed};
pub use listing::{Complete, Listing, Reach, Stood};
pub use news::{Heard, PushMethod};
pub use offers::Offers;
pub use outlet::{Batch, MemoryBudget, Outlet, Room};
pub use settled::{Chosen, Settled};
pub use spool::Spool;
pub use whole::{Whole, is_about_size};

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

pub(crate) use self::arrival::arrival_of;
use self::batch::{announced, batches, most_of};
use self::imap::ImapSource;
use self::pop3::Pop3Source;
use crate::config::{Account, Protocol, Retention, Select};
use crate::error::Result;
use crate::message::Key;
use crate::state::Settlement;

/// A logged-in connection to an account's server.
#[derive(Debug)]
pub enum Source {
    /// RFC 3501.
    Imap(Box<ImapSource>),
    /// RFC 1939.
    Pop3(Box<Pop3Source>),
}

/// What [`Source::describe`] has to find out, besides sizes and flags.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details {
    /// The arrival date.
    pub date: bool,
    /// The hashes of the header block. From a POP3 server without TOP the whole message is fetched for this.
    pub head: bool,
}

impl Source {
    /// Connects and logs in. `space` is the account name in the keys of its messages.
    pub async fn connect(account: &Account, space: &str, spool: Spool) -> Result<Self> {
        Ok(match account.protocol {
            Protocol::Imap => Self::Imap(Box::new(ImapSource::connect(account, space, spool).await?)),
            Protocol::Pop3 => Self::Pop3(Box::new(Pop3Source::connect(account, space, spool).await?)),
        })
    }

    /// The folders that the config asks for and that exist now.
    pub async fn folders(&mut self) -> Result<Chosen> {
        match self {
            Self::Imap(imap) => imap.folders().await,
            Self::Pop3(_) => Ok(Chosen { folders: vec!["INBOX".to_owned()], errors: Vec::new(), remarks: Vec::new() }),
        }
    }

    /// The status of these folders (named as by [`Self::folders`]) without opening them (STATUS, RFC 3501 6.3.10; LIST-STATUS,
    /// RFC 5819). Folders on which the server does not report are missing, and over POP3 all of them. An open folder stays
    /// open.
    pub async fn glance(&mut self, folders: &[String]) -> Result<HashMap<String, Glance>> {
        match self {
            Self::Imap(imap) => imap.glance(folders).await,
            Self::Pop3(_) => Ok(HashMap::new()),
        }
    }

    /// POP3: the values to compare in a later session, after a listing without oddities. `None`: there is nothing to compare.
    pub fn stat(&self) -> Option<Stat> {
        match self {
            Self::Imap(_) => None,
            Self::Pop3(pop3) => pop3.stat(),
        }
    }

    /// POP3: whether the mailbox is unchanged since [`Self::stat`]. Call it before the listing. For IMAP there is
    /// [`Self::glance`].
    pub async fn is_unchanged(&mut self, before: &Stat) -> Result<bool> {
        match self {
            Self::Imap(_) => Ok(false),
            Self::Pop3(pop3) => pop3.is_unchanged(before).await,
        }
    }

    /// How the server reports news in this session, as far as is known: a server may offer what it later refuses.
    pub fn pushed(&self) -> PushMethod {
        match self {
            Self::Imap(imap) => imap.pushed(),
            Self::Pop3(_) => PushMethod::None,
        }
    }

    /// Waits until the server reports a change in one of these folders. The first is the most important: with IDLE it is the only
    /// one that is watched. Changes since a folder was opened or looked at are reported too. If the server does not report
    /// news, this never returns.
    ///
    /// It may be dropped at any time, and called again. The next command, whichever it is, ends the waiting first.
    ///
    /// Afterwards no folder is open: messages of an earlier listing cannot be fetched or settled.
    ///
    /// # Errors
    ///
    /// The connection breaks or is silent for too long, or a folder cannot be opened.
    pub async fn wait(&mut self, folders: &[String]) -> Result<Heard> {
        match self {
            Self::Imap(imap) => imap.wait(folders).await,
            Self::Pop3(_) => std::future::pending().await,
        }
    }

    /// Whether the server answers a NOOP within the limit. A running wait is ended first. A session that is not alive must be
    /// dropped.
    pub async fn is_alive(&mut self, limit: Duration) -> bool {
        match self {
            Self::Imap(imap) => imap.is_alive(limit).await,
            // A POP3 session is useless after its pass.
            Self::Pop3(_) => false,
        }
    }

    /// Opens a folder and lists it.
    pub async fn open(&mut self, folder: &str) -> Result<Listing> {
        match self {
            Self::Imap(imap) => imap.open(folder).await,
            Self::Pop3(pop3) => pop3.list().await,
        }
    }

    /// Opens a folder that was in the state `before` at the last listing, and lists what was added since. It lists everything
    /// if the server's numbers do not rule out other changes, and always over POP3.
    pub async fn open_since(&mut self, folder: &str, before: &Stood) -> Result<Listing> {
        match self {
            Self::Imap(imap) => imap.open_since(folder, before).await,
            Self::Pop3(pop3) => pop3.list().await,
        }
    }

    /// The size of a message according to the listing, if it has one. IMAP listings have no sizes.
    pub fn listed_size(&self, id: &[u8]) -> Option<u64> {
        match self {
            Self::Imap(_) => None,
            Self::Pop3(pop3) => pop3.listed_size(id),
        }
    }

    /// Gives a listed message another id, because the server reused the old id for a new message.
    pub fn rename(&mut self, id: &[u8], new_id: &[u8]) {
        if let Self::Pop3(pop3) = self {
            pop3.rename(id, new_id);
        }
    }

    /// Those of the ids that match the selection, as far as the server can search.
    pub async fn search(&mut self, ids: Vec<Vec<u8>>, select: &Select, now: Timestamp) -> Result<Vec<Vec<u8>>> {
        match self {
            Self::Imap(imap) => imap.search(ids, select, now).await,
            Self::Pop3(_) => Ok(ids),
        }
    }

    /// Sizes, flags and, if requested, dates and header hashes. Messages that have vanished are left out. Messages that the
    /// server lists but does not describe are included.
    pub async fn describe(&mut self, ids: &[Vec<u8>], details: Details) -> Result<Vec<Listed>> {
        match self {
            Self::Imap(imap) => imap.describe(ids, details).await,
            Self::Pop3(pop3) => pop3.describe(ids, details).await,
        }
    }

    /// Fetches messages of the open folder and sends them in batches. Ends early, without an error, when nothing more
    /// is wanted.
    pub async fn fetch(&mut self, wanted: &[Listed], out: &Outlet) -> Result<()> {
        match self {
            Self::Imap(imap) => imap.fetch(wanted, out).await,
            Self::Pop3(pop3) => pop3.fetch(wanted, out).await,
        }
    }

    /// Applies the retention to messages of the open folder. Messages that were only copied must be recorded, and then passed
    /// to [`Self::take_away`].
    pub async fn settle(&mut self, messages: &[Settlement], retention: &Retention) -> Settled {
        match self {
            Self::Imap(imap) => imap.settle(messages, retention).await,
            Self::Pop3(pop3) => pop3.mark_deleted(messages, retention).await,
        }
    }

    /// Removes messages from the open folder whose copies are in another one.
    pub async fn take_away(&mut self, copied: &[Settlement]) -> Settled {
        match self {
            Self::Imap(imap) => imap.settle(copied, &Retention::Delete).await,
            Self::Pop3(_) => Settled::default(),
        }
    }

    /// Whether the session can be used after a pass. A POP3 session cannot: it shows new mail only after another login, and
    /// deletes when it ends (RFC 1939 6).
    pub fn lasts(&self) -> bool {
        matches!(self, Self::Imap(_))
    }

    /// Logs out. Returns the messages that are settled by it.
    pub async fn close(self) -> Result<Vec<Key>> {
        match self {
            Self::Imap(imap) => imap.logout().await.map(|()| Vec::new()),
            Self::Pop3(pop3) => pop3.quit().await,
        }
    }
}
