//! The interface of a relay: what it is asked to send, and what it answers.

use std::fmt;

use super::sendmail::Sendmail;
use super::smtp::SmtpRelay;
use crate::config::{Relay, RelayKind};
use crate::error::Error;
use crate::message::Message;

/// An open connection to a relay of any kind.
#[derive(Debug)]
pub enum Connection {
    /// To an SMTP or LMTP server.
    Smtp(Box<SmtpRelay>),
    /// A program.
    Sendmail(Sendmail),
}

impl Connection {
    /// Connects and logs in. A missing program is only noticed when there is something to send.
    pub async fn connect(relay: &Relay) -> Result<Self, Error> {
        Ok(match &relay.kind {
            RelayKind::Sendmail(program) => Self::Sendmail(Sendmail::new(program.clone())),
            RelayKind::Smtp { .. } | RelayKind::Lmtp(_) => Self::Smtp(Box::new(SmtpRelay::connect(relay).await?)),
        })
    }

    /// Sends one mail and returns the verdict on each recipient, in order. After [`Trouble::Relay`] the caller
    /// reconnects, because a server may close an idle connection at any time. After [`Trouble::Unknown`] it reconnects for the
    /// next mail.
    pub async fn send(&mut self, mail: &Mail<'_>) -> Result<Vec<RecipientVerdict>, RelayTrouble> {
        match self {
            Self::Smtp(smtp) => smtp.send(mail).await,
            Self::Sendmail(sendmail) => sendmail.send(mail).await,
        }
    }

    /// Closes the connection politely. Nothing depends on it.
    pub async fn quit(self) {
        match self {
            Self::Smtp(smtp) => smtp.quit().await,
            Self::Sendmail(_) => {}
        }
    }
}

/// One mail to be sent: an envelope and bytes.
#[derive(Clone, Copy, Debug)]
pub struct Mail<'a> {
    /// The reverse-path; empty for the null reverse-path.
    pub from: &'a str,
    /// The recipients, at least one. Each is a valid mailbox, which is checked before an item is queued.
    pub to: &'a [String],
    /// The bytes, with LF line ends.
    pub message: &'a Message,
    /// For answers: ask for no delivery reports (RFC 3461 `NOTIFY=NEVER`), if the server supports it.
    pub no_reports: bool,
}

/// The result for one recipient.
#[derive(Debug)]
pub enum RecipientVerdict {
    /// The relay accepted it, with these words.
    Sent(String),
    /// Temporarily refused: 4yz to RCPT or DATA, or after the message.
    Later(Error),
    /// Permanently refused: 5yz to RCPT or DATA, or after the message; or the address cannot be sent.
    Never(Error),
}

/// Why nothing was sent at all, and what is affected.
#[derive(Debug)]
pub enum RelayTrouble {
    /// All mail: no connection, TLS or login, 421, an error to EHLO. The relay is left alone for a while.
    Relay(Error),
    /// This sender on this relay: 5yz to MAIL. A person has to act.
    Sender(Error),
    /// This mail, for all its recipients: 4yz to MAIL, or it cannot be sent through this relay (too big), or our disk
    /// cannot read it.
    Mail(RecipientVerdict),
    /// The connection broke after the final dot, or the program had to be killed: the mail may have been accepted.
    Unknown(Error),
}

impl fmt::Display for RelayTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay(error) | Self::Sender(error) | Self::Unknown(error) => error.fmt(f),
            Self::Mail(RecipientVerdict::Later(error) | RecipientVerdict::Never(error)) => error.fmt(f),
            Self::Mail(RecipientVerdict::Sent(text)) => f.write_str(text),
        }
    }
}
