//! Warns of rules that no message can reach.

use super::compile::Placed;
use super::rule::{Rule, Step};
use crate::config::problem::{Problem, Problems};

/// A rule is dead when one above it ends filtering for every message, or for every message with the same
/// condition.
pub(super) fn warn(places: &[Placed], steps: &[Step]) -> Vec<Problem> {
    let rules: Vec<(&Placed, &Rule)> = places
        .iter()
        .filter_map(|placed| match &steps.get(placed.step)? {
            Step::Rule(rule) => Some((placed, rule)),
            _ => None,
        })
        .collect();
    let mut warnings = Vec::new();
    let mut ends_all: Option<&Rule> = None;
    for (i, (placed, rule)) in rules.iter().enumerate() {
        let mut problems = Problems::new(&placed.source);
        if let Some(end) = ends_all {
            let message = format!("no message can reach this rule: `{}` ends filtering for all", name(end));
            problems.warn(placed.span, message).hint("put it above that rule, or give that rule a condition");
        } else if let Some((_, same)) = rules[..i].iter().find(|earlier| shadows(earlier, (placed, rule), steps)) {
            let message = format!("no message can reach this rule: `{}` has the same condition and ends", name(same));
            problems.warn(placed.span, message).hint("join the two rules, or add `copy: true` to the first");
        }
        if ends_all.is_none() && rule.always_ends() {
            ends_all = Some(rule);
        }
        warnings.extend(problems.into_vec());
    }
    warnings
}

/// With nothing in between that could make the condition hold after all.
fn shadows(earlier: &(&Placed, &Rule), later: (&Placed, &Rule), steps: &[Step]) -> bool {
    let between = steps.get(earlier.0.step + 1..later.0.step).unwrap_or_default();
    let changed = earlier.1.otherwise.iter().chain(between).any(Step::changes);
    let same = match (&earlier.0.condition, &later.0.condition) {
        (Some(a), Some(b)) => a.same_as(b),
        _ => false,
    };
    same && !changed && earlier.1.ends_if_true() && later.1.otherwise.is_empty()
}

fn name(rule: &Rule) -> &str {
    rule.name.as_deref().unwrap_or("a rule above")
}
