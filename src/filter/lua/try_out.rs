//! `check` runs each script once with an ordinary message, so that undefined names are found before mail arrives.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::asking::{Asking, Break};
use super::super::trial::ToldFacts;
use super::script::Script;
use crate::config::Settings;
use crate::config::problem::Problems;
use crate::config::yaml::Span;
use crate::message::{Bytes, Envelope, Flags, Key, Message, Origin};

/// The message, which every script should be able to process.
const LETTER: &[u8] =
    b"Return-Path: <ann@example.org>\nFrom: Ann <ann@example.org>\nTo: me@example.com\nSubject: Hello\n\
Date: Mon, 23 Nov 2026 12:00:00 +0000\nMessage-ID: <1@example.org>\n\nHello,\nsee you tomorrow.\nAnn\n";

impl Script {
    /// Reports how the script fails for an ordinary message. `at` is the position of a text in a rule file; for a file,
    /// the line in the failure is used.
    pub(super) fn try_out(&self, settings: &Settings, at: Option<Span>, problems: &mut Problems) {
        if !settings.tries_scripts {
            return;
        }
        let origin = Arc::new(Origin { account: "test".into(), folder: "INBOX".into(), generation: 0 });
        let facts = ToldFacts::default();
        let arrived = Timestamp::now();
        let envelope = Envelope { key: Key::new(&origin, "1"), arrived, flags: Flags::default(), announced: 0 };
        let message = Arc::new(Message::new(Bytes::Memory(LETTER.to_vec())));
        let mut asking = Asking::new(settings, &message, &envelope, &facts, false);
        let Err(Break::Failed(cause)) = self.call(&mut asking, false) else { return };
        let (line, cause) = self.line_of(&cause);
        let span = at.unwrap_or(Span { line, column: 1, length: 1 });
        if is_of_the_letter(&cause) {
            let problem = problems.warn(span, format!("Lua: fails for an ordinary letter: {cause}"));
            problem.hint("what a message may lack is nil: ask for it with `if` first");
        } else {
            problems.error(span, format!("Lua: {cause}"));
        }
    }

    /// The line in a failure, and the failure without it.
    fn line_of(&self, cause: &str) -> (usize, String) {
        let rest = cause.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix(':'));
        let split = rest.and_then(|rest| rest.trim_start().split_once(':'));
        match split.and_then(|(line, cause)| Some((line.trim().parse().ok()?, cause))) {
            Some((line, cause)) => (line, cause.trim().to_owned()),
            None => (1, rest.unwrap_or(cause).trim().to_owned()),
        }
    }
}

/// Whether another message might work, because this one lacks something. An undefined function fails for all messages.
fn is_of_the_letter(cause: &str) -> bool {
    cause.contains("attempt to") && !cause.contains("attempt to call a nil value")
}
