//! The names that templates may use: captures of earlier conditions, variables, and what is known about every message.

use std::borrow::Cow;
use std::collections::HashMap;

use super::asking::{Asking, Break};
use crate::config::template::TemplatePart;
use crate::message::Address;
use crate::user;

/// The names that every template may use, with their descriptions. In addition, there is `header.NAME` for each field.
pub(super) const ALWAYS: [(&str, &str); 61] = [
    ("account", "the account's name"),
    ("folder", "the folder on the server"),
    ("list_id", "the mailing list's identity"),
    ("subject", "the Subject"),
    ("from", "the first From address: the same as `from.addr`"),
    ("from.addr", "the address"),
    ("from.name", "the display name"),
    ("from.localpart", "what stands before the `@`"),
    ("from.domain", "what stands behind the `@`"),
    ("from.user", "the local part without its detail"),
    ("from.detail", "the detail of the local part"),
    ("to", "the first To address"),
    ("to.addr", "the address"),
    ("to.localpart", "what stands before the `@`"),
    ("to.domain", "what stands behind the `@`"),
    ("to.user", "the local part without its detail"),
    ("to.detail", "the detail of the local part"),
    ("envelope.from", "the envelope sender, from Return-Path"),
    ("envelope.to", "the envelope recipient, from Delivered-To and its kin"),
    ("envelope.localpart", "what stands before the `@` of the envelope recipient"),
    ("envelope.domain", "what stands behind it"),
    ("envelope.user", "its local part without its detail"),
    ("envelope.detail", "the detail of the envelope recipient"),
    ("message_id", "the Message-ID without brackets"),
    ("text", "the beginning of the decoded text, at most 1000 characters"),
    ("size", "the size in bytes"),
    ("lines", "how many lines the body has"),
    ("date.year", "of the Date in the sender's own zone, else of the arrival"),
    ("date.month", "01 to 12"),
    ("date.day", "01 to 31"),
    ("date.week", "the week of the year by ISO 8601, 01 to 53"),
    ("date.week_year", "the year that week belongs to"),
    ("date.weekday", "like mon"),
    ("date.rfc5322", "as in a Date field"),
    ("arrived.year", "of the arrival at the source, local time"),
    ("arrived.month", "01 to 12"),
    ("arrived.day", "01 to 31"),
    ("arrived.date", "like 2026-11-23"),
    ("arrived.week", "as in `date.week`"),
    ("arrived.week_year", "as in `date.week_year`"),
    ("arrived.weekday", "like mon"),
    ("arrived.rfc5322", "as in a Date field"),
    ("now.year", "of the moment of deciding, local time"),
    ("now.month", "01 to 12"),
    ("now.day", "01 to 31"),
    ("now.date", "like 2026-11-23"),
    ("now.time", "like 09:30"),
    ("now.week", "as in `date.week`"),
    ("now.week_year", "as in `date.week_year`"),
    ("now.weekday", "like mon"),
    ("now.rfc5322", "as in a Date field"),
    ("report.recipient", "the address at which the first recipient of a delivery report ended"),
    ("report.original_to", "the address to which it was sent"),
    ("report.status", "like 5.1.1"),
    ("invite.method", "of an invitation, like REQUEST"),
    ("invite.date", "the day on which its event begins, like 2026-12-24"),
    ("invite.time", "when it begins, like 18:00"),
    ("invite.organizer", "the address of its organizer"),
    ("invite.summary", "what it is about"),
    ("host", "the name of this machine"),
    ("user", "the name of the user whom mailsluice runs as"),
];

/// The maximum length of `${text}`, in characters.
const MAX_BEGINNING: usize = 1000;

/// Whether every template may use this name.
pub(super) fn is_always(name: &str) -> bool {
    ALWAYS.iter().any(|(known, _)| *known == name)
        || name.strip_prefix("header.").is_some_and(|field| !field.is_empty())
}

/// The captures of the current rule's conditions, and the variables. The latest use of a name counts: a capture hides a
/// variable until its rule ends, and setting a variable hides a capture.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The captures in order. The last one of a name counts. A group that did not take part in the match has no value.
    captures: Vec<Capture>,
    variables: HashMap<String, Variable>,
    /// The captures since the last call of [`Names::take_new`], for the trace.
    new: Vec<(String, String)>,
    traced: bool,
}

#[derive(Debug)]
struct Capture {
    name: String,
    value: Option<String>,
    /// The user wrote it in a list.
    is_own: bool,
}

/// The value of a variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) text: String,
    /// The pieces that it consists of, in order, if known. `true` marks text that the user wrote, `false` marks values.
    pub(super) parts: Vec<(bool, String)>,
}

impl Names {
    /// No names yet. With `traced`, captures are recorded for the trace.
    pub(super) fn new(traced: bool) -> Self {
        Self { traced, ..Self::default() }
    }

    pub(super) fn capture(&mut self, name: &str, value: Option<String>) {
        self.capture_of(name, value, false);
    }

    /// Adds a capture; `is_own` says whether the user wrote it.
    pub(super) fn capture_of(&mut self, name: &str, value: Option<String>, is_own: bool) {
        if self.traced {
            self.new.extend(value.clone().map(|value| (name.to_owned(), value)));
        }
        self.captures.push(Capture { name: name.to_owned(), value, is_own });
    }

    /// Sets a variable to a text from a message or a program.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.set_made(name, Variable { text: value, parts: Vec::new() });
    }

    /// Sets a variable to a value whose pieces are known.
    pub(super) fn set_made(&mut self, name: &str, value: Variable) {
        // The captures are not removed, because marks count them.
        self.captures.iter_mut().filter(|known| known.name == name).for_each(|known| known.name.clear());
        self.variables.insert(name.to_owned(), value);
    }

    /// The value of a capture or variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        match self.captured(name) {
            Some(captured) => captured.value.as_deref(),
            None => self.variables.get(name).map(|variable| variable.text.as_str()),
        }
    }

    fn captured(&self, name: &str) -> Option<&Capture> {
        self.captures.iter().rev().find(|known| known.name == name)
    }

    /// Whether the name is a capture that the user wrote.
    pub(super) fn is_own(&self, name: &str) -> bool {
        self.captured(name).is_some_and(|captured| captured.is_own)
    }

    /// The variable of that name, unless a capture hides it.
    pub(super) fn variable(&self, name: &str) -> Option<&Variable> {
        if self.captured(name).is_some() { None } else { self.variables.get(name) }
    }

    /// The number of captures, for [`Names::forget`].
    pub(super) fn mark(&self) -> usize {
        self.captures.len()
    }

    /// Removes the captures since the mark: those of a condition that turned out to be false, or of a nested rule.
    pub(super) fn forget(&mut self, mark: usize) {
        self.captures.truncate(mark);
    }

    pub(super) fn take_new(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.new)
    }
}

/// The value of a name. `None` if it was not captured (for example, it belongs to another branch of `any`), was never
/// set, or does not exist for this message.
pub(super) fn look_up<'a>(name: &str, asking: &'a Asking<'_>) -> Option<Cow<'a, str>> {
    if let Some(value) = asking.names.get(name) {
        return Some(value.into());
    }
    let (first, part) = name.split_once('.').unwrap_or((name, ""));
    match first {
        "account" => Some(asking.account().into()),
        "folder" => Some(asking.folder().into()),
        "header" => asking.message().all(part).last().map(|field| field.value().to_owned().into()),
        "from" | "to" => asking
            .message()
            .addresses(first)
            .next()
            .and_then(|address| of_address(address, part, asking))
            .map(Cow::Owned),
        "envelope" => envelope(part, asking).map(Cow::Owned),
        "date" => date(part, asking).map(Cow::Owned),
        "report" => report(part, asking).map(Cow::Owned),
        "invite" => invite(part, asking).map(Cow::Owned),
        "arrived" => Some(moment(part, &arrived(asking)).into()),
        "now" => Some(moment(part, asking.now()).into()),
        _ => of_message(name, asking).map(Cow::Owned),
    }
}

/// The value of a name for a comparison. An empty value counts as missing, because every text contains it.
pub(super) fn value<'a>(name: &str, asking: &'a Asking<'_>) -> Result<Cow<'a, str>, Break> {
    let value = look_up(name, asking).filter(|value| !value.is_empty());
    value.ok_or_else(|| Break::NoAnswer(format!("${{{name}}} has no value")))
}

/// The pieces of a name's value for a folder name. In a variable, text that the user wrote keeps its folder levels.
pub(super) fn parts<'a>(name: &str, asking: &'a Asking<'_>) -> Vec<TemplatePart<'a>> {
    match asking.names.variable(name) {
        Some(variable) if !variable.parts.is_empty() => {
            let part = |(is_own, text): &'a (bool, String)| match is_own {
                true => TemplatePart::Own(text.as_str().into()),
                false => TemplatePart::Foreign(text.as_str().into()),
            };
            variable.parts.iter().map(part).collect()
        }
        _ if asking.names.is_own(name) => look_up(name, asking).map(TemplatePart::Own).into_iter().collect(),
        _ => look_up(name, asking).map(TemplatePart::Foreign).into_iter().collect(),
    }
}

fn of_message(name: &str, asking: &Asking<'_>) -> Option<String> {
    let message = asking.message();
    match name {
        "list_id" => message.list_id().map(str::to_owned),
        "subject" => message.first("Subject").map(str::to_owned),
        "message_id" => message.message_id().map(str::to_owned),
        "size" => Some(message.size().to_string()),
        "lines" => Some(message.body_lines().to_string()),
        "host" => Some(rustix::system::uname().nodename().to_string_lossy().into_owned()),
        "user" => user::login(),
        "text" => Some(message.text().trim().chars().take(MAX_BEGINNING).collect()),
        _ => None,
    }
}

fn of_address(address: &Address, part: &str, asking: &Asking<'_>) -> Option<String> {
    let delimiters = &asking.settings.delimiters;
    match part {
        "name" => address.name.clone(),
        "localpart" => Some(address.local_part().to_owned()),
        "domain" => Some(address.domain().to_owned()),
        "user" => Some(address.user(delimiters).to_owned()),
        "detail" => address.detail(delimiters).map(str::to_owned),
        _ => Some(address.address.clone()),
    }
}

fn envelope(part: &str, asking: &Asking<'_>) -> Option<String> {
    let message = asking.enveloped()?;
    if part == "from" {
        return message.envelope_sender().map(str::to_owned);
    }
    let address = Address { name: None, address: message.delivered_to()?.to_owned() };
    of_address(&address, if part == "to" { "addr" } else { part }, asking)
}

fn report(part: &str, asking: &Asking<'_>) -> Option<String> {
    let first = asking.message().reported().into_iter().next()?;
    let value = match part {
        "recipient" => first.recipient,
        "original_to" => first.original_to,
        "status" => first.status,
        _ => return None,
    };
    Some(value).filter(|value| !value.is_empty())
}

fn invite(part: &str, asking: &Asking<'_>) -> Option<String> {
    let local = asking.now().time_zone();
    let invite = asking.message().invite(local)?;
    let start = invite.start.as_ref().map(|at| at.with_time_zone(local.clone()));
    match part {
        "method" => invite.method,
        "organizer" => invite.organizer,
        "summary" => invite.summary,
        "date" | "time" => start.map(|at| moment(part, &at)),
        _ => None,
    }
}

fn date(part: &str, asking: &Asking<'_>) -> Option<String> {
    let message = asking.message();
    match message.date() {
        Some(date) => Some(moment(part, date)),
        None => Some(moment(part, &arrived(asking))),
    }
}

fn arrived(asking: &Asking<'_>) -> jiff::Zoned {
    asking.envelope.arrived.to_zoned(asking.now().time_zone().clone())
}

fn moment(part: &str, at: &jiff::Zoned) -> String {
    let format = match part {
        "year" => "%Y",
        "month" => "%m",
        "day" => "%d",
        "week" => "%V",
        "week_year" => "%G",
        "weekday" => return at.strftime("%a").to_string().to_lowercase(),
        "rfc5322" => "%a, %d %b %Y %H:%M:%S %z",
        "time" => "%H:%M",
        _ => "%Y-%m-%d",
    };
    at.strftime(format).to_string()
}
