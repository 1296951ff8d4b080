//! The dates IMAP speaks, in UTC: ` 5-Jan-2026 07:08:09 +0000` for a message, `5-Jan-2026` in a search.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Seconds at the start of that day. Out-of-range days run on into the neighbouring months.
pub fn ymd(year: i64, month: i64, day: i64) -> i64 {
    // Count in years that begin with March: then the leap day is the last day of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_to_1970 = 719_468;
    (days + (153 * month + 2) / 5 + day - 1 - days_to_1970) * DAY
}

/// The day that holds this second: year, month, day.
fn civil(seconds: i64) -> (i64, i64, i64) {
    let day_number = seconds.div_euclid(DAY);
    let mut year = 1970 + day_number.div_euclid(366);
    while ymd(year + 1, 1, 1) <= seconds {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| ymd(year, *month, 1) <= seconds).unwrap();
    (year, month, day_number - ymd(year, month, 1) / DAY + 1)
}

/// As in `INTERNALDATE "..."`, without the quotes.
pub fn to_internaldate(seconds: i64) -> String {
    let (year, month, day) = civil(seconds);
    let second = seconds.rem_euclid(DAY);
    let month = MONTHS[month as usize - 1];
    format!("{day:2}-{month}-{year:04} {:02}:{:02}:{:02} +0000", second / 3600, second / 60 % 60, second % 60)
}

/// The date of a search key, `5-Jan-2026`, as the first second of that day.
pub fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.trim().split('-');
    let day = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|known| known.eq_ignore_ascii_case(name))? as i64 + 1;
    let year = parts.next()?.parse().ok()?;
    (parts.next().is_none() && (1..=31).contains(&day)).then(|| ymd(year, month, day))
}

/// The date-time of APPEND, ` 5-Jan-2026 07:08:09 +0100`.
pub fn parse_internaldate(text: &str) -> Option<i64> {
    let mut parts = text.split_whitespace();
    let midnight = parse_date(parts.next()?)?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let zone: i64 = parts.next()?.parse().ok()?;
    let offset = (zone / 100 * 60 + zone % 100) * 60;
    Some(midnight + hour * 3600 + minute * 60 + second - offset)
}

#[cfg(test)]
mod tests {
    use super::{parse_date, parse_internaldate, to_internaldate, ymd};

    #[test]
    fn dates_survive_the_round_trip() {
        for seconds in [0, 951_782_400, 1_704_067_199, 1_767_225_600, 4_102_444_799] {
            assert_eq!(parse_internaldate(&to_internaldate(seconds)), Some(seconds));
        }
        assert_eq!(to_internaldate(0), " 1-Jan-1970 00:00:00 +0000");
        assert_eq!(to_internaldate(951_782_400), "29-Feb-2000 00:00:00 +0000");
        assert_eq!(parse_internaldate("1-Jan-2026 01:30:00 +0130"), Some(ymd(2026, 1, 1)));
    }

    #[test]
    fn a_search_date_is_the_start_of_its_day() {
        assert_eq!(parse_date("2-jan-2026"), Some(1_767_312_000));
        assert_eq!(parse_date("2-Jannuary-2026"), None);
        assert_eq!(parse_date("2026-01-02"), None);
    }
}
