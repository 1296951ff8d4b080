//! What a comparison captures, and whether it always does. A group may be optional, or in only one of several branches.

use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};

/// A name that a successful comparison sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Captured {
    pub(super) name: String,
    /// Whether it has a value whenever the condition holds.
    pub(super) always: bool,
}

/// The groups of an expression, by number and by name.
pub(super) fn of_expression(regex: &Regex) -> Vec<Captured> {
    if regex.captures_len() < 2 {
        return Vec::new();
    }
    // The expression was compiled before, so parsing it succeeds.
    let certain = regex_syntax::parse(regex.as_str()).map(|hir| always(&hir)).unwrap_or_default();
    let groups = regex.capture_names().enumerate().skip(1);
    let named = groups.flat_map(|(number, name)| {
        let always = certain.iter().any(|group| usize::try_from(*group) == Ok(number));
        let names = name.map(str::to_owned).into_iter().chain([number.to_string()]);
        names.map(move |name| Captured { name, always })
    });
    named.collect()
}

/// What is captured if one of several conditions holds. Only a name that all of them always capture is always captured.
pub(super) fn of_either(branches: Vec<Vec<Captured>>) -> Vec<Captured> {
    if branches.len() < 2 {
        return branches.into_iter().flatten().collect();
    }
    let is_always = |name: &str| branches.iter().all(|branch| branch.iter().any(|one| one.always && one.name == name));
    let mut found: Vec<Captured> = Vec::new();
    for one in branches.iter().flatten() {
        if !found.iter().any(|known| known.name == one.name) {
            found.push(Captured { name: one.name.clone(), always: is_always(&one.name) });
        }
    }
    found
}

/// The numbers of the groups that are part of every match.
fn always(hir: &Hir) -> Vec<u32> {
    match hir.kind() {
        HirKind::Capture(group) => always(&group.sub).into_iter().chain([group.index]).collect(),
        HirKind::Repetition(repetition) if repetition.min > 0 => always(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().flat_map(always).collect(),
        HirKind::Alternation(branches) => {
            let mut branches = branches.iter().map(always);
            let first = branches.next().unwrap_or_default();
            branches.fold(first, |both, branch| both.into_iter().filter(|group| branch.contains(group)).collect())
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expression: &str) -> String {
        let groups = of_expression(&Regex::new(expression).unwrap());
        let shown = groups.iter().map(|group| format!("{}{}", group.name, if group.always { "" } else { "?" }));
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn groups_that_may_be_left_out_are_known() {
        assert_eq!(shown("a(?<x>b)(c)"), "x 1 2");
        assert_eq!(shown("a(?<x>b)?(?:(c)|d(e))"), "x? 1? 2? 3?");
        assert_eq!(shown("(a(b)*)+((c){2})"), "1 2? 3 4");
        assert_eq!(shown("abc"), "");
    }

    #[test]
    fn of_several_branches_only_what_all_capture_is_certain() {
        let branches = ["(?<x>a)(?<y>b)?", "(?<x>c)"];
        let found = of_either(branches.iter().map(|text| of_expression(&Regex::new(text).unwrap())).collect());
        let certain: Vec<&str> = found.iter().filter(|one| one.always).map(|one| one.name.as_str()).collect();
        assert_eq!(certain, ["x", "1"]);
        assert_eq!(found.len(), 4);
    }
}
