//! A rule: a test, what to do when it is true, and what else.

use super::action::Verb;
use super::test::Test;

/// A compiled rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// The name the user gave it, or its place, `rules.yaml:7`. A rule inside a rule may have none: the outer
    /// one's stands for it.
    pub(super) name: Option<String>,
    /// Without a test it is true for every message.
    pub(super) test: Option<Test>,
    pub(super) then: Vec<Step>,
    pub(super) otherwise: Vec<Step>,
}

/// One item of `do` or `else`.
#[derive(Debug)]
pub(super) enum Step {
    Do(Verb),
    Rule(Rule),
}

impl Rule {
    /// Whether filtering ends with this rule for every message that reaches it.
    pub(super) fn always_ends(&self) -> bool {
        let ends = |steps: &[Step]| steps.iter().any(Step::always_ends);
        match self.test {
            None => ends(&self.then),
            Some(_) => ends(&self.then) && ends(&self.otherwise),
        }
    }

    /// Whether filtering ends for every message for which the test is true.
    pub(super) fn ends_if_true(&self) -> bool {
        self.then.iter().any(Step::always_ends)
    }
}

impl Step {
    fn always_ends(&self) -> bool {
        match self {
            Self::Do(verb) => verb.ends(),
            Self::Rule(rule) => rule.always_ends(),
        }
    }
}
