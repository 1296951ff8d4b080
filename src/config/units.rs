//! Durations, sizes and moments as people write them.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::PointInTime;

/// The longest duration that can be written: 100 years.
pub const MAX_DURATION: Duration = Duration::from_secs(36_500 * 86_400);

const TIME_UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
const SIZE_UNITS: &[(&str, u64)] = &[("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];

/// A text that is no duration, size or moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UnitError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl UnitError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// Reads `90s`, `5m`, `2h`, `14d` or `1w`: a whole number with one unit, at most [`LONGEST`].
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text);
    if !number.is_empty() && unit.is_empty() {
        let hint = format!("write `{number}s`, `{number}m`, `{number}h`, `{number}d` or `{number}w`");
        return Err(UnitError::new("a duration needs a unit", hint));
    }
    let seconds = scaled(number, unit, TIME_UNITS)
        .ok_or_else(|| UnitError::new("this is not a duration", duration_hint(number, unit)))?;
    let duration = Duration::from_secs(seconds);
    if duration > MAX_DURATION {
        return Err(UnitError::new("this duration is longer than 100 years", "write less"));
    }
    Ok(duration)
}

/// Writes a duration so that [`parse_duration`] reads the same; parts of a second are dropped.
pub fn show_duration(duration: Duration) -> String {
    show(duration.as_secs(), TIME_UNITS)
}

/// Reads `512K`, `10M`, `1G` or plain bytes; K is 1024.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (number, unit) = split(text);
    scaled(number, unit, SIZE_UNITS).ok_or_else(|| UnitError::new("this is not a size", size_hint(number, unit)))
}

/// Writes a size so that [`parse_size`] reads the same.
pub fn show_size(bytes: u64) -> String {
    show(bytes, SIZE_UNITS)
}

/// Reads a date like `2026-01-31` (its first moment, local time) or an age like `30d`.
pub fn parse_when(text: &str) -> Result<PointInTime, UnitError> {
    if text.len() == "2026-01-31".len() && text.bytes().filter(|b| *b == b'-').count() == 2 {
        return parse_date(text).map(PointInTime::Date);
    }
    parse_duration(text).map(PointInTime::Ago).map_err(|error| match split(text) {
        (number, "") if number.len() != 4 && !number.is_empty() => error,
        _ => UnitError::new("this is neither a date nor an age", "write a date like `2026-01-31` or an age like `30d`"),
    })
}

fn parse_date(text: &str) -> Result<jiff::Timestamp, UnitError> {
    let wrong = || UnitError::new("there is no such date", "write year, month, day: `2026-01-31`");
    let date: Date = text.parse().map_err(|_| wrong())?;
    let midnight = date.to_zoned(TimeZone::system()).map_err(|_| wrong())?;
    Ok(midnight.timestamp())
}

/// The leading digits, and what follows them.
fn split(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(digits)
}

fn scaled(number: &str, unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The number with the largest unit that divides it.
fn show(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |factor: u64| factor == 1 || (value > 0 && value.is_multiple_of(factor));
    let best = units.iter().rev().find(|(_, factor)| fits(*factor));
    best.map(|(name, factor)| format!("{}{name}", value / factor)).unwrap_or_default()
}

fn duration_hint(number: &str, unit: &str) -> String {
    let word = unit.trim().to_lowercase();
    let meant = match word.as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        "w" | "week" | "weeks" => "w",
        "month" | "months" | "mo" => return "months differ in length: write days, like `30d`".to_owned(),
        "y" | "year" | "years" => return "write days, like `365d`".to_owned(),
        _ => "",
    };
    if number.is_empty() || meant.is_empty() || meant == unit {
        return "write a whole number and s, m, h, d or w, like `90s` or `14d`".to_owned();
    }
    format!("write `{number}{meant}`")
}

fn size_hint(number: &str, unit: &str) -> String {
    let meant = match unit.trim().to_lowercase().as_str() {
        "b" | "byte" | "bytes" => Some(""),
        "k" | "kb" | "kib" => Some("K"),
        "m" | "mb" | "mib" => Some("M"),
        "g" | "gb" | "gib" => Some("G"),
        _ => None,
    };
    match meant {
        Some(meant) if !number.is_empty() && meant != unit => format!("write `{number}{meant}` (K is 1024)"),
        _ => "write bytes, or a whole number and K, M or G, like `512K` (K is 1024)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7200), ("14d", 1_209_600), ("1w", 604_800), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_what_to_write() {
        let hint = |text: &str| parse_duration(text).unwrap_err().hint;
        assert_eq!(hint("5"), "write `5s`, `5m`, `5h`, `5d` or `5w`");
        assert_eq!(hint("5 min"), "write `5m`");
        assert_eq!(hint("30days"), "write `30d`");
        assert_eq!(hint("2H"), "write `2h`");
        assert!(hint("3 months").contains("30d"));
        for text in ["", "s", "-5m", "1.5h", "1h30m", "soon", "99999999999999999999s", "36501d", "99999999999999999w"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("700", 700), ("512K", 524_288), ("10M", 10_485_760), ("1G", 1_073_741_824)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_size("10MB").unwrap_err().hint, "write `10M` (K is 1024)");
        assert_eq!(parse_size("10 k").unwrap_err().hint, "write `10K` (K is 1024)");
        for text in ["", "K", "-1", "1.5M", "1T", "99999999999G"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments() {
        assert_eq!(parse_when("30d"), Ok(PointInTime::Ago(Duration::from_secs(30 * 86_400))));
        let Ok(PointInTime::Date(at)) = parse_when("2026-01-31") else { panic!("a date") };
        let local = at.to_zoned(TimeZone::system());
        assert_eq!(local.date(), jiff::civil::date(2026, 1, 31));
        assert!(parse_when("2026-02-30").unwrap_err().message.contains("no such date"));
        assert!(parse_when("30").unwrap_err().message.contains("unit"));
        for text in ["2026", "31.01.2026", "yesterday", "2026-1-3", "2026-01-31T10:00", ""] {
            assert!(parse_when(text).unwrap_err().message.contains("neither"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn durations_round_trip(seconds in 0..=MAX_DURATION.as_secs()) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }

        #[test]
        fn sizes_round_trip(bytes in any::<u64>(), shift in 0..40) {
            let bytes = bytes >> shift;
            prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_has_an_answer(text in "\\PC{0,12}") {
            let _ = (parse_duration(&text), parse_size(&text), parse_when(&text));
        }
    }
}
