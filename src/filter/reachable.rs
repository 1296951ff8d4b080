//! Warns about rules that no message can reach.

use std::collections::HashMap;

use super::compile::Placed;
use super::rule::{Rule, Step};
use crate::config::problem::{Problem, Problems};
use crate::config::yaml::Node;

/// Warns about dead rules. A rule is dead if an earlier one ends filtering for every message, or for every message with
/// the same condition. Each step and each condition is read only once, because there may be ten thousand.
pub(super) fn warn(places: &[Placed], steps: &[Step]) -> Vec<Problem> {
    let mut warnings = Vec::new();
    let mut ends_all: Option<&Rule> = None;
    let mut ended = EndedRules::default();
    let mut places = places.iter().peekable();
    for (number, step) in steps.iter().enumerate() {
        let placed = places.next_if(|placed| placed.step == number);
        let (Step::Rule(rule), Some(placed)) = (step, placed) else {
            ended.pass(step);
            continue;
        };
        let mut problems = Problems::new(&placed.source);
        if let Some(end) = ends_all {
            let message = format!("no message can reach this rule: `{}` ends filtering for all", name(end));
            problems.warn(placed.span, message).hint("put it above that rule, or give that rule a condition");
        } else if let Some(same) = ended.for_condition(placed, rule) {
            let message = format!("no message can reach this rule: `{}` has the same condition and ends", name(same));
            problems.warn(placed.span, message).hint("join the two rules, or add `copy: true` to the first");
        }
        if ends_all.is_none() && rule.always_ends() {
            ends_all = Some(rule);
        }
        ended.pass(step);
        ended.add(placed, rule);
        warnings.extend(problems.into_vec());
    }
    warnings
}

/// Rules that end filtering if their condition holds, by the hash of the condition. A rule is removed when a later step
/// may make its condition true.
#[derive(Default)]
struct EndedRules<'r>(HashMap<u64, Vec<(&'r Node, &'r Rule)>>);

impl<'r> EndedRules<'r> {
    /// The earlier rule with the same condition.
    fn for_condition(&self, placed: &Placed, rule: &Rule) -> Option<&'r Rule> {
        let condition = placed.condition.as_ref().filter(|_| rule.otherwise.is_empty())?;
        let known = self.0.get(&condition.hash_of_same())?;
        known.iter().find(|(other, _)| other.same_as(condition)).map(|(_, rule)| *rule)
    }

    /// Passes a step. If the step changes something, any condition may hold after it.
    fn pass(&mut self, step: &Step) {
        if step.changes() {
            self.0.clear();
        }
    }

    fn add(&mut self, placed: &'r Placed, rule: &'r Rule) {
        let Some(condition) = placed.condition.as_ref().filter(|_| rule.ends_if_true()) else { return };
        if rule.otherwise.iter().any(Step::changes) {
            return;
        }
        let known = self.0.entry(condition.hash_of_same()).or_default();
        if !known.iter().any(|(other, _)| other.same_as(condition)) {
            known.push((condition, rule));
        }
    }
}

fn name(rule: &Rule) -> &str {
    rule.name.as_deref().unwrap_or("a rule above")
}
