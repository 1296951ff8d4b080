//! The plumbing under every protocol: a connection with TLS and deadlines, and a bounded line reader.

mod connect;
mod lines;
mod pace;
mod stream;

pub use connect::{connect, start_tls};
pub use lines::{LineStream, MAX_LINE};
pub use stream::Stream;

use std::future::Future;
use std::io;
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// The longest wait of each kind (`reliability.md` F42; fetchmail once hung for more than a week without them).
pub mod deadline {
    use std::time::Duration;

    /// Name lookup and TCP connect, for each address tried.
    pub const CONNECT: Duration = Duration::from_secs(30);
    /// The TLS handshake.
    pub const TLS: Duration = Duration::from_secs(30);
    /// The server's first line.
    pub const GREETING: Duration = Duration::from_secs(60);
    /// The reply to a command, and any silence in the middle of one.
    pub const REPLY: Duration = Duration::from_secs(120);
    /// The reply to a goodbye: nothing depends on it but politeness.
    pub const GOODBYE: Duration = Duration::from_secs(5);
}

/// Waits for `work`, but not longer than `limit`. A passed deadline is a transient network failure.
pub async fn within<T>(limit: Duration, doing: &str, work: impl Future<Output = io::Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(Error::network(doing, e)),
        Err(_) => Err(Error::transient(Kind::Network, format!("{doing}: no answer within {} s", limit.as_secs()))),
    }
}
