//! From a name to a TCP connection, as RFC 8305 says: the addresses of both families in turn, each begun a moment after the
//! one before, and the first that answers is taken. A dead IPv6 costs a moment, not the whole deadline.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::alive::notice_a_dead_line;
use super::{deadline, within};
use crate::config::Server;
use crate::error::{Error, Result};

/// So long an address is waited for before the next one is tried beside it (RFC 8305 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// No more addresses of a name are tried.
const MOST: usize = 32;

/// Looks up and connects, all within one deadline.
pub(super) async fn dial(server: &Server) -> Result<TcpStream> {
    let place = format!("connecting to {} port {}", server.host, server.port);
    let connected = async {
        let found = tokio::net::lookup_host((server.host.as_str(), server.port)).await?;
        race(in_turn(found.take(MOST).collect()), TcpStream::connect).await
    };
    let tcp = within(deadline::CONNECT, &place, connected).await?;
    // Commands are single writes already; waiting for more would cost 40 ms each.
    tcp.set_nodelay(true).and_then(|()| notice_a_dead_line(&tcp)).map_err(|e| Error::network(&place, e))?;
    Ok(tcp)
}

/// The families in turn, beginning with that of the first address; within each as they were found.
fn in_turn(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = found.first().copied() else { return found };
    let (same, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.is_ipv6() == first.is_ipv6());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut turned = Vec::new();
    loop {
        let pair = [same.next(), other.next()];
        if pair == [None, None] {
            return turned;
        }
        turned.extend(pair.into_iter().flatten());
    }
}

/// The first connection that stands; the others are given up.
async fn race<T: Send + 'static, F: Future<Output = io::Result<T>> + Send + 'static>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut tried = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut waiting = addresses.into_iter();
    loop {
        let next = waiting.next();
        let is_all = next.is_none();
        next.map(|address| tried.spawn(connect(address)));
        let ended = match is_all {
            true => Ok(tried.join_next().await),
            false => timeout(HEAD_START, tried.join_next()).await,
        };
        match ended {
            Ok(Some(Ok(Ok(connected)))) => return Ok(connected),
            Ok(Some(Ok(Err(error)))) => last = error,
            Ok(Some(Err(_))) | Err(_) => {}
            Ok(None) => return Err(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::Instant;

    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn both_families_in_turn() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1"]);
        assert_eq!(in_turn(found), addresses(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "[::3]:1"]));
        let found = addresses(&["10.0.0.1:1", "10.0.0.2:1", "[::1]:1"]);
        assert_eq!(in_turn(found), addresses(&["10.0.0.1:1", "[::1]:1", "10.0.0.2:1"]));
        assert!(in_turn(Vec::new()).is_empty());
    }

    /// What comes of an address by its port: 1 is dead, 2 is refused, 3 answers after a second, 4 at once.
    async fn raced(ports: &[u16]) -> (io::Result<u16>, Duration, Vec<u16>) {
        let begun = Instant::now();
        let log = Arc::new(Mutex::new(Vec::new()));
        let connect = |address: SocketAddr| {
            log.lock().unwrap().push(address.port());
            async move {
                match address.port() {
                    1 => std::future::pending().await,
                    2 => return Err(io::ErrorKind::ConnectionRefused.into()),
                    3 => tokio::time::sleep(Duration::from_secs(1)).await,
                    _ => {}
                }
                Ok(address.port())
            }
        };
        let all = ports.iter().map(|port| SocketAddr::from(([10, 0, 0, 1], *port))).collect();
        let outcome = race(all, connect).await;
        let log = log.lock().unwrap().clone();
        (outcome, begun.elapsed(), log)
    }

    #[tokio::test(start_paused = true)]
    async fn audit_b25_a_dead_address_costs_a_moment() {
        let (outcome, took, log) = raced(&[1, 4]).await;
        assert_eq!((outcome.unwrap(), took, log), (4, HEAD_START, vec![1, 4]));
        let (outcome, took, log) = raced(&[2, 4, 4]).await;
        assert_eq!((outcome.unwrap(), took, log), (4, Duration::ZERO, vec![2, 4]), "a refusal costs nothing");
        let (outcome, took, _) = raced(&[3, 1, 1]).await;
        assert_eq!((outcome.unwrap(), took), (3, Duration::from_secs(1)), "the first is still waited for");
        assert_eq!(raced(&[2, 2]).await.0.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(raced(&[]).await.0.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn audit_b25_one_deadline_over_all() {
        let begun = Instant::now();
        let dead = race(in_turn(addresses(&["10.0.0.1:1", "10.0.0.2:1", "[::1]:1"])), |_| {
            std::future::pending::<io::Result<()>>()
        });
        let error = within(deadline::CONNECT, "x", dead).await.unwrap_err();
        assert!(error.is_transient() && begun.elapsed() == deadline::CONNECT, "{error}");
    }
}
