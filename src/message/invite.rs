//! Invitations to events: the first event of the first calendar in a message (RFC 5545, RFC 5546).

use jiff::Zoned;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::Message;
use crate::content_lines::unfolded;

/// At most this many bytes of a calendar are read.
const MAX_CALENDAR: usize = 256 * 1024;

/// The content of an invitation. What it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invite {
    /// `REQUEST`, `REPLY`, `CANCEL` …
    pub method: Option<String>,
    /// When the event begins, in the zone that it names. An all-day event begins at midnight, local time.
    pub start: Option<Zoned>,
    /// The organizer's address.
    pub organizer: Option<String>,
    /// The title of the event.
    pub summary: Option<String>,
}

impl Message {
    /// The invitation in the message. `local` is the zone for times that name no zone.
    pub fn invite(&self, local: &TimeZone) -> Option<Invite> {
        let is_calendar = |kind: &str| kind == "text/calendar" || kind == "application/ics";
        let index = self.parts().iter().position(|part| is_calendar(part.content_type()))?;
        let text = match self.parts().get(index)?.content_type() {
            "text/calendar" => self.part_text(index, MAX_CALENDAR),
            _ => String::from_utf8_lossy(&self.part_bytes(index, MAX_CALENDAR)).into_owned(),
        };
        Some(of_calendar(&text, local))
    }
}

fn of_calendar(text: &str, local: &TimeZone) -> Invite {
    let mut invite = Invite::default();
    // The names of the components that contain the current line.
    let mut within: Vec<String> = Vec::new();
    for line in unfolded(text) {
        let Some((name, parameters, value)) = property(&line) else { continue };
        match (name.as_str(), within.last().map(String::as_str)) {
            ("BEGIN", _) => within.push(value.trim().to_ascii_uppercase()),
            ("END", Some("VEVENT")) => break,
            ("END", _) => _ = within.pop(),
            ("METHOD", Some("VCALENDAR")) => invite.method = Some(value.trim().to_ascii_uppercase()),
            ("DTSTART", Some("VEVENT")) => invite.start = moment(value.trim(), parameters, local),
            ("ORGANIZER", Some("VEVENT")) => invite.organizer = address(value.trim()),
            ("SUMMARY", Some("VEVENT")) => invite.summary = Some(unescaped(&value)),
            _ => {}
        }
    }
    invite
}

/// Splits `NAME;PARAMETER="a:b":VALUE` into the name in upper case, the parameters and the value.
fn property(line: &str) -> Option<(String, &str, String)> {
    let mut is_quoted = false;
    let colon = line.find(|c| {
        is_quoted ^= c == '"';
        c == ':' && !is_quoted
    })?;
    let (before, value) = (&line[..colon], &line[colon + 1..]);
    let (name, parameters) = before.split_once(';').unwrap_or((before, ""));
    Some((name.to_ascii_uppercase(), parameters, value.to_owned()))
}

/// Reads `20261224T180000Z`, `20261224T180000` with or without a zone, or `20261224`.
fn moment(value: &str, parameters: &str, local: &TimeZone) -> Option<Zoned> {
    if let Some(value) = value.strip_suffix('Z') {
        return DateTime::strptime("%Y%m%dT%H%M%S", value).ok()?.to_zoned(TimeZone::UTC).ok();
    }
    let named = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("TZID").then(|| value.trim_matches('"'))
    });
    let zone = named.and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(|| local.clone());
    match value.contains('T') {
        true => DateTime::strptime("%Y%m%dT%H%M%S", value).ok()?.to_zoned(zone).ok(),
        false => Date::strptime("%Y%m%d", value).ok()?.to_zoned(zone).ok(),
    }
}

/// The address in `mailto:ann@example.org`.
fn address(value: &str) -> Option<String> {
    let is_mailto = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
    is_mailto.then(|| value[7..].to_owned()).filter(|address| address.contains('@'))
}

/// Undoes the escapes of a text (RFC 5545 3.3.11).
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n' | 'N') => text.push(' '),
                other => text.extend(other),
            },
            (c, false) => text.push(c),
        }
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_is_read_and_its_alarms_are_not() {
        let text = "BEGIN:VCALENDAR\r\nMETHOD:request\r\nBEGIN:VTIMEZONE\r\nDTSTART:19700101T000000\r\nEND:VTIMEZONE\r\n\
                    BEGIN:VEVENT\r\nBEGIN:VALARM\r\nDTSTART:20200101T000000\r\nEND:VALARM\r\n\
                    DTSTART;TZID=Europe/Berlin:20261224T1\r\n 80000\r\nORGANIZER;CN=\"Ann: B\":MAILTO:ann@work.example\r\n\
                    SUMMARY:Lunch\\, at last\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:other\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let invite = of_calendar(text, &TimeZone::UTC);
        assert_eq!(invite.method.as_deref(), Some("REQUEST"));
        assert_eq!(invite.start.map(|at| at.to_string()).as_deref(), Some("2026-12-24T18:00:00+01:00[Europe/Berlin]"));
        assert_eq!(invite.organizer.as_deref(), Some("ann@work.example"));
        assert_eq!(invite.summary.as_deref(), Some("Lunch, at last"));
    }

    #[test]
    fn times_that_name_no_zone_are_local() {
        let zone = TimeZone::get("Asia/Tokyo").unwrap();
        for (value, expected) in [
            ("20261224T180000Z", "2026-12-24T18:00:00+00:00[UTC]"),
            ("20261224T180000", "2026-12-24T18:00:00+09:00[Asia/Tokyo]"),
            ("20261224", "2026-12-24T00:00:00+09:00[Asia/Tokyo]"),
        ] {
            assert_eq!(moment(value, "", &zone).unwrap().to_string(), expected);
        }
        assert!(moment("tomorrow", "", &zone).is_none());
    }
}
