//! `header` and its short form `subject`: the values of header fields.

use super::super::asking::{Asking, Break};
use super::super::comparison::{Allowed, COMPARED, Comparison};
use super::super::compile::Compiler;
use super::super::fields::Fields;
use super::super::short::ComparedKind;
use super::{BoxedCondition, Condition, ConditionWord, all, quoted};
use crate::config::reader::{self, Takes};
use crate::config::yaml::{Node, Value};
use crate::message::{Field, Message};

const HEADER_TAKES: Takes = Takes::Named(&COMPARED);
pub(super) const HEADER: ConditionWord = ConditionWord::new(
    (
        "header",
        "Header fields by name, each with a comparison: {Subject: {contains: invoice}}; `X-Spam-*` is all that begin so, `*` any field.",
        HEADER_TAKES,
    ),
    read,
);

pub(super) const SUBJECT: ConditionWord = ConditionWord::new(
    ("subject", "The Subject, with a comparison; a text alone is contained in it.", COMPARED),
    |node, compiler| field(Fields::Named("Subject".to_owned()), ComparedKind::Subject, node, compiler),
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    by_field(node, compiler, one)
}

/// Reads `{Subject: …, From: …}`: every named field must have a value that passes.
pub(super) fn by_field(
    node: &Node,
    compiler: &mut Compiler<'_, '_>,
    read: impl Fn(Fields, &Node, &mut Compiler<'_, '_>) -> Option<BoxedCondition>,
) -> Option<BoxedCondition> {
    let fields = match &node.value {
        Value::Map(fields) if !fields.is_empty() => fields,
        _ => {
            let problem = reader::mismatch(node, "header fields with comparisons (a mapping)", &mut compiler.problems);
            problem.hint("for example {Subject: {contains: invoice}}");
            return None;
        }
    };
    let mut tests = Vec::new();
    for (key, comparison) in fields {
        let fields = Fields::read(&key.text, key.span, compiler);
        // The comparison is read even if the name is invalid, because it may have errors too.
        let test = read(fields.clone().unwrap_or(Fields::Named(String::new())), comparison, compiler);
        tests.push(test.filter(|_| fields.is_some()));
    }
    let mut tests = tests.into_iter().collect::<Option<Vec<_>>>()?;
    if tests.len() == 1 { tests.pop() } else { Some(all(tests)) }
}

/// Fields with text that people write (RFC 5322 3.6.5, RFC 2045 8), and similar fields of mail programs. Other fields
/// have addresses, identifiers and technical words.
const TEXT_FIELDS: [&str; 6] =
    ["Subject", "Comments", "Keywords", "Content-Description", "Organization", "Thread-Topic"];

fn one(fields: Fields, node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let Fields::Named(name) = &fields else { return field(fields, ComparedKind::Value, node, compiler) };
    compiler.doubt_field(name, node.span);
    let name = name.clone();
    field(fields, ComparedKind::Field(&name), node, compiler)
}

fn field(
    fields: Fields,
    about: ComparedKind<'_>,
    node: &Node,
    compiler: &mut Compiler<'_, '_>,
) -> Option<BoxedCondition> {
    let comparison = compiler.comparison(node, Allowed { about, raw: true, many: true, part: false })?;
    // If several fields are selected, some may have text that people write.
    let is_text = match &fields {
        Fields::Named(name) => is_text_field(name),
        Fields::Like(..) | Fields::Valued(_) => true,
    };
    let is_raw = comparison.raw;
    Some(Box::new(Header { fields, comparison: comparison.of_text(is_text && !is_raw) }))
}

/// Whether a field of that name has text that people write.
pub(in super::super) fn is_text_field(name: &str) -> bool {
    TEXT_FIELDS.iter().any(|field| field.eq_ignore_ascii_case(name))
}

#[derive(Debug)]
struct Header {
    fields: Fields,
    comparison: Comparison,
}

impl Condition for Header {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        if let (Fields::Named(name), true) = (&self.fields, self.comparison.is_plain() && !self.comparison.raw) {
            return self.any(name, &message, asking);
        }
        let fields = self.fields.of_message(asking)?;
        let found: Vec<&Field> = fields.of(&message).collect();
        if self.comparison.raw {
            let values: Vec<String> =
                found.iter().map(|field| String::from_utf8_lossy(field.raw().trim_ascii()).into_owned()).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            return accepts(&self.comparison, fields.written(), &values, asking);
        }
        let values: Vec<&str> = found.iter().map(|field| field.value()).collect();
        accepts(&self.comparison, fields.written(), &values, asking)
    }
}

impl Header {
    /// Handles the common case without making a list of the values.
    fn any(&self, name: &str, message: &Message, asking: &mut Asking<'_>) -> Result<bool, Break> {
        for field in message.all(name) {
            if self.comparison.comparator.accepts(field.value(), asking)? {
                asking.saw(true, || seen(name, std::iter::once(field.value())));
                return Ok(true);
            }
        }
        asking.saw(false, || seen(name, message.all(name).map(|field| field.value())));
        Ok(false)
    }
}

/// Whether values pass a comparison with `nth`, `count` and `every`.
pub(super) fn accepts(
    comparison: &Comparison,
    name: &str,
    values: &[&str],
    asking: &mut Asking<'_>,
) -> Result<bool, Break> {
    if let Some(count) = &comparison.count {
        let holds = count.holds(values.len() as f64);
        if !holds || comparison.comparator.is_empty() {
            asking.saw(holds, || format!("{name} is there {} times", values.len()));
            return Ok(holds);
        }
    }
    let chosen = comparison.chosen(values);
    let mut passed = None;
    for value in chosen {
        let accepted = comparison.comparator.accepts(value, asking)?;
        passed = accepted.then_some(*value);
        // With `every`, the first value that fails decides; otherwise, the first that passes.
        if accepted != comparison.every {
            break;
        }
    }
    match passed {
        Some(value) => asking.saw(true, || format!("{name} is {}", quoted(std::iter::once(value)))),
        None => asking.saw(false, || seen(name, chosen.iter().copied())),
    }
    Ok(passed.is_some())
}

pub(super) fn seen<'v>(name: &str, values: impl Iterator<Item = &'v str>) -> String {
    let values = quoted(values);
    if values.is_empty() { format!("there is no {name}") } else { format!("{name} is {values}") }
}
