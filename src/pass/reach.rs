//! Reach: hosts that cannot be reached. Their accounts wait together: one of them tries, and what came of it counts for all.

use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::World;
use super::pace::{Failure, after, hinted, is_resting, random};
use crate::config::{Account, Server};
use crate::error::{Error, Kind, Result};
use crate::state::Pace;

/// The bound of the wait for a host that is dead. It is drawn from 0 up to this, so that the host sees less than forty
/// connections a day.
const LONGEST_WAIT: Duration = Duration::from_secs(80 * 60);

/// Connects, unless the host could not be reached just now. As long as it is doubted, one account at a time tries, and the others
/// hear what came of it.
///
/// # Errors
///
/// That of the connection, or the last one of the host while it rests.
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
    note(world, &host, connected.as_ref().err().filter(|error| error.is_of_the_host()))?;
    connected
}

/// What was seen of a host; `None`: it was reached.
fn note(world: &World, host: &str, failed: Option<&Error>) -> Result<()> {
    let before = world.store.pace(host)?;
    let pace = match failed {
        // Somebody else noted it, who tried at the same time.
        Some(_) if resting(world, host)?.is_some() => return Ok(()),
        Some(error) => {
            Some(after(before.clone(), Failure::passing(error), world.now(), LONGEST_WAIT, random(), String::new()))
        }
        None => None,
    };
    if pace == before { Ok(()) } else { world.store.set_pace(host, pace.as_ref()) }
}

/// What keeps mail of an account from coming: its host that cannot be reached, which is what happened last, else its own
/// failures.
pub fn failing(world: &World, account: &Account) -> Result<Option<Pace>> {
    match of_the_host(world, account)? {
        Some(pace) => Ok(Some(pace)),
        None => world.store.pace(&account.name),
    }
}

/// The pace of an account's host, where it cannot be reached.
pub(super) fn of_the_host(world: &World, account: &Account) -> Result<Option<Pace>> {
    world.store.pace(&name_of(&account.server))
}

/// The same, as long as nobody tries.
pub(super) fn resting_host(world: &World, account: &Account) -> Result<Option<Pace>> {
    resting(world, &name_of(&account.server))
}

fn resting(world: &World, host: &str) -> Result<Option<Pace>> {
    let now = world.now();
    Ok(world.store.pace(host)?.filter(|pace| is_resting(pace, now, LONGEST_WAIT)))
}

/// Somebody asked: the host of this account is tried now. How often it failed is not forgotten.
pub fn try_host_now(world: &World, account: &Account) -> Result<()> {
    match resting_host(world, account)? {
        Some(pace) => {
            let until = pace.since.min(world.now());
            world.store.set_pace(&name_of(&account.server), Some(&Pace { until, ..pace }))
        }
        None => Ok(()),
    }
}

/// What failed was in another network, or was asked for in another way; but what the host itself asked for holds.
pub(super) fn forgive_host(world: &World, account: &Account) -> Result<()> {
    let host = name_of(&account.server);
    match world.store.pace(&host)? {
        Some(pace) if hinted(&pace.cause).is_none() => world.store.set_pace(&host, None),
        _ => Ok(()),
    }
}

/// What the state knows it by, which is no name of an account. Who trusts it otherwise reaches it otherwise.
fn name_of(server: &Server) -> String {
    let Server { host, port, tls, trust } = server;
    let trust = HEXLOWER.encode(&Sha256::digest(format!("{tls:?} {trust:?}"))[..4]);
    format!("host {}:{port} {trust}", host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// What a host sees that is dead for a week.
    #[test]
    fn a_dead_host_sees_few_connections() {
        let (mut now, mut pace, mut tried) = (Timestamp::from_second(1_800_000_000).unwrap(), None, 0);
        let end = now + Duration::from_secs(7 * 24 * 3600);
        while now < end {
            let failure = Failure::Passing("down".into(), None);
            let next = after(pace, failure, now, LONGEST_WAIT, random(), String::new());
            (now, pace, tried) = (next.until.max(now + Duration::from_secs(1)), Some(next), tried + 1);
        }
        assert!((150..7 * 45).contains(&tried), "{tried}");
    }
}
