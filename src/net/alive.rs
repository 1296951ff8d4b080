//! TCP keepalive: a dead connection is noticed even when nothing is sent over it. An IDLE session may wait for hours
//! (`reliability.md` F41).

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

/// How long a connection may be silent before the first keepalive probe.
const IDLE: Duration = Duration::from_secs(60);
/// The time between two probes.
const INTERVAL: Duration = Duration::from_secs(10);
/// How many probes may stay unanswered before the connection counts as dead.
const PROBES: u32 = 4;
/// How long sent data may stay unacknowledged.
#[cfg(target_os = "linux")]
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(60);

/// Turns keepalive on, so that a connection that is dead for two minutes becomes an error.
pub(super) fn notice_a_dead_line(tcp: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(tcp, true)?;
    sockopt::set_tcp_keepidle(tcp, IDLE)?;
    sockopt::set_tcp_keepintvl(tcp, INTERVAL)?;
    sockopt::set_tcp_keepcnt(tcp, PROBES)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(tcp, u32::try_from(ACKNOWLEDGED_WITHIN.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::dial::dial;
    use super::*;
    use crate::config::{Server, Tls, Trust};

    #[tokio::test]
    async fn f41_every_connection_notices_a_dead_line() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server { host: "127.0.0.1".to_owned(), port, tls: Tls::None, trust: Trust::default() };
        let tcp = dial(&server).await.unwrap();
        assert!(sockopt::socket_keepalive(&tcp).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&tcp).unwrap(), IDLE);
        assert_eq!(sockopt::tcp_keepintvl(&tcp).unwrap(), INTERVAL);
        assert_eq!(sockopt::tcp_keepcnt(&tcp).unwrap(), PROBES);
        #[cfg(target_os = "linux")]
        assert_eq!(sockopt::tcp_user_timeout(&tcp).unwrap(), 60_000);
    }
}
