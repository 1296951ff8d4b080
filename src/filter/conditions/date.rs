//! `date` and `now`: when the message was written, and the current time.

use jiff::Zoned;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::super::asking::{Asking, Break};
use super::super::comparator::Range;
use super::super::comparison::{self, NUMBER};
use super::super::compile::Compiler;
use super::super::habits::doubt_whole_number;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::problem::Problems;
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::yaml::Node;
use crate::message::parse_date;

pub(super) static KEYS: Shape = Shape {
    what: "a date condition",
    keys: &[
        ("from", "On this day or later: `2026-12-24`, or with a time, `2026-12-24 18:00`.", Takes::Text),
        ("until", "On this day or earlier, the day included; with a time, up to that minute.", Takes::Text),
        ("days", "On these days of the week: `mon`, `[sat, sun]`, `mon-fri`.", TEXTS),
        (
            "hours",
            "Within these hours, the last excluded: `9-17`, `19-08` (over midnight), `8:30-12:15`, or a list.",
            TEXTS,
        ),
        ("year", "The year, a number or its bounds: {under: 2003}.", NUMBER),
        ("month", "The month, 1 to 12.", NUMBER),
        ("day", "The day of the month.", NUMBER),
        (
            "zone",
            "The time zone: `local` (default for now), `original` (default for date), or a name like `Europe/Berlin`.",
            Takes::Text,
        ),
        ("header", "Of `date`: another field than Date, such as Received (its last part).", Takes::Text),
        ("nth", "Of several such fields the first, 1 (default), or the last, -1, and so on.", Takes::Number),
    ],
};

pub(super) const DATE: ConditionWord = ConditionWord::new(
    (
        "date",
        "When the message says it was written: {until: 2002-12-31}, {year: {under: 2003}}; false without a date that can be read.",
        Takes::Section(&KEYS),
    ),
    |node, compiler| read(node, compiler, false),
);

pub(super) const NOW: ConditionWord = ConditionWord::new(
    (
        "now",
        "The moment of deciding: {hours: 19-08}, {days: mon-fri}, {from: 2026-12-24, until: 2027-01-02}.",
        Takes::Section(&KEYS),
    ),
    |node, compiler| read(node, compiler, true),
);

/// The conditions for a point in time.
#[derive(Debug)]
pub(super) struct DateComparison {
    /// The date field to compare; `None` for the current time.
    field: Option<String>,
    /// Which of several such fields.
    nth: i64,
    zone: Zone,
    from: Option<(Date, Time)>,
    until: Option<(Date, Time)>,
    /// The days of the week, from Monday.
    days: Option<[bool; 7]>,
    hours: Vec<(Time, Time)>,
    parts: Vec<(DatePart, Range)>,
}

#[derive(Debug)]
enum Zone {
    Local,
    Original,
    Named(TimeZone),
}

#[derive(Clone, Copy, Debug)]
enum DatePart {
    Year,
    Month,
    Day,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>, of_now: bool) -> Option<BoxedCondition> {
    when(node, compiler, of_now).map(|when| Box::new(when) as BoxedCondition)
}

/// Reads the conditions for the date of an event, which has no header field.
pub(super) fn of_event(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<DateComparison> {
    if let Some(header) = node.get("header") {
        compiler.problems.error(header.span, "an event has no header field").hint("use `date`");
    }
    when(node, compiler, false)
}

fn when(node: &Node, compiler: &mut Compiler<'_, '_>, of_now: bool) -> Option<DateComparison> {
    let problems = &mut compiler.problems;
    let mut map = MapReader::new(node, &KEYS, problems);
    let keys = KEYS.names().filter(|key| map.take(key).is_some()).count();
    if map.is_map() && keys == 0 {
        let at = map.place();
        map.problems().error(at, "a date condition needs at least one of its keys");
    }
    let from = map.read("from", |n, p| moment(n, Time::MIN, p));
    let until = map.read("until", |n, p| moment(n, Time::MAX, p));
    let days = map.read("days", days);
    let hours = map.read("hours", hours);
    let parts = [("year", DatePart::Year), ("month", DatePart::Month), ("day", DatePart::Day)];
    let parts: Vec<_> =
        parts.into_iter().filter_map(|(key, part)| Some((part, map.read(key, comparison::range)?))).collect();
    for (part, range) in &parts {
        let at = map.place();
        doubt_whole_number(range, part.bounds(), at, map.problems());
    }
    let zone = map.read("zone", zone);
    let zone = zone.unwrap_or(if of_now { Zone::Local } else { Zone::Original });
    let header = map.read("header", |n, p| reader::text(n, "the name of a header field", p).map(str::to_owned));
    if let (true, Some(at)) = (of_now, map.key_span("header")) {
        map.problems().error(at, "`now` has no header field").hint("use `date`");
    }
    let has_nth = map.take("nth").is_some();
    let nth = map.read("nth", comparison::nth);
    if let (true, Some(at)) = (header.is_none(), map.key_span("nth")) {
        map.problems().error(at, "`nth` is for `header`").hint("name the field, such as `header: Received`");
    }
    if has_nth && nth.is_none() {
        return None;
    }
    if let (Some(from), Some(until)) = (from, until)
        && from > until
    {
        let at = map.place();
        map.problems().error(at, "`from` is later than `until`");
    }
    if let (true, Some((day, _)), Some(today)) = (of_now, until, compiler.shared.settings.today)
        && day < today
        && !compiler.is_literal()
    {
        let at = node.get("until").map_or(node.span, |until| until.span);
        let problem = compiler.problems.warn(at, format!("this ended on {day}, so it never holds again"));
        problem.hint("write the next time, or remove the rule");
    }
    let field = (!of_now).then(|| header.unwrap_or_else(|| "Date".to_owned()));
    Some(DateComparison {
        field,
        nth: nth.unwrap_or(1),
        zone,
        from,
        until,
        days,
        hours: hours.unwrap_or_default(),
        parts,
    })
}

impl DatePart {
    /// The smallest and the largest valid number.
    fn bounds(self) -> (u16, u16) {
        match self {
            Self::Year => (1970, 2999),
            Self::Month => (1, 12),
            Self::Day => (1, 31),
        }
    }
}

/// Reads `2026-12-24` or `2026-12-24 18:00`; `rest` is the time if none is given.
fn moment(node: &Node, rest: Time, problems: &mut Problems) -> Option<(Date, Time)> {
    let read = node.as_text().and_then(|text| {
        let (date, time) = text.split_once([' ', 'T']).map_or((text, None), |(date, time)| (date, Some(time)));
        let date: Date = date.parse().ok()?;
        Some((date, time.map_or(Some(rest), clock)?))
    });
    if read.is_none() {
        reader::mismatch(node, "a day like `2026-12-24`, or a moment like `2026-12-24 18:00`", problems);
    }
    read
}

/// Reads `8` or `08:30`; 24 is the end of the day.
fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':').unwrap_or((text, "0"));
    let (hour, minute): (i8, i8) = (hour.trim().parse().ok()?, minute.trim().parse().ok()?);
    match (hour, minute) {
        (24, 0) => Some(Time::MAX),
        _ => Time::new(hour, minute, 0, 0).ok(),
    }
}

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn days(node: &Node, problems: &mut Problems) -> Option<[bool; 7]> {
    let texts = reader::texts(node, "a day of the week, or a list of days", problems)?;
    let number = |name: &str| {
        let name = name.trim().to_lowercase();
        NAMES.iter().position(|known| name.len() >= 3 && name.starts_with(known))
    };
    let mut days = [false; 7];
    for text in texts {
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            let problem =
                problems.error(node.span, format!("`{}` is no day of the week", crate::clean::short(&text, 40)));
            problem.hint("write `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`, or `mon-fri`");
            return None;
        };
        // `sat-mon` crosses the end of the week.
        let mut day = first;
        loop {
            days[day] = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Some(days)
}

fn hours(node: &Node, problems: &mut Problems) -> Option<Vec<(Time, Time)>> {
    let texts = reader::texts(node, "hours like `9-17`, or a list of them", problems)?;
    let read: Option<Vec<_>> = texts
        .iter()
        .map(|text| {
            let (first, last) = text.split_once('-')?;
            Some((clock(first)?, clock(last)?)).filter(|(first, last)| first != last)
        })
        .collect();
    if read.is_none() {
        reader::mismatch(node, "hours like `9-17` or `19:30-08:00`", problems);
    }
    read
}

fn zone(node: &Node, problems: &mut Problems) -> Option<Zone> {
    let name = reader::text(node, "a time zone", problems)?;
    match name {
        "local" => return Some(Zone::Local),
        "original" => return Some(Zone::Original),
        _ => {}
    }
    let fixed = || jiff::fmt::strtime::parse("%z", name).ok().and_then(|parsed| parsed.offset()).map(TimeZone::fixed);
    match TimeZone::get(name).ok().or_else(fixed) {
        Some(zone) => Some(Zone::Named(zone)),
        None => {
            let problem =
                problems.error(node.span, format!("there is no time zone `{}`", crate::clean::short(name, 40)));
            problem.hint("write a name like `Europe/Berlin`, an offset like `+0100`, `local` or `original`");
            None
        }
    }
}

impl Condition for DateComparison {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let Some(at) = self.moment(asking) else {
            asking.saw(false, || "there is no date that can be read".to_owned());
            return Ok(false);
        };
        let holds = self.fits(&at);
        asking.saw(holds, || match self.field {
            None => format!("now is {}", at.strftime("%a %Y-%m-%d %H:%M %z")),
            Some(_) => format!("the date is {}", at.strftime("%a %Y-%m-%d %H:%M %z")),
        });
        Ok(holds)
    }
}

impl DateComparison {
    fn moment(&self, asking: &Asking<'_>) -> Option<Zoned> {
        let at = match self.field.as_deref() {
            None => asking.now().clone(),
            Some("Date" | "date") => asking.message().date()?.clone(),
            Some(field) => {
                // Received ends with `; DATE`.
                let fields: Vec<_> = asking.message().all(field).collect();
                let value = comparison::nth_of(self.nth, &fields).first()?.value();
                parse_date(value.rsplit_once(';').map_or(value, |(_, date)| date).trim())?
            }
        };
        Some(self.in_zone(at, asking))
    }

    fn in_zone(&self, at: Zoned, asking: &Asking<'_>) -> Zoned {
        match &self.zone {
            Zone::Original => at,
            Zone::Local => at.with_time_zone(asking.now().time_zone().clone()),
            Zone::Named(zone) => at.with_time_zone(zone.clone()),
        }
    }

    /// Whether a point in time meets the conditions, in the requested zone.
    pub(super) fn fits_in(&self, at: &Zoned, asking: &Asking<'_>) -> bool {
        self.fits(&self.in_zone(at.clone(), asking))
    }

    fn fits(&self, at: &Zoned) -> bool {
        let moment = (at.date(), at.time());
        let day = usize::try_from(at.weekday().to_monday_zero_offset()).unwrap_or(0);
        self.from.is_none_or(|from| moment >= from)
            && self.until.is_none_or(|until| moment <= until)
            && self.days.is_none_or(|days| days[day % 7])
            && (self.hours.is_empty() || self.hours.iter().any(|hours| within(*hours, at.time())))
            && self.parts.iter().all(|(part, range)| {
                range.holds(match part {
                    DatePart::Year => f64::from(at.year()),
                    DatePart::Month => f64::from(at.month()),
                    DatePart::Day => f64::from(at.day()),
                })
            })
    }
}

fn within((first, last): (Time, Time), time: Time) -> bool {
    if first < last { first <= time && time < last } else { time >= first || time < last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_go_over_midnight() {
        let night = (clock("19").unwrap(), clock("08:00").unwrap());
        let at = |text: &str| within(night, clock(text).unwrap());
        assert!(at("19") && at("23:59") && at("0") && at("7:59"));
        assert!(!at("8") && !at("12") && !at("18:59"));
        assert!(within((clock("9").unwrap(), clock("24").unwrap()), clock("23:30").unwrap()));
        assert!(clock("25").is_none() && clock("8:60").is_none() && clock("x").is_none());
    }
}
