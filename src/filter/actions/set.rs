//! `set`: variables for the rules below.

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::run::Run;
use super::{Boxed, Verb, Word};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Span, Value};

pub(super) static KEYS: Shape = Shape {
    what: "a value to set",
    keys: &[
        ("value", "The value, with `${name}`.", Takes::Text),
        ("case", "`lower` or `upper`.", Takes::Word(&["lower", "upper"])),
        ("first", "At most so many characters of it.", Takes::Number),
        ("length", "`true`: the number of characters instead of the text.", Takes::Flag),
    ],
};

const SET_TAKES: Takes = Takes::Named(&Takes::Either(&[Takes::Text, Takes::Section(&KEYS)]));
pub(super) const SET: Word = Word::new(
    (
        "set",
        "Set variables that every rule below may use: {who: \"${from.user}\"}, {d: {value: \"${1}\", case: lower}}.",
        SET_TAKES,
    ),
    read,
);

#[derive(Debug)]
struct Set(Vec<(String, Given)>);

#[derive(Debug)]
struct Given {
    text: Text,
    case: Case,
    first: Option<usize>,
    length: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Case {
    #[default]
    AsIs,
    Lower,
    Upper,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    let Value::Map(entries) = &node.value else {
        reader::mismatch(node, "variables with values (a mapping)", &mut compiler.problems);
        return None;
    };
    let mut values = Vec::new();
    for (key, node) in entries {
        check_name(&key.text, key.span, compiler)?;
        let value = value(node, compiler);
        compiler.sets(&key.text);
        values.push((key.text.clone(), value?));
    }
    Some(Box::new(Set(values)))
}

/// Refuses what cannot be the name of a variable.
pub(super) fn check_name(name: &str, at: Span, compiler: &mut Compiler<'_, '_>) -> Option<()> {
    let is_name = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if is_name && !name.is_empty() && !super::super::names::is_always(name) {
        return Some(());
    }
    let message = format!("`{}` cannot be the name of a variable", crate::clean::short(name, 60));
    let problem = compiler.problems.error(at, message);
    problem.hint("letters, digits, `_` and `-`, and no name that is always there");
    None
}

fn value(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Given> {
    if !matches!(node.value, Value::Map(_)) {
        let text = compiler.text(node, "a value")?;
        return Some(Given { text, case: Case::AsIs, first: None, length: false });
    }
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let words = [("lower", Case::Lower), ("upper", Case::Upper)];
    let case = map.read("case", |n, p| reader::choice(n, &words, p)).unwrap_or_default();
    let first = map.read("first", |n, p| reader::number(n, 1..=100_000, p)).and_then(|n| usize::try_from(n).ok());
    let length = map.read("length", reader::flag).unwrap_or(false);
    let text = map.require("value").and_then(|node| compiler.text(node, "a value"))?;
    Some(Given { text, case, first, length })
}

impl Verb for Set {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        for (name, value) in &self.0 {
            let mut text = run.asking.expand(&value.text);
            text = match value.case {
                Case::AsIs => text,
                Case::Lower => text.to_lowercase(),
                Case::Upper => text.to_uppercase(),
            };
            if let Some((end, _)) = value.first.and_then(|first| text.char_indices().nth(first)) {
                text.truncate(end);
            }
            if value.length {
                text = text.chars().count().to_string();
            }
            run.did(&format!("set {name} to \"{}\"", crate::clean::short(&text, 60)));
            run.asking.names.set(name, text);
        }
        Ok(())
    }

    fn changes(&self) -> bool {
        true
    }
}
