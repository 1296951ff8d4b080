//! `addheader`, `setheader`, `deleteheader`: a new version of the message with other header fields (RFC 5293).

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::run::Run;
use super::{Boxed, Verb, Word};
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};
use crate::message::{Edit, is_field_name, is_protected};

pub(super) static ADDED: Shape = Shape {
    what: "a field to add",
    keys: &[
        ("value", "The value; `${name}` puts in what a condition captured.", Takes::Text),
        ("last", "`true`: below the other fields instead of above them.", Takes::Flag),
    ],
};

pub(super) static DELETED: Shape = Shape {
    what: "a field to delete",
    keys: &[("name", "The field's name.", Takes::Text), ("contains", "Only where the value holds this.", Takes::Text)],
};

const NAMED: Takes = Takes::Named(&Takes::Either(&[Takes::Text, Takes::Section(&ADDED)]));

pub(super) const ADDHEADER: Word =
    Word::new(("addheader", "Add header fields: {X-Label: finance}.", NAMED), |node, compiler| {
        named(node, compiler, false)
    });

pub(super) const SETHEADER: Word = Word::new(
    (
        "setheader",
        "Set header fields: the first of that name gets the value, the others go: {Subject: \"[${list}] ${subject}\"}.",
        NAMED,
    ),
    |node, compiler| named(node, compiler, true),
);

const DELETEHEADER_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&DELETED)]);
pub(super) const DELETEHEADER: Word = Word::new(
    (
        "deleteheader",
        "Delete header fields: a name, a list of names, or {name:, contains:}. Received and Auto-Submitted stay.",
        DELETEHEADER_TAKES,
    ),
    deleted,
);

#[derive(Debug)]
enum Change {
    Add { name: String, value: Text, last: bool },
    Set { name: String, value: Text },
    Delete { name: String, contains: Option<Text> },
}

#[derive(Debug)]
struct EditHeader(Vec<Change>);

fn named(node: &Node, compiler: &mut Compiler<'_, '_>, set: bool) -> Option<Boxed> {
    let entries = match &node.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        _ => {
            let problem = reader::mismatch(node, "header fields with values (a mapping)", &mut compiler.problems);
            problem.hint("for example {X-Label: finance}");
            return None;
        }
    };
    let mut changes = Vec::new();
    for (key, node) in entries {
        let name = field_name(&key.text, key.span, set, compiler);
        let (value, last) = value(node, compiler)?;
        let name = name?;
        changes.push(match set {
            true => Change::Set { name, value },
            false => Change::Add { name, value, last },
        });
    }
    Some(Box::new(EditHeader(changes)))
}

fn value(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<(Text, bool)> {
    if !matches!(node.value, Value::Map(_)) {
        return compiler.text(node, "a value").map(|value| (value, false));
    }
    let mut map = MapReader::new(node, &ADDED, &mut compiler.problems);
    let last = map.read("last", reader::flag).unwrap_or(false);
    let value = map.require("value");
    value.and_then(|node| compiler.text(node, "a value")).map(|value| (value, last))
}

fn field_name(
    name: &str,
    at: crate::config::yaml::Span,
    changes: bool,
    compiler: &mut Compiler<'_, '_>,
) -> Option<String> {
    let shown = crate::clean::short(name, 60);
    if !is_field_name(name) {
        compiler.problems.error(at, format!("`{shown}` is no header field name"));
        return None;
    }
    if changes && is_protected(name) {
        let problem = compiler.problems.error(at, format!("`{shown}` cannot be changed"));
        problem.hint("loops are found by it (RFC 5293 section 6)");
        return None;
    }
    Some(name.to_owned())
}

fn deleted(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    if matches!(node.value, Value::Map(_)) {
        let map = MapReader::new(node, &DELETED, &mut compiler.problems);
        let contains = map.take("contains");
        let mut map = map;
        let name = map.require("name")?;
        let text = reader::text(name, "the name of a header field", &mut compiler.problems)?;
        let name = field_name(text, name.span, true, compiler)?;
        let contains = match contains {
            Some(node) => Some(compiler.text(node, "a text")?),
            None => None,
        };
        return Some(Box::new(EditHeader(vec![Change::Delete { name, contains }])));
    }
    let names = reader::texts(node, "the name of a header field, or a list of names", &mut compiler.problems)?;
    let names: Option<Vec<_>> = names.iter().map(|name| field_name(name, node.span, true, compiler)).collect();
    Some(Box::new(EditHeader(names?.into_iter().map(|name| Change::Delete { name, contains: None }).collect())))
}

impl Verb for EditHeader {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let asking = &run.asking;
        let edits: Vec<Edit> = self
            .0
            .iter()
            .map(|change| match change {
                Change::Add { name, value, last } => {
                    Edit::Add { name: name.clone(), value: asking.expand(value), last: *last }
                }
                Change::Set { name, value } => Edit::Set { name: name.clone(), value: asking.expand(value) },
                Change::Delete { name, contains } => Edit::Delete {
                    name: name.clone(),
                    value_contains: contains.as_ref().map(|text| asking.expand(text)),
                },
            })
            .collect();
        edits.iter().for_each(|edit| run.did(&in_words(edit)));
        run.edit(&edits)
    }
}

fn in_words(edit: &Edit) -> String {
    match edit {
        Edit::Add { name, value, .. } => format!("addheader {name}: {value}"),
        Edit::Set { name, value } => format!("setheader {name}: {value}"),
        Edit::Delete { name, .. } => format!("deleteheader {name}"),
    }
}
