//! What a server offers before the login.

use super::{imap, pop3};
use crate::config::{Protocol, Server};
use crate::error::Result;
use crate::net::probe::ShownTls;

/// The offers of a server before the login.
#[derive(Clone, Debug)]
pub struct Offers {
    /// Its capabilities, as it wrote them.
    pub capabilities: Vec<String>,
    /// What its TLS handshake showed.
    pub shown: Option<ShownTls>,
    /// Whether a login can be bound to the TLS connection (RFC 9266).
    pub can_bind: bool,
}

impl Offers {
    /// Whether the server offers this login mechanism: `AUTH=` in IMAP, `SASL` in POP3.
    pub fn offers_login(&self, name: &str) -> bool {
        self.capabilities.iter().any(|line| {
            let mut words = line.split_ascii_whitespace();
            let first = words.next().unwrap_or_default();
            first.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("AUTH="))
                && first[5..].eq_ignore_ascii_case(name)
                || first.eq_ignore_ascii_case("SASL") && words.any(|word| word.eq_ignore_ascii_case(name))
        })
    }

    /// Connects up to the login, asks for the capabilities, and disconnects.
    ///
    /// # Errors
    ///
    /// Those of connecting: no connection, no TLS, or the greeting of something else.
    pub async fn of(protocol: Protocol, server: &Server) -> Result<Self> {
        match protocol {
            Protocol::Imap => imap::offers(server).await,
            Protocol::Pop3 => pop3::offers(server).await,
        }
    }
}
