//! Where mail comes from: IMAP and POP3 servers behind one face.
//!
//! A pass over an account asks its source, in this order: [`Source::connect`], [`Source::folders`], then for each
//! folder [`Source::open`] (what is there), [`Source::describe`] (size, date and flags of what may be
//! fetched), [`Source::fetch`] (batches of messages), [`Source::settle`] (keep, seen, delete, move), and at the end
//! [`Source::close`]. POP3 deletes only when its QUIT was answered, so `close` says what was settled.

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
pub use listed::{Fetched, Item, Listed};
pub use listing::{Complete, Listing, Reach, Stood};
pub use news::{Heard, Push};
pub use offers::Offers;
pub use outlet::{Batch, Memory, Outlet, Room};
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

/// A connection to an account's server, logged in.
#[derive(Debug)]
pub enum Source {
    /// RFC 3501.
    Imap(Box<ImapSource>),
    /// RFC 1939.
    Pop3(Box<Pop3Source>),
}

/// What [`Source::describe`] is to find out, beyond sizes and flags.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details {
    /// The arrival date.
    pub date: bool,
    /// The hashes of the header block. POP3 servers without TOP are asked for all of the message.
    pub head: bool,
}

impl Source {
    /// Connects and logs in. The keys of its messages are of the name space.
    pub async fn connect(account: &Account, space: &str, spool: Spool) -> Result<Self> {
        Ok(match account.protocol {
            Protocol::Imap => Self::Imap(Box::new(ImapSource::connect(account, space, spool).await?)),
            Protocol::Pop3 => Self::Pop3(Box::new(Pop3Source::connect(account, space, spool).await?)),
        })
    }

    /// The folders that the account's config asks for, as they exist now.
    pub async fn folders(&mut self) -> Result<Chosen> {
        match self {
            Self::Imap(imap) => imap.folders().await,
            Self::Pop3(_) => Ok(Chosen { folders: vec!["INBOX".to_owned()], errors: Vec::new(), remarks: Vec::new() }),
        }
    }

    /// What stands in these folders ([`Self::folders`] gives their names), as far as the server tells without opening them
    /// (STATUS, RFC 3501 6.3.10; LIST-STATUS, RFC 5819). Folders of which it does not tell are missing, and over POP3 all of them. An
    /// open folder stays open.
    pub async fn glance(&mut self, folders: &[String]) -> Result<HashMap<String, Glance>> {
        match self {
            Self::Imap(imap) => imap.glance(folders).await,
            Self::Pop3(_) => Ok(HashMap::new()),
        }
    }

    /// POP3: what to compare in a later session, after a listing in which nothing was odd. `None`: nothing can be compared.
    pub fn stat(&self) -> Option<Stat> {
        match self {
            Self::Imap(_) => None,
            Self::Pop3(pop3) => pop3.stat(),
        }
    }

    /// POP3: whether the mailbox is as [`Self::stat`] found it, to be asked before it is listed. IMAP has [`Self::glance`] for that.
    pub async fn is_unchanged(&mut self, before: &Stat) -> Result<bool> {
        match self {
            Self::Imap(_) => Ok(false),
            Self::Pop3(pop3) => pop3.is_unchanged(before).await,
        }
    }

    /// How this session is told of news, as far as is known: a server may offer what it then refuses.
    pub fn pushed(&self) -> Push {
        match self {
            Self::Imap(imap) => imap.pushed(),
            Self::Pop3(_) => Push::None,
        }
    }

    /// Waits until the server says that something happened in one of these folders, of which the first is the most important:
    /// with IDLE it is the only one. What changed since a folder was opened or glanced at is heard as well. Where the server does
    /// not tell of news this never returns.
    ///
    /// May be dropped at any time, and called again; the next command, whichever it is, ends the waiting first.
    ///
    /// Afterwards no folder is open: what was listed before cannot be fetched or settled.
    ///
    /// # Errors
    ///
    /// The connection broke or is silent, or a folder cannot be opened.
    pub async fn wait(&mut self, folders: &[String]) -> Result<Heard> {
        match self {
            Self::Imap(imap) => imap.wait(folders).await,
            Self::Pop3(_) => std::future::pending().await,
        }
    }

    /// Whether the server answers a NOOP within the limit; where the session waits, that ends first. A session that is not alive is
    /// to be dropped.
    pub async fn is_alive(&mut self, limit: Duration) -> bool {
        match self {
            Self::Imap(imap) => imap.is_alive(limit).await,
            // It is of no use after its pass.
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

    /// Opens a folder that stood so when it was listed last, and lists what came since. Everything is listed where the server's
    /// numbers do not show that nothing else changed, and over POP3.
    pub async fn open_since(&mut self, folder: &str, before: &Stood) -> Result<Listing> {
        match self {
            Self::Imap(imap) => imap.open_since(folder, before).await,
            Self::Pop3(pop3) => pop3.list().await,
        }
    }

    /// The size that the listing gave for an id, if it did; IMAP lists no sizes.
    pub fn listed_size(&self, id: &[u8]) -> Option<u64> {
        match self {
            Self::Imap(_) => None,
            Self::Pop3(pop3) => pop3.listed_size(id),
        }
    }

    /// Gives a listed message another id: the server reused the old one for new mail.
    pub fn rename(&mut self, id: &[u8], new_id: &[u8]) {
        if let Self::Pop3(pop3) = self {
            pop3.rename(id, new_id);
        }
    }

    /// Of these ids, those that the selection lets pass as far as the server can tell by itself.
    pub async fn search(&mut self, ids: Vec<Vec<u8>>, select: &Select, now: Timestamp) -> Result<Vec<Vec<u8>>> {
        match self {
            Self::Imap(imap) => imap.search(ids, select, now).await,
            Self::Pop3(_) => Ok(ids),
        }
    }

    /// Sizes, flags and, if asked for, dates and header hashes. Messages that vanished are left out; those that the server
    /// lists and does not describe are not.
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

    /// Does on the server what the retention asks for, in the open folder. What was copied only is to be noted and then given
    /// to [`Self::take_away`].
    pub async fn settle(&mut self, messages: &[Settlement], retention: &Retention) -> Settled {
        match self {
            Self::Imap(imap) => imap.settle(messages, retention).await,
            Self::Pop3(pop3) => pop3.mark_deleted(messages, retention).await,
        }
    }

    /// Takes messages out of the open folder of which copies stand in another one.
    pub async fn take_away(&mut self, copied: &[Settlement]) -> Settled {
        match self {
            Self::Imap(imap) => imap.settle(copied, &Retention::Delete).await,
            Self::Pop3(_) => Settled::default(),
        }
    }

    /// Whether it is of use after a pass: POP3 shows what came since only to whoever logs in again, and deletes when the session
    /// ends (RFC 1939 6).
    pub fn lasts(&self) -> bool {
        matches!(self, Self::Imap(_))
    }

    /// Says goodbye. Returns what became settled by it.
    pub async fn close(self) -> Result<Vec<Key>> {
        match self {
            Self::Imap(imap) => imap.logout().await.map(|()| Vec::new()),
            Self::Pop3(pop3) => pop3.quit().await,
        }
    }
}
