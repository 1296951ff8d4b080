//! The names that templates may use: captures of the conditions above, variables, and what is known of every message.

use std::borrow::Cow;
use std::collections::HashMap;

use super::asking::Asking;
use crate::message::Address;

/// Names that every template may use, each with what it is. `header.NAME` is one more for each field.
pub(super) const ALWAYS: [(&str, &str); 31] = [
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
    ("envelope.detail", "the detail of the envelope recipient"),
    ("message_id", "the Message-ID without brackets"),
    ("text", "the beginning of the decoded text, at most 1000 characters"),
    ("size", "the size in bytes"),
    ("date.year", "of the Date in the sender's own zone, else of the arrival"),
    ("date.month", "01 to 12"),
    ("date.day", "01 to 31"),
    ("now.year", "of the moment of deciding, local time"),
    ("now.month", "01 to 12"),
    ("now.day", "01 to 31"),
    ("now.date", "like 2026-11-23"),
    ("now.time", "like 09:30"),
];

/// The length of `text`, in characters.
const MAX_BEGINNING: usize = 1000;

/// Whether every template may use this name.
pub(super) fn is_always(name: &str) -> bool {
    ALWAYS.iter().any(|(known, _)| *known == name)
        || name.strip_prefix("header.").is_some_and(|field| !field.is_empty())
}

/// What the conditions of the current rule captured, and the variables that were set.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In the order they were captured: the last one of a name counts.
    captures: Vec<(String, String)>,
    variables: HashMap<String, String>,
    /// What was captured since [`Names::take_new`] was last asked, for the trace.
    new: Vec<(String, String)>,
    traced: bool,
}

impl Names {
    /// None yet; with `traced` each capture is remembered for the trace.
    pub(super) fn new(traced: bool) -> Self {
        Self { traced, ..Self::default() }
    }

    pub(super) fn capture(&mut self, name: &str, value: &str) {
        if self.traced {
            self.new.push((name.to_owned(), value.to_owned()));
        }
        self.captures.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        self.variables.insert(name.to_owned(), value);
    }

    /// The value of a capture or variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let captured = self.captures.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value);
        captured.or_else(|| self.variables.get(name)).map(String::as_str)
    }

    /// How much was captured, for [`Names::forget`].
    pub(super) fn mark(&self) -> usize {
        self.captures.len()
    }

    /// Forgets what was captured since the mark: by a condition that did not hold after all, or by a rule inside a
    /// rule.
    pub(super) fn forget(&mut self, mark: usize) {
        self.captures.truncate(mark);
    }

    pub(super) fn take_new(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.new)
    }
}

/// The value of a name. One that was not captured this time (it stands in another branch of `any`) is empty.
pub(super) fn look_up<'a>(name: &str, asking: &'a Asking<'_>) -> Option<Cow<'a, str>> {
    if let Some(value) = asking.names.get(name) {
        return Some(value.into());
    }
    let (first, part) = name.split_once('.').unwrap_or((name, ""));
    match first {
        "account" => Some(asking.account().into()),
        "folder" => Some(asking.folder().into()),
        "header" => asking.message().all(part).last().map(|field| field.value().to_owned().into()),
        "from" | "to" => {
            asking.message().addresses(first).next().map(|address| of_address(address, part, asking).into())
        }
        "envelope" => envelope(part, asking).map(Cow::Owned),
        "date" => date(part, asking).map(Cow::Owned),
        "now" => Some(moment(part, asking.now()).into()),
        _ => of_message(name, asking).map(Cow::Owned),
    }
}

fn of_message(name: &str, asking: &Asking<'_>) -> Option<String> {
    let message = asking.message();
    match name {
        "list_id" => message.list_id().map(str::to_owned),
        "subject" => message.first("Subject").map(str::to_owned),
        "message_id" => message.message_id().map(str::to_owned),
        "size" => Some(message.size().to_string()),
        "text" => Some(message.text().trim().chars().take(MAX_BEGINNING).collect()),
        _ => None,
    }
}

fn of_address(address: &Address, part: &str, asking: &Asking<'_>) -> String {
    let delimiters = &asking.settings.delimiters;
    match part {
        "name" => address.name.clone().unwrap_or_default(),
        "localpart" => address.local_part().to_owned(),
        "domain" => address.domain().to_owned(),
        "user" => address.user(delimiters).to_owned(),
        "detail" => address.detail(delimiters).unwrap_or_default().to_owned(),
        _ => address.address.clone(),
    }
}

fn envelope(part: &str, asking: &Asking<'_>) -> Option<String> {
    let message = asking.message();
    if part == "from" {
        return message.envelope_sender().map(str::to_owned);
    }
    let to = message.delivered_to()?.to_owned();
    let address = Address { name: None, address: to };
    Some(if part == "detail" { of_address(&address, "detail", asking) } else { address.address })
}

fn date(part: &str, asking: &Asking<'_>) -> Option<String> {
    let message = asking.message();
    match message.date() {
        Some(date) => Some(moment(part, date)),
        None => Some(moment(part, &asking.envelope.arrived.to_zoned(asking.now().time_zone().clone()))),
    }
}

fn moment(part: &str, at: &jiff::Zoned) -> String {
    let format = match part {
        "year" => "%Y",
        "month" => "%m",
        "day" => "%d",
        "time" => "%H:%M",
        _ => "%Y-%m-%d",
    };
    at.strftime(format).to_string()
}
