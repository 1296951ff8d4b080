//! `add_to_list` and `remove_from_list`: database lists that rules keep. Written when the message is delivered.

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::rule::{List, ListKind};
use super::super::run::Run;
use super::{Boxed, Verb, Word};
use crate::config::reader::{MapReader, Shape, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};
use crate::decision::Write;

pub(super) static KEYS: Shape = Shape {
    what: "a list entry",
    keys: &[
        ("list", "A list with `database: true`.", Takes::Text),
        ("entry", "The entry. Default: `${from.addr}`.", Takes::Text),
    ],
};

const TAKES: Takes = Takes::Either(&[Takes::Text, Takes::Section(&KEYS)]);

pub(super) const ADD_TO_LIST: Word = Word::new(
    (
        "add_to_list",
        "Put an entry into a database list: its name, for the sender, or {list: muted, entry: \"${message_id}\"}.",
        TAKES,
    ),
    |node, compiler| read(node, compiler, true),
);

pub(super) const REMOVE_FROM_LIST: Word = Word::new(
    (
        "remove_from_list",
        "Take an entry out of a database list: its name, for the sender, or {list: muted, entry: \"${message_id}\"}.",
        TAKES,
    ),
    |node, compiler| read(node, compiler, false),
);

#[derive(Debug)]
struct Entry {
    list: List,
    entry: Text,
    add: bool,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>, add: bool) -> Option<Boxed> {
    let (list_node, entry) = match &node.value {
        Value::Scalar { .. } => (node, None),
        _ => {
            let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
            (map.require("list")?, map.take("entry"))
        }
    };
    let list = compiler.list(list_node);
    let entry = match entry {
        Some(node) => compiler.text(node, "an entry"),
        None => Text::parse("${from.addr}").ok(),
    };
    let list = list?;
    if !matches!(list.kind, ListKind::Database) {
        let problem =
            compiler.problems.error(list_node.span, format!("the list `{}` cannot be changed by rules", list.name));
        problem.hint(format!("define it as `{}: {{database: true}}`", list.name));
        return None;
    }
    Some(Box::new(Entry { list, entry: entry?, add }))
}

impl Verb for Entry {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let entry = run.asking.expand(&self.entry);
        change(run, &self.list.name, &entry, self.add)
    }

    fn changes(&self) -> bool {
        true
    }
}

/// The longest entry, in bytes.
const LONGEST: usize = 1000;

/// Notes the change of a database list; an empty entry is none.
pub(in super::super) fn change(run: &mut Run<'_>, list: &str, entry: &str, add: bool) -> Result<(), Break> {
    let mut entry = entry.trim().to_lowercase();
    entry.truncate(entry.floor_char_boundary(LONGEST));
    if entry.is_empty() {
        return Ok(());
    }
    run.did(&format!("{} {list}: {entry}", if add { "add_to_list" } else { "remove_from_list" }));
    let list = list.to_owned();
    run.asking.write(if add { Write::List { list, entry } } else { Write::Unlist { list, entry } })
}
