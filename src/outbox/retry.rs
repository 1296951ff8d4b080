//! When a failed attempt is repeated, and when an item is given up. Pure functions.

use std::time::Duration;

use jiff::Timestamp;

use crate::decision::Way;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// The waits after the first attempts, in seconds. RFC 5321 4.5.4.1 asks for two attempts in the first hour, and for one every
/// two to three hours later.
const FIRST_WAITS_SECONDS: [u64; 5] = [5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR];
const LATER_WAIT_SECONDS: u64 = 3 * HOUR;

/// How long a relay is left alone after it could not be reached or refused the login, by the number of failures in a row.
const REST_SECONDS: [u64; 5] = [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR];

/// How long an item is tried. A stale answer is worse than none.
pub fn lifetime(way: &Way) -> Duration {
    let days = match way {
        Way::Vacation(_) | Way::Reply(_) | Way::Reject(_) | Way::Notify(_) => 1,
        Way::Redirect(_) | Way::Pipe(_) | Way::Imap(_) | Way::Lmtp(_) => 5,
    };
    Duration::from_secs(days * 24 * HOUR)
}

/// The time of the next attempt after so many. `None`: by then the item would be too old. `factor` is between 0 and 1, and moves
/// the attempt by up to a fifth either way, so that not all come at once.
pub fn next(attempts: u32, at: Timestamp, now: Timestamp, lifetime: Duration, spread: f64) -> Option<Timestamp> {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = FIRST_WAITS_SECONDS.get(index).copied().unwrap_or(LATER_WAIT_SECONDS);
    let factor = 0.8 + 0.4 * spread.clamp(0.0, 1.0);
    let next = now.checked_add(Duration::from_secs_f64(wait as f64 * factor)).ok()?;
    let end = at.checked_add(lifetime).ok()?;
    (next <= end).then_some(next)
}

/// The time of the next attempt after so many interruptions. They are not failures, but other items should be tried first.
pub fn after_an_interruption(attempts: u32, now: Timestamp) -> Timestamp {
    let index = usize::try_from(attempts.saturating_sub(2)).unwrap_or(usize::MAX);
    let wait = FIRST_WAITS_SECONDS.get(index).copied().unwrap_or(LATER_WAIT_SECONDS);
    now.checked_add(Duration::from_secs(wait)).unwrap_or(now)
}

/// How long a relay is left alone after so many failures in a row.
pub fn rest(failures: u32) -> Duration {
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    Duration::from_secs(REST_SECONDS.get(index).copied().unwrap_or(HOUR))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS: Duration = Duration::from_secs(5 * 24 * HOUR);

    fn after(attempts: u32) -> Option<u64> {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        next(attempts, now, now, DAYS, 0.5).map(|at| u64::try_from(at.as_second() - now.as_second()).unwrap())
    }

    #[test]
    fn twice_in_the_first_hour_and_then_more_seldom() {
        let waits: Vec<u64> = (1..=7).filter_map(after).collect();
        assert_eq!(waits, [300, 900, 1800, 3600, 7200, 10_800, 10_800]);
        assert!((1..100).all(|n| after(n) <= after(n + 1)));
    }

    #[test]
    fn too_old_is_given_up_and_the_spread_is_bounded() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let late = at.checked_add(DAYS).unwrap().checked_sub(Duration::from_secs(HOUR)).unwrap();
        assert!(next(20, at, late, DAYS, 0.5).is_none());
        let low = next(1, at, at, DAYS, -9.0).unwrap().as_second() - at.as_second();
        let high = next(1, at, at, DAYS, 9.0).unwrap().as_second() - at.as_second();
        assert_eq!((low, high), (240, 360));
    }
}
