//! `addheader`, `setheader`, `deleteheader`: a new version of the message with other header fields (RFC 5293).

use super::super::asking::{Asking, Break};
use super::super::comparison;
use super::super::compile::Compiler;
use super::super::conditions::is_text_field;
use super::super::names;
use super::super::run::Run;
use super::super::valued::holds;
use super::{ActionWord, BoxedAction, Verb};
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Span, Value};
use crate::message::{Edit, Message, is_field_name, is_protected};

pub(super) static ADDED: Shape = Shape {
    what: "a field to add",
    keys: &[
        ("value", "The value; `${name}` puts in what a condition captured.", Takes::Text),
        ("last", "`true`: below the other fields instead of above them.", Takes::Flag),
    ],
};

pub(super) static DELETED: Shape = Shape {
    what: "a field to delete",
    keys: &[
        ("name", "The field's name, or with a `*` at its end its beginning.", Takes::Text),
        ("contains", "Only where the value holds this.", Takes::Text),
        (
            "nth",
            "Only the first of that name, 1, or the last, -1, and so on; of those that `contains` leaves.",
            Takes::Number,
        ),
    ],
};

const NAMED: Takes = Takes::Named(&Takes::Either(&[Takes::Text, Takes::Section(&ADDED)]));

pub(super) const ADDHEADER: ActionWord =
    ActionWord::new(("addheader", "Add header fields: {X-Label: finance}.", NAMED), |node, compiler| {
        named(node, compiler, false)
    });

pub(super) const SETHEADER: ActionWord = ActionWord::new(
    (
        "setheader",
        "Set header fields: the first of that name gets the value, the others go: {Subject: \"[${list}] ${subject}\"}.",
        NAMED,
    ),
    |node, compiler| named(node, compiler, true),
);

const DELETEHEADER_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&DELETED)]);
pub(super) const DELETEHEADER: ActionWord = ActionWord::new(
    (
        "deleteheader",
        "Delete header fields: a name, a beginning like `X-Spam-*`, a list of these, or {name:, contains:, nth:}. Received and Auto-Submitted stay.",
        DELETEHEADER_TAKES,
    ),
    deleted,
);

#[derive(Debug)]
enum HeaderChange {
    Add { name: Text, value: Text, last: bool },
    Set { name: Text, value: Text },
    Delete { name: Text, contains: Option<Text>, nth: Option<i64> },
}

#[derive(Debug)]
struct EditHeader(Vec<HeaderChange>);

fn named(node: &Node, compiler: &mut Compiler<'_, '_>, set: bool) -> Option<BoxedAction> {
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
            true => HeaderChange::Set { name, value },
            false => HeaderChange::Add { name, value, last },
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

/// Reads a field name. If it contains a value, it is checked for each message.
fn field_name(name: &str, at: Span, changes: bool, compiler: &mut Compiler<'_, '_>) -> Option<Text> {
    let node = Node { value: Value::Scalar { text: name.to_owned(), quoted: true }, span: at };
    let name = compiler.compared(&node, "the name of a header field")?;
    if let Some(wrong) = name.as_literal().and_then(|name| what_is_wrong(name, changes)) {
        let problem = compiler.problems.error(at, wrong);
        if name.as_literal().is_some_and(is_protected) {
            problem.hint("loops are found by it (RFC 5293 section 6)");
        }
        return None;
    }
    Some(name)
}

/// The error for a name that cannot be used.
fn what_is_wrong(name: &str, changes: bool) -> Option<String> {
    let shown = crate::clean::short(name, 60);
    match () {
        () if !is_field_name(name) => Some(format!("`{shown}` is no header field name")),
        () if changes && is_protected(name) => Some(format!("`{shown}` cannot be changed")),
        () => None,
    }
}

/// The name for this message. Fails if it cannot be used.
fn name_of(name: &Text, changes: bool, asking: &Asking<'_>) -> Result<String, Break> {
    // A value is not a pattern.
    let name = name.expand(&|name| names::look_up(name, asking).map(|value| value.replace('*', "").into()));
    what_is_wrong(&name, changes).map_or(Ok(name), |wrong| Err(Break::Failed(wrong)))
}

fn deleted(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    if matches!(node.value, Value::Map(_)) {
        let map = MapReader::new(node, &DELETED, &mut compiler.problems);
        let contains = map.take("contains");
        let mut map = map;
        let has_nth = map.take("nth").is_some();
        let nth = map.read("nth", comparison::nth);
        let name = map.require("name")?;
        if has_nth && nth.is_none() {
            return None;
        }
        let text = reader::text(name, "the name of a header field", &mut compiler.problems)?;
        let name = field_name(text, name.span, true, compiler)?;
        let contains = match contains {
            Some(node) => Some(compiler.text(node, "a text")?),
            None => None,
        };
        return Some(Box::new(EditHeader(vec![HeaderChange::Delete { name, contains, nth }])));
    }
    let names = reader::texts(node, "the name of a header field, or a list of names", &mut compiler.problems)?;
    let names: Option<Vec<_>> = names.iter().map(|name| field_name(name, node.span, true, compiler)).collect();
    Some(Box::new(EditHeader(
        names?.into_iter().map(|name| HeaderChange::Delete { name, contains: None, nth: None }).collect(),
    )))
}

impl HeaderChange {
    /// The edits for the current version of the message.
    fn edits(&self, asking: &Asking<'_>) -> Result<Vec<Edit>, Break> {
        match self {
            Self::Add { name, value, last } => {
                Ok(vec![Edit::Add { name: name_of(name, false, asking)?, value: asking.expand(value), last: *last }])
            }
            Self::Set { name, value } => {
                Ok(vec![Edit::Set { name: name_of(name, true, asking)?, value: asking.expand(value) }])
            }
            Self::Delete { name, contains, nth } => {
                let name = name_of(name, true, asking)?;
                let contains = contains.as_ref().map(|text| asking.expand(text));
                let message = asking.message();
                let edit = |name: String| {
                    if contains.is_none() && nth.is_none() {
                        return Some(Edit::Delete { name, only: None });
                    }
                    let numbers = numbers_of(message, &name, contains.as_deref());
                    let only = nth.map_or(numbers.as_slice(), |nth| comparison::nth_of(nth, &numbers)).to_vec();
                    (!only.is_empty()).then_some(Edit::Delete { name, only: Some(only) })
                };
                Ok(named_so(&name, message).into_iter().filter_map(edit).collect())
            }
        }
    }
}

/// The positions, from 0, of the fields of that name that contain a text, compared as in conditions. Without a text,
/// all.
fn numbers_of(message: &Message, name: &str, part: Option<&str>) -> Vec<usize> {
    let is_text = is_text_field(name);
    let fields = message.all(name).enumerate();
    let fits = |value: &str| part.is_none_or(|part| holds(value, part, is_text));
    fields.filter(|(_, field)| fits(field.value())).map(|(number, _)| number).collect()
}

/// The names of the message's fields that match `X-Spam-*`, without duplicates. Without a `*`, the name itself if there
/// is such a field. If there are none, no new version is needed.
fn named_so(name: &str, message: &Message) -> Vec<String> {
    let (beginning, is_whole) = match name.strip_suffix('*') {
        Some(beginning) => (beginning, false),
        None => (name, true),
    };
    let mut names: Vec<String> = Vec::new();
    for field in message.fields() {
        let field = field.name();
        let begins = field.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning));
        let fits = begins && (!is_whole || field.len() == beginning.len());
        if fits && !is_protected(field) && !names.iter().any(|known| known.eq_ignore_ascii_case(field)) {
            names.push(field.to_owned());
        }
    }
    names
}

impl Verb for EditHeader {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let asking = &run.asking;
        let edits: Vec<Vec<Edit>> = self.0.iter().map(|change| change.edits(asking)).collect::<Result<_, Break>>()?;
        let edits = edits.concat();
        if edits.is_empty() {
            return Ok(());
        }
        edits.iter().for_each(|edit| run.did(&in_words(edit)));
        run.edit(&edits)
    }

    fn changes(&self) -> bool {
        true
    }
}

fn in_words(edit: &Edit) -> String {
    match edit {
        Edit::Add { name, value, .. } => format!("addheader {name}: {value}"),
        Edit::Set { name, value } => format!("setheader {name}: {value}"),
        Edit::Delete { name, .. } => format!("deleteheader {name}"),
    }
}
