//! Applies the rules to one message, and collects the results of the actions.

use std::sync::Arc;

use super::actions::programs::OnError;
use super::asking::{Asking, Break};
use super::for_each;
use super::guard::Refusal;
use super::rule::{Rule, Step};
use super::trace::{Trace, TraceLine};
use super::within::Inner;
use crate::decision::{Action, Decision, Deferral, Failure, Filing, Place, Telling, Way};
use crate::message::{Edit, Flags, Message};

/// How many edited versions a message may have: each is a copy of its header block.
const MAX_VERSIONS: usize = 32;
/// How many actions a message may have. More is a mistake in a script.
pub(super) const MAX_ACTIONS: usize = 100;

/// The results of the actions so far.
pub(super) struct Run<'a> {
    pub(super) asking: Asking<'a>,
    /// All rules. They also decide about messages within this one.
    pub(super) steps: &'a [Step],
    pub(super) actions: Vec<Action>,
    /// The decisions about the messages within this one.
    pub(super) within: Inner,
    /// The number of addresses to which other messages of the same delivery are forwarded.
    pub(super) forwarded: usize,
    pub(super) rules: Vec<String>,
    pub(super) notes: Vec<String>,
    /// The name of the current rule.
    pub(super) rule: String,
    /// Where the filings of the current rule begin. Flags are added to all of them.
    rule_start: usize,
    /// Whether the message is kept after the last rule: true until an action files, discards or delivers it.
    pub(super) keeps: bool,
    pub(super) discards: bool,
    ended: bool,
    /// Whether `stop` was called. Then the rule is not applied to further values either.
    is_stopped: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(asking: Asking<'a>, steps: &'a [Step]) -> Self {
        Self {
            asking,
            steps,
            actions: Vec::new(),
            within: Inner::default(),
            forwarded: 0,
            rules: Vec::new(),
            notes: Vec::new(),
            rule: String::new(),
            rule_start: 0,
            keeps: true,
            discards: false,
            ended: false,
            is_stopped: false,
        }
    }

    /// Applies the rules in order until one ends filtering.
    pub(super) fn walk(&mut self) -> Result<(), Break> {
        for step in self.steps {
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
        self.rule_start = self.actions.len();
        if let Some(name) = &rule.name {
            self.rule.clone_from(name);
        }
        self.rule(rule)
    }

    /// Applies one rule. If it fails, its earlier actions remain.
    fn rule(&mut self, rule: &Rule) -> Result<(), Break> {
        let (depth, mark) = (self.asking.depth, self.asking.names.mark());
        match (self.each(rule), rule.on_error) {
            (Err(Break::Failed(cause)), OnError::Defer) => Err(Break::Defer(cause)),
            (Err(Break::Failed(cause)), OnError::Continue) => {
                self.asking.depth = depth;
                self.asking.names.forget(mark);
                self.note(format!(
                    "went on although the rule {} failed: {cause}",
                    rule.name.as_deref().unwrap_or(&self.rule)
                ));
                Ok(())
            }
            (result, _) => result,
        }
    }

    /// Applies a rule to each of its values. It ends filtering only after the last one.
    fn each(&mut self, rule: &Rule) -> Result<(), Break> {
        let Some(each) = &rule.each else { return self.try_rule(rule) };
        let mut ends = self.ended;
        for named in each.of(&self.asking)? {
            let mark = self.asking.names.mark();
            self.did_with(&named);
            named.into_iter().for_each(|(name, value)| self.asking.names.capture(&name, Some(value)));
            self.asking.names.take_new();
            self.ended = false;
            self.try_rule(rule)?;
            ends |= self.ended;
            self.asking.names.forget(mark);
            if self.is_stopped {
                break;
            }
        }
        self.ended = ends;
        Ok(())
    }

    fn did_with(&mut self, named: &for_each::BoundNames) {
        if let (true, Some((name, value))) = (self.asking.trace.is_some(), named.first()) {
            self.asking.push(TraceLine::Captured { name: name.clone(), value: value.clone() });
        }
    }

    fn try_rule(&mut self, rule: &Rule) -> Result<(), Break> {
        if let (Some(name), true) = (&rule.name, self.asking.trace.is_some()) {
            self.asking.push(TraceLine::Rule { name: name.clone() });
        }
        self.asking.depth += 1;
        let mark = self.asking.names.mark();
        let holds = match rule.condition.as_ref().map(|condition| condition.holds(&mut self.asking)) {
            None => true,
            Some(Err(Break::NoAnswer(_))) => false,
            Some(answer) => answer?,
        };
        let steps = if holds { &rule.then } else { &rule.otherwise };
        // The rules of an included file record what they do themselves.
        if steps.iter().any(|step| !matches!(step, Step::File(_) | Step::Script(_))) {
            self.rules.extend(rule.name.clone());
        }
        let mut ends = false;
        for step in steps {
            self.step(step)?;
            ends |= matches!(step, Step::Do(verb) if verb.ends());
            let was_stop = matches!(step, Step::Do(verb) if verb.stops());
            self.is_stopped |= was_stop;
            if was_stop || (self.ended && !matches!(step, Step::Do(_))) {
                ends = true;
                break;
            }
        }
        self.ended |= ends;
        self.asking.depth -= 1;
        self.asking.names.forget(mark);
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), Break> {
        match step {
            Step::Do(verb) => verb.act(self),
            Step::Rule(nested) => self.rule(nested),
            Step::File(rules) => {
                let (name, start) = (self.rule.clone(), self.rule_start);
                for rule in rules {
                    self.outer(rule)?;
                    if self.ended {
                        break;
                    }
                }
                // The including rule continues under its own name.
                (self.rule, self.rule_start) = (name, start);
                Ok(())
            }
            Step::Script(script) => {
                self.rule.clone_from(&script.name);
                self.rule_start = self.actions.len();
                if self.asking.trace.is_some() {
                    self.asking.push(TraceLine::Rule { name: script.name.clone() });
                }
                let before = (self.actions.len(), self.asking.version(), self.asking.flags.clone());
                script.filter(self)?;
                let after = (self.actions.len(), self.asking.version(), self.asking.flags.clone());
                if after != before || self.ended || self.discards {
                    self.rules.push(script.name.clone());
                }
                Ok(())
            }
        }
    }

    /// Files the message. Several filings in the same place become one.
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

    /// Adds something to be sent. If it delivers the message and is not a copy, the message is not kept.
    pub(super) fn tell(&mut self, mut telling: Telling, copy: bool) -> Result<(), Break> {
        self.traced(&Action::Tell(telling.clone()));
        if telling.way.delivers() {
            self.keeps &= copy;
        }
        self.leave_out_told(&mut telling);
        let action = Action::Tell(telling);
        let is_for_somebody = action.telling().is_some_and(|telling| !telling.way.names_nobody());
        if is_for_somebody && !self.actions.contains(&action) { self.push(action) } else { Ok(()) }
    }

    /// Removes recipients that already get the message by an earlier action.
    pub(super) fn leave_out_told(&mut self, telling: &mut Telling) {
        let earlier = self.actions.iter().filter_map(Action::telling);
        let again: Vec<String> = earlier.flat_map(|earlier| telling.leave_out_those_of(earlier)).collect();
        if !again.is_empty() {
            let whom = crate::clean::short(&again.join(" "), 200);
            self.note(format!("{} once: an earlier action named {whom} already", telling.way.word()));
        }
    }

    /// The number of addresses to which the message is forwarded so far.
    pub(super) fn forwards(&self) -> usize {
        let to = |action: &Action| match action {
            Action::Tell(Telling { way: Way::Redirect(redirect), .. }) => redirect.to.len(),
            _ => 0,
        };
        self.forwarded + self.actions.iter().chain(&self.within.actions).map(to).sum::<usize>()
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

    /// Edits the header fields of the message for all later steps.
    pub(super) fn edit(&mut self, edits: &[Edit]) -> Result<(), Break> {
        let edited = self.asking.message().edited(edits);
        self.replace(edited)
    }

    /// Replaces the message for all later steps.
    pub(super) fn replace(&mut self, message: Message) -> Result<(), Break> {
        if self.asking.versions.len() > MAX_VERSIONS {
            return Err(Break::Failed(format!("edited more than {MAX_VERSIONS} times")));
        }
        self.asking.versions.push(Arc::new(message));
        Ok(())
    }

    /// Adds a line for the journal.
    pub(super) fn note(&mut self, text: String) {
        self.asking.note_trace(&text);
        if self.notes.len() < MAX_ACTIONS {
            self.notes.push(text);
        }
    }

    /// Records that an answer is not sent, and why.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.note(refusal.to_string());
    }

    /// Records an action that is not a filing.
    pub(super) fn did(&mut self, text: &str) {
        if self.asking.trace.is_some() {
            self.asking.push(TraceLine::Action { text: text.to_owned() });
        }
    }

    fn traced(&mut self, action: &Action) {
        if self.asking.trace.is_some() {
            self.asking.push(TraceLine::Action { text: action.to_string() });
        }
    }

    /// Ends filtering immediately, also for further values of the rule.
    pub(super) fn stop(&mut self) {
        self.ended = true;
        self.is_stopped = true;
    }

    /// Ends filtering after the current rule.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The result of the walk, whether it was complete or not.
    pub(super) fn finish(mut self, walked: Result<(), Break>) -> (Result<Decision, Deferral>, Option<Trace>) {
        self.asking.depth = 0;
        let result = match walked {
            Ok(()) => self.decision(),
            Err(Break::Defer(cause)) => {
                self.did(&format!("defer: {cause}"));
                Err(Deferral { rule: self.rule, cause })
            }
            // If an action needs a value that is missing, it fails.
            Err(Break::Failed(cause) | Break::NoAnswer(cause)) => {
                self.did(&format!("keep, because the rule failed: {cause}"));
                let mut kept = Decision::keep(format!("kept: the rule {} failed: {cause}", self.rule));
                kept.failures.push(Failure { rule: self.rule, cause });
                Ok(kept)
            }
        };
        (result, self.asking.trace)
    }

    pub(super) fn keep_if_nothing_else(&mut self) {
        if self.keeps {
            // This cannot fail: the limit on actions applies to the rules, and this action is ours.
            let flags = self.asking.flags.clone();
            let keep = Filing { place: Place::Keep, flags, version: self.asking.version() };
            if !self.actions.contains(&Action::File(keep.clone())) {
                self.traced(&Action::File(keep.clone()));
                self.actions.push(Action::File(keep));
            }
        }
    }

    fn decision(&mut self) -> Result<Decision, Deferral> {
        self.keep_if_nothing_else();
        let edited = self.asking.versions.len();
        let Inner { versions, actions } = std::mem::take(&mut self.within);
        self.asking.versions.extend(versions);
        self.actions.extend(actions.into_iter().map(|action| action.with_version(|version| edited + version)));
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
