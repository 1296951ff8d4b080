//! Pace: how soon a server is tried again after a failure. A refused account is not tried until the server locks it,
//! and the users of a server that was down do not all come back at once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ring::rand::SecureRandom;
use sha2::{Digest, Sha256};

use super::reach::{forgive_host, of_the_host, resting_host};
use super::{Report, World};
use crate::config::Account;
use crate::error::{Error, Kind, Result};
use crate::state::{Pace, PartialFailure};

/// How many refused logins may be a passing fault of the server.
const REFUSALS_TOLERATED: u32 = 3;
/// After those, the login is tried once in this time,
const REFUSED_RETRY: SignedDuration = SignedDuration::from_hours(1);
/// and after a day once in this.
const REFUSED_RETRY_AFTER_A_DAY: SignedDuration = SignedDuration::from_hours(6);
/// When the user gets another notice about a refused login.
const NOTICE_REPEAT: SignedDuration = SignedDuration::from_hours(7 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The bound of the first wait after a failure that may pass. It doubles with each failure.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// The bound grows up to this, or to the account's `poll`, whichever is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// The longest wait that a server may ask for.
const LONGEST_HINT: Duration = Duration::from_secs(24 * 3600);
/// How long a mailbox that another session has open (`[IN-USE]`, RFC 2449) is left alone, and a server that wants fewer
/// logins (`[LOGIN-DELAY]`).
const IN_USE_WAIT: Duration = Duration::from_secs(60);
const LOGIN_DELAY_WAIT: Duration = Duration::from_secs(10 * 60);
/// The wait for a server that counts bytes or commands (`[OVERQUOTA]`, `[LIMIT]`): it counts them by the hour or the
/// day.
const OVER_QUOTA_WAIT: Duration = Duration::from_secs(3600);
/// How much of a cause is kept, in characters.
const MAX_CAUSE_CHARS: usize = 300;

/// Why a pass over an account failed as a whole, as far as it affects the next try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PassFailure {
    /// The server refuses the login, and only the user can help.
    Refused(String),
    /// The failure may pass; the server may have said in what time.
    Passing(String, Option<Duration>),
}

impl PassFailure {
    /// A failure that may pass.
    pub(super) fn passing(error: &Error) -> Self {
        Self::Passing(text_of(error), hinted(&error.to_string()))
    }
}

/// Whether an account has to wait: because of its own failures, or those of its host.
pub fn held_up(world: &World, account: &Account) -> Result<Option<Pace>> {
    let now = world.now();
    let holds = |pace: &Pace| {
        is_resting(pace, now, account.poll) && (!pace.is_refused || pace.credential == credential(account))
    };
    match world.store.pace(&account.name)?.filter(holds) {
        Some(pace) => Ok(Some(pace)),
        None => resting_host(world, account),
    }
}

/// Whether the wait is not over. If the clock was wrong at the failure, for instance by a time zone, the account waits
/// no longer than it would have otherwise.
pub(super) fn is_resting(pace: &Pace, now: Timestamp, poll: Duration) -> bool {
    let longest = match pace.is_refused {
        true => REFUSED_RETRY_AFTER_A_DAY,
        false => {
            let longest = longest_wait(pace.failures, poll).max(hinted(&pace.cause).unwrap_or_default());
            SignedDuration::try_from(longest).unwrap_or(DAY)
        }
    };
    (pace.since..pace.until).contains(&now) && pace.until.duration_since(now) <= longest
}

/// The bound of the wait after so many failures that may pass.
fn longest_wait(failures: u32, poll: Duration) -> Duration {
    FIRST_WAIT.saturating_mul(1 << failures.min(16).saturating_sub(1)).min(LONGEST_WAIT.max(poll))
}

/// Whether a refused login needs a notice: at the first refusal, and once a week while it lasts.
pub fn is_news(world: &World, account: &Account) -> Result<bool> {
    let before = world.store.pace(&account.name)?.filter(|pace| pace.credential == credential(account));
    Ok(is_to_be_told(before.as_ref(), world.now()))
}

fn is_to_be_told(before: Option<&Pace>, now: Timestamp) -> bool {
    let is_recent = |pace: &&Pace| pace.is_refused && now.duration_since(pace.told).abs() < NOTICE_REPEAT;
    before.filter(is_recent).is_none()
}

/// Records the result of a pass. Returns the new pace if the pass failed.
pub fn keep_pace(world: &World, account: &Account, report: &Report) -> Result<Option<Pace>> {
    keep_partial_failure(world, account, report)?;
    if ended_by(report).is_some_and(Error::is_of_the_host) {
        // It was recorded when it was tried, for all accounts that wait for that host. It says nothing about this
        // account.
        return of_the_host(world, account);
    }
    let before = world.store.pace(&account.name)?;
    let pace = match failure(report) {
        Some(failure) => {
            let credential = credential(account);
            let before = before.clone().filter(|pace| !pace.is_refused || pace.credential == credential);
            let after = after(before, failure, world.now(), account.poll, random(), credential);
            Some(Pace { told: if report.is_refusal_told { world.now() } else { after.told }, ..after })
        }
        None if report.is_answered => None,
        // The server was not asked, so nothing is known about it.
        None => return Ok(None),
    };
    if pace != before {
        world.store.set_pace(&account.name, pace.as_ref())?;
    }
    Ok(pace)
}

/// A pass that reached its end may have left out a folder that the server refuses: `status` says so until it goes well.
fn keep_partial_failure(world: &World, account: &Account, report: &Report) -> Result<()> {
    // A pass that was broken off says nothing of what it did not reach.
    if report.broke_off.is_some() || !report.is_answered {
        return Ok(());
    }
    let before = world.store.partial_failure(&account.name)?;
    let now = report.errors.first().map(|error| PartialFailure {
        cause: text_of(error),
        since: before.as_ref().map_or(world.now(), |before| before.since),
        times: before.as_ref().map_or(1, |before| before.times.saturating_add(1)),
    });
    match now == before {
        true => Ok(()),
        false => world.store.set_partial_failure(&account.name, now.as_ref()),
    }
}

/// The network has changed: what failed in the old one is tried at once, unless the server itself asked for a wait.
pub fn forgive_network(world: &World, account: &Account) -> Result<()> {
    forgive_host(world, account)?;
    match world.store.pace(&account.name)? {
        Some(pace) if !pace.is_refused && hinted(&pace.cause).is_none() => world.store.set_pace(&account.name, None),
        _ => Ok(()),
    }
}

/// The account's settings have changed: whatever failed is tried at once.
pub fn begin_anew(world: &World, account: &Account) -> Result<()> {
    forgive_host(world, account)?;
    world.store.set_pace(&account.name, None)
}

/// What ended a pass. A failure in one folder, or on this machine, is no reason to leave the server alone.
fn failure(report: &Report) -> Option<PassFailure> {
    let error = ended_by(report)?;
    match error.kind() {
        Kind::Disk | Kind::State | Kind::Busy | Kind::Stopped => None,
        Kind::Auth | Kind::Login if !error.is_transient() => Some(PassFailure::Refused(text_of(error))),
        _ => Some(PassFailure::passing(error)),
    }
}

fn ended_by(report: &Report) -> Option<&Error> {
    report.broke_off.and_then(|at| report.errors.get(at))
}

fn text_of(error: &Error) -> String {
    error.to_string().chars().take(MAX_CAUSE_CHARS).collect()
}

/// How long a server asks to be left alone: in Microsoft's "Suggested Backoff Time: 299961 milliseconds", and in the
/// response codes of RFC 2449 and RFC 5530.
pub(super) fn hinted(reply: &str) -> Option<Duration> {
    let upper = reply.to_ascii_uppercase();
    if let Some((_, after)) = upper.split_once("BACKOFF TIME:") {
        let digits: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
        return digits.parse().ok().map(|milliseconds| Duration::from_millis(milliseconds).min(LONGEST_HINT));
    }
    let codes = [
        ("[IN-USE]", IN_USE_WAIT),
        ("[LOGIN-DELAY]", LOGIN_DELAY_WAIT),
        ("[OVERQUOTA]", OVER_QUOTA_WAIT),
        ("[LIMIT]", OVER_QUOTA_WAIT),
    ];
    codes.into_iter().find(|(code, _)| upper.contains(code)).map(|(_, wait)| wait)
}

/// The pace after one more failure. `random` is from 0 to 1 (full jitter), so that accounts that failed together do not
/// come back together.
pub(super) fn after(
    before: Option<Pace>,
    failure: PassFailure,
    now: Timestamp,
    poll: Duration,
    random: f64,
    credential: String,
) -> Pace {
    let is_refused = matches!(failure, PassFailure::Refused(_));
    let before = before.filter(|pace| pace.since <= now);
    if let Some(refused) = before.as_ref().filter(|before| before.is_refused && !is_refused) {
        // A server that is down says nothing about the password.
        let again = now.checked_add(FIRST_WAIT).unwrap_or(now);
        return Pace { until: refused.until.max(again), ..refused.clone() };
    }
    let before = before.filter(|pace| pace.is_refused == is_refused);
    let since = before.as_ref().map_or(now, |pace| pace.since);
    // No notice has been filed yet.
    let told = before.as_ref().map_or(Timestamp::UNIX_EPOCH, |before| before.told);
    let failures = before.map_or(0, |pace| pace.failures).saturating_add(1);
    let (cause, wait) = match failure {
        PassFailure::Refused(cause) => {
            let wait = match failures {
                0..REFUSALS_TOLERATED => SignedDuration::ZERO,
                _ if now.duration_since(since) >= DAY => REFUSED_RETRY_AFTER_A_DAY,
                _ => REFUSED_RETRY,
            };
            (cause, wait)
        }
        PassFailure::Passing(cause, hint) => {
            let wait = longest_wait(failures, poll).mul_f64(random).max(hint.unwrap_or_default());
            (cause, SignedDuration::try_from(wait).unwrap_or(REFUSED_RETRY))
        }
    };
    let until = now.checked_add(wait).unwrap_or(now);
    let credential = if is_refused { credential } else { String::new() };
    Pace { failures, since, until, is_refused, told, cause, credential }
}

/// A random number from 0 to 1.
pub fn random() -> f64 {
    let mut bytes = [0; 4];
    match ring::rand::SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

/// A hash of the account's credentials. It changes when the config or the password file does; a program that prints a
/// password is not run for it. It is as secret as the state that holds it.
fn credential(account: &Account) -> String {
    let mut hash = Sha256::new();
    let Account { server, user, token, password, auth, apop, .. } = account;
    hash.update(format!("{server:?} {user} {token} {password:?} {auth:?} {apop:?}"));
    hash.update(account.password.mark());
    data_encoding::HEXLOWER.encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: Duration = Duration::from_secs(300);

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn refused(before: Option<Pace>, hours: i64) -> Pace {
        after(before, PassFailure::Refused("no".into()), at(hours), POLL, 1.0, "a".into())
    }

    fn passing(before: Option<Pace>, hint: Option<Duration>) -> Pace {
        after(before, PassFailure::Passing("down".into(), hint), at(0), POLL, 1.0, "a".into())
    }

    fn wait(pace: &Pace, since: Timestamp) -> i64 {
        pace.until.duration_since(since).as_secs()
    }

    #[test]
    fn a_refused_login_is_tried_three_times_then_hourly_and_after_a_day_every_six_hours() {
        let first = refused(None, 0);
        let second = refused(Some(first.clone()), 0);
        let third = refused(Some(second.clone()), 0);
        assert_eq!([&first, &second, &third].map(|pace| wait(pace, at(0))), [0, 0, 3600]);
        let next_day = refused(Some(third.clone()), 25);
        assert_eq!((wait(&next_day, at(25)), next_day.failures, next_day.since), (6 * 3600, 4, at(0)));
    }

    #[test]
    fn a_refused_login_is_told_at_once_and_again_each_week() {
        let mut pace = None;
        let mut told = Vec::new();
        for hours in (0..24 * 20).step_by(6) {
            if is_to_be_told(pace.as_ref(), at(hours)) {
                told.push(hours);
            }
            let news = is_to_be_told(pace.as_ref(), at(hours));
            let after = refused(pace, hours);
            pace = Some(Pace { told: if news { at(hours) } else { after.told }, ..after });
        }
        assert_eq!(told, [0, 7 * 24, 14 * 24]);
    }

    #[test]
    fn a_server_that_is_down_is_tried_less_and_less_often_up_to_a_bound() {
        let mut pace = passing(None, None);
        let mut waits = vec![wait(&pace, at(0))];
        for _ in 0..40 {
            pace = passing(Some(pace), None);
            waits.push(wait(&pace, at(0)));
        }
        assert_eq!(waits[..5], [10, 20, 40, 80, 160]);
        assert_eq!(waits[40], 900);
        // A refusal starts a new count, and a server that is down does not undo it.
        let refused = refused(Some(pace), 0);
        let down = passing(Some(refused.clone()), None);
        assert_eq!((refused.failures, down.failures, down.is_refused), (1, 1, true));
    }

    #[test]
    fn what_a_server_asks_for_is_honoured_and_bounded() {
        let exchange = "BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds";
        assert_eq!(hinted(exchange), Some(Duration::from_millis(299_961)));
        assert_eq!(hinted("Backoff Time: 99999999999999 ms"), Some(LONGEST_HINT));
        assert_eq!(hinted("-ERR [IN-USE] locked"), Some(IN_USE_WAIT));
        assert_eq!(hinted("-ERR [LOGIN-DELAY] slow down"), Some(LOGIN_DELAY_WAIT));
        assert_eq!(hinted("NO [OVERQUOTA] Account exceeded bandwidth limits"), Some(OVER_QUOTA_WAIT));
        assert_eq!(hinted("NO go away"), None);
        assert_eq!(wait(&passing(None, Some(IN_USE_WAIT)), at(0)), 60);
    }

    #[test]
    fn a_clock_that_went_back_begins_anew() {
        let later = refused(None, 1000);
        assert_eq!(refused(Some(later), 0).failures, 1);
    }

    #[test]
    fn a_clock_that_was_hours_ahead_keeps_no_account_waiting_for_hours() {
        let first = passing(None, None);
        let ahead = PassFailure::Passing("down".into(), None);
        let second = after(Some(first.clone()), ahead, at(5), POLL, 1.0, "a".into());
        assert!(is_resting(&first, at(0), POLL) && is_resting(&second, at(5), POLL));
        assert!(!is_resting(&second, at(0), POLL));
        // A server may ask for a long wait, and a refusal makes one.
        let hint = PassFailure::Passing("[OVERQUOTA] tomorrow".into(), Some(OVER_QUOTA_WAIT));
        assert!(is_resting(&after(None, hint, at(0), POLL, 1.0, "a".into()), at(0), POLL));
        let third = refused(Some(refused(Some(refused(None, 0)), 0)), 0);
        assert!(is_resting(&third, at(0), POLL));
    }
}
