//! What a server would take, asked without sending anything: MAIL and RCPT, and RSET in the place of DATA.

use super::envelope::written;
use super::{SmtpRelay, State};
use crate::error::{Error, Kind, Result};
use crate::net::deadline;
use crate::net::probe::Shown;
use crate::outbox::address::Mailbox;
use crate::outbox::relay::Trouble;

/// What an SMTP server says about itself.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The ways to log in that it offers.
    pub logins: Vec<String>,
    /// The largest message that it takes, in bytes, where it says one.
    pub largest: Option<u64>,
    /// Whether it offers STARTTLS on this connection.
    pub starttls: bool,
    /// What its TLS showed.
    pub shown: Option<Shown>,
}

impl SmtpRelay {
    /// What the server says about itself.
    pub fn hello(&self) -> Hello {
        let can = &self.session.can;
        let shown = self.session.shown();
        Hello { logins: can.auth.clone(), largest: can.size.flatten(), starttls: can.starttls, shown }
    }

    /// Asks whether mail from an address (empty: the null reverse-path) would be taken, and for whom. The connection can be asked
    /// again, and can send afterwards.
    ///
    /// # Errors
    ///
    /// The server refuses one of the two, or the connection broke.
    pub async fn would_take(&mut self, from: &str, to: Option<&str>) -> Result<()> {
        let before = std::mem::replace(&mut self.state, State::Lost);
        self.begin(before).await?;
        let own = match from {
            "" => String::new(),
            from => written(Mailbox::parse(from), &self.session.can)?.as_str().to_owned(),
        };
        let mail = self.session.command(&format!("MAIL FROM:<{own}>"), deadline::SMTP_MAIL).await?;
        let mut refused = (!mail.is_ok()).then(|| match super::envelope::sender_trouble(&mail, from) {
            Trouble::Relay(error) | Trouble::Sender(error) | Trouble::Unknown(error) => error,
            Trouble::Mail(_) => mail.refusal(&format!("the sender <{from}>")),
        });
        if let (None, Some(to)) = (&refused, to) {
            let to = written(Mailbox::parse(to), &self.session.can)?;
            let rcpt = self.session.command(&format!("RCPT TO:<{}>", to.as_str()), deadline::SMTP_RCPT).await?;
            refused = (!rcpt.is_ok()).then(|| rcpt.refusal(&format!("the recipient <{}>", to.as_str())));
        }
        let reset = self.session.command("RSET", deadline::REPLY).await?;
        if !reset.is_ok() {
            return Err(refused.unwrap_or_else(|| reset.refusal("RSET")));
        }
        self.state = State::Ready;
        refused.map_or(Ok(()), Err)
    }
}

/// A relay that is a program cannot be asked.
pub(super) fn is_no_server() -> Error {
    Error::permanent(Kind::Config, "a program is no SMTP server")
}
