//! Whether the time is plausible: nothing irreversible happens by a clock that may be wrong.
//!
//! The state knows the last time it saw. A time behind it, or far ahead, is doubted until it has gone on evenly for a day,
//! or a server's clock agrees. One that is ahead by days may be a machine that was off or a clock that jumped: it waits as
//! long, and nobody is told. A state that is new, or was made anew, knows none, and believes its first time no sooner: the
//! dates of files were made by the same clock, and prove nothing. No program of this version ran before [`EARLIEST`].

use jiff::{SignedDuration, Timestamp};

/// So far clocks are set back in the ordinary course of things.
const SET_BACK: SignedDuration = SignedDuration::from_mins(10);
/// So long nobody may have looked for what he sees to follow: a daily run is never quite punctual.
const FOLLOWS: SignedDuration = SignedDuration::from_hours(36);
/// So long a machine may have been off.
const AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A doubted time that goes on for so long is believed, and so far it may go on at a time.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The last time is noted anew after this.
const NOTE: SignedDuration = SignedDuration::from_hours(1);
/// 2026-01-01T00:00:00Z.
pub(super) const EARLIEST: i64 = 1_767_225_600;
/// Stands for no time.
const NONE: &str = "-";

/// What is to be thought of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// It follows the last time that was believed.
    Plausible,
    /// No time was believed yet, and this is the first, or follows it; or nobody has looked for days.
    Unproven,
    /// It does not follow what was seen before.
    Doubted,
}

/// What the state knows of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The last time that was believed.
    last: Option<Timestamp>,
    /// When a time that is not believed was seen first, and last.
    waiting: Option<(Timestamp, Timestamp)>,
}

impl Seen {
    /// What is known now, and what is to be thought of the time. `agrees`: a server's clock says the same within a day.
    pub(super) fn observe(before: Option<Self>, now: Timestamp, agrees: bool) -> (Self, Clock) {
        let Self { last, waiting } = before.unwrap_or(Self { last: None, waiting: None });
        let follows = last.is_some_and(|last| is_from_to(now, last, FOLLOWS));
        if follows && waiting.is_none() && !agrees {
            let is_due = last.is_none_or(|last| now.duration_since(last) > NOTE);
            return (Self { last: if is_due { Some(now) } else { last }, waiting }, Clock::Plausible);
        }
        // What is no jump but a pause may be followed by another one.
        let began = waiting.map_or(now, |(first, _)| first);
        let is_jump = last.is_some_and(|last| !is_from_to(began, last, AHEAD));
        let pause = if is_jump { FOLLOWS } else { AHEAD };
        let going_on = waiting.filter(|(_, latest)| is_from_to(now, *latest, pause));
        let is_old = going_on.is_some_and(|(first, _)| now.duration_since(first) >= DAY);
        let is_right_again = follows && going_on.is_none();
        if agrees || is_old || is_right_again {
            return (Self { last: Some(now), waiting: None }, Clock::Plausible);
        }
        let (first, latest) = going_on.unwrap_or((now, now));
        let latest = if now.duration_since(latest) > NOTE { now } else { latest };
        let jumped = is_jump || waiting.is_some() && going_on.is_none();
        let thought = if jumped { Clock::Doubted } else { Clock::Unproven };
        (Self { last, waiting: Some((first, latest)) }, thought)
    }

    /// `LAST` or `LAST FIRST LATEST`, in seconds, or `-` for a last time that there is not.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let time = |word: &str| Timestamp::from_second(word.parse().ok()?).ok();
        let mut words = text.split(' ');
        let last = match words.next()? {
            NONE => None,
            word => Some(time(word)?),
        };
        let waiting = words.next().zip(words.next()).and_then(|(first, latest)| Some((time(first)?, time(latest)?)));
        Some(Self { last, waiting })
    }

    pub(super) fn text(&self) -> String {
        let last = self.last.map_or_else(|| NONE.to_owned(), |last| last.as_second().to_string());
        match self.waiting {
            Some((first, latest)) => format!("{last} {} {}", first.as_second(), latest.as_second()),
            None => last,
        }
    }
}

/// Whether a time comes after another, but for what clocks are set back, and no further than that.
fn is_from_to(now: Timestamp, earlier: Timestamp, furthest: SignedDuration) -> bool {
    earlier.duration_since(now) <= SET_BACK && now.duration_since(earlier) <= furthest
}

/// Whether a time can be one that this program saw: a machine without a clock begins in 1970.
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

    /// Whether it was off or its clock jumped, nobody knows.
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
