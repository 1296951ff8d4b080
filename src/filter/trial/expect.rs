//! What a test expects, and how the result differs from it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::named;
use crate::config::problem::Problems;
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::yaml::{Node, Value};
use crate::decision::{Action, Decision, Deferral, Place, Write};
use crate::message::{Field, Flags, Message};

/// What a test may expect.
pub(super) static EXPECT: Shape = Shape {
    what: "an expectation",
    keys: &[
        ("folder", "The folder or folders it is filed into; INBOX stands for keep, an empty list for none.", TEXTS),
        ("mbox", "The mbox file or files.", TEXTS),
        ("flags", "The flags and keywords it gets there, exactly; an empty list: none.", TEXTS),
        ("discard", "`true`: it is discarded.", Takes::Flag),
        ("defer", "`true`: it is decided later.", Takes::Flag),
        (
            "tells",
            "What is sent or given to programs, in the words of the log: `redirect me@phone.example`; the beginning is enough. Without this key: nothing.",
            TEXTS,
        ),
        ("no_reply", "Why no answer is sent: a row of the table in docs/sending.md, like `A7`.", Takes::Text),
        (
            "header",
            "Header fields of the message as it is filed: {X-Label: finance}; empty: it is not there; a list: all of that name.",
            Takes::Named(&TEXTS),
        ),
        ("rule", "The rules that decided, in order.", TEXTS),
        ("log", "A line in the journal holds this.", TEXTS),
        ("adds", "Entries that database lists get: {book: [a@b.example]}.", Takes::Named(&TEXTS)),
        ("removes", "Entries that they lose.", Takes::Named(&TEXTS)),
        ("failure", "A rule fails, and says this.", Takes::Text),
    ],
};

/// What a test expects. What it does not mention may be anything, with two exceptions: nothing may be sent unless
/// `tells` says so, and if folders, mbox, discard, defer and tells are all missing, the message must be kept.
#[derive(Debug, Default)]
pub(super) struct Expected {
    places: Option<BTreeSet<String>>,
    flags: Option<Flags>,
    defer: bool,
    tells: Vec<String>,
    no_reply: Option<String>,
    /// One value is compared with the first field of the name, several values with all fields.
    headers: Vec<(String, Vec<String>)>,
    rules: Option<Vec<String>>,
    log: Vec<String>,
    adds: Vec<String>,
    failure: Option<String>,
}

impl Expected {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let mut map = MapReader::new(node, &EXPECT, problems);
        let mut expected = Self { defer: map.read("defer", reader::flag).unwrap_or(false), ..Self::default() };
        let mut places = BTreeSet::new();
        places.extend(map.read("folder", texts).unwrap_or_default());
        places.extend(map.read("mbox", texts).unwrap_or_default().into_iter().map(|name| format!("mbox {name}")));
        if map.read("discard", reader::flag) == Some(true) {
            places.insert("(discarded)".to_owned());
        }
        expected.flags =
            map.read("flags", |n, p| if is_empty(n) { Some(Flags::default()) } else { super::one::flags(n, p) });
        expected.places = if !places.is_empty() || map.take("folder").is_some() {
            Some(places)
        } else if map.take("tells").is_none() && !expected.defer {
            Some(BTreeSet::from(["INBOX".to_owned()]))
        } else {
            None
        };
        expected.tells = map.read("tells", texts).unwrap_or_default();
        expected.no_reply = map.read("no_reply", |n, p| reader::text(n, "a row like `A7`", p).map(str::to_owned));
        expected.rules = map.read("rule", texts);
        expected.log = map.read("log", texts).unwrap_or_default();
        expected.failure = map.read("failure", |n, p| reader::text(n, "a text", p).map(str::to_owned));
        if let Some(node) = map.take("header") {
            let fields = named(node, "header fields with values (a mapping)", map.problems());
            let pair = |(key, node): &(crate::config::yaml::YamlKey, Node)| {
                let values = match &node.value {
                    Value::Seq(items) => items.iter().map(|item| item.as_text().unwrap_or_default()).collect(),
                    _ => vec![node.as_text().unwrap_or_default()],
                };
                (key.text.clone(), values.into_iter().map(str::to_owned).collect())
            };
            expected.headers = fields.iter().map(pair).collect();
        }
        for (key, sign) in [("adds", '+'), ("removes", '-')] {
            let Some(node) = map.take(key) else { continue };
            for (list, entries) in named(node, "lists with entries (a mapping)", map.problems()) {
                let entries = texts(entries, map.problems()).unwrap_or_default();
                expected
                    .adds
                    .extend(entries.iter().map(|entry| format!("{sign} {} {}", list.text, entry.to_lowercase())));
            }
        }
        Some(expected)
    }

    /// The differences: `- lists/rust` was expected but is missing, `+ INBOX` was not expected.
    pub(super) fn difference(&self, decision: &Result<Decision, Deferral>, message: &Arc<Message>) -> Vec<String> {
        let mut lines = Vec::new();
        let decision = match (decision, self.defer) {
            (Ok(decision), false) => decision,
            (Err(_), true) => return lines,
            (Err(deferral), false) => return vec![format!("+ deferred by {}: {}", deferral.rule, deferral.cause)],
            (Ok(decision), true) => return vec!["- deferred".to_owned(), format!("+ {decision}")],
        };
        if let Some(places) = &self.places {
            let came = places_of(decision);
            lines.extend(places.difference(&came).map(|place| format!("- {place}")));
            lines.extend(came.difference(places).map(|place| format!("+ {place}")));
        }
        if let Some(flags) = &self.flags {
            let wrong = decision.filings().filter(|filing| filing.flags != *flags);
            lines.extend(wrong.flat_map(|filing| [format!("- flags {flags}"), format!("+ {filing}")]));
        }
        self.told(decision, &mut lines);
        self.edited(decision, message, &mut lines);
        self.said(decision, &mut lines);
        lines
    }

    fn told(&self, decision: &Decision, lines: &mut Vec<String>) {
        let mut came: Vec<String> = decision.tellings().map(ToString::to_string).collect();
        for expected in &self.tells {
            match came.iter().position(|telling| telling.starts_with(expected.as_str())) {
                Some(at) => drop(came.remove(at)),
                None => lines.push(format!("- {expected}")),
            }
        }
        lines.extend(came.iter().map(|telling| format!("+ {telling}")));
    }

    fn edited(&self, decision: &Decision, message: &Arc<Message>, lines: &mut Vec<String>) {
        let version = decision.filings().last().map_or(decision.edited.len(), |filing| filing.version);
        let message = decision.version(message, version);
        for (name, values) in &self.headers {
            let came: Vec<&str> = match values.len() {
                1 => vec![message.first(name).unwrap_or_default()],
                _ => message.all(name).map(Field::value).collect(),
            };
            if came != *values {
                lines.extend([format!("- {name}: {}", values.join(" | ")), format!("+ {name}: {}", came.join(" | "))]);
            }
        }
    }

    fn said(&self, decision: &Decision, lines: &mut Vec<String>) {
        if let Some(row) = &self.no_reply {
            let refused = decision.notes.iter().find_map(|note| Some(note.split_once("no reply: ")?.1));
            let came = refused.and_then(|note| note.split(',').next()).unwrap_or("a reply, or nothing asked for one");
            if came != row {
                lines.extend([format!("- no reply: {row}"), format!("+ {came}")]);
            }
        }
        if let Some(rules) = &self.rules
            && decision.rules != *rules
        {
            lines.extend([format!("- rule {}", rules.join(", ")), format!("+ rule {}", decision.rule())]);
        }
        for text in self.log.iter().filter(|text| !decision.notes.iter().any(|note| note.contains(text.as_str()))) {
            lines.push(format!("- log {text}"));
            lines.extend(decision.notes.iter().map(|note| format!("+ log {note}")));
        }
        let writes: Vec<String> = decision.writes.iter().filter_map(in_words).collect();
        lines.extend(self.adds.iter().filter(|add| !writes.contains(add)).map(|add| format!("- list {add}")));
        if !self.adds.is_empty() {
            lines.extend(writes.iter().filter(|add| !self.adds.contains(add)).map(|add| format!("+ list {add}")));
        }
        match (&self.failure, decision.failures.first()) {
            (Some(text), Some(failure)) if failure.cause.contains(text.as_str()) => {}
            (Some(text), None) => lines.push(format!("- failure: {text}")),
            (expected, Some(failure)) => {
                lines.extend(expected.iter().map(|text| format!("- failure: {text}")));
                lines.push(format!("+ failure: {}", failure.cause));
            }
            (None, None) => {}
        }
    }
}

/// Reads texts. An empty list is allowed.
fn texts(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    if is_empty(node) { Some(Vec::new()) } else { reader::texts(node, "a text, or a list of texts", problems) }
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::Seq(items) if items.is_empty())
}

fn in_words(write: &Write) -> Option<String> {
    match write {
        Write::List { list, entry, .. } => Some(format!("+ {list} {entry}")),
        Write::Unlist { list, entry } => Some(format!("- {list} {entry}")),
        _ => None,
    }
}

fn places_of(decision: &Decision) -> BTreeSet<String> {
    let place = |action: &Action| match action {
        Action::File(filing) => Some(match &filing.place {
            Place::Keep | Place::Inbox => "INBOX".to_owned(),
            Place::Folder(folder) => folder.to_string(),
            Place::Mbox(folder) => format!("mbox {folder}"),
        }),
        Action::Discard => Some("(discarded)".to_owned()),
        Action::Tell(_) => None,
    };
    decision.actions.iter().filter_map(place).collect()
}
