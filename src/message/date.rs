//! Reads dates: those of RFC 5322 3.3 and 4.3, and the other forms found in mail.
//!
//! The parser works on words and does not recurse, because nested comments have crashed other parsers
//! (`reliability.md` E11).

use jiff::Zoned;
use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};

use super::Message;

/// A date is searched for within this many bytes.
const MAX_DATE_BYTES: usize = 200;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Named zones (RFC 5322 4.3), in hours. All other names mean UTC.
const ZONES: [(&str, i32); 22] = [
    ("est", -5),
    ("edt", -4),
    ("cst", -6),
    ("cdt", -5),
    ("mst", -7),
    ("mdt", -6),
    ("pst", -8),
    ("pdt", -7),
    // Not in RFC 5322, but unambiguous in mail.
    ("akst", -9),
    ("akdt", -8),
    ("hst", -10),
    ("bst", 1),
    ("wet", 0),
    ("west", 1),
    ("cet", 1),
    ("cest", 2),
    ("met", 1),
    ("mest", 2),
    ("eet", 2),
    ("eest", 3),
    ("msk", 3),
    ("jst", 9),
];

impl Message {
    /// The date in the first Date field, in the sender's zone, if it can be read.
    pub fn date(&self) -> Option<&Zoned> {
        self.date.get_or_init(|| self.first("Date").and_then(parse_date)).as_ref()
    }
}

/// Reads a date: `Mon, 23 Nov 2026 12:00:00 +0100`, or one of the other forms found in mail. Ignores the weekday. A
/// missing, unknown or military zone is read as UTC, as RFC 5322 4.3 asks.
pub fn parse_date(value: &str) -> Option<Zoned> {
    let text = without_comments(&value[..value.floor_char_boundary(MAX_DATE_BYTES)]);
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()).collect();
    let (date, rest) = date_of(&words)?;
    let time = rest.iter().find_map(|word| time_of(word)).or_else(|| words.iter().find_map(|word| time_of(word)));
    let offset = rest.iter().find_map(|word| zone_of(word)).or_else(|| words.last().and_then(|word| zone_of(word)));
    let zone = TimeZone::fixed(Offset::from_seconds(offset.unwrap_or(0)).ok()?);
    date.to_datetime(time.unwrap_or(Time::midnight())).to_zoned(zone).ok()
}

/// Removes comments in parentheses, which may be nested. An unmatched closing parenthesis becomes a blank.
fn without_comments(text: &str) -> String {
    let mut depth = 0_usize;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                out.push(' ');
            }
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// The date, in one of the forms in use, and the words after it.
fn date_of<'a, 'b>(words: &'a [&'b str]) -> Option<(Date, &'a [&'b str])> {
    (0..words.len()).find_map(|at| {
        let words = &words[at..];
        let found = iso_date(words[0]).map(|date| (date, 1));
        let found = found.or_else(|| dashed_date(words[0]).map(|date| (date, 1)));
        let (date, length) = found.or_else(|| day_first(words)).or_else(|| asctime(words))?;
        Some((date, &words[length..]))
    })
}

/// `2026-11-23` or `2026-11-23T12:00:00`, as scripts and web services write it.
fn iso_date(word: &str) -> Option<Date> {
    let date = word.get(..10).filter(|_| word.len() == 10 || word.as_bytes()[10] == b'T')?;
    let mut numbers = date.split('-');
    let (year, month, day) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let is_iso = year.len() == 4 && month.len() == 2 && day.len() == 2;
    is_iso.then(|| civil(year.parse().ok()?, month.parse().ok()?, day)).flatten()
}

/// `23-Nov-2026`, as old VMS and news software writes it.
fn dashed_date(word: &str) -> Option<Date> {
    let mut parts = word.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    civil(year_of(year)?, month_of(month)?, day)
}

/// `23 Nov 2026`.
fn day_first(words: &[&str]) -> Option<(Date, usize)> {
    let [day, month, year, ..] = words else { return None };
    Some((civil(year_of(year)?, month_of(month)?, day)?, 3))
}

/// `Nov 23 12:00:00 2026`, as C's `asctime` writes it. A zone may precede the year.
fn asctime(words: &[&str]) -> Option<(Date, usize)> {
    let [month, day, rest @ ..] = words else { return None };
    let month = month_of(month)?;
    let year = rest.iter().take(4).filter(|word| !word.starts_with(['+', '-'])).find_map(|word| year_of(word))?;
    Some((civil(year, month, day)?, 2))
}

fn civil(year: i16, month: i8, day: &str) -> Option<Date> {
    let is_day = day.len() <= 2 && day.bytes().all(|b| b.is_ascii_digit());
    Date::new(year, month, day.parse().ok().filter(|_| is_day)?).ok()
}

/// The number of a month. Only its first three letters count, because some programs write the whole name.
fn month_of(word: &str) -> Option<i8> {
    let start = word.get(..3)?;
    let at = MONTHS.iter().position(|month| start.eq_ignore_ascii_case(month))?;
    i8::try_from(at + 1).ok()
}

/// The year (RFC 5322 4.3): two digits below 50 count from 2000, other two digits and three digits count from 1900. So
/// does `0102`, which programs with a year 2000 bug write.
fn year_of(word: &str) -> Option<i16> {
    if !(2..=4).contains(&word.len()) || !word.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let year: i16 = word.parse().ok()?;
    Some(match (word.len(), year) {
        (2 | 4, ..50) => year + 2000,
        (_, ..1000) => year + 1900,
        _ => year,
    })
}

/// `12:00:00`, `12:00`, `9.30.00` (Finnish and Italian programs) or `2026-11-23T12:00:00Z`. Drops fractions of a
/// second. A leap second is read as the second before it.
fn time_of(word: &str) -> Option<Time> {
    let clock = word.split_once('T').map_or(word, |(_, clock)| clock);
    let clock = clock.split(['+', '-', 'Z']).next().unwrap_or_default();
    let mut numbers = clock.split([':', '.']);
    let mut next = || -> Option<i8> { numbers.next()?.parse().ok() };
    let (hour, minute) = (next()?, next()?);
    let second = next().unwrap_or(0);
    Time::new(hour, minute, second.min(59), 0).ok()
}

/// The offset in seconds, if the word is a zone.
fn zone_of(word: &str) -> Option<i32> {
    let sign = word.rfind(['+', '-']);
    match sign.map(|at| (&word[at..at + 1], &word[at + 1..])) {
        Some((sign, digits)) => numeric_zone(sign == "-", digits),
        None if word.bytes().all(|b| b.is_ascii_alphabetic()) && !word.is_empty() => named_zone(word),
        None => None,
    }
}

/// The offset of `+0100`, or of `+01:00`, `+1` and `GMT+1`, which scripts write. An impossible offset is read as UTC.
fn numeric_zone(is_west: bool, digits: &str) -> Option<i32> {
    let plain: String = digits.chars().filter(|c| *c != ':').collect();
    if plain.is_empty() || plain.len() > 4 || !plain.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i32 = plain.parse().ok()?;
    let (hours, minutes) = if plain.len() <= 2 { (number, 0) } else { (number / 100, number % 100) };
    let seconds = hours * 3600 + minutes * 60;
    let is_real = hours <= 24 && minutes < 60;
    Some(if !is_real {
        0
    } else if is_west {
        -seconds
    } else {
        seconds
    })
}

/// The offset of a named zone. `None` for unknown names, which may be weekdays or `AM`; the caller uses UTC then.
fn named_zone(word: &str) -> Option<i32> {
    let known = ZONES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    known.map(|(_, hours)| hours * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(value: &str) -> String {
        parse_date(value).map_or("none".into(), |date| date.strftime("%Y-%m-%d %H:%M:%S %z").to_string())
    }

    #[test]
    fn as_the_standard_has_it() {
        assert_eq!(read("Mon, 23 Nov 2026 12:00:00 +0100"), "2026-11-23 12:00:00 +0100");
        assert_eq!(read("23 Nov 2026 12:00 -0330 (Newfoundland (winter))"), "2026-11-23 12:00:00 -0330");
        assert_eq!(read("Fri, 21 Nov 97 09:55:06 PST"), "1997-11-21 09:55:06 -0800");
        assert_eq!(read("1 Jan 49 00:00:00 GMT"), "2049-01-01 00:00:00 +0000");
        assert_eq!(read("1 Jan 103 00:00:00 Q"), "2003-01-01 00:00:00 +0000");
        assert_eq!(read("Sat,(c)1(c) Jan(c)2000 23:59:60 UT"), "2000-01-01 23:59:59 +0000");
    }

    #[test]
    fn as_mail_has_it() {
        assert_eq!(read("Mon Nov 23 12:00:00 2026"), "2026-11-23 12:00:00 +0000");
        assert_eq!(read("Mon Nov  3 12:00:00 CET 2026"), "2026-11-03 12:00:00 +0100");
        assert_eq!(read("Mon Nov  3 12:00:00 +0200 2026"), "2026-11-03 12:00:00 +0200");
        assert_eq!(read("2026-11-23 12:00:00 +0100"), "2026-11-23 12:00:00 +0100");
        assert_eq!(read("2026-11-23T12:00:00.5Z"), "2026-11-23 12:00:00 +0000");
        assert_eq!(read("2026-11-23T12:00:00+02:00"), "2026-11-23 12:00:00 +0200");
        assert_eq!(read("Mon, 23 November 2026  9.30.05 +1"), "2026-11-23 09:30:05 +0100");
        assert_eq!(read("23-Nov-2026 12:00 GMT+2"), "2026-11-23 12:00:00 +0200");
        assert_eq!(read("Monday, 23-Nov-26 12:00:00 XYZ"), "2026-11-23 12:00:00 +0000");
        assert_eq!(read("Thu, 22 Aug 0102 12:07:35 +0800"), "2002-08-22 12:07:35 +0800");
        assert_eq!(read("01 Jan 2001 00:01+0000"), "2001-01-01 00:01:00 +0000");
        assert_eq!(read("Mon, 23 Nov 2026"), "2026-11-23 00:00:00 +0000");
        assert_eq!(read("Mon, 23 Nov 2026 12:00:00 +9999"), "2026-11-23 12:00:00 +0000");
    }

    #[test]
    fn what_is_no_date() {
        for text in ["", "yesterday", "31 Feb 2026 12:00:00 +0000", "Nov", "1 2 3", "99 Nov 2026", "-- -- --"] {
            assert_eq!(read(text), "none", "{text}");
        }
    }

    #[test]
    fn e11_nested_comments_are_linear() {
        assert_eq!(read(&"(".repeat(10_000_000)), "none");
        assert_eq!(read(&format!("23 Nov 2026 12:00:00 +0100 {}", "(".repeat(1_000_000))), "2026-11-23 12:00:00 +0100");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "([0-9]{1,4}|Nov|[ ,:.+-]|T|Z|é|\\(|\\)){0,30}") {
            parse_date(&text);
        }
    }
}
