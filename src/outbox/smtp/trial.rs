//! Finds out what a server would accept without sending anything: MAIL and RCPT, and RSET instead of DATA.

use super::envelope::writable;
use super::{DialogState, SmtpRelay};
use crate::error::{Error, Kind, Result};
use crate::net::deadline;
use crate::net::probe::ShownTls;
use crate::outbox::address::Mailbox;
use crate::outbox::relay::RelayTrouble;

/// What an SMTP server announces.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The login mechanisms that it offers.
    pub logins: Vec<String>,
    /// The largest message that it accepts, in bytes, if it says so.
    pub largest: Option<u64>,
    /// Whether it offers STARTTLS on this connection.
    pub starttls: bool,
    /// What its TLS handshake showed.
    pub shown: Option<ShownTls>,
}

impl SmtpRelay {
    /// What the server announced.
    pub fn hello(&self) -> Hello {
        let can = &self.session.can;
        let shown = self.session.shown();
        Hello { logins: can.auth.clone(), largest: can.size.flatten(), starttls: can.starttls, shown }
    }

    /// Asks whether mail from an address (empty: the null reverse-path) would be accepted, and optionally for which recipient.
    /// The connection can be used again afterwards.
    ///
    /// # Errors
    ///
    /// The server refuses the sender or the recipient, or the connection breaks.
    pub async fn would_take(&mut self, from: &str, to: Option<&str>) -> Result<()> {
        let before = std::mem::replace(&mut self.state, DialogState::Lost);
        self.begin(before).await?;
        let own = match from {
            "" => String::new(),
            from => writable(Mailbox::parse(from), &self.session.can)?.as_str().to_owned(),
        };
        let mail = self.session.command(&format!("MAIL FROM:<{own}>"), deadline::SMTP_MAIL).await?;
        let mut refused = (!mail.is_ok()).then(|| match super::envelope::sender_trouble(&mail, from) {
            RelayTrouble::Relay(error) | RelayTrouble::Sender(error) | RelayTrouble::Unknown(error) => error,
            RelayTrouble::Mail(_) => mail.refusal(&format!("the sender <{from}>")),
        });
        if let (None, Some(to)) = (&refused, to) {
            let to = writable(Mailbox::parse(to), &self.session.can)?;
            let rcpt = self.session.command(&format!("RCPT TO:<{}>", to.as_str()), deadline::SMTP_RCPT).await?;
            refused = (!rcpt.is_ok()).then(|| rcpt.refusal(&format!("the recipient <{}>", to.as_str())));
        }
        let reset = self.session.command("RSET", deadline::REPLY).await?;
        if !reset.is_ok() {
            return Err(refused.unwrap_or_else(|| reset.refusal("RSET")));
        }
        self.state = DialogState::Ready;
        refused.map_or(Ok(()), Err)
    }
}

/// The error for a relay that is a program, which cannot be asked.
pub(super) fn not_a_server() -> Error {
    Error::permanent(Kind::Config, "a program is not an SMTP server")
}
