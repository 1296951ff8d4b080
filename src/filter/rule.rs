//! A rule: a condition, the steps if it holds, and the steps otherwise.

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
    /// The name that the user gave it, or its position, `rules.yaml:7`. A nested rule may have no name; it uses that of
    /// the outer rule.
    pub(super) name: Option<String>,
    /// The values for each of which the rule is applied.
    pub(super) each: Option<ForEach>,
    /// The condition. Without one, the rule applies to every message.
    pub(super) condition: Option<BoxedCondition>,
    /// What happens when something in it fails.
    pub(super) on_error: OnError,
    pub(super) then: Vec<Step>,
    pub(super) otherwise: Vec<Step>,
}

/// One item of `do` or `else`.
#[derive(Debug)]
pub(super) enum Step {
    /// An action.
    Do(Box<dyn Verb>),
    /// A nested rule.
    Rule(Rule),
    /// An included file.
    File(Vec<Rule>),
    /// An included script.
    Script(Arc<Script>),
}

impl Rule {
    /// Whether it removes every message that reaches it from the reader's folders.
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

    /// Whether it is applied only once, and a failure in it does not let the message continue.
    fn goes_through(&self) -> bool {
        self.each.is_none() && self.on_error != OnError::Continue
    }

    /// Whether filtering ends for every message for which the condition holds.
    pub(super) fn ends_if_true(&self) -> bool {
        self.goes_through() && self.then.iter().any(Step::always_ends)
    }
}

impl Step {
    /// Whether conditions that were false may be true after it.
    pub(super) fn changes(&self) -> bool {
        let changes = |rule: &Rule| rule.then.iter().chain(&rule.otherwise).any(Self::changes);
        match self {
            Self::Do(verb) => verb.changes(),
            Self::Rule(rule) => changes(rule),
            Self::File(rules) => rules.iter().any(changes),
            Self::Script(_) => true,
        }
    }

    /// Whether it may hide a message from its reader, because it is discarded, rejected, or forwarded without a copy.
    pub(super) fn takes_away(&self) -> bool {
        let takes = |rule: &Rule| rule.then.iter().chain(&rule.otherwise).any(Self::takes_away);
        match self {
            Self::Do(verb) => verb.takes_away(),
            Self::Rule(rule) => takes(rule),
            Self::File(rules) => rules.iter().any(takes),
            Self::Script(_) => false,
        }
    }

    /// Whether filtering ends with it for every message that reaches it.
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

/// Where the entries of a list come from.
#[derive(Clone, Debug)]
pub(super) enum RuleListKind {
    /// The user's own addresses: `me`.
    Me,
    Inline(Arc<Entries>),
    File(Arc<EntriesOrigin>, Arc<Entries>),
    Command(Arc<EntriesOrigin>),
    /// A database list, with the time for which an entry is valid.
    Database(Option<Duration>),
}

impl RuleList {
    /// Whether its entries have values, as far as is known.
    pub(super) fn has_values(&self) -> bool {
        match &self.kind {
            RuleListKind::Inline(entries) | RuleListKind::File(_, entries) => entries.have_values(),
            RuleListKind::Me | RuleListKind::Command(_) | RuleListKind::Database(_) => false,
        }
    }
}
