//! From a host name to a TCP connection, as RFC 8305 (Happy Eyeballs) describes: addresses of both families alternate, each
//! attempt starts a moment after the one before it, and the first that succeeds is used. So a dead IPv6 address costs a
//! quarter of a second and not the whole deadline.

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

/// How long one attempt runs alone before the next address is tried in parallel (RFC 8305 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// How many addresses of a name are tried.
const MOST_ADDRESSES: usize = 32;

/// Looks up the name and connects, all within one deadline.
pub(super) async fn dial(server: &Server) -> Result<TcpStream> {
    let place = format!("connecting to {} port {}", server.host, server.port);
    let connected = async {
        let found = tokio::net::lookup_host((server.host.as_str(), server.port)).await?;
        race(interleave_families(found.take(MOST_ADDRESSES).collect()), TcpStream::connect).await
    };
    let tcp = within(deadline::CONNECT, &place, connected).await?;
    // Each command is a single write already; Nagle's algorithm would delay it by 40 ms.
    tcp.set_nodelay(true).and_then(|()| notice_a_dead_line(&tcp)).map_err(|e| Error::network(&place, e))?;
    Ok(tcp)
}

/// Alternates the two families, beginning with that of the first address, and keeps the order within each.
fn interleave_families(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = found.first().copied() else { return found };
    let (same, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| address.is_ipv6() == first.is_ipv6());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut interleaved = Vec::new();
    loop {
        let pair = [same.next(), other.next()];
        if pair == [None, None] {
            return interleaved;
        }
        interleaved.extend(pair.into_iter().flatten());
    }
}

/// The first attempt that succeeds; the others are dropped.
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
        assert_eq!(interleave_families(found), addresses(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "[::3]:1"]));
        let found = addresses(&["10.0.0.1:1", "10.0.0.2:1", "[::1]:1"]);
        assert_eq!(interleave_families(found), addresses(&["10.0.0.1:1", "[::1]:1", "10.0.0.2:1"]));
        assert!(interleave_families(Vec::new()).is_empty());
    }

    /// The port says how an address behaves: 1 never answers, 2 refuses, 3 answers after a second, 4 at once.
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
        let dead = race(interleave_families(addresses(&["10.0.0.1:1", "10.0.0.2:1", "[::1]:1"])), |_| {
            std::future::pending::<io::Result<()>>()
        });
        let error = within(deadline::CONNECT, "x", dead).await.unwrap_err();
        assert!(error.is_transient() && begun.elapsed() == deadline::CONNECT, "{error}");
    }
}
