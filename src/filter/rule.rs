//! A rule: a condition, what to do when it holds, and what else.

use std::sync::Arc;
use std::time::Duration;

use super::actions::Verb;
use super::actions::programs::OnError;
use super::conditions::BoxedCondition;
use super::for_each::ForEach;
use super::lua::Script;
use crate::config::entries::Entries;
use crate::config::lists::EntriesOrigin;

/// A compiled rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// The name the user gave it, or its place, `rules.yaml:7`. A rule inside a rule may have none: the outer
    /// one's stands for it.
    pub(super) name: Option<String>,
    /// It is asked once for each of these.
    pub(super) each: Option<ForEach>,
    /// Without a condition it is true for every message.
    pub(super) condition: Option<BoxedCondition>,
    /// What it means when something in it fails.
    pub(super) on_error: OnError,
    pub(super) then: Vec<Step>,
    pub(super) otherwise: Vec<Step>,
}

/// One item of `do` or `else`.
#[derive(Debug)]
pub(super) enum Step {
    /// An action, and what was written for it.
    Do(Box<dyn Verb>),
    /// A rule inside a rule.
    Rule(Rule),
    /// An included file.
    File(Vec<Rule>),
    /// An included script.
    Script(Arc<Script>),
}

impl Rule {
    /// Whether it takes every message away that comes to it.
    pub(super) fn takes_all_away(&self) -> bool {
        self.goes_through() && self.condition.is_none() && self.then.iter().any(Step::takes_away)
    }

    /// Whether filtering ends with this rule for every message that reaches it.
    pub(super) fn always_ends(&self) -> bool {
        let ends = |steps: &[Step]| steps.iter().any(Step::always_ends);
        self.goes_through()
            && match self.condition {
                None => ends(&self.then),
                Some(_) => ends(&self.then) && ends(&self.otherwise),
            }
    }

    /// Whether it is asked once, and nothing that fails in it lets the message go on.
    fn goes_through(&self) -> bool {
        self.each.is_none() && self.on_error != OnError::Continue
    }

    /// Whether filtering ends for every message for which the condition holds.
    pub(super) fn ends_if_true(&self) -> bool {
        self.goes_through() && self.then.iter().any(Step::always_ends)
    }
}

impl Step {
    /// Whether conditions may hold after it that did not hold before.
    pub(super) fn changes(&self) -> bool {
        let changes = |rule: &Rule| rule.then.iter().chain(&rule.otherwise).any(Self::changes);
        match self {
            Self::Do(verb) => verb.changes(),
            Self::Rule(rule) => changes(rule),
            Self::File(rules) => rules.iter().any(changes),
            Self::Script(_) => true,
        }
    }

    /// Whether a message may be lost to its reader by it: discarded, rejected, or forwarded without a copy.
    pub(super) fn takes_away(&self) -> bool {
        let takes = |rule: &Rule| rule.then.iter().chain(&rule.otherwise).any(Self::takes_away);
        match self {
            Self::Do(verb) => verb.takes_away(),
            Self::Rule(rule) => takes(rule),
            Self::File(rules) => rules.iter().any(takes),
            Self::Script(_) => false,
        }
    }

    /// Whether filtering ends with it for every message that comes to it.
    pub(super) fn always_ends(&self) -> bool {
        match self {
            Self::Do(verb) => verb.ends(),
            Self::Rule(rule) => rule.always_ends(),
            Self::File(rules) => rules.iter().any(Rule::always_ends),
            Self::Script(_) => false,
        }
    }
}

/// A list that a rule names.
#[derive(Clone, Debug)]
pub(super) struct RuleList {
    pub(super) name: Arc<str>,
    pub(super) kind: RuleListKind,
}

/// Where its entries are.
#[derive(Clone, Debug)]
pub(super) enum RuleListKind {
    /// The user's own addresses: `me`.
    Me,
    Inline(Arc<Entries>),
    File(Arc<EntriesOrigin>, Arc<Entries>),
    Command(Arc<EntriesOrigin>),
    /// Each entry counts so long.
    Database(Option<Duration>),
}

impl RuleList {
    /// Whether each entry stands for a value, as far as is known.
    pub(super) fn has_values(&self) -> bool {
        match &self.kind {
            RuleListKind::Inline(entries) | RuleListKind::File(_, entries) => entries.have_values(),
            RuleListKind::Me | RuleListKind::Command(_) | RuleListKind::Database(_) => false,
        }
    }
}
