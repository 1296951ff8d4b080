//! What conditions see of the message and the world during a decision, and what they record for explanations.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Zoned;

use super::comparator::Pattern;
use super::facts::{Ask, FactAnswer, Facts, KnownList, Unanswered};
use super::names::{self, Names};
use super::trace::{Trace, TraceLine};
use super::valued::{self, ComparisonKind};
use super::width;
use crate::config::Settings;
use crate::config::entries::ListedEntry;
use crate::config::lists::EntriesOrigin;
use crate::config::template::{FolderName, Template};
use crate::config::text::Text;
use crate::decision::{AnsweredQuestion, Contents, Counted, Fact, Version, Write};
use crate::message::{Envelope, Flags, Message};

/// Why the walk over the rules ends early.
#[derive(Debug)]
pub(super) enum Break {
    /// Something failed. The message is kept, nothing else is done, and the user gets this text.
    Failed(String),
    /// The message must be decided again later.
    Defer(String),
    /// A comparison is neither true nor false, for this reason. The surrounding conditions handle it. A rule treats its
    /// condition as false then.
    NoAnswer(String),
}

impl From<Unanswered> for Break {
    fn from(unanswered: Unanswered) -> Self {
        Self::Defer(unanswered.to_string())
    }
}

/// How much a message may write to the state.
const MAX_WRITES: usize = 1000;
/// How many different questions a message may ask the state: each is asked again when its decision is recorded.
const MAX_READS: usize = 1000;
/// How many programs a message may start. More is a mistake in a script.
const MAX_PROGRAMS: usize = 100;
/// How many patterns with values of the message are kept compiled.
const MAX_PATTERNS: usize = 100;
/// How many reasons are kept: a script may ask conditions in a loop.
const MAX_REASONS: usize = 100;
/// The longest value that is kept for an explanation.
const KEPT_VALUE_BYTES: usize = 200;

/// What conditions see of the message and the world, and what they record.
pub(super) struct Asking<'a> {
    pub(super) settings: &'a Settings,
    pub(super) envelope: &'a Envelope,
    pub(super) facts: &'a dyn Facts,
    /// The original message, then its edited versions.
    pub(super) versions: Vec<Arc<Message>>,
    pub(super) names: Names,
    /// The flags so far.
    pub(super) flags: Flags,
    /// The conditions that were true, each with the value that matched.
    pub(super) why: Vec<String>,
    pub(super) reads: Vec<AnsweredQuestion>,
    pub(super) writes: Vec<Write>,
    pub(super) now: OnceCell<Zoned>,
    pub(super) trace: Option<Trace>,
    pub(super) depth: usize,
    saw: String,
    /// Compiled patterns that contain values of this message.
    pub(super) patterns: HashMap<(ComparisonKind, String), Arc<Pattern>>,
    /// The answers of programs that conditions ran, by arguments and version.
    answers: Vec<(Vec<String>, Version, FactAnswer)>,
    pub(super) programs: usize,
    /// The text of a version in ordinary width, or `None` if it is the same. Cached, because it may be long and many
    /// rules need it.
    ordinary_text: Option<(Version, Option<Arc<str>>)>,
    /// The lists that were read.
    pub(super) lists: Vec<(Arc<EntriesOrigin>, KnownList)>,
    /// The time spent waiting for programs.
    pub(super) waited: Duration,
    /// The original messages that contain this one, innermost last.
    pub(super) around: Vec<Arc<Message>>,
    /// How many messages were split off in this delivery so far.
    pub(super) messages_within: usize,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        message: &Arc<Message>,
        envelope: &'a Envelope,
        facts: &'a dyn Facts,
        traced: bool,
    ) -> Self {
        Self {
            settings,
            envelope,
            facts,
            versions: vec![Arc::clone(message)],
            names: Names::new(traced),
            flags: envelope.flags.clone().carried_over(),
            why: Vec::new(),
            reads: Vec::new(),
            writes: Vec::new(),
            now: OnceCell::new(),
            trace: traced.then(Trace::default),
            depth: 0,
            saw: String::new(),
            patterns: HashMap::new(),
            answers: Vec::new(),
            programs: 0,
            ordinary_text: None,
            lists: Vec::new(),
            waited: Duration::ZERO,
            around: Vec::new(),
            messages_within: 0,
        }
    }

    pub(super) fn account(&self) -> &str {
        &self.envelope.key.origin.account
    }

    pub(super) fn folder(&self) -> &str {
        &self.envelope.key.origin.folder
    }

    /// The message with the edits so far.
    pub(super) fn message(&self) -> &Arc<Message> {
        &self.versions[self.version()]
    }

    /// The text of the message in ordinary width; `None` if it is the same as the text.
    pub(super) fn ordinary_text(&mut self) -> Option<Arc<str>> {
        let version = self.version();
        match &self.ordinary_text {
            Some((of, text)) if *of == version => text.clone(),
            _ => {
                let text = match width::ordinary(self.message().text()) {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(text) => Some(Arc::from(text)),
                };
                self.ordinary_text = Some((version, text.clone()));
                text
            }
        }
    }

    /// The message without edits.
    pub(super) fn original(&self) -> &Arc<Message> {
        &self.versions[0]
    }

    pub(super) fn version(&self) -> Version {
        self.versions.len() - 1
    }

    /// The time of this decision. It is the same for all rules.
    pub(super) fn now(&self) -> &Zoned {
        self.now.get_or_init(|| self.facts.now())
    }

    /// Expands the values in a text.
    pub(super) fn expand(&self, text: &Text) -> String {
        text.expand(&|name| names::look_up(name, self))
    }

    /// Expands a text, and fails if a value is missing.
    pub(super) fn expand_known(&self, text: &Text) -> Result<String, Break> {
        if let Some(missing) = text.names().find_map(|name| names::value(name, self).err()) {
            return Err(missing);
        }
        Ok(self.expand(text))
    }

    /// A compiled pattern with values of this message, from the cache if possible.
    pub(super) fn pattern(&mut self, kind: ComparisonKind, text: String) -> Result<Arc<Pattern>, Break> {
        let key = (kind, text);
        if let Some(known) = self.patterns.get(&key) {
            return Ok(Arc::clone(known));
        }
        let pattern = valued::pattern_of_message(kind, &key.1)?;
        if self.patterns.len() >= MAX_PATTERNS {
            self.patterns.clear();
        }
        self.patterns.insert(key, Arc::clone(&pattern));
        Ok(pattern)
    }

    /// Expands an HTML text. Values are escaped, so that they are always text.
    pub(super) fn expand_html(&self, text: &Text) -> String {
        text.expand(&|name| names::look_up(name, self).map(|value| Cow::Owned(as_html(&value))))
    }

    /// Asks the state, including what this decision will write. The answer is recorded, because the question is asked
    /// again when the decision is recorded.
    pub(super) fn holds(&mut self, fact: Fact) -> Result<bool, Break> {
        if let Some(answer) = self.writes.iter().rev().find_map(|write| write.answers(&fact)) {
            return Ok(answer);
        }
        if let Some(read) = self.reads.iter().find(|read| read.fact == fact) {
            return Ok(read.answer);
        }
        let answer = self.facts.holds(&fact)?;
        self.note_read(fact, answer)?;
        Ok(answer)
    }

    /// Like [`Self::holds`], but does not record the answer.
    pub(super) fn holds_now(&self, fact: &Fact) -> Result<bool, Break> {
        match self.writes.iter().rev().find_map(|write| write.answers(fact)) {
            Some(answer) => Ok(answer),
            None => Ok(self.facts.holds(fact)?),
        }
    }

    /// What is in a local folder now; `None` if it does not exist. Fails if a value in its name is missing.
    pub(super) fn folder_of(&self, name: &Template) -> Result<(FolderName, Option<Contents>), Break> {
        if let Some(missing) = name.names().find_map(|name| names::value(name, self).err()) {
            return Err(missing);
        }
        let folder = name.expand_levels(&|name| names::parts(name, self));
        let held = self.facts.folder(&folder)?;
        Ok((folder, held))
    }

    fn note_read(&mut self, fact: Fact, answer: bool) -> Result<(), Break> {
        if self.reads.len() >= MAX_READS {
            return Err(Break::Failed(format!("more than {MAX_READS} questions to the state")));
        }
        self.reads.push(AnsweredQuestion { fact, answer });
        Ok(())
    }

    /// Takes the next number of a counter, at least `first`. The number is assigned when the decision is recorded.
    /// Until then another message may take the same number; the one that is recorded later is decided again.
    pub(super) fn next_number(&mut self, counter: &str, first: u64) -> Result<u64, Break> {
        let last = match Write::last_number(self.writes.iter(), counter) {
            Some(last) => Some(last),
            None => self.facts.last_number(counter)?,
        };
        let number = last.map_or(first, |last| last.saturating_add(1).max(first));
        self.note_read(Fact::Numbered { counter: counter.to_owned(), number }, false)?;
        self.write(Write::Number { counter: counter.to_owned(), number })?;
        Ok(number)
    }

    /// The last number of a counter, including numbers that this message took.
    pub(super) fn last_number(&mut self, counter: &str) -> Result<u64, Break> {
        if let Some(taken) = Write::last_number(self.writes.iter(), counter) {
            return Ok(taken);
        }
        let last = self.facts.last_number(counter)?.unwrap_or_default();
        self.note_read(Fact::Numbered { counter: counter.to_owned(), number: last + 1 }, false)?;
        Ok(last)
    }

    /// How many messages were counted, including this one, which is counted when the decision is recorded.
    pub(super) fn count(&mut self, of: Counted, until: jiff::Timestamp) -> Result<u64, Break> {
        let known = self.reads.iter().find_map(|read| match &read.fact {
            Fact::Counted { of: known, number } if *known == of => Some(*number),
            _ => None,
        });
        let others = match known {
            Some(number) => number,
            None => {
                let number = self.facts.counted(&of)?;
                self.note_read(Fact::Counted { of: of.clone(), number }, true)?;
                number
            }
        };
        // Includes messages of the same delivery, if it was split.
        let others = others + Write::counted(self.writes.iter(), &of).len() as u64;
        let Counted { handle, key, mark, upto: at, .. } = of;
        self.write(Write::Counted { handle, key, mark, at, until })?;
        Ok(others + 1)
    }

    /// When the folder of the message was read for the first time.
    pub(super) fn first_look(&self) -> Option<jiff::Timestamp> {
        self.facts.first_look()
    }

    /// Whether the message was on the server before the first run of its account.
    pub(super) fn stood(&self) -> Result<bool, Break> {
        Ok(self.facts.stood()?)
    }

    /// Adds something that the decision writes into the state.
    pub(super) fn write(&mut self, write: Write) -> Result<(), Break> {
        if self.writes.len() >= MAX_WRITES {
            return Err(Break::Failed(format!("more than {MAX_WRITES} notes for the state")));
        }
        if !self.writes.contains(&write) {
            self.writes.push(write);
        }
        Ok(())
    }

    /// The content of a list that can change. It is read once for a message, so that all rules see the same content.
    pub(super) fn list(&mut self, origin: &Arc<EntriesOrigin>) -> KnownList {
        if let Some((_, known)) = self.lists.iter().find(|(known, _)| Arc::ptr_eq(known, origin)) {
            return known.clone();
        }
        let start = Instant::now();
        let known = self.facts.list(origin);
        self.waited += start.elapsed();
        self.lists.push((Arc::clone(origin), known.clone()));
        known
    }

    /// The value of an entry of a database list, including what this decision will write.
    pub(super) fn list_value(&self, list: &str, entry: &str) -> Result<Option<String>, Break> {
        let written = self.writes.iter().rev().find_map(|write| match write {
            Write::List { list: l, entry: e, value, .. } if l == list && e == entry => value.clone(),
            _ => None,
        });
        match written {
            Some(value) => Ok(Some(value)),
            None => Ok(self.facts.list_value(list, entry)?),
        }
    }

    /// The entries of a database list in the state.
    pub(super) fn list_entries(&self, list: &str) -> Result<Vec<ListedEntry>, Break> {
        Ok(self.facts.list_entries(list)?)
    }

    /// Runs a program. Its input and its output are recorded in the trace.
    pub(super) fn ask(&mut self, ask: &Ask<'_>) -> FactAnswer {
        let answer = self.started(ask);
        let what = match &answer {
            FactAnswer::Ended { code, .. } => format!("{} ended with {code}", ask.run.join(" ")),
            FactAnswer::Failed(cause) => format!("{}: {cause}", ask.run.join(" ")),
            FactAnswer::NotAsked => format!("would run {}", ask.run.join(" ")),
        };
        self.note_trace(&what);
        answer
    }

    /// Runs a program for a condition. It runs only once for each version of the message, however many rules use its
    /// exit code.
    pub(super) fn ask_once(&mut self, ask: &Ask<'_>) -> FactAnswer {
        let version = self.version();
        let known = self.answers.iter().find(|(run, of, _)| *of == version && run.as_slice() == ask.run);
        if let Some((_, _, answer)) = known {
            return answer.clone();
        }
        let answer = self.ask(ask);
        self.answers.push((ask.run.to_vec(), version, answer.clone()));
        answer
    }

    fn started(&mut self, ask: &Ask<'_>) -> FactAnswer {
        self.programs += 1;
        if self.programs > MAX_PROGRAMS {
            return FactAnswer::Failed(format!("more than {MAX_PROGRAMS} programs for one message"));
        }
        let start = Instant::now();
        let answer = self.facts.ask(ask);
        self.waited += start.elapsed();
        answer
    }

    /// The variables of a program's environment that come from the message.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let message = self.message();
        let value = |value: Option<&str>| value.unwrap_or_default().replace('\0', "");
        vec![
            ("MAILSLUICE_ACCOUNT", self.account().to_owned()),
            ("MAILSLUICE_SENDER", value(message.envelope_sender())),
            ("MAILSLUICE_RECIPIENT", value(message.delivered_to())),
            ("MAILSLUICE_MESSAGE_ID", value(message.message_id())),
        ]
    }

    /// Records the value that a condition saw, for explanations. `value` is called only if it is needed.
    pub(super) fn saw(&mut self, holds: bool, value: impl FnOnce() -> String) {
        if holds || self.trace.is_some() {
            self.saw = value();
            self.saw.truncate(self.saw.floor_char_boundary(KEPT_VALUE_BYTES));
        }
    }

    /// Records the result of a condition as a reason or a line of the trace.
    pub(super) fn answered(&mut self, text: &str, holds: bool) {
        let saw = std::mem::take(&mut self.saw);
        if self.trace.is_some() {
            self.push(TraceLine::Condition { text: text.to_owned(), saw: saw.clone(), holds });
            let new = self.names.take_new();
            let is_number = |name: &str| name.bytes().all(|b| b.is_ascii_digit());
            let has_names = new.iter().any(|(name, _)| !is_number(name));
            for (name, value) in new {
                if holds && !(has_names && is_number(&name)) {
                    self.depth += 1;
                    self.push(TraceLine::Captured { name, value });
                    self.depth -= 1;
                }
            }
        }
        if holds && self.why.len() < MAX_REASONS {
            self.why.push(if saw.is_empty() { text.to_owned() } else { saw });
        }
    }

    /// Evaluates a group of conditions. In the trace, its line precedes those of its members.
    pub(super) fn group(
        &mut self,
        word: &'static str,
        members: impl FnOnce(&mut Self) -> Result<bool, Break>,
    ) -> Result<bool, Break> {
        let place = self.trace.as_ref().map(|trace| trace.lines.len());
        let (before, mark) = (self.why.len(), self.names.mark());
        self.depth += 1;
        let answer = members(self);
        self.depth -= 1;
        let holds = match &answer {
            Ok(holds) => *holds,
            Err(Break::NoAnswer(_)) => false,
            Err(_) => return answer,
        };
        if let (Some(trace), Some(place)) = (&mut self.trace, place) {
            trace.lines.insert(place, (self.depth, TraceLine::Group { word, holds }));
        }
        if !holds || matches!(word, "none" | "not") {
            // Reasons from a branch that failed, or that had to be false, explain nothing.
            self.why.truncate(before);
            self.names.forget(mark);
        }
        answer
    }

    pub(super) fn note_trace(&mut self, text: &str) {
        if self.trace.is_some() {
            self.push(TraceLine::Note { text: text.to_owned() });
        }
    }

    pub(super) fn push(&mut self, line: TraceLine) {
        if let Some(trace) = &mut self.trace {
            trace.lines.push((self.depth, line));
        }
    }
}

/// Escapes a text for HTML, between tags or in an attribute in quotes.
fn as_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::filter::trial::ToldFacts;
    use crate::message::{Bytes, Key, Origin};

    /// Calls `with` for an empty message and an empty world.
    pub(in crate::filter) fn asking<T>(with: impl FnOnce(&mut Asking<'_>) -> T) -> T {
        let origin = Arc::new(Origin { account: "work".into(), folder: "INBOX".into(), generation: 0 });
        let arrived = "2026-11-23T12:00:00Z".parse().unwrap();
        let envelope = Envelope { key: Key::new(&origin, "1"), arrived, flags: Flags::default(), announced: 0 };
        let settings = Settings::default();
        let facts = ToldFacts::default();
        let message = Arc::new(Message::new(Bytes::Memory(b"\n".to_vec())));
        with(&mut Asking::new(&settings, &message, &envelope, &facts, false))
    }
}
