//! The messages, and where each of them belongs.

use std::collections::BTreeMap;

use crate::support::maildir::message_id;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In `new/` or `cur/` of this folder.
    Folder(String),
    Mbox,
    Spool,
    Relay,
}

impl Place {
    pub fn folder(name: &str) -> Self {
        Self::Folder(name.to_owned())
    }
}

/// How often each message, by its number, stands at each place.
pub type Standing = BTreeMap<(Place, usize), usize>;

/// What the rules do with a message is said by its subject.
pub const WORDS: [&str; 8] = ["plain", "both", "rubbish", "box", "forward", "tell", "edit", "all"];

pub const RULES: &str = "rules:
  - {if: {subject: both}, do: [{fileinto: [lists/a, lists/b]}]}
  - {if: {subject: rubbish}, do: discard}
  - {if: {subject: box}, do: [{fileinto: {mbox: old}}]}
  - {if: {subject: forward}, do: [{redirect: {to: you@far.example, copy: true, even_old: true}}]}
  - {if: {subject: tell}, do: [{redirect: {to: you@far.example, even_old: true}}]}
  - {if: {subject: edit}, do: [{setheader: {X-Edited: 'yes'}}, {fileinto: edited}]}
  - {if: {subject: all}, do: [{fileinto: [lists/a, lists/b]}, {fileinto: {mbox: old}}, {redirect: {to: you@far.example, copy: true, even_old: true}}]}
";

pub fn word(number: usize) -> &'static str {
    WORDS[number % WORDS.len()]
}

/// Over a page long, so that it is written in more than one piece.
pub fn message(number: usize) -> String {
    let body = format!("line of message {number}\n").repeat(200 + number);
    format!(
        "Return-Path: <ann@far.example>\nFrom: Ann <ann@far.example>\nTo: me@home.example\n\
         Message-ID: <{number}@injected.example>\nSubject: {}\n\n{body}end of {number}\n",
        word(number)
    )
}

pub fn number(bytes: &[u8]) -> Option<usize> {
    message_id(bytes)?.strip_prefix('<')?.strip_suffix("@injected.example>")?.parse().ok()
}

/// As it came; where the program writes fields of its own, the body as it came.
pub fn is_whole(number: usize, place: &Place, bytes: &[u8]) -> bool {
    let (wanted, found) = (message(number), String::from_utf8_lossy(bytes).replace("\r\n", "\n"));
    let body = |text: &str| text.split_once("\n\n").map(|(_, body)| body.trim_end().to_owned());
    let is_dressed = *place != Place::Mbox && *place != Place::folder("INBOX");
    found.trim_end() == wanted.trim_end() || is_dressed && body(&found) == body(&wanted)
}

/// Where the rules put it.
pub fn places(number: usize) -> Vec<Place> {
    match word(number) {
        "both" => ["lists/a", "lists/b"].map(Place::folder).to_vec(),
        "rubbish" => vec![Place::Spool],
        "box" => vec![Place::Mbox],
        "forward" => vec![Place::folder("INBOX"), Place::Relay],
        // What stands nowhere else is kept for a while, as what is discarded.
        "tell" => vec![Place::Relay, Place::Spool],
        "all" => vec![Place::folder("lists/a"), Place::folder("lists/b"), Place::Mbox, Place::Relay],
        "edit" => vec![Place::folder("edited")],
        _ => vec![Place::folder("INBOX")],
    }
}

/// Each of these once at each of its places.
pub fn wanted(numbers: impl IntoIterator<Item = usize>, places: impl Fn(usize) -> Vec<Place>) -> Standing {
    let each = numbers.into_iter().flat_map(|number| places(number).into_iter().map(move |place| ((place, number), 1)));
    each.collect()
}
