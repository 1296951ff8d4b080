//! `set`: sets variables for the following rules.

use super::super::asking::{Asking, Break};
use super::super::change::{self, TextChange};
use super::super::compile::Compiler;
use super::super::names::{self, Variable};
use super::super::run::Run;
use super::{ActionWord, BoxedAction, Verb};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::text::{Text, TextPiece};
use crate::config::yaml::{Node, Span, Value};

const REPLACED: Takes = Takes::Section(&change::REPLACED);

pub(super) static KEYS: Shape = Shape {
    what: "a value to set",
    keys: &[
        ("value", "The value, with `${name}`. The other keys change it, in the order they are written.", Takes::Text),
        ("case", "`lower`, `upper` or `title`, by Unicode.", Takes::Word(change::CASES)),
        ("trim", "`true`: without white space at its ends.", Takes::Flag),
        (
            "replace",
            "Replace a text or an expression, or a list of them one after the other: {from: \".\", to: _}.",
            Takes::Some(&REPLACED),
        ),
        ("split", "One piece of it: {by: \"-\", take: 1}.", Takes::Section(&change::SPLIT)),
        (
            "all",
            "All matches of an expression, joined: {regex: 'https?://([^/ ]+)', join: \" \"}.",
            Takes::Either(&[Takes::Text, Takes::Section(&change::MATCHES)]),
        ),
        ("first", "At most so many characters of it.", Takes::Number),
        ("length", "`true`: the number of characters instead of the text.", Takes::Flag),
    ],
};

const SET_TAKES: Takes = Takes::Named(&Takes::Either(&[Takes::Text, Takes::Section(&KEYS)]));
pub(super) const SET: ActionWord = ActionWord::new(
    (
        "set",
        "Set variables that every rule below may use: {who: \"${from.user}\"}, {d: {value: \"${1}\", case: lower}}.",
        SET_TAKES,
    ),
    read,
);

#[derive(Debug)]
struct Set(Vec<(String, GivenVariable)>);

#[derive(Debug)]
struct GivenVariable {
    text: Text,
    changes: Vec<TextChange>,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
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
    if is_name && !name.is_empty() && !names::is_always(name) {
        return Some(());
    }
    let message = format!("`{}` cannot be the name of a variable", crate::clean::short(name, 60));
    let problem = compiler.problems.error(at, message);
    problem.hint("letters, digits, `_` and `-`, and no name that is always there");
    None
}

fn value(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<GivenVariable> {
    let Value::Map(entries) = &node.value else {
        return Some(GivenVariable { text: compiler.text(node, "a value")?, changes: Vec::new() });
    };
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let (is_known, text) = (map.is_known(), map.require("value"));
    let text = text.and_then(|node| compiler.text(node, "a value"));
    let mut changes = Some(Vec::new());
    for (key, node) in
        entries.iter().filter(|(key, _)| key.text != "value" && KEYS.names().any(|name| name == key.text))
    {
        let read = TextChange::read(&key.text, node, compiler);
        changes = changes.zip(read).map(|(changes, more)| changes.into_iter().chain(more).collect());
    }
    is_known.then_some(GivenVariable { text: text?, changes: changes? })
}

impl GivenVariable {
    fn value(&self, asking: &Asking<'_>) -> Variable {
        let mut made = Variable { text: asking.expand(&self.text), parts: parts(&self.text, asking) };
        for change in &self.changes {
            made.text = change.apply(&made.text, asking);
            let is_own = made.parts.iter().all(|(is_own, _)| *is_own);
            made.parts = match (change.keeps_levels(), is_own) {
                (true, _) => made.parts.iter().map(|(is_own, part)| (*is_own, change.apply(part, asking))).collect(),
                // A text made only of text that the user wrote counts as such.
                (false, true) if !made.parts.is_empty() && self.is_of_own(change) => vec![(true, made.text.clone())],
                (false, _) => Vec::new(),
            };
        }
        made
    }

    /// Whether a change adds no text from the message. A replacement may add some.
    fn is_of_own(&self, change: &TextChange) -> bool {
        match change {
            TextChange::Replace { to, .. } => to.names().next().is_none(),
            _ => true,
        }
    }
}

/// The pieces of a text: text that the user wrote (`true`) and values. For a variable, its own pieces.
fn parts(text: &Text, asking: &Asking<'_>) -> Vec<(bool, String)> {
    let mut parts = Vec::new();
    for piece in text.pieces() {
        match piece {
            TextPiece::Literal(own) => parts.push((true, own.clone())),
            TextPiece::Variable(name) => match asking.names.variable(name) {
                Some(variable) if !variable.parts.is_empty() => parts.extend(variable.parts.iter().cloned()),
                _ => {
                    let is_own = asking.names.is_own(name);
                    parts.extend(names::look_up(name, asking).map(|value| (is_own, value.into_owned())));
                }
            },
        }
    }
    parts
}

impl Verb for Set {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        for (name, value) in &self.0 {
            let made = value.value(&run.asking);
            run.did(&format!("set {name} to \"{}\"", crate::clean::short(&made.text, 60)));
            run.asking.names.set_made(name, made);
        }
        Ok(())
    }

    fn changes(&self) -> bool {
        true
    }
}
