//! Walks the rules for one message.

use std::sync::Arc;

use super::action::Verb;
use super::facts::Facts;
use super::names::Captures;
use super::reachable;
use super::rule::{Rule, Step};
use super::yaml;
use crate::config::FilterSource;
use crate::config::problem::{Problem, Severity};
use crate::decision::{Action, Decision, Deferral, Filing, Place};
use crate::message::{Envelope, Flags, Message, Origin};

/// The compiled rules of one account.
#[derive(Debug, Default)]
pub struct Engine {
    rules: Vec<Rule>,
}

/// What is being decided about.
#[derive(Debug)]
pub(super) struct Subject<'m> {
    pub(super) message: &'m Message,
    origin: &'m Origin,
}

impl Subject<'_> {
    pub(super) fn account(&self) -> &str {
        &self.origin.account
    }

    pub(super) fn folder(&self) -> &str {
        &self.origin.folder
    }
}

impl Engine {
    /// Compiles rules in the order of their files. `Ok` comes with warnings, `Err` with errors and warnings.
    pub fn compile(sources: &[FilterSource]) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut rules = Vec::new();
        let mut problems = Vec::new();
        for FilterSource::Yaml(document) in sources {
            rules.extend(yaml::compile(document, &mut problems));
        }
        if problems.iter().any(|p| p.severity == Severity::Error) {
            return Err(problems);
        }
        problems.extend(reachable::warn(&rules));
        Ok((Self { rules: rules.into_iter().map(|placed| placed.rule).collect() }, problems))
    }

    /// How many rules there are, nested ones not counted.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are no rules: then every message is kept.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Decides about a message. The flags it has on the server are carried over. `Err`: not now.
    pub fn decide(
        &self,
        message: &Arc<Message>,
        envelope: &Envelope,
        _facts: &dyn Facts,
    ) -> Result<Decision, Deferral> {
        let mut run = Run {
            subject: Subject { message, origin: &envelope.key.origin },
            captures: Captures::default(),
            flags: envelope.flags.clone().carried_over(),
            filings: Vec::new(),
            rules: Vec::new(),
            why: Vec::new(),
            keeps: true,
            discards: false,
            ended: false,
        };
        for rule in &self.rules {
            run.captures.clear();
            run.rule(rule);
            if run.ended {
                break;
            }
        }
        Ok(run.decision())
    }
}

/// The state of one walk.
struct Run<'m> {
    subject: Subject<'m>,
    captures: Captures,
    flags: Flags,
    filings: Vec<Filing>,
    rules: Vec<String>,
    why: Vec<String>,
    /// Whether the message is kept when the rules are through: until something files or discards it.
    keeps: bool,
    discards: bool,
    ended: bool,
}

impl Run<'_> {
    fn rule(&mut self, rule: &Rule) {
        let first_filing = self.filings.len();
        let flags_before = self.flags.clone();
        let holds = match &rule.test {
            None => true,
            Some(test) => test.holds(&self.subject, &mut self.captures, &mut self.why),
        };
        let steps = if holds { &rule.then } else { &rule.otherwise };
        if !steps.is_empty() {
            self.rules.extend(rule.name.clone());
        }
        for step in steps {
            match step {
                Step::Do(verb) => self.verb(verb),
                Step::Rule(nested) => self.rule(nested),
            }
            if matches!(step, Step::Do(Verb::Stop)) || (self.ended && matches!(step, Step::Rule(_))) {
                self.ended = true;
                break;
            }
        }
        self.ended |= steps.iter().any(|step| matches!(step, Step::Do(verb) if verb.ends()));
        // A flag counts for every filing of its rule, wherever in the list it stands.
        if self.flags != flags_before {
            for filing in &mut self.filings[first_filing..] {
                filing.flags.extend(&self.flags);
            }
        }
    }

    fn verb(&mut self, verb: &Verb) {
        match verb {
            Verb::FileInto { folders, flags, copy } => {
                for template in folders {
                    let folder = template.expand_folder(&|name| self.captures.look_up(name, &self.subject));
                    self.file(Place::Folder(folder), flags);
                }
                self.keeps &= copy;
            }
            Verb::Keep { flags } => {
                self.file(Place::Keep, flags);
                self.keeps = false;
            }
            Verb::Discard => {
                self.discards = true;
                self.keeps = false;
            }
            Verb::AddFlag(flags) => self.flags.extend(flags),
            Verb::Stop => {}
        }
    }

    /// Several filings into one folder are one.
    fn file(&mut self, place: Place, flags: &Flags) {
        let mut flags = flags.clone();
        flags.extend(&self.flags);
        match self.filings.iter_mut().find(|filing| filing.place == place) {
            Some(filing) => filing.flags.extend(&flags),
            None => self.filings.push(Filing { place, flags, version: 0 }),
        }
    }

    fn decision(mut self) -> Decision {
        if self.keeps {
            self.file(Place::Keep, &Flags::default());
        }
        let mut actions: Vec<Action> = self.filings.into_iter().map(Action::File).collect();
        if self.discards && actions.is_empty() {
            actions.push(Action::Discard);
        }
        Decision { actions, rules: self.rules, why: self.why, ..Decision::default() }
    }
}
