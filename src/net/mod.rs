//! What every protocol builds on: connections with TLS and deadlines, a bounded line reader,
//! and the shared login mechanisms.

mod alive;
pub mod apop;
pub mod authenticate;
mod connect;
mod deflate;
mod dial;
mod heard;
pub mod http;
mod lines;
pub mod login;
pub mod mistaken;
pub mod oauth;
mod pace;
pub mod probe;
mod remembered;
pub mod sasl;
mod scram;
mod stream;
mod trust;
pub mod web;

pub use connect::{connect, connect_at, connect_unix, start_tls};
pub use lines::{BlockEnd, LineStream, MAX_LINE, went_on};
pub use stream::Stream;

use std::future::Future;
use std::io;
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// The longest wait of each kind (`reliability.md` F42; fetchmail once hung for more than a week without them).
pub mod deadline {
    use std::time::Duration;

    /// Name lookup and TCP connect, for all addresses together.
    pub const CONNECT: Duration = Duration::from_secs(30);
    /// The TLS handshake.
    pub const TLS: Duration = Duration::from_secs(30);
    /// The server's first line.
    pub const GREETING: Duration = Duration::from_secs(60);
    /// The reply to a command, and any silence within a reply.
    pub const REPLY: Duration = Duration::from_secs(120);
    /// The reply to QUIT or LOGOUT. Nothing depends on it.
    pub const GOODBYE: Duration = Duration::from_secs(5);

    /// The greeting of an SMTP server, which may look us up in blocklists first (RFC 5321 4.5.3.2.1).
    pub const SMTP_GREETING: Duration = Duration::from_secs(5 * 60);
    /// The reply to MAIL (RFC 5321 4.5.3.2.2).
    pub const SMTP_MAIL: Duration = Duration::from_secs(5 * 60);
    /// The reply to RCPT (RFC 5321 4.5.3.2.3).
    pub const SMTP_RCPT: Duration = Duration::from_secs(5 * 60);
    /// The reply to DATA (RFC 5321 4.5.3.2.4).
    pub const SMTP_DATA: Duration = Duration::from_secs(2 * 60);
    /// Sending one block of a message (RFC 5321 4.5.3.2.5).
    pub const SMTP_BLOCK: Duration = Duration::from_secs(3 * 60);
    /// The reply to the final dot: the server may deliver before it answers (RFC 5321 4.5.3.2.6).
    pub const SMTP_DOT: Duration = Duration::from_secs(10 * 60);
}

/// Waits for `work` for at most `limit`. A missed deadline is a transient network error.
pub async fn within<T>(limit: Duration, doing: &str, work: impl Future<Output = io::Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(Error::network(doing, e)),
        Err(_) => Err(Error::transient(Kind::Network, format!("{doing}: no answer within {} s", limit.as_secs()))),
    }
}
