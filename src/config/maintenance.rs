//! `maintenance:`: rules for mail that is here, each for its folders and run again and again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::FilterSource;
use super::filters::FilterFiles;
use super::problem::Problems;
use super::reader::{self, Base, MapReader, Shape, TEXTS, Takes};
use super::yaml::{Document, Node, Span, Value, YamlKey};
use crate::clean;

const ACTIONS_TAKE: Takes = Takes::Some(&Takes::Either(&[
    Takes::Word(&["keep", "discard", "stop", "defer"]),
    Takes::Rules("an action"),
    Takes::Rules("a rule"),
]));

/// An item of `maintenance`: the keys of a rule, and its own.
pub(super) static SHAPE: Shape = Shape {
    what: "an item of maintenance",
    keys: &[
        ("name", "What the log and `mailsluice maintain` call it. Default: its folders.", Takes::Text),
        ("folder", "The local folders, names or patterns (`*`, `%`), a list or one alone. Required.", TEXTS),
        ("if", "The condition; without one it is for every message in them.", Takes::Rules("a condition")),
        ("do", "What to do when it holds: one action or a list; nothing that sends.", ACTIONS_TAKE),
        ("else", "What to do when it does not hold.", ACTIONS_TAKE),
        ("uses", "Instead of `do`: a shipped filter, or a file of your own.", Takes::Text),
        ("with", "The values of that filter's parameters.", Takes::Named(&Takes::Anything)),
        ("every", "The time between two runs, at least 1h. Default: 1d.", Takes::Duration),
        ("keep_newest", "So many of the newest messages in each folder are left alone.", Takes::Number),
    ],
};

/// The keys that make its rule.
const OF_RULE: [&str; 6] = ["name", "if", "do", "else", "uses", "with"];
const DEFAULT_EVERY: Duration = Duration::from_secs(24 * 3600);
const LEAST_EVERY: Duration = Duration::from_secs(3600);

/// What is done again and again with mail that is here.
#[derive(Clone, Debug)]
pub struct Maintenance {
    /// What the log calls it; unique.
    pub name: String,
    /// Names of local folders, and patterns for them ([`super::wildcard`]).
    pub folders: Vec<String>,
    /// The time between two runs.
    pub every: Duration,
    /// How many of the newest messages in each folder are left alone.
    pub keep_newest: u64,
    /// A rule file with its one rule.
    pub rule: FilterSource,
    /// Where it stands in the config.
    pub at: Span,
}

/// The section `maintenance` of the config. What is wrong in an item has been reported and does not keep its rule from
/// being checked.
pub(super) fn read(
    document: &Document,
    base: &Base,
    files: &mut FilterFiles,
    problems: &mut Problems,
) -> Vec<Maintenance> {
    let Some(node) = document.root.get("maintenance") else { return Vec::new() };
    let items = reader::list(node, "a list of items with `folder` and `do`", problems).unwrap_or_default();
    let mut names = HashSet::new();
    let mut read = Vec::new();
    for node in items {
        let Some(item) = read_one(node, document, base, files, problems) else { continue };
        if !item.folders.is_empty() && !names.insert(item.name.clone()) {
            let name = clean::short(&item.name, 60);
            let problem = problems.error(node.span, format!("two items of maintenance are called `{name}`"));
            problem.hint("give each a `name:` of its own: by it is remembered when it last ran");
        }
        read.push(item);
    }
    read
}

fn read_one(
    node: &Node,
    document: &Document,
    base: &Base,
    files: &mut FilterFiles,
    problems: &mut Problems,
) -> Option<Maintenance> {
    let mut map = MapReader::new(node, &SHAPE, problems);
    if !map.is_map() {
        return None;
    }
    let name = map.read("name", |n, p| reader::text(n, "a name", p).map(str::to_owned));
    let folders = map.need("folder", folders).unwrap_or_default();
    let every = map.read("every", every).unwrap_or(DEFAULT_EVERY);
    let keep_newest = map.read("keep_newest", |n, p| reader::number(n, 1..=u64::MAX, p)).unwrap_or(0);
    let name = name.unwrap_or_else(|| if folders.is_empty() { "maintenance".to_owned() } else { folders.join(", ") });
    let mut document = rule_of(node, &name, document);
    let rule = FilterSource::Yaml(files.finish(&mut document, &Vec::new(), base, problems));
    Some(Maintenance { name, folders, every, keep_newest, rule, at: node.span })
}

fn folders(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    let expected = "a folder, or a list of folders";
    let nodes = match &node.value {
        Value::Seq(items) if !items.is_empty() => items.as_slice(),
        Value::Scalar { .. } => std::slice::from_ref(node),
        _ => {
            reader::mismatch(node, expected, problems);
            return None;
        }
    };
    let folders: Vec<_> = nodes.iter().map(|node| folder(node, problems)).collect();
    folders.into_iter().collect()
}

fn folder(node: &Node, problems: &mut Problems) -> Option<String> {
    let template = reader::template(node, problems)?;
    if template.names().next().is_some() {
        let problem = problems.error(node.span, "a folder of maintenance has no variables: there is no message yet");
        problem.hint("write a pattern, like `lists/*`");
        return None;
    }
    Some(template.expand_folder(&|_| None).to_string())
}

fn every(node: &Node, problems: &mut Problems) -> Option<Duration> {
    let every = reader::duration(node, problems)?;
    if every < LEAST_EVERY {
        problems.error(node.span, format!("expected at least `1h`, found {}", node.found()));
        return None;
    }
    Some(every)
}

/// The rule of an item as a rule file of its own.
fn rule_of(item: &Node, name: &str, document: &Document) -> Document {
    let span = item.span;
    let key = |text: &str| YamlKey { text: text.to_owned(), span };
    let mut entries = match &item.value {
        Value::Map(entries) => entries.clone(),
        _ => Vec::new(),
    };
    entries.retain(|(key, _)| OF_RULE.contains(&key.text.as_str()));
    if !entries.iter().any(|(key, _)| key.text == "name") {
        let name = Value::Scalar { text: name.to_owned(), quoted: true };
        entries.push((key("name"), Node { value: name, span }));
    }
    let rules = Value::Seq(vec![Node { value: Value::Map(entries), span }]);
    let root = Node { value: Value::Map(vec![(key("rules"), Node { value: rules, span })]), span };
    Document { source: Arc::clone(&document.source), root }
}
