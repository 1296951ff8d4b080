//! Whether the time is plausible. Nothing irreversible is done by a clock that may be wrong.
//!
//! The state remembers the last time that it saw. A time before that, or far after it, is doubted until it has gone on
//! evenly for a day, or a server's clock agrees. If the time is days ahead, the machine may have been off or the clock
//! may have jumped. It waits as long, and the user gets no notice. A new or rebuilt state remembers no time, and trusts
//! its first time no sooner: the dates of files come from the same clock, and prove nothing. No program of this version
//! ran before [`EARLIEST`].

use jiff::{SignedDuration, Timestamp};

/// How far a clock may be set back without suspicion.
const CLOCK_CORRECTION: SignedDuration = SignedDuration::from_mins(10);
/// How long a pause may last before the time no longer follows the last one. A daily run is never quite punctual.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(36);
/// How long a machine may have been off.
const LONGEST_OFF: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A doubted time is believed after it has gone on for this long.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How often the last time is stored.
const STORE_INTERVAL: SignedDuration = SignedDuration::from_hours(1);
/// 2026-01-01T00:00:00Z.
pub(super) const EARLIEST: i64 = 1_767_225_600;
/// The text for a missing time.
const NO_TIME: &str = "-";

/// How far the present time can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// It follows the last time that was believed.
    Plausible,
    /// No time was believed yet, and this is the first or follows it; or the machine may have been off for days.
    Unproven,
    /// It does not follow what was seen before.
    Doubted,
}

/// The times that the state has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The last time that was believed.
    last: Option<Timestamp>,
    /// The first and the last time that a doubted clock showed.
    waiting: Option<(Timestamp, Timestamp)>,
}

impl Seen {
    /// Returns the new record, and how far the time can be trusted. `agrees` says that a server's clock shows the same
    /// time within a day.
    pub(super) fn observe(before: Option<Self>, now: Timestamp, agrees: bool) -> (Self, Clock) {
        let Self { last, waiting } = before.unwrap_or(Self { last: None, waiting: None });
        let follows = last.is_some_and(|last| is_from_to(now, last, LONGEST_PAUSE));
        if follows && waiting.is_none() && !agrees {
            let is_due = last.is_none_or(|last| now.duration_since(last) > STORE_INTERVAL);
            return (Self { last: if is_due { Some(now) } else { last }, waiting }, Clock::Plausible);
        }
        // A gap that is a pause and no jump may be followed by another one.
        let began = waiting.map_or(now, |(first, _)| first);
        let is_jump = last.is_some_and(|last| !is_from_to(began, last, LONGEST_OFF));
        let pause = if is_jump { LONGEST_PAUSE } else { LONGEST_OFF };
        let going_on = waiting.filter(|(_, latest)| is_from_to(now, *latest, pause));
        let is_old = going_on.is_some_and(|(first, _)| now.duration_since(first) >= DAY);
        let is_right_again = follows && going_on.is_none();
        if agrees || is_old || is_right_again {
            return (Self { last: Some(now), waiting: None }, Clock::Plausible);
        }
        let (first, latest) = going_on.unwrap_or((now, now));
        let latest = if now.duration_since(latest) > STORE_INTERVAL { now } else { latest };
        let jumped = is_jump || waiting.is_some() && going_on.is_none();
        let thought = if jumped { Clock::Doubted } else { Clock::Unproven };
        (Self { last, waiting: Some((first, latest)) }, thought)
    }

    /// `LAST` or `LAST FIRST LATEST` in seconds, with `-` for a missing last time.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let time = |word: &str| Timestamp::from_second(word.parse().ok()?).ok();
        let mut words = text.split(' ');
        let last = match words.next()? {
            NO_TIME => None,
            word => Some(time(word)?),
        };
        let waiting = words.next().zip(words.next()).and_then(|(first, latest)| Some((time(first)?, time(latest)?)));
        Some(Self { last, waiting })
    }

    pub(super) fn text(&self) -> String {
        let last = self.last.map_or_else(|| NO_TIME.to_owned(), |last| last.as_second().to_string());
        match self.waiting {
            Some((first, latest)) => format!("{last} {} {}", first.as_second(), latest.as_second()),
            None => last,
        }
    }
}

/// Whether a time follows another one, within a small correction and the longest gap.
fn is_from_to(now: Timestamp, earlier: Timestamp, furthest: SignedDuration) -> bool {
    earlier.duration_since(now) <= CLOCK_CORRECTION && now.duration_since(earlier) <= furthest
}

/// Whether this program can have seen a time: a machine without a clock starts in 1970.
pub fn is_possible(at: Timestamp) -> bool {
    at.as_second() >= EARLIEST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn believed(last: &str) -> Seen {
        Seen { last: Some(at(last)), waiting: None }
    }

    fn observe(before: Seen, now: Timestamp) -> (Seen, Clock) {
        let (seen, thought) = Seen::observe(Some(before), now, false);
        assert_eq!(Seen::parse(&seen.text()), Some(seen));
        (seen, thought)
    }

    #[test]
    fn ordinary_time_is_believed_and_noted_once_an_hour() {
        for (now, noted) in [
            ("2026-11-01T12:30:00Z", "2026-11-01T12:00:00Z"),
            ("2026-11-01T11:55:00Z", "2026-11-01T12:00:00Z"),
            ("2026-11-02T20:00:00Z", "2026-11-02T20:00:00Z"),
        ] {
            let seen = observe(believed("2026-11-01T12:00:00Z"), at(now));
            assert_eq!(seen, (believed(noted), Clock::Plausible), "{now}");
        }
    }

    #[test]
    fn a_jump_is_doubted_until_it_goes_on_for_a_day_or_a_server_agrees() {
        for jump in ["2036-11-01T12:00:00Z", "2026-11-01T10:00:00Z", "1970-01-01T00:00:10Z"] {
            let jump = at(jump);
            let (mut seen, thought) = observe(believed("2026-11-01T12:00:00Z"), jump);
            assert_eq!(thought, Clock::Doubted, "{jump}");
            assert_eq!(Seen::observe(Some(seen), jump, true).1, Clock::Plausible, "a server agrees");
            for hours in [5, 12, 20] {
                let (next, thought) = observe(seen, jump + SignedDuration::from_hours(hours));
                assert_eq!(thought, Clock::Doubted, "{jump} {hours}");
                seen = next;
            }
            assert_eq!(observe(seen, jump + DAY).1, Clock::Plausible, "{jump}");
        }
    }

    /// Nothing shows whether the machine was off or its clock jumped.
    #[test]
    fn days_that_nobody_saw_are_unproven_until_they_go_on_for_a_day_or_a_server_agrees() {
        let later = at("2026-11-21T12:00:00Z");
        let (seen, thought) = observe(believed("2026-11-01T12:00:00Z"), later);
        assert_eq!(thought, Clock::Unproven);
        assert_eq!(observe(seen, later + SignedDuration::from_hours(20)).1, Clock::Unproven);
        assert_eq!(Seen::observe(Some(seen), later, true).1, Clock::Plausible, "a server agrees");
        assert_eq!(observe(seen, at("2026-11-01T13:00:00Z")).1, Clock::Plausible, "it is right again");
        let weekly = later + SignedDuration::from_hours(7 * 24);
        assert_eq!(observe(seen, weekly), (believed("2026-11-28T12:00:00Z"), Clock::Plausible));
    }

    #[test]
    fn a_clock_that_is_right_again_is_believed_at_once() {
        let (wrong, _) = observe(believed("2026-11-01T12:00:00Z"), at("2036-11-01T12:00:00Z"));
        assert_eq!(observe(wrong, at("2026-11-01T13:30:00Z")), (believed("2026-11-01T13:30:00Z"), Clock::Plausible));
    }

    #[test]
    fn the_first_time_is_unproven_until_it_goes_on_for_a_day_or_a_server_agrees() {
        let first = at("2036-11-01T12:00:00Z");
        let (seen, thought) = Seen::observe(None, first, false);
        assert_eq!(thought, Clock::Unproven);
        assert_eq!(Seen::observe(Some(seen), first, true), (believed("2036-11-01T12:00:00Z"), Clock::Plausible));
        let weekly = first + SignedDuration::from_hours(7 * 24);
        assert_eq!(observe(seen, weekly), (believed("2036-11-08T12:00:00Z"), Clock::Plausible));
        let (seen, thought) = observe(seen, at("2026-11-01T12:00:00Z"));
        assert_eq!(thought, Clock::Doubted, "which of the two is right?");
        assert_eq!(observe(seen, first).1, Clock::Doubted);
    }
}
