//! What a relay is asked, and what it answers.

use std::fmt;

use super::sendmail::Sendmail;
use super::smtp::SmtpRelay;
use crate::config::{Relay, RelayKind};
use crate::error::Error;
use crate::message::Message;

/// An open way out, whatever its kind.
#[derive(Debug)]
pub enum Connection {
    /// To an SMTP or LMTP server.
    Smtp(Box<SmtpRelay>),
    /// Through a program.
    Sendmail(Sendmail),
}

impl Connection {
    /// Connects and logs in. A program is found missing only when there is something to send.
    pub async fn connect(relay: &Relay) -> Result<Self, Error> {
        Ok(match &relay.kind {
            RelayKind::Sendmail(program) => Self::Sendmail(Sendmail::new(program.clone())),
            RelayKind::Smtp { .. } | RelayKind::Lmtp(_) => Self::Smtp(Box::new(SmtpRelay::connect(relay).await?)),
        })
    }

    /// Sends one mail and says what became of it for each recipient, in order. After [`Trouble::Relay`] the caller
    /// connects anew: a server may close an idle connection at any time. After [`Trouble::Unknown`] too, for the next
    /// mail.
    pub async fn send(&mut self, mail: &Mail<'_>) -> Result<Vec<Verdict>, Trouble> {
        match self {
            Self::Smtp(smtp) => smtp.send(mail).await,
            Self::Sendmail(sendmail) => sendmail.send(mail).await,
        }
    }

    /// Says goodbye; nothing depends on it.
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
    /// Not now: 4yz at RCPT, at DATA or after it.
    Later(Error),
    /// Never: 5yz at RCPT, at DATA or after it, or an address that cannot be written.
    Never(Error),
}

/// Why nothing was sent at all, and whom it concerns.
#[derive(Debug)]
pub enum Trouble {
    /// Everybody: no connection, TLS, login, 421, an error at EHLO. The relay rests.
    Relay(Error),
    /// This sender on this relay: 5yz at MAIL. Somebody has to look.
    Sender(Error),
    /// This mail, for all its recipients: 4yz at MAIL, it cannot be sent through this relay (too big), or our disk
    /// does not give it.
    Mail(Verdict),
    /// The connection broke after the last dot was sent, or the program had to be ended: it may have been taken or not.
    Unknown(Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay(error) | Self::Sender(error) | Self::Unknown(error) => error.fmt(f),
            Self::Mail(Verdict::Later(error) | Verdict::Never(error)) => error.fmt(f),
            Self::Mail(Verdict::Sent(text)) => f.write_str(text),
        }
    }
}
