//! The compiled rules of an account, and the one question they answer.

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
    /// Whether an address, lower-case, is the user's own, with or without a detail (`me+shop@example.com`).
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
    /// Compiles rules in the order of their files. `Ok` comes with warnings, `Err` with errors and warnings.
    pub fn compile(sources: &[FilterSource], settings: &Settings) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Self::of(compile::compile(sources, settings, false), settings)
    }

    /// The same for an item of `maintenance`: an action that tells somebody something is an error.
    pub fn compile_silent(source: &FilterSource, settings: &Settings) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Self::of(compile::compile(std::slice::from_ref(source), settings, true), settings)
    }

    /// What is wrong with files each by itself: nothing is said of their order.
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

    /// How many rules there are, nested ones not counted; a script counts as one.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// The names of the lists in the state that the rules may ask.
    pub(super) fn database_lists(&self) -> &BTreeSet<String> {
        &self.database_lists
    }

    /// Whether every message is taken away that is not kept by a rule before.
    pub fn takes_all_away(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Rule(rule) if rule.takes_all_away()))
    }

    /// Whether there are no rules: then every message is kept.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The charsets that 8-bit text without a label is in, for whoever makes a message: see [`Message::assuming`].
    pub fn assumed(&self) -> &[Charset] {
        &self.settings.assumed
    }

    /// Decides about a message. The flags it has on the server are carried over. `Err`: not now.
    pub fn decide(&self, message: &Arc<Message>, envelope: &Envelope, facts: &dyn Facts) -> Result<Decision, Deferral> {
        self.walk(message, envelope, facts, false).0
    }

    /// The same decision with every step that led to it.
    pub fn explain(
        &self,
        message: &Arc<Message>,
        envelope: &Envelope,
        facts: &dyn Facts,
    ) -> (Result<Decision, Deferral>, Trace) {
        let (decision, trace) = self.walk(message, envelope, facts, true);
        (decision, trace.unwrap_or_default())
    }

    /// Whether an automatic answer to the message could go out, of `vacation` (`personal`) or of `reply`: to whom, or why
    /// not. For explanations.
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
