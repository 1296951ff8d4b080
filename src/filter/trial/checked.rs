//! Reports settings of a test that have no effect.

use super::super::engine::Engine;
use crate::config::problem::Problems;
use crate::config::yaml::{Node, Value};

/// Reports lists that the rules do not use, or that are not in the database.
pub(super) fn check_lists(test: &Node, engine: &Engine, problems: &mut Problems) {
    let Some(Value::Map(lists)) = test.get("lists").map(|node| &node.value) else { return };
    let known = engine.database_lists();
    for (key, _) in lists.iter().filter(|(key, _)| !known.contains(&key.text)) {
        let text = format!("the rules know no database list `{}`", crate::clean::short(&key.text, 40));
        let problem = problems.error(key.span, text);
        match known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => problem
                .hint("a list with `database: true` is filled here; others have their entries where they are defined"),
            names => problem.hint(format!("they know {names}; other lists have their entries where they are defined")),
        };
    }
}

/// Reports settings that apply only to the tests of rule files. The rules of a config use the settings of the config.
pub(super) fn only_of_files(test: &Node, problems: &mut Problems) {
    for (key, at) in [("me", test.get("me")), ("trust", test.get("trust"))] {
        if let Some(node) = at {
            let problem = problems.error(node.span, format!("`{key}` is for the tests of a rule file"));
            problem.hint(format!("here the `{key}` of the config counts"));
        }
    }
}
