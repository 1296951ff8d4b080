//! Whether the time is plausible: nothing irreversible happens by a clock that may be wrong.
//!
//! The state knows the last time it saw. A time behind it, or far ahead, is doubted until it has gone on evenly for a day,
//! or a server's clock agrees. No program of this version ran before [`EARLIEST`].

use jiff::{SignedDuration, Timestamp};

/// So far clocks are set back in the ordinary course of things.
const SET_BACK: SignedDuration = SignedDuration::from_mins(10);
/// So long nobody may have looked.
const AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A doubted time that goes on for so long is believed, and so far it may go on at a time.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The last time is noted anew after this.
const NOTE: SignedDuration = SignedDuration::from_hours(1);
/// 2026-01-01T00:00:00Z.
pub(super) const EARLIEST: i64 = 1_767_225_600;

/// What the state knows of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The last time that was believed.
    pub(super) last: Timestamp,
    /// When a doubted time was seen first, and last.
    pub(super) doubted: Option<(Timestamp, Timestamp)>,
}

impl Seen {
    /// What is known now, and whether the time is believed. `agrees`: a server's clock says the same within a day.
    pub(super) fn observe(before: Option<Self>, now: Timestamp, agrees: bool) -> (Self, bool) {
        let believed = (Self { last: now, doubted: None }, true);
        let Some(before) = before.filter(|_| !agrees) else { return believed };
        let Self { last, doubted } = before;
        if now.duration_since(last) <= AHEAD && last.duration_since(now) <= SET_BACK && doubted.is_none() {
            let is_due = now.duration_since(last) > NOTE;
            return (if is_due { believed.0 } else { before }, true);
        }
        let goes_on = |(_, latest): &(Timestamp, Timestamp)| {
            latest.duration_since(now) <= SET_BACK && now.duration_since(*latest) <= DAY
        };
        match doubted.filter(goes_on) {
            Some((first, _)) if now.duration_since(first) >= DAY => believed,
            Some((first, latest)) => (Self { last, doubted: Some((first, latest.max(now))) }, false),
            // The clock is right again.
            None if doubted.is_some() && now.duration_since(last) <= AHEAD && last.duration_since(now) <= SET_BACK => {
                believed
            }
            None => (Self { last, doubted: Some((now, now)) }, false),
        }
    }

    /// `LAST` or `LAST FIRST LATEST`, in seconds.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut seconds = text.split(' ').map(|word| Timestamp::from_second(word.parse().ok()?).ok());
        let last = seconds.next()??;
        let doubted = match (seconds.next(), seconds.next()) {
            (Some(first), Some(latest)) => Some((first?, latest?)),
            _ => None,
        };
        Some(Self { last, doubted })
    }

    pub(super) fn text(&self) -> String {
        let last = self.last.as_second();
        match self.doubted {
            Some((first, latest)) => format!("{last} {} {}", first.as_second(), latest.as_second()),
            None => last.to_string(),
        }
    }
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

    #[test]
    fn ordinary_time_is_believed_and_noted_once_an_hour() {
        let (seen, believed) = Seen::observe(None, at("2026-11-01T12:00:00Z"), false);
        assert!(believed);
        for (now, noted) in [
            ("2026-11-01T12:30:00Z", "2026-11-01T12:00:00Z"),
            ("2026-11-01T11:55:00Z", "2026-11-01T12:00:00Z"),
            ("2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z"),
        ] {
            assert_eq!(
                Seen::observe(Some(seen), at(now), false),
                (Seen { last: at(noted), doubted: None }, true),
                "{now}"
            );
        }
    }

    #[test]
    fn a_jump_is_doubted_until_it_goes_on_for_a_day_or_a_server_agrees() {
        let before = Seen { last: at("2026-11-01T12:00:00Z"), doubted: None };
        for jump in ["2036-11-01T12:00:00Z", "2026-11-01T10:00:00Z", "1970-01-01T00:00:10Z"] {
            let jump = at(jump);
            let (mut seen, believed) = Seen::observe(Some(before), jump, false);
            assert!(!believed, "{jump}");
            assert!(Seen::observe(Some(seen), jump, true).1, "a server agrees");
            for hours in [5, 12, 20] {
                let (next, believed) = Seen::observe(Some(seen), jump + SignedDuration::from_hours(hours), false);
                assert!(!believed, "{jump} {hours}");
                seen = next;
                assert_eq!(Seen::parse(&seen.text()), Some(seen));
            }
            assert!(Seen::observe(Some(seen), jump + DAY, false).1, "{jump}");
        }
    }

    #[test]
    fn a_clock_that_is_right_again_is_believed_at_once() {
        let before = Seen { last: at("2026-11-01T12:00:00Z"), doubted: None };
        let (wrong, _) = Seen::observe(Some(before), at("2036-11-01T12:00:00Z"), false);
        assert_eq!(
            Seen::observe(Some(wrong), at("2026-11-01T13:30:00Z"), false),
            (Seen { last: at("2026-11-01T13:30:00Z"), doubted: None }, true)
        );
    }
}
