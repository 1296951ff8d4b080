//! The compiled rules of an account, and how they decide about a message.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::asking::Asking;
use super::compile::{self, Compiled};
use super::facts::Facts;
use super::guard::{self, Refusal};
use super::reachable;
use super::rule::Step;
use super::run::Run;
use super::trace::Trace;
use crate::charsets::Charset;
use crate::config::problem::{Problem, Severity};
use crate::config::{FilterSource, Settings};
use crate::decision::{Decision, Deferral};
use crate::message::{Address, Envelope, Message};

/// The compiled rules of one account.
#[derive(Debug, Default)]
pub struct Engine {
    steps: Vec<Step>,
    database_lists: BTreeSet<String>,
    settings: Settings,
}

impl Settings {
    /// Whether a lower-case address belongs to the user, with or without a detail (`me+shop@example.com`).
    pub(super) fn is_me(&self, address: &str) -> bool {
        if self.me.iter().any(|me| me == address) {
            return true;
        }
        let address = Address { name: None, address: address.to_owned() };
        let plain = format!("{}@{}", address.user(&self.delimiters), address.domain());
        self.me.contains(&plain)
    }
}

impl Engine {
    /// Compiles rules in the order of their files. `Ok` holds warnings, `Err` holds errors and warnings.
    pub fn compile(sources: &[FilterSource], settings: &Settings) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Self::of(compile::compile(sources, settings, false), settings)
    }

    /// Compiles the filter of a `maintenance` item, in which an action that sends something is an error.
    pub fn compile_silent(source: &FilterSource, settings: &Settings) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Self::of(compile::compile(std::slice::from_ref(source), settings, true), settings)
    }

    /// The problems of each file on its own, without regard to their order.
    pub fn examine(sources: &[FilterSource], settings: &Settings) -> Vec<Problem> {
        compile::compile(sources, settings, false).problems
    }

    fn of(compiled: Compiled, settings: &Settings) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let Compiled { steps, placed, database_lists, mut problems } = compiled;
        if problems.iter().any(|p| p.severity == Severity::Error) {
            return Err(problems);
        }
        problems.extend(reachable::warn(&placed, &steps));
        Ok((Self { steps, database_lists, settings: settings.clone() }, problems))
    }

    /// The number of rules without nested ones. A script counts as one.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// The names of the database lists that the rules use.
    pub(super) fn database_lists(&self) -> &BTreeSet<String> {
        &self.database_lists
    }

    /// Whether every message that no earlier rule keeps is removed from the reader's folders.
    pub fn takes_all_away(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Rule(rule) if rule.takes_all_away()))
    }

    /// Whether there are no rules. Every message is kept then.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The charsets that the user assumes for 8-bit text without a label; see [`Message::assuming`].
    pub fn assumed(&self) -> &[Charset] {
        &self.settings.assumed
    }

    /// Decides about a message. Keeps the flags that it has on the server. `Err` means that it must be decided again
    /// later.
    pub fn decide(&self, message: &Arc<Message>, envelope: &Envelope, facts: &dyn Facts) -> Result<Decision, Deferral> {
        self.walk(message, envelope, facts, false).0
    }

    /// Like [`Self::decide`], and also returns the steps of the decision.
    pub fn explain(
        &self,
        message: &Arc<Message>,
        envelope: &Envelope,
        facts: &dyn Facts,
    ) -> (Result<Decision, Deferral>, Trace) {
        let (decision, trace) = self.walk(message, envelope, facts, true);
        (decision, trace.unwrap_or_default())
    }

    /// The address to which an automatic answer would be sent, by `vacation` (`personal`) or by `reply`, or why none
    /// would be. For explanations.
    pub fn would_answer(
        &self,
        message: &Arc<Message>,
        envelope: &Envelope,
        facts: &dyn Facts,
        personal: bool,
    ) -> Result<String, Refusal> {
        let mut run = Run::new(Asking::new(&self.settings, message, envelope, facts, false), &self.steps);
        guard::would_answer(&mut run, personal)
            .unwrap_or_else(|_| Err(Refusal { row: "state", why: "the state could not be read".into() }))
    }

    fn walk(
        &self,
        message: &Arc<Message>,
        envelope: &Envelope,
        facts: &dyn Facts,
        traced: bool,
    ) -> (Result<Decision, Deferral>, Option<Trace>) {
        let mut run = Run::new(Asking::new(&self.settings, message, envelope, facts, traced), &self.steps);
        let walked = run.walk();
        run.finish(walked)
    }
}
