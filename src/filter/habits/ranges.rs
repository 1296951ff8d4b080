//! Doubts about numbers and their bounds.

use super::super::comparator::Range;
use super::super::short::ComparedKind;
use super::HabitDoubt;
use crate::config::problem::Problems;
use crate::config::yaml::Span;

const NOTHING_WITHIN: &str = "nothing is within these bounds";
const EXCHANGE: &str = "exchange the two, or drop one";

/// Checks for bounds that contain nothing.
pub(in super::super) fn doubt_bounds<T: PartialOrd>(
    over: Option<T>,
    under: Option<T>,
    at: Span,
    problems: &mut Problems,
) {
    if let (Some(over), Some(under)) = (over, under)
        && over >= under
    {
        problems.warn(at, NOTHING_WITHIN).hint(EXCHANGE);
    }
}

/// Checks for bounds that contain no number.
pub(in super::super) fn doubt_number(range: &Range, at: Span, problems: &mut Problems) {
    if is_empty(range) {
        problems.warn(at, NOTHING_WITHIN).hint(EXCHANGE);
    }
}

/// Checks for bounds that contain no whole number from `first` to `last`.
pub(in super::super) fn doubt_whole_number(
    range: &Range,
    (first, last): (u16, u16),
    at: Span,
    problems: &mut Problems,
) {
    if !is_empty(range) && !(first..=last).any(|number| range.holds(f64::from(number))) {
        problems.warn(at, format!("no number from {first} to {last} is within")).hint("correct the number");
    }
}

/// Checks for bounds that a score cannot reach with its weights.
pub(in super::super) fn doubt_reach(range: &Range, (least, most): (f64, f64), at: Span, problems: &mut Problems) {
    let is_above = range.over.is_some_and(|over| most <= over) || range.at_least.is_some_and(|bound| most < bound);
    let is_below = range.under.is_some_and(|under| least >= under) || range.at_most.is_some_and(|bound| least > bound);
    if (is_above || is_below) && !is_empty(range) {
        let (what, sum) = if is_above { ("most", most) } else { ("least", least) };
        problems
            .warn(at, format!("the score is at {what} {}, so this never holds", (sum * 100.0).round() / 100.0 + 0.0))
            .hint("correct a weight or the bound");
    }
}

fn is_empty(range: &Range) -> bool {
    let lower = [range.over, range.at_least].into_iter().flatten().fold(f64::NEG_INFINITY, f64::max);
    let upper = [range.under, range.at_most].into_iter().flatten().fold(f64::INFINITY, f64::min);
    let is_open = range.over == Some(lower) || range.under == Some(upper);
    lower > upper || (is_open && lower.total_cmp(&upper).is_eq())
}

pub(super) fn of_comparison(range: Option<&Range>, about: ComparedKind<'_>) -> Option<HabitDoubt> {
    match about {
        _ if is_empty(range?) => HabitDoubt::new(NOTHING_WITHIN, EXCHANGE),
        ComparedKind::Field(name) if name.eq_ignore_ascii_case("X-Spam-Level") => HabitDoubt::new(
            "X-Spam-Level holds stars and no number",
            "write {contains: \"*****\"}, or the condition `spam`",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_leave_nothing() {
        let range = |over, under, at_least, at_most| Range { over, under, at_least, at_most };
        assert!(is_empty(&range(Some(5.0), Some(5.0), None, None)));
        assert!(is_empty(&range(Some(10.0), Some(1.0), None, None)));
        assert!(!is_empty(&range(None, None, Some(5.0), Some(5.0))));
        assert!(!is_empty(&Range::default()));
    }
}
