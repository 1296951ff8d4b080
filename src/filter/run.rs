//! The walk over the rules for one message: what conditions see ([`Asking`]), and what actions have done so far ([`Run`]).

use std::cell::OnceCell;
use std::sync::Arc;

use jiff::Zoned;

use super::engine::Settings;
use super::facts::{Answer, Ask, Facts, Unanswered};
use super::guard::Refusal;
use super::names::{self, Names};
use super::rule::{List, ListKind, Rule, Step};
use super::trace::{Line, Trace};
use crate::config::lists;
use crate::config::text::Text;
use crate::decision::{Action, Decision, Deferral, Fact, Failure, Filing, Place, Read, Telling, Version, Write};
use crate::message::{Edit, Envelope, Flags, Message};

/// Why the walk ends before its end.
#[derive(Debug)]
pub(super) enum Break {
    /// Something failed: the message is kept, nothing else is done, and the user is told this.
    Failed(String),
    /// Not now.
    Defer(String),
}

impl From<Unanswered> for Break {
    fn from(unanswered: Unanswered) -> Self {
        Self::Defer(unanswered.to_string())
    }
}

/// The longest value kept for an explanation, in bytes.
const SHOWN: usize = 200;
/// So many edited versions a message may have: each is a copy of its header block.
const MAX_VERSIONS: usize = 32;
/// So many actions a message may have; the rest is a mistake in a script.
const MAX_ACTIONS: usize = 100;

/// What conditions see of the message and the world, and what they note.
pub(super) struct Asking<'a> {
    pub(super) settings: &'a Settings,
    pub(super) envelope: &'a Envelope,
    facts: &'a dyn Facts,
    /// The message as it came, then each edited one.
    versions: Vec<Arc<Message>>,
    pub(super) names: Names,
    /// The flags so far.
    pub(super) flags: Flags,
    /// What was true, with the value that made it so.
    pub(super) why: Vec<String>,
    reads: Vec<Read>,
    writes: Vec<Write>,
    now: OnceCell<Zoned>,
    trace: Option<Trace>,
    depth: usize,
    saw: String,
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

    /// The message as it came.
    pub(super) fn original(&self) -> &Arc<Message> {
        &self.versions[0]
    }

    pub(super) fn version(&self) -> Version {
        self.versions.len() - 1
    }

    /// The time of this decision: the same for every rule.
    pub(super) fn now(&self) -> &Zoned {
        self.now.get_or_init(|| self.facts.now())
    }

    /// A text with its values.
    pub(super) fn expand(&self, text: &Text) -> String {
        text.expand(&|name| names::look_up(name, self))
    }

    /// Asks the state; the answer is remembered, to be asked again when the decision is recorded. What this decision
    /// itself is going to write counts already.
    pub(super) fn holds(&mut self, fact: Fact) -> Result<bool, Break> {
        if let Some(answer) = self.writes.iter().rev().find_map(|write| write.answers(&fact)) {
            return Ok(answer);
        }
        if let Some(read) = self.reads.iter().find(|read| read.fact == fact) {
            return Ok(read.answer);
        }
        let answer = self.facts.holds(&fact)?;
        self.reads.push(Read { fact, answer });
        Ok(answer)
    }

    /// Something the decision writes into the state.
    pub(super) fn write(&mut self, write: Write) -> Result<(), Break> {
        if self.writes.len() >= 10 * MAX_ACTIONS {
            return Err(Break::Failed("more than 1000 notes for the state".into()));
        }
        if !self.writes.contains(&write) {
            self.writes.push(write);
        }
        Ok(())
    }

    /// Whether the list holds the value, or its domain.
    pub(super) fn in_list(&mut self, list: &List, value: &str) -> Result<bool, Break> {
        let value = value.trim().to_lowercase();
        match &list.kind {
            ListKind::Me => Ok(self.settings.is_me(&value)),
            ListKind::Inline(entries) => Ok(lists::holds(entries, &value)),
            ListKind::File(path, entries) => match self.facts.list_file(path) {
                Some(now) => Ok(lists::holds(&now, &value)),
                None => Ok(lists::holds(entries, &value)),
            },
            ListKind::Database => {
                let listed = |entry: &str| Fact::Listed { list: list.name.to_string(), entry: entry.to_owned() };
                if self.holds(listed(&value))? {
                    return Ok(true);
                }
                match value.rfind('@') {
                    Some(at) => self.holds(listed(&value[at..])),
                    None => Ok(false),
                }
            }
        }
    }

    /// Runs a program. What it read and said goes into the trace.
    pub(super) fn ask(&mut self, ask: &Ask<'_>) -> Answer {
        let answer = self.facts.ask(ask);
        let what = match &answer {
            Answer::Ended { code, .. } => format!("{} ended with {code}", ask.run.join(" ")),
            Answer::Failed(cause) => format!("{}: {cause}", ask.run.join(" ")),
            Answer::NotAsked => format!("would run {}", ask.run.join(" ")),
        };
        self.note_trace(&what);
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

    /// The value that a condition saw, for explanations. It is made only when somebody will read it.
    pub(super) fn saw(&mut self, holds: bool, value: impl FnOnce() -> String) {
        if holds || self.trace.is_some() {
            self.saw = value();
            self.saw.truncate(self.saw.floor_char_boundary(SHOWN));
        }
    }

    /// A condition was answered: it becomes a reason or a line of the trace.
    pub(super) fn answered(&mut self, text: &str, holds: bool) {
        let saw = std::mem::take(&mut self.saw);
        if self.trace.is_some() {
            self.push(Line::Condition { text: text.to_owned(), saw: saw.clone(), holds });
            for (name, value) in self.names.take_new() {
                if holds {
                    self.depth += 1;
                    self.push(Line::Captured { name, value });
                    self.depth -= 1;
                }
            }
        }
        if holds {
            self.why.push(if saw.is_empty() { text.to_owned() } else { saw });
        }
    }

    /// A group of conditions: its line stands before those of its members.
    pub(super) fn group(
        &mut self,
        word: &'static str,
        members: impl FnOnce(&mut Self) -> Result<bool, Break>,
    ) -> Result<bool, Break> {
        let place = self.trace.as_ref().map(|trace| trace.lines.len());
        let before = self.why.len();
        self.depth += 1;
        let holds = members(self);
        self.depth -= 1;
        let holds = holds?;
        if let (Some(trace), Some(place)) = (&mut self.trace, place) {
            trace.lines.insert(place, (self.depth, Line::Group { word, holds }));
        }
        if !holds || matches!(word, "none" | "not") {
            // Reasons of a branch that failed, or that was to be false, explain nothing.
            self.why.truncate(before);
        }
        Ok(holds)
    }

    pub(super) fn note_trace(&mut self, text: &str) {
        if self.trace.is_some() {
            self.push(Line::Note { text: text.to_owned() });
        }
    }

    fn push(&mut self, line: Line) {
        if let Some(trace) = &mut self.trace {
            trace.lines.push((self.depth, line));
        }
    }
}

/// What the actions so far amount to.
pub(super) struct Run<'a> {
    pub(super) asking: Asking<'a>,
    actions: Vec<Action>,
    rules: Vec<String>,
    notes: Vec<String>,
    /// The name of the rule being carried out.
    rule: String,
    /// Where the filings of the present rule begin: a flag counts for all of them.
    rule_start: usize,
    /// Whether the message is kept when the rules are through: until something files, discards or delivers it.
    keeps: bool,
    discards: bool,
    ended: bool,
    /// Only one answer goes out for a message (RFC 5230 4.7).
    replied: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(asking: Asking<'a>) -> Self {
        Self {
            asking,
            actions: Vec::new(),
            rules: Vec::new(),
            notes: Vec::new(),
            rule: String::new(),
            rule_start: 0,
            keeps: true,
            discards: false,
            ended: false,
            replied: false,
        }
    }

    /// Asks every rule in order until one ends.
    pub(super) fn walk(&mut self, steps: &[Step]) -> Result<(), Break> {
        for step in steps {
            match step {
                Step::Rule(rule) => self.outer(rule)?,
                step => self.step(step)?,
            }
            if self.ended {
                break;
            }
        }
        Ok(())
    }

    fn outer(&mut self, rule: &Rule) -> Result<(), Break> {
        self.asking.names.clear_captures();
        self.rule_start = self.actions.len();
        if let Some(name) = &rule.name {
            self.rule.clone_from(name);
        }
        self.rule(rule)
    }

    fn rule(&mut self, rule: &Rule) -> Result<(), Break> {
        if let (Some(name), true) = (&rule.name, self.asking.trace.is_some()) {
            self.asking.push(Line::Rule { name: name.clone() });
        }
        self.asking.depth += 1;
        let holds = rule.condition.as_ref().map_or(Ok(true), |condition| condition.holds(&mut self.asking))?;
        let steps = if holds { &rule.then } else { &rule.otherwise };
        if !steps.is_empty() {
            self.rules.extend(rule.name.clone());
        }
        let mut ends = false;
        for step in steps {
            self.step(step)?;
            ends |= matches!(step, Step::Do(verb) if verb.ends());
            let was_stop = matches!(step, Step::Do(verb) if verb.stops());
            if was_stop || (self.ended && !matches!(step, Step::Do(_))) {
                ends = true;
                break;
            }
        }
        self.ended |= ends;
        self.asking.depth -= 1;
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), Break> {
        match step {
            Step::Do(verb) => verb.act(self),
            Step::Rule(nested) => self.rule(nested),
            Step::File(rules) => {
                for rule in rules {
                    self.outer(rule)?;
                    if self.ended {
                        break;
                    }
                }
                Ok(())
            }
            Step::Script(script) => {
                self.rule.clone_from(&script.name);
                self.rule_start = self.actions.len();
                if self.asking.trace.is_some() {
                    self.asking.push(Line::Rule { name: script.name.clone() });
                }
                let before = self.actions.len();
                script.filter(self)?;
                if self.actions.len() > before || self.ended || self.discards {
                    self.rules.push(script.name.clone());
                }
                Ok(())
            }
        }
    }

    /// Files the message; several filings into one place are one.
    pub(super) fn file(&mut self, place: Place, flags: &Flags, copy: bool) -> Result<(), Break> {
        let mut flags = flags.clone();
        flags.extend(&self.asking.flags);
        let version = self.asking.version();
        let filing = Filing { place, flags, version };
        self.traced(&Action::File(filing.clone()));
        self.keeps &= copy;
        let same = self.actions.iter_mut().find_map(|action| match action {
            Action::File(earlier) if earlier.place == filing.place && earlier.version == version => Some(earlier),
            _ => None,
        });
        match same {
            Some(earlier) => earlier.flags.extend(&filing.flags),
            None => self.push(Action::File(filing))?,
        }
        Ok(())
    }

    pub(super) fn discard(&mut self) {
        self.traced(&Action::Discard);
        self.discards = true;
        self.keeps = false;
    }

    /// Puts a telling into the decision. One that delivers takes the place of keeping, unless it is a copy.
    pub(super) fn tell(&mut self, telling: Telling, copy: bool) -> Result<(), Break> {
        let action = Action::Tell(telling);
        self.traced(&action);
        if let Action::Tell(telling) = &action
            && telling.way.delivers()
        {
            self.keeps &= copy;
        }
        if self.actions.contains(&action) { Ok(()) } else { self.push(action) }
    }

    fn push(&mut self, action: Action) -> Result<(), Break> {
        if self.actions.len() >= MAX_ACTIONS {
            return Err(Break::Failed(format!("more than {MAX_ACTIONS} actions for one message")));
        }
        self.actions.push(action);
        Ok(())
    }

    /// Changes the flags of every filing of this rule and of later ones.
    pub(super) fn change_flags(&mut self, change: impl Fn(&mut Flags)) {
        change(&mut self.asking.flags);
        for action in &mut self.actions[self.rule_start..] {
            if let Action::File(filing) = action {
                change(&mut filing.flags);
            }
        }
    }

    /// From here on the message has other header fields.
    pub(super) fn edit(&mut self, edits: &[Edit]) -> Result<(), Break> {
        let edited = self.asking.message().edited(edits);
        self.replace(edited)
    }

    /// From here on the message is another one.
    pub(super) fn replace(&mut self, message: Message) -> Result<(), Break> {
        if self.asking.versions.len() > MAX_VERSIONS {
            return Err(Break::Failed(format!("edited more than {MAX_VERSIONS} times")));
        }
        self.asking.versions.push(Arc::new(message));
        Ok(())
    }

    /// A line for the journal.
    pub(super) fn note(&mut self, text: String) {
        self.asking.note_trace(&text);
        if self.notes.len() < MAX_ACTIONS {
            self.notes.push(text);
        }
    }

    /// An answer that does not go out, and why.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.note(refusal.to_string());
    }

    /// Something was done that is no filing.
    pub(super) fn did(&mut self, text: &str) {
        if self.asking.trace.is_some() {
            self.asking.push(Line::Action { text: text.to_owned() });
        }
    }

    fn traced(&mut self, action: &Action) {
        if self.asking.trace.is_some() {
            self.asking.push(Line::Action { text: action.to_string() });
        }
    }

    /// Filtering ends with the present rule.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether this message has been answered by an earlier action; from now on it has.
    pub(super) fn first_reply(&mut self) -> bool {
        !std::mem::replace(&mut self.replied, true)
    }

    /// The result of the walk, whether it came to its end or broke.
    pub(super) fn finish(mut self, walked: Result<(), Break>) -> (Result<Decision, Deferral>, Option<Trace>) {
        self.asking.depth = 0;
        let result = match walked {
            Ok(()) => self.decision(),
            Err(Break::Defer(cause)) => {
                self.did(&format!("defer: {cause}"));
                Err(Deferral { rule: self.rule, cause })
            }
            Err(Break::Failed(cause)) => {
                self.did(&format!("keep, because the rule failed: {cause}"));
                let mut kept = Decision::keep(format!("kept: the rule {} failed: {cause}", self.rule));
                kept.failures.push(Failure { rule: self.rule, cause });
                Ok(kept)
            }
        };
        (result, self.asking.trace)
    }

    fn decision(&mut self) -> Result<Decision, Deferral> {
        if self.keeps {
            // Cannot fail: the bound on actions was kept for the rules, this one is ours.
            let flags = self.asking.flags.clone();
            let keep = Filing { place: Place::Keep, flags, version: self.asking.version() };
            if !self.actions.contains(&Action::File(keep.clone())) {
                self.traced(&Action::File(keep.clone()));
                self.actions.push(Action::File(keep));
            }
        }
        if self.discards && !self.actions.iter().any(|action| matches!(action, Action::File(_))) {
            self.actions.push(Action::Discard);
        }
        let asking = &mut self.asking;
        Ok(Decision {
            actions: std::mem::take(&mut self.actions),
            rules: std::mem::take(&mut self.rules),
            why: std::mem::take(&mut asking.why),
            edited: asking.versions.drain(1..).collect(),
            reads: std::mem::take(&mut asking.reads),
            writes: std::mem::take(&mut asking.writes),
            notes: std::mem::take(&mut self.notes),
            failures: Vec::new(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::filter::trial::Told;
    use crate::message::{Bytes, Key, Origin};

    /// Something that conditions can be asked with: an empty message, an empty world.
    pub(in crate::filter) fn asking<T>(with: impl FnOnce(&mut Asking<'_>) -> T) -> T {
        let origin = Arc::new(Origin { account: "work".into(), folder: "INBOX".into(), generation: 0 });
        let arrived = "2026-11-23T12:00:00Z".parse().unwrap();
        let envelope = Envelope { key: Key::new(&origin, "1"), arrived, flags: Flags::default(), announced: 0 };
        let settings = Settings::default();
        let facts = Told::default();
        let message = Arc::new(Message::new(Bytes::Memory(b"\n".to_vec())));
        with(&mut Asking::new(&settings, &message, &envelope, &facts, false))
    }
}
