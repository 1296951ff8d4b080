//! Warns of rules that no message can reach.

use super::yaml::Placed;
use crate::config::problem::{Problem, Problems};

/// A rule is dead when one above it ends filtering for every message, or for every message with the same
/// condition.
pub(super) fn warn(rules: &[Placed]) -> Vec<Problem> {
    let mut warnings = Vec::new();
    let mut ends_all: Option<&Placed> = None;
    for (i, placed) in rules.iter().enumerate() {
        let mut problems = Problems::new(&placed.source);
        if let Some(end) = ends_all {
            let message = format!("no message can reach this rule: `{}` ends filtering for all", name(end));
            problems.warn(placed.span, message).hint("put it above that rule, or give that rule a condition");
        } else if let Some(same) = rules[..i].iter().find(|earlier| shadows(earlier, placed)) {
            let message = format!("no message can reach this rule: `{}` has the same condition and ends", name(same));
            problems.warn(placed.span, message).hint("join the two rules, or add `copy: true` to the first");
        }
        if ends_all.is_none() && placed.rule.always_ends() {
            ends_all = Some(placed);
        }
        warnings.extend(problems.into_vec());
    }
    warnings
}

fn shadows(earlier: &Placed, later: &Placed) -> bool {
    let same = match (&earlier.condition, &later.condition) {
        (Some(a), Some(b)) => a.same_as(b),
        _ => false,
    };
    same && earlier.rule.ends_if_true() && later.rule.otherwise.is_empty()
}

fn name(placed: &Placed) -> &str {
    placed.rule.name.as_deref().unwrap_or("a rule above")
}
