//! What a relay is asked, and what it answers.

use crate::error::Error;
use crate::message::Message;

/// One mail to be sent: an envelope and bytes.
#[derive(Clone, Copy, Debug)]
pub struct Mail<'a> {
    /// The reverse-path; empty for the null one.
    pub from: &'a str,
    /// The recipients, at least one. Each is a valid mailbox: [`crate::outbox`] checks before it queues.
    pub to: &'a [String],
    /// The bytes, with LF line ends.
    pub message: &'a Message,
    /// Ask for no delivery reports (RFC 3461 `NOTIFY=NEVER`) where the server offers it: for answers.
    pub no_reports: bool,
}

/// What became of one recipient.
#[derive(Debug)]
pub enum Verdict {
    /// The relay took it; with its words.
    Sent(String),
    /// Not now: 4yz at RCPT or after the data.
    Later(Error),
    /// Never: 5yz at RCPT or after the data.
    Never(Error),
}

/// Why nothing was sent at all, and whom it concerns.
#[derive(Debug)]
pub enum Trouble {
    /// Everybody: no connection, TLS, login, 421, an error at EHLO. The relay rests.
    Relay(Error),
    /// This sender on this relay: 5yz at MAIL. Somebody has to look.
    Sender(Error),
    /// This mail: 4yz at MAIL or DATA, or it cannot be sent through this relay (too big, 8-bit).
    Mail(Verdict),
    /// The connection broke after the last dot was sent: it may have been taken or not.
    Unknown(Error),
}
