//! A message that may be fetched, and the result of fetching it.

use jiff::Timestamp;

use super::arrival::arrival;
use super::whole::{self, Whole};
use crate::error::{Error, Kind};
use crate::message::{Bytes, Envelope, Flags, Key};

/// A message that may be fetched.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id in the folder.
    pub id: Vec<u8>,
    /// The size that the server announces, if it does. It is only a hint.
    pub announced: Option<u64>,
    /// When it arrived at the server, if the server says so.
    pub arrived: Option<Timestamp>,
    /// The arrival time according to its header, if the header was requested.
    pub received: Option<Timestamp>,
    /// Its flags on the server.
    pub flags: Flags,
    /// The hash of its header block, if it was requested.
    pub head_hash: Option<[u8; 16]>,
    /// The hash of the header fields that stay the same on all servers, if the header was requested.
    pub dress: Option<[u8; 16]>,
}

impl Listed {
    /// A message that is known only by its id.
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

    /// The announced size, or 0 if it is unknown.
    pub fn size(&self) -> u64 {
        self.announced.unwrap_or(0)
    }

    /// The result of fetching this message, after `came` bytes on the wire.
    pub(super) fn item(&self, key: Key, bytes: Bytes, came: u64) -> FetchOutcome {
        match whole::judge(self.announced, came) {
            Ok(whole) => FetchOutcome::Fetched(Fetched { envelope: self.envelope(key, &bytes), bytes, whole }),
            Err(error) if came == 0 => FetchOutcome::Failed(key, error),
            Err(error) => self.doubted(key, bytes, error),
        }
    }

    /// The result if what came may not be the whole message.
    pub(super) fn doubted(&self, key: Key, bytes: Bytes, error: Error) -> FetchOutcome {
        FetchOutcome::Doubtful { envelope: self.envelope(key, &bytes), bytes, error }
    }

    /// What is known besides the bytes. A message without any date is taken to have arrived now.
    fn envelope(&self, key: Key, bytes: &Bytes) -> Envelope {
        let now = Timestamp::now();
        let arrived = self.arrived.or_else(|| arrival(bytes.beginning(), now)).unwrap_or(now);
        Envelope { key, arrived, flags: self.flags.clone(), announced: self.size() }
    }
}

/// The result of fetching one message.
#[derive(Debug)]
pub enum FetchOutcome {
    /// It is complete.
    Fetched(Fetched),
    /// It was there when the folder was listed, but no longer.
    Vanished(Key),
    /// The server could not send it, or would not.
    Failed(Key, Error),
    /// It seems to have ended, but by its size it is not the whole message.
    Doubtful {
        /// What is known besides the bytes.
        envelope: Envelope,
        /// The bytes that came.
        bytes: Bytes,
        /// Why it is in doubt.
        error: Error,
    },
}

impl FetchOutcome {
    /// The result for the message at which a connection broke, because it may be the cause.
    pub(super) fn broken_at(key: Key, error: &Error) -> Option<Self> {
        let is_ours = matches!(error.kind(), Kind::Disk | Kind::State | Kind::Stopped);
        let cause = || match error.kind() {
            // The server sent something that could not be used.
            Kind::Protocol => Error::transient(Kind::Protocol, error.to_string()),
            kind => Error::transient(kind, "the connection broke while the message was being fetched"),
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
    /// The proof that the bytes are complete.
    pub whole: Whole,
}
