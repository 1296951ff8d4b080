//! Where mail comes from: IMAP and POP3 servers behind one face.
//!
//! A pass over an account asks its source, in this order: [`Source::connect`], [`Source::folders`], then for each
//! folder [`Source::open`] (what is there), [`Source::describe`] (size, date and flags of what may be
//! fetched), [`Source::fetch`] (batches of messages), [`Source::settle`] (keep, seen, delete, move), and at the end
//! [`Source::close`]. POP3 deletes only when its QUIT was answered, so `close` says what was settled.

mod arrival;
pub mod imap;
mod outlet;
pub mod pop3;
mod spool;
mod whole;

pub use outlet::{Batch, Memory, Outlet, Room};
pub use spool::Spool;
pub use whole::Whole;

use std::sync::Arc;

use jiff::Timestamp;

use self::arrival::arrival;
use self::imap::ImapSource;
use self::pop3::Pop3Source;
use crate::config::{Account, Protocol, Retention, Select};
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, Envelope, Flags, Key, Origin};
use crate::state::Settlement;

/// A batch is closed when it holds so many bytes, as announced.
pub const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// … or so many messages.
pub const BATCH_MESSAGES: usize = 500;
/// A message over this size is fetched by itself, in windows, into the spool.
pub const WINDOW: u64 = 8 * 1024 * 1024;
/// The largest message taken although the server did not say how large it is.
const MOST_UNANNOUNCED: u64 = 1024 * 1024 * 1024;

/// A connection to an account's server, logged in.
#[derive(Debug)]
pub enum Source {
    /// RFC 3501.
    Imap(Box<ImapSource>),
    /// RFC 1939.
    Pop3(Box<Pop3Source>),
}

/// What stands in a folder.
#[derive(Debug)]
pub struct Listing {
    /// The folder in its present generation.
    pub origin: Arc<Origin>,
    /// Every id, in the order of the server.
    pub ids: Vec<Vec<u8>>,
    /// Ids that the server had given to another message already.
    pub doubled: Vec<Vec<u8>>,
    /// Why nothing may be deleted in this pass, if something is odd.
    pub odd: Option<String>,
}

/// A message that may be fetched.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub id: Vec<u8>,
    /// The size the server announces, where it says one: a hint, never the law.
    pub announced: Option<u64>,
    /// When it arrived at the server, where the server says so.
    pub arrived: Option<Timestamp>,
    /// Its flags on the server.
    pub flags: Flags,
    /// The hash of its header block, where it was asked for.
    pub head_hash: Option<[u8; 16]>,
}

impl Listed {
    /// The announced size where one has to be reckoned with.
    pub fn size(&self) -> u64 {
        self.announced.unwrap_or(0)
    }

    /// The message with its bytes, judged after `came` bytes on the wire.
    fn item(&self, key: Key, bytes: Bytes, came: u64) -> Item {
        match whole::judge(self.announced, came) {
            Ok(whole) => Item::Fetched(Fetched { envelope: self.envelope(key, &bytes), bytes, whole }),
            Err(error) if came == 0 => Item::Failed(key, error),
            Err(error) => Item::Doubtful { envelope: self.envelope(key, &bytes), bytes, error },
        }
    }

    /// What is known besides the bytes. A message without any date arrived now.
    fn envelope(&self, key: Key, bytes: &Bytes) -> Envelope {
        let now = Timestamp::now();
        let arrived = self.arrived.or_else(|| arrival(bytes.beginning(), now)).unwrap_or(now);
        Envelope { key, arrived, flags: self.flags.clone(), announced: self.size() }
    }
}

/// What came of one message.
#[derive(Debug)]
pub enum Item {
    /// It is complete.
    Fetched(Fetched),
    /// It was there when the folder was listed and is not any more.
    Vanished(Key),
    /// The server could not or would not give it.
    Failed(Key, Error),
    /// What came has an end and is not the message, as far as its size says.
    Doubtful {
        /// What is known besides the bytes.
        envelope: Envelope,
        /// What came.
        bytes: Bytes,
        /// Why it is doubted.
        error: Error,
    },
}

/// A complete message.
#[derive(Debug)]
pub struct Fetched {
    /// What we know besides the bytes.
    pub envelope: Envelope,
    /// The bytes.
    pub bytes: Bytes,
    /// The proof that they are all.
    pub whole: Whole,
}

/// What [`Source::describe`] is to find out, beyond sizes and flags.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details {
    /// The arrival date.
    pub date: bool,
    /// The hash of the header block.
    pub head_hash: bool,
}

impl Source {
    /// Connects and logs in.
    pub async fn connect(account: &Account, spool: Spool) -> Result<Self> {
        Ok(match account.protocol {
            Protocol::Imap => Self::Imap(Box::new(ImapSource::connect(account, spool).await?)),
            Protocol::Pop3 => Self::Pop3(Box::new(Pop3Source::connect(account, spool).await?)),
        })
    }

    /// The names of the folders that the account's config asks for, as they exist now.
    pub async fn folders(&mut self) -> Result<Vec<String>> {
        match self {
            Self::Imap(imap) => imap.folders().await,
            Self::Pop3(_) => Ok(vec!["INBOX".to_owned()]),
        }
    }

    /// Opens a folder and lists it.
    pub async fn open(&mut self, folder: &str) -> Result<Listing> {
        match self {
            Self::Imap(imap) => imap.open(folder).await,
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

    /// Sizes, flags and, if asked for, dates and header hashes. Messages that vanished are left out.
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

    /// Does on the server what the retention asks for, in the open folder. Returns what is settled by now.
    pub async fn settle(&mut self, messages: &[Settlement], retention: &Retention) -> Result<Vec<Key>> {
        match self {
            Self::Imap(imap) => imap.settle(messages, retention).await,
            Self::Pop3(pop3) => pop3.mark_deleted(messages, retention).await.map(|()| Vec::new()),
        }
    }

    /// Says goodbye. Returns what became settled by it.
    pub async fn close(self) -> Result<Vec<Key>> {
        match self {
            Self::Imap(imap) => imap.logout().await.map(|()| Vec::new()),
            Self::Pop3(pop3) => pop3.quit().await,
        }
    }
}

/// A big message that grows beyond this is not believed any more. An announced size is only a hint, but no server
/// is so wrong; without an end it would fill the disk.
fn most_of(message: &Listed) -> u64 {
    message.announced.map_or(MOST_UNANNOUNCED, |size| size.max(WINDOW).saturating_mul(4))
}

/// The bytes of a batch, as announced.
fn announced(batch: &[Listed]) -> u64 {
    batch.iter().fold(0, |sum, message| sum.saturating_add(message.size()))
}

/// Divides messages into batches. Those over [`WINDOW`], and those that may be, come last, one by one.
fn batches(wanted: &[Listed]) -> (Vec<&[Listed]>, Vec<&Listed>) {
    let mut small: Vec<&[Listed]> = Vec::new();
    let mut big: Vec<&Listed> = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (i, message) in wanted.iter().enumerate() {
        let is_big = message.announced.is_none_or(|size| size > WINDOW);
        let is_full = bytes + message.size().min(WINDOW) > BATCH_BYTES || i - start == BATCH_MESSAGES;
        if (is_big || is_full) && start < i {
            small.push(&wanted[start..i]);
            (start, bytes) = (i, 0);
        }
        if is_big {
            big.push(message);
            start = i + 1;
        } else {
            bytes += message.size();
        }
    }
    if start < wanted.len() {
        small.push(&wanted[start..]);
    }
    (small, big)
}

/// The reply to a login, as an error: transient when the server says so, otherwise the credentials are wrong.
fn login_refused(doing: &str, reply: &str) -> Error {
    let upper = reply.to_ascii_uppercase();
    let says = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    if says(&["[AUTHENTICATIONFAILED]", "[AUTHORIZATIONFAILED]", "[EXPIRED]", "[AUTH]"]) {
        return Error::permanent(Kind::Auth, doing).said(reply);
    }
    if says(&["[SYS/PERM]", "[PRIVACYREQUIRED]", "[CONTACTADMIN]"]) {
        return Error::permanent(Kind::Refused, doing).said(reply);
    }
    if says(&TEMPORARY) {
        return Error::transient(Kind::Refused, doing).said(reply);
    }
    Error::permanent(Kind::Auth, doing).said(reply)
}

/// Signs in a server's reply that the refusal passes: RFC 5530, RFC 3206, and what Gmail and Microsoft write in
/// plain words.
const TEMPORARY: [&str; 13] = [
    "[UNAVAILABLE]",
    "[INUSE]",
    "[IN-USE]",
    "[LOGIN-DELAY]",
    "[SYS/TEMP]",
    "[LIMIT]",
    "[SERVERBUG]",
    "[OVERQUOTA]",
    "TOO MANY",
    "THROTTLED",
    "NOT CONNECTED",
    "TRY AGAIN",
    "TEMPORAR",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(sizes: &[u64]) -> Vec<Listed> {
        let one = |announced: &u64| Listed {
            id: Vec::new(),
            announced: Some(*announced),
            arrived: None,
            flags: Flags::default(),
            head_hash: None,
        };
        sizes.iter().map(one).collect()
    }

    #[test]
    fn batches_are_bounded_and_big_messages_stand_alone() {
        let all = listed(&[1, 2, WINDOW + 1, 3, BATCH_BYTES, 4]);
        let (small, big) = batches(&all);
        let sizes: Vec<Vec<u64>> = small.iter().map(|b| b.iter().map(Listed::size).collect()).collect();
        assert_eq!(sizes, [vec![1, 2], vec![3], vec![BATCH_BYTES], vec![4]]);
        assert_eq!(big.len(), 1);
        assert_eq!(batches(&listed(&[0; 1201])).0.len(), 3);
        assert!(batches(&[]).0.is_empty());
    }

    #[test]
    fn replies_to_a_login_are_told_apart() {
        assert!(login_refused("x", "NO [UNAVAILABLE] later").is_transient());
        assert!(login_refused("x", "-ERR [IN-USE] locked").is_transient());
        assert!(login_refused("x", "NO [ALERT] Too many simultaneous connections.").is_transient());
        assert_eq!(login_refused("x", "NO [AUTHENTICATIONFAILED] no").kind(), Kind::Auth);
        assert_eq!(login_refused("x", "-ERR bad password").kind(), Kind::Auth);
    }
}
