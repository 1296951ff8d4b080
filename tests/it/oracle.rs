//! The rules against Dovecot's Pigeonhole: 22 rules over 2,545 real messages, in YAML and in Lua.
//!
//! What Pigeonhole says lies beside the checkout with the corpus; where we differ from it, and why, stands in
//! `tests/oracle/differences.tsv`, one line each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mailsluice::filter::Engine;

use crate::engine::{beside, corpus, decided, folders, lua, name_of, yaml};

/// Message and rule.
type Pair = (String, String);

#[test]
fn the_rules_decide_as_pigeonhole_but_for_the_listed_differences() {
    let Some(paths) = corpus() else { return };
    let yaml = yaml(&std::fs::read_to_string("tests/oracle/rules.yaml").unwrap());
    let lua = lua(&std::fs::read_to_string("tests/oracle/rules.lua").unwrap());
    let expected = oracle();
    let mut found = BTreeMap::new();
    for path in &paths {
        let name = name_of(path);
        let ours = matching(&yaml, path);
        assert_eq!(ours, matching(&lua, path), "YAML and Lua differ in {name}");
        let theirs = &expected[&name];
        found.extend(ours.difference(theirs).map(|rule| ((name.clone(), rule.clone()), "yes")));
        found.extend(theirs.difference(&ours).map(|rule| ((name.clone(), rule.clone()), "no")));
    }
    let listed = listed();
    let as_text = |found: &BTreeMap<Pair, &str>| -> String {
        found.iter().map(|((file, rule), ours)| format!("{file}\t{rule}\t{ours}\n")).collect()
    };
    assert_eq!(
        as_text(&found),
        as_text(&listed.iter().map(|(pair, (ours, _))| (pair.clone(), ours.as_str())).collect())
    );
    assert!(listed.values().all(|(_, reason)| reason.len() > 20), "a difference without a reason");
}

fn matching(engine: &Engine, path: &Path) -> BTreeSet<String> {
    let decision = decided(engine, std::fs::read(path).unwrap());
    assert!(decision.failures.is_empty(), "{}: {:?}", path.display(), decision.failures);
    folders(&decision).into_iter().collect()
}

fn oracle() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(beside("corpus/oracle-filter.tsv")).unwrap();
    let row = |line: &str| {
        let (file, rules) = line.split_once('\t').unwrap();
        (file.to_owned(), rules.split(',').filter(|rule| rule.starts_with('r')).map(str::to_owned).collect())
    };
    text.lines().skip(1).map(row).collect()
}

/// File, rule, whether the rule holds for us, and why.
fn listed() -> BTreeMap<Pair, (String, String)> {
    let text = std::fs::read_to_string("tests/oracle/differences.tsv").unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        ((cells[0].to_owned(), cells[1].to_owned()), (cells[2].to_owned(), cells[3].to_owned()))
    };
    text.lines().skip(1).map(row).collect()
}
