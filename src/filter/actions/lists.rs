//! `add_to_list` and `remove_from_list`: database lists that rules keep. Written when the message is delivered.

use std::time::Duration;

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::super::rule::{RuleList, RuleListKind};
use super::super::run::Run;
use super::super::valued::NamedList;
use super::{ActionWord, BoxedAction, Verb};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};
use crate::decision::Write;

pub(super) static KEYS: Shape = Shape {
    what: "a list entry",
    keys: &[
        ("list", "A list with `database: true`.", Takes::Text),
        ("entry", "The entry. Default: `${from.addr}`.", Takes::Text),
        ("value", "Of an entry that is added: what stands beside it, for `${list.value}`.", Takes::Text),
        (
            "keep_for",
            "Of an entry that is added: how long it counts. Default: what the list says, else for ever.",
            Takes::Duration,
        ),
    ],
};

const LIST_TAKES: Takes = Takes::Either(&[Takes::Text, Takes::Section(&KEYS)]);

pub(super) const ADD_TO_LIST: ActionWord = ActionWord::new(
    (
        "add_to_list",
        "Put an entry into a database list: its name, for the sender, or {list: muted, entry: \"${message_id}\", keep_for: 30d}.",
        LIST_TAKES,
    ),
    |node, compiler| read(node, compiler, true),
);

pub(super) const REMOVE_FROM_LIST: ActionWord = ActionWord::new(
    (
        "remove_from_list",
        "Take an entry out of a database list: its name, for the sender, or {list: muted, entry: \"${message_id}\"}.",
        LIST_TAKES,
    ),
    |node, compiler| read(node, compiler, false),
);

#[derive(Debug)]
struct ListChange {
    list: NamedEntry,
    entry: Text,
    add: bool,
    value: Option<Text>,
    keep_for: Option<Duration>,
}

#[derive(Debug)]
enum NamedEntry {
    Known(RuleList),
    Valued(NamedList),
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>, add: bool) -> Option<BoxedAction> {
    let (list_node, entry, value, keep_for) = match &node.value {
        Value::Scalar { .. } => (node, None, None, None),
        _ => {
            let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
            let keep_for = map.read("keep_for", reader::duration);
            for key in ["value", "keep_for"] {
                if let (Some(at), false) = (map.key_span(key), add) {
                    map.problems().error(at, format!("`{key}` is for entries that are added")).hint("leave it out");
                }
            }
            (map.require("list")?, map.take("entry"), map.take("value"), keep_for)
        }
    };
    let list = named(list_node, compiler);
    let entry = match entry {
        Some(node) => compiler.text(node, "an entry"),
        None => Text::parse("${from.addr}").ok(),
    };
    let value = match value {
        Some(node) => Some(compiler.text(node, "a value")?),
        None => None,
    };
    Some(Box::new(ListChange { list: list?, entry: entry?, add, value, keep_for }))
}

fn named(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<NamedEntry> {
    if let Some(name) = compiler.valued_name(node) {
        let lists = compiler.shared.lists.clone().into_owned();
        return Some(NamedEntry::Valued(NamedList { name: name?, lists }));
    }
    let list = compiler.list(node)?;
    if !matches!(list.kind, RuleListKind::Database(_)) {
        let problem =
            compiler.problems.error(node.span, format!("the list `{}` cannot be changed by rules", list.name));
        problem.hint(format!("define it as `{}: {{database: true}}`", list.name));
        return None;
    }
    Some(NamedEntry::Known(list))
}

impl NamedEntry {
    fn list(&self, asking: &Asking<'_>) -> Result<RuleList, Break> {
        match self {
            Self::Known(list) => Ok(list.clone()),
            Self::Valued(named) => named.list(asking),
        }
    }
}

impl Verb for ListChange {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let list = self.list.list(&run.asking)?;
        let RuleListKind::Database(keep_for) = list.kind else {
            return Err(Break::Failed(format!("the list {} cannot be changed by rules", list.name)));
        };
        let entry = run.asking.expand(&self.entry);
        let value = self.value.as_ref().map(|value| run.asking.expand(value));
        let keep_for = self.keep_for.or(keep_for);
        change(run, &list.name, &entry, self.add.then_some((value, keep_for)))
    }

    fn changes(&self) -> bool {
        true
    }
}

/// The longest entry and the longest value, in bytes.
const MAX_ENTRY_BYTES: usize = 1000;

/// Records the change of a database list. Ignores an empty entry.
fn change(
    run: &mut Run<'_>,
    list: &str,
    entry: &str,
    added: Option<(Option<String>, Option<Duration>)>,
) -> Result<(), Break> {
    let mut entry = entry.trim().to_lowercase();
    entry.truncate(entry.floor_char_boundary(MAX_ENTRY_BYTES));
    if entry.is_empty() {
        return Ok(());
    }
    run.did(&format!("{} {list}: {entry}", if added.is_some() { "add_to_list" } else { "remove_from_list" }));
    let list = list.to_owned();
    let Some((value, keep_for)) = added else { return run.asking.write(Write::Unlist { list, entry }) };
    let value = value.map(|mut value| {
        value.truncate(value.floor_char_boundary(MAX_ENTRY_BYTES));
        value
    });
    let now = run.asking.now().timestamp();
    let until = keep_for.map(|keep_for| now.checked_add(keep_for).unwrap_or(jiff::Timestamp::MAX));
    run.asking.write(Write::List { list, entry, value, until })
}
