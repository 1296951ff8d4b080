//! What a server says before anybody logs in.

use super::{imap, pop3};
use crate::config::{Protocol, Server};
use crate::error::Result;
use crate::net::probe::Shown;

/// A server to which nobody has logged in.
#[derive(Clone, Debug)]
pub struct Offers {
    /// What it says that it can do, as it says it.
    pub capabilities: Vec<String>,
    /// What its TLS showed.
    pub shown: Option<Shown>,
    /// Whether a login can be bound to the connection (RFC 9266).
    pub can_bind: bool,
}

impl Offers {
    /// Whether a login of that name is offered: `AUTH=` over IMAP, `SASL` over POP3.
    pub fn offers_login(&self, name: &str) -> bool {
        self.capabilities.iter().any(|line| {
            let mut words = line.split_ascii_whitespace();
            let first = words.next().unwrap_or_default();
            first.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("AUTH="))
                && first[5..].eq_ignore_ascii_case(name)
                || first.eq_ignore_ascii_case("SASL") && words.any(|word| word.eq_ignore_ascii_case(name))
        })
    }

    /// Connects as far as the login, asks what the server can do, and leaves.
    ///
    /// # Errors
    ///
    /// As connecting has them: no connection, no TLS, a greeting of something else.
    pub async fn of(protocol: Protocol, server: &Server) -> Result<Self> {
        match protocol {
            Protocol::Imap => imap::offers(server).await,
            Protocol::Pop3 => pop3::offers(server).await,
        }
    }
}
