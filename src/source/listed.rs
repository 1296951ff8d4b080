//! A message that may be fetched, and what came of it.

use jiff::Timestamp;

use super::arrival::arrival;
use super::whole::{self, Whole};
use crate::error::{Error, Kind};
use crate::message::{Bytes, Envelope, Flags, Key};

/// A message that may be fetched.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub id: Vec<u8>,
    /// The size the server announces, where it says one: a hint, never the law.
    pub announced: Option<u64>,
    /// When it arrived at the server, where the server says so.
    pub arrived: Option<Timestamp>,
    /// When its header says that it came, where that was asked for.
    pub received: Option<Timestamp>,
    /// Its flags on the server.
    pub flags: Flags,
    /// The hash of its header block, where it was asked for.
    pub head_hash: Option<[u8; 16]>,
    /// The hash of what names a mail in whatever dress, where the header was asked for.
    pub dress: Option<[u8; 16]>,
}

impl Listed {
    /// A message of which nothing is known but that it is there.
    pub(super) fn unknown(id: Vec<u8>) -> Self {
        Self {
            id,
            announced: None,
            arrived: None,
            received: None,
            flags: Flags::default(),
            head_hash: None,
            dress: None,
        }
    }

    /// The announced size where one has to be reckoned with.
    pub fn size(&self) -> u64 {
        self.announced.unwrap_or(0)
    }

    /// The message with its bytes, judged after `came` bytes on the wire.
    pub(super) fn item(&self, key: Key, bytes: Bytes, came: u64) -> Item {
        match whole::judge(self.announced, came) {
            Ok(whole) => Item::Fetched(Fetched { envelope: self.envelope(key, &bytes), bytes, whole }),
            Err(error) if came == 0 => Item::Failed(key, error),
            Err(error) => self.doubted(key, bytes, error),
        }
    }

    /// The message with what came in its place.
    pub(super) fn doubted(&self, key: Key, bytes: Bytes, error: Error) -> Item {
        Item::Doubtful { envelope: self.envelope(key, &bytes), bytes, error }
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

impl Item {
    /// The message at which a connection broke: it may be the reason.
    pub(super) fn broken_at(key: Key, error: &Error) -> Option<Self> {
        let is_ours = matches!(error.kind(), Kind::Disk | Kind::State | Kind::Stopped);
        let cause = || match error.kind() {
            // The server went on, with what nobody could use.
            Kind::Protocol => Error::transient(Kind::Protocol, error.to_string()),
            kind => Error::transient(kind, "the connection broke while it was fetched"),
        };
        (!is_ours).then(|| Self::Failed(key, cause()))
    }
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
