//! `header` and its short form `subject`: the values of header fields.

use super::super::asking::{Asking, Break};
use super::super::comparison::{Allowed, COMPARED, Comparison};
use super::super::compile::Compiler;
use super::super::short::About;
use super::{Boxed, Condition, Word, all, quoted};
use crate::config::reader::{self, Takes};
use crate::config::yaml::{Node, Value};
use crate::message::is_field_name;

const HEADER_TAKES: Takes = Takes::Named(&COMPARED);
pub(super) const HEADER: Word = Word::new(
    ("header", "Header fields by name, each with a comparison: {Subject: {contains: invoice}}.", HEADER_TAKES),
    read,
);

pub(super) const SUBJECT: Word = Word::new(
    ("subject", "The Subject, with a comparison; a text alone is contained in it.", COMPARED),
    |node, compiler| field("Subject", About::Subject, node, compiler),
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    by_field(node, compiler, one)
}

/// `{Subject: …, From: …}`: every named field must have a value that passes.
pub(super) fn by_field(
    node: &Node,
    compiler: &mut Compiler<'_, '_>,
    read: impl Fn(&str, &Node, &mut Compiler<'_, '_>) -> Option<Boxed>,
) -> Option<Boxed> {
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
        let is_name = is_field_name(&key.text);
        if !is_name {
            let message = format!("`{}` is no header field name", crate::clean::short(&key.text, 60));
            compiler.problems.error(key.span, message);
        }
        tests.push(read(&key.text, comparison, compiler).filter(|_| is_name));
    }
    let mut tests = tests.into_iter().collect::<Option<Vec<_>>>()?;
    if tests.len() == 1 { tests.pop() } else { Some(all(tests)) }
}

/// Fields that hold text of people (RFC 5322 3.6.5, RFC 2045 8), and those that mail programs have added. Others hold
/// addresses, identities and words of machines.
const TEXT_FIELDS: [&str; 6] =
    ["Subject", "Comments", "Keywords", "Content-Description", "Organization", "Thread-Topic"];

fn one(name: &str, node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    compiler.doubt_field(name, node.span);
    field(name, About::Field(name), node, compiler)
}

fn field(name: &str, about: About<'_>, node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    let comparison = compiler.comparison(node, Allowed { about, raw: true, many: true, part: false })?;
    let is_text = !comparison.raw && is_text_field(name);
    Some(Box::new(Header { name: name.to_owned(), comparison: comparison.of_text(is_text) }))
}

/// Whether a field of that name holds text of people.
pub(in super::super) fn is_text_field(name: &str) -> bool {
    TEXT_FIELDS.iter().any(|field| field.eq_ignore_ascii_case(name))
}

#[derive(Debug)]
struct Header {
    name: String,
    comparison: Comparison,
}

impl Condition for Header {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        if self.comparison.raw {
            let values: Vec<String> = message
                .all(&self.name)
                .map(|field| String::from_utf8_lossy(field.raw().trim_ascii()).into_owned())
                .collect();
            return accepts(
                &self.comparison,
                &self.name,
                &values.iter().map(String::as_str).collect::<Vec<_>>(),
                asking,
            );
        }
        if self.comparison.nth.is_none() && self.comparison.count.is_none() && !self.comparison.every {
            return self.any(&message, asking);
        }
        let values: Vec<&str> = message.all(&self.name).map(|field| field.value()).collect();
        accepts(&self.comparison, &self.name, &values, asking)
    }
}

impl Header {
    /// The common case, without a list of the values.
    fn any(&self, message: &crate::message::Message, asking: &mut Asking<'_>) -> Result<bool, Break> {
        for field in message.all(&self.name) {
            if self.comparison.comparator.accepts(field.value(), asking)? {
                asking.saw(true, || format!("{} is {}", self.name, quoted(std::iter::once(field.value()))));
                return Ok(true);
            }
        }
        asking.saw(false, || seen(&self.name, message.all(&self.name).map(|field| field.value())));
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
        // With `every` the first that fails decides, else the first that passes.
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

fn seen<'v>(name: &str, values: impl Iterator<Item = &'v str>) -> String {
    let values = quoted(values);
    if values.is_empty() { format!("there is no {name}") } else { format!("{name} is {values}") }
}
