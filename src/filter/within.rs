//! Messages within a message that is split. All rules decide about each of them. What was recorded so far is kept, and
//! fields that only the user's server may write are not trusted in them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asking::{Asking, Break};
use super::run::{MAX_ACTIONS, Run};
use crate::decision::Action;
use crate::message::{Apart, MAX_WITHIN, Message, NotSplit};

/// How many actions the messages within one message may have together.
const MAX_ACTIONS_WITHIN: usize = 500;
/// How many of these may send something: one message must not cause a storm.
const MAX_TOLD_WITHIN: usize = 20;
/// How long they may take together, without the time in which programs answer.
const MAX_TIME_WITHIN: Duration = Duration::from_secs(10);
/// A message nested in this many others is not split.
const MAX_SPLIT_DEPTH: usize = 3;

fn too_long() -> Break {
    Break::Failed(format!("deciding about the messages within it took longer than {} s", MAX_TIME_WITHIN.as_secs()))
}

/// The decisions about the messages within one.
#[derive(Default)]
pub(super) struct Inner {
    /// All versions of all messages: each original, followed by its edited versions.
    pub(super) versions: Vec<Arc<Message>>,
    /// The actions. Their versions are positions in `versions`.
    pub(super) actions: Vec<Action>,
}

impl Asking<'_> {
    /// The state for a message within this one. It takes over what was recorded so far, until [`Self::go_on`] takes it
    /// back.
    pub(super) fn of_message_within(&mut self, message: &Arc<Message>) -> Self {
        let mut new = Self::new(self.settings, message, self.envelope, self.facts, self.trace.is_some());
        new.why = std::mem::take(&mut self.why);
        new.reads = std::mem::take(&mut self.reads);
        new.writes = std::mem::take(&mut self.writes);
        new.now = self.now.clone();
        new.trace = self.trace.take();
        new.depth = self.depth;
        new.patterns = std::mem::take(&mut self.patterns);
        new.programs = self.programs;
        new.lists = std::mem::take(&mut self.lists);
        new.waited = self.waited;
        new.around = self.around.iter().chain([self.original()]).cloned().collect();
        new.messages_within = self.messages_within;
        new
    }

    /// Takes back what was recorded for a message within this one, and returns the versions of that message.
    pub(super) fn go_on(&mut self, noted: Self) -> Vec<Arc<Message>> {
        self.why = noted.why;
        self.reads = noted.reads;
        self.writes = noted.writes;
        self.trace = noted.trace;
        self.patterns = noted.patterns;
        self.programs = noted.programs;
        self.lists = noted.lists;
        self.waited = noted.waited;
        self.messages_within = noted.messages_within;
        noted.versions
    }

    /// Whether fields of a server are trusted in this message. They are not trusted in a message within another one,
    /// because the sender of the outer message wrote them.
    pub(super) fn trusts(&self, server: &str) -> bool {
        self.around.is_empty() && self.settings.trust.iter().any(|trusted| trusted == server)
    }

    /// The message, if its envelope is known.
    pub(super) fn enveloped(&self) -> Option<&Arc<Message>> {
        self.around.is_empty().then(|| self.message())
    }
}

impl Run<'_> {
    /// Applies all rules to each message within the current one. Does nothing if there is none.
    pub(super) fn split(&mut self, apart: Apart, copy: bool) -> Result<(), Break> {
        let Apart { messages, is_all } = apart;
        if messages.is_empty() {
            self.note("not split: no message is within it".to_owned());
            return Ok(());
        }
        if copy && self.asking.facts.is_filed() {
            self.note("not split: its messages would be taken out again each time it is filtered".to_owned());
            return Ok(());
        }
        if !is_all && !copy {
            // If it were filed too, it would be split again whenever it is filtered again.
            self.note(
                "not split: it holds more than messages; `copy: true` takes them out of it all the same".to_owned(),
            );
            return Ok(());
        }
        if !self.within.versions.is_empty() {
            self.note("not split again: its messages went their ways already".to_owned());
            return Ok(());
        }
        if self.asking.around.len() >= MAX_SPLIT_DEPTH {
            self.note(format!("not split: it came within {MAX_SPLIT_DEPTH} others"));
            return Ok(());
        }
        let count = messages.len();
        self.asking.messages_within += count;
        if self.asking.messages_within > MAX_WITHIN {
            return Err(Break::Failed(format!("the message is not split: {}", NotSplit::TooMany)));
        }
        let (rules, notes) = (self.rules.len(), self.notes.len());
        let (writes, discards) = (self.asking.writes.len(), self.discards);
        let (start, waited) = (Instant::now(), self.asking.waited);
        for (number, message) in (1..).zip(messages) {
            let decided = self.decide_within(Arc::new(message), &format!("message {number} of {count}"));
            let spent = start.elapsed().saturating_sub(self.asking.waited.saturating_sub(waited));
            let in_time = if spent > MAX_TIME_WITHIN { Err(too_long()) } else { Ok(()) };
            if let Err(broken) = decided.and(in_time) {
                // Either all messages are split off, or none.
                self.within = Inner::default();
                self.rules.truncate(rules);
                self.notes.truncate(notes);
                self.asking.writes.truncate(writes);
                self.discards = discards;
                return Err(broken);
            }
        }
        if !copy {
            self.keeps = false;
            self.end();
        }
        Ok(())
    }

    /// Also files the messages that are only sent out. A message within another one has no other copy, so it would be
    /// lost if it could not be sent.
    fn keep_what_is_told(&mut self) {
        let all = || self.actions.iter().chain(&self.within.actions);
        let is_filed = all().any(|action| matches!(action, Action::File(_)));
        let is_told = all().any(|action| action.telling().is_some_and(|telling| telling.way.delivers()));
        self.keeps |= is_told && !is_filed;
        self.keep_if_nothing_else();
    }

    fn decide_within(&mut self, message: Arc<Message>, which: &str) -> Result<(), Break> {
        let subject = crate::clean::short(message.first("Subject").unwrap_or_default(), 80);
        self.did(&format!("split: {which} ({subject})"));
        let asking = self.asking.of_message_within(&message);
        let mut run = Run::new(asking, self.steps);
        run.forwarded = self.forwards();
        run.rule.clone_from(&self.rule);
        run.asking.depth += 1;
        let walked = run.walk();
        if walked.is_ok() {
            run.keep_what_is_told();
        }
        let Run { asking, actions, within, rules, notes, discards, .. } = run;
        let mut versions = self.asking.go_on(asking);
        walked?;
        let own = versions.len();
        versions.extend(within.versions);
        let inner = within.actions.into_iter().map(|action| action.with_version(|version| own + version));
        let first = self.within.versions.len();
        let all = actions.into_iter().chain(inner).map(|action| action.with_version(|version| first + version));
        self.within.actions.extend(all.filter(|action| *action != Action::Discard));
        self.within.versions.extend(versions);
        let told = self.within.actions.iter().filter_map(Action::telling).count();
        if told > MAX_TOLD_WITHIN {
            return Err(Break::Failed(format!("more than {MAX_TOLD_WITHIN} are told of the messages within one")));
        }
        if self.within.actions.len() > MAX_ACTIONS_WITHIN {
            let text = format!("more than {MAX_ACTIONS_WITHIN} actions for the messages within one");
            return Err(Break::Failed(text));
        }
        self.discards |= discards;
        for rule in rules {
            if !self.rules.contains(&rule) {
                self.rules.push(rule);
            }
        }
        let room = MAX_ACTIONS.saturating_sub(self.notes.len());
        self.notes.extend(notes.into_iter().take(room).map(|note| format!("{which}: {note}")));
        Ok(())
    }
}
