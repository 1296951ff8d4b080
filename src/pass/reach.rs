//! Reach: hosts that cannot be reached. Their accounts wait together: one of them tries, and its result counts for all.

use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::World;
use super::pace::{PassFailure, after, hinted, is_resting, random};
use crate::config::{Account, Server};
use crate::error::{Error, Kind, Result};
use crate::state::Pace;

/// The bound of the wait for a host that is down. The wait is drawn from 0 up to this, so that the host sees fewer than
/// forty connections a day.
const LONGEST_HOST_WAIT: Duration = Duration::from_secs(80 * 60);

/// Connects, unless the host could not be reached just now. While the host is in doubt, one account at a time tries,
/// and the others use its result.
///
/// # Errors
///
/// The error of the connection, or the last error of the host while it rests.
pub async fn reach<T>(world: &World, account: &Account, connect: impl Future<Output = Result<T>>) -> Result<T> {
    let host = name_of(&account.server);
    let _turn = match world.store.pace(&host)? {
        Some(_) => Some(world.turns.of(&host).await),
        None => None,
    };
    if let Some(pace) = resting(world, &host)? {
        let error = Error::transient(Kind::Network, format!("{} could not be reached just now", account.server.host));
        return Err(error.because(pace.cause).of_the_host());
    }
    let connected = connect.await;
    record(world, &host, connected.as_ref().err().filter(|error| error.is_of_the_host()))?;
    connected
}

/// Records the result of a try; `None` means that the host was reached.
fn record(world: &World, host: &str, failed: Option<&Error>) -> Result<()> {
    let before = world.store.pace(host)?;
    let pace = match failed {
        // Another account that tried at the same time has recorded it.
        Some(_) if resting(world, host)?.is_some() => return Ok(()),
        Some(error) => Some(after(
            before.clone(),
            PassFailure::passing(error),
            world.now(),
            LONGEST_HOST_WAIT,
            random(),
            String::new(),
        )),
        None => None,
    };
    if pace == before { Ok(()) } else { world.store.set_pace(host, pace.as_ref()) }
}

/// What keeps an account's mail from coming: its host that cannot be reached, since that is what happened last, else
/// its own failures.
pub fn failing(world: &World, account: &Account) -> Result<Option<Pace>> {
    match of_the_host(world, account)? {
        Some(pace) => Ok(Some(pace)),
        None => world.store.pace(&account.name),
    }
}

/// The pace of an account's host, if the host cannot be reached.
pub(super) fn of_the_host(world: &World, account: &Account) -> Result<Option<Pace>> {
    world.store.pace(&name_of(&account.server))
}

/// The same, but only while the host is left alone.
pub(super) fn resting_host(world: &World, account: &Account) -> Result<Option<Pace>> {
    resting(world, &name_of(&account.server))
}

fn resting(world: &World, host: &str) -> Result<Option<Pace>> {
    let now = world.now();
    Ok(world.store.pace(host)?.filter(|pace| is_resting(pace, now, LONGEST_HOST_WAIT)))
}

/// Makes the account's host due now, because the user asked. The count of its failures stays.
pub fn try_host_now(world: &World, account: &Account) -> Result<()> {
    match resting_host(world, account)? {
        Some(pace) => {
            let until = pace.since.min(world.now());
            world.store.set_pace(&name_of(&account.server), Some(&Pace { until, ..pace }))
        }
        None => Ok(()),
    }
}

/// Forgets failures in another network or under other settings, but not a wait that the host itself asked for.
pub(super) fn forgive_host(world: &World, account: &Account) -> Result<()> {
    let host = name_of(&account.server);
    match world.store.pace(&host)? {
        Some(pace) if hinted(&pace.cause).is_none() => world.store.set_pace(&host, None),
        _ => Ok(()),
    }
}

/// The key of a host in the state, which can be no account's name. Accounts with other TLS settings for the same host
/// have another key.
fn name_of(server: &Server) -> String {
    let Server { host, port, tls, trust } = server;
    let trust = HEXLOWER.encode(&Sha256::digest(format!("{tls:?} {trust:?}"))[..4]);
    format!("host {}:{port} {trust}", host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// What a host sees when it is down for a week.
    #[test]
    fn a_dead_host_sees_few_connections() {
        let (mut now, mut pace, mut tried) = (Timestamp::from_second(1_800_000_000).unwrap(), None, 0);
        let end = now + Duration::from_secs(7 * 24 * 3600);
        while now < end {
            let failure = PassFailure::Passing("down".into(), None);
            let next = after(pace, failure, now, LONGEST_HOST_WAIT, random(), String::new());
            (now, pace, tried) = (next.until.max(now + Duration::from_secs(1)), Some(next), tried + 1);
        }
        assert!((150..7 * 45).contains(&tried), "{tried}");
    }
}
