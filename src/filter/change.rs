//! The changes that `set` makes to a value, in order: `case`, `trim`, `replace`, `split`, `all`, `first`, `length`.

use std::borrow::Cow;

use regex::{Captures, Regex};

use super::asking::Asking;
use super::captures::{self, Captured};
use super::comparator;
use super::comparison;
use super::compile::Compiler;
use super::matches;
use super::names;
use crate::config::problem::Problems;
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::text::{MAX_TEXT, Text};
use crate::config::yaml::{Node, Value};

pub(super) static REPLACED: Shape = Shape {
    what: "a replacement",
    keys: &[
        ("from", "The text to replace, wherever it stands; case does not count.", Takes::Text),
        ("regex", "Instead: an expression, each match of which is replaced.", Takes::Text),
        (
            "to",
            "What stands there instead; of an expression `${1}` and `${name}` are its groups. Default: nothing.",
            Takes::Text,
        ),
    ],
};

pub(super) static SPLIT: Shape = Shape {
    what: "a way to split a text",
    keys: &[
        ("by", "What stands between the pieces.", Takes::Text),
        ("take", "The piece, from 1, or from the end with -1; empty when there is none.", Takes::Number),
    ],
};

pub(super) static MATCHES: Shape = Shape {
    what: "all matches of an expression",
    keys: &[
        (
            "regex",
            "The expression; of each match its first group is taken, or all of it where it has none.",
            Takes::Text,
        ),
        ("join", "What is put between two. Default: a space.", Takes::Text),
    ],
};

/// Upper or lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Lower,
    Upper,
    Title,
}

pub(super) const CASES: &[&str] = &["lower", "upper", "title"];

/// One change of a value.
#[derive(Debug)]
pub(super) enum TextChange {
    Case(Case),
    Trim,
    Replace { from: ReplacedText, to: Text },
    Split { by: String, take: i64 },
    All { regex: Regex, join: String },
    First(usize),
    Length,
}

/// The text that is replaced.
#[derive(Debug)]
pub(super) enum ReplacedText {
    /// A literal text that contains values.
    Text(Text),
    /// A literal text without values, compiled in advance.
    Fixed(Regex),
    Regex(Regex),
}

/// How many replacements one value may ask for.
const MAX_REPLACEMENTS: usize = 100;

impl TextChange {
    /// The changes that a key of `set` asks for. `None` if it is invalid; the error is reported already.
    pub(super) fn read(key: &str, node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Vec<Self>> {
        let problems = &mut compiler.problems;
        let one = match key {
            "case" => {
                let words = [("lower", Case::Lower), ("upper", Case::Upper), ("title", Case::Title)];
                Self::Case(reader::choice(node, &words, problems)?)
            }
            "trim" => return reader::flag(node, problems).map(|on| if on { vec![Self::Trim] } else { Vec::new() }),
            "length" => return reader::flag(node, problems).map(|on| if on { vec![Self::Length] } else { Vec::new() }),
            "first" => Self::First(usize::try_from(reader::number(node, 1..=100_000, problems)?).ok()?),
            "split" => split(node, problems)?,
            "all" => all(node, problems)?,
            _ => return replacements(node, compiler),
        };
        Some(vec![one])
    }

    /// Whether it keeps slashes, so that the levels of a folder name stay the same.
    pub(super) fn keeps_levels(&self) -> bool {
        matches!(self, Self::Case(_))
    }

    /// The changed value, at most [`MAX_TEXT`] bytes.
    pub(super) fn apply(&self, text: &str, asking: &Asking<'_>) -> String {
        let mut made = match self {
            Self::Case(case) => in_case(text, *case),
            Self::Trim => text.trim().to_owned(),
            Self::Replace { from, to } => replaced(text, from, to, asking),
            Self::Split { by, take } => piece(text, by, *take).to_owned(),
            Self::All { regex, join } => joined(text, regex, join),
            Self::First(first) => text.char_indices().nth(*first).map_or(text, |(end, _)| &text[..end]).to_owned(),
            Self::Length => text.chars().count().to_string(),
        };
        made.truncate(made.floor_char_boundary(MAX_TEXT));
        made
    }
}

fn replacements(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Vec<TextChange>> {
    let nodes = match &node.value {
        Value::Seq(items) if !items.is_empty() && items.len() <= MAX_REPLACEMENTS => items.as_slice(),
        Value::Seq(_) => {
            reader::mismatch(node, "a replacement, or a list of 1 to 100 of them", &mut compiler.problems);
            return None;
        }
        _ => std::slice::from_ref(node),
    };
    let read: Vec<_> = nodes.iter().map(|node| replacement(node, compiler)).collect();
    read.into_iter().collect()
}

fn replacement(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<TextChange> {
    let map = MapReader::new(node, &REPLACED, &mut compiler.problems);
    let (from, regex, to) = (map.take("from"), map.take("regex"), map.take("to"));
    let (is_map, at) = (map.is_known(), map.place());
    let from = match (from, regex) {
        (Some(from), None) => literal(compiler.compared(from, "a text")?),
        (None, Some(node)) => ReplacedText::Regex(expression(node, &mut compiler.problems)?),
        _ if is_map => {
            compiler.problems.error(at, "a replacement needs one of `from` and `regex`");
            return None;
        }
        _ => return None,
    };
    let groups = match &from {
        ReplacedText::Regex(regex) => captures::of_expression(regex),
        ReplacedText::Text(_) | ReplacedText::Fixed(_) => Vec::new(),
    };
    let to = match to {
        Some(node) => compiler.in_own_scope(|this| {
            this.captured(groups.into_iter().map(|group| Captured { always: true, ..group }).collect());
            match node.as_text() {
                Some("") => Some(Text::default()),
                _ => this.compared(node, "a text"),
            }
        })?,
        None => Text::default(),
    };
    Some(TextChange::Replace { from, to })
}

fn literal(text: Text) -> ReplacedText {
    match text.as_literal().map(|text| comparator::build(&regex::escape(text))) {
        Some(Ok(regex)) => ReplacedText::Fixed(regex),
        _ => ReplacedText::Text(text),
    }
}

fn split(node: &Node, problems: &mut Problems) -> Option<TextChange> {
    let mut map = MapReader::new(node, &SPLIT, problems);
    let by = map.need("by", |n, p| reader::text(n, "a text", p).map(str::to_owned));
    let take = map.need("take", comparison::nth);
    Some(TextChange::Split { by: by?, take: take? })
}

fn all(node: &Node, problems: &mut Problems) -> Option<TextChange> {
    if node.as_text().is_some() {
        return Some(TextChange::All { regex: expression(node, problems)?, join: " ".to_owned() });
    }
    let mut map = MapReader::new(node, &MATCHES, problems);
    let join = map.take("join").and_then(Node::as_text).unwrap_or(" ").to_owned();
    Some(TextChange::All { regex: map.need("regex", expression)?, join })
}

pub(super) fn expression(node: &Node, problems: &mut Problems) -> Option<Regex> {
    let text = reader::text(node, "a regular expression", problems)?;
    match comparator::build(&comparator::composed(text)) {
        Ok(regex) => Some(regex),
        Err(e) => {
            let problem = problems.error(node.span, "this regular expression cannot be used");
            problem.hint(comparison::last_line(&e.to_string()));
            None
        }
    }
}

/// Changes the case of a text by the rules of Unicode. `title` capitalises the first letter of each word; `'` is part
/// of a word.
pub(super) fn in_case(text: &str, case: Case) -> String {
    match case {
        Case::Lower => text.to_lowercase(),
        Case::Upper => text.to_uppercase(),
        Case::Title => {
            let mut out = String::with_capacity(text.len());
            let mut is_inside = false;
            for c in text.chars() {
                match is_inside {
                    true => out.extend(c.to_lowercase()),
                    false => out.extend(c.to_uppercase()),
                }
                is_inside = c.is_alphanumeric() || matches!(c, '\'' | '’');
            }
            out
        }
    }
}

fn replaced(text: &str, from: &ReplacedText, to: &Text, asking: &Asking<'_>) -> String {
    let made;
    let (regex, has_groups) = match from {
        ReplacedText::Fixed(regex) => (regex, false),
        ReplacedText::Regex(regex) => (regex, true),
        // If a value is missing, nothing is replaced.
        ReplacedText::Text(from) => {
            match asking.expand_known(from).map(|from| comparator::build(&regex::escape(&from))) {
                Ok(Ok(regex)) => {
                    made = regex;
                    (&made, false)
                }
                _ => return text.to_owned(),
            }
        }
    };
    let mut out = String::new();
    let mut end = 0;
    for found in matches::all(regex, text) {
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&text[end..whole.start()]);
        out.push_str(&match has_groups {
            true => to.expand(&|name| group(&found, name).or_else(|| names::look_up(name, asking))),
            false => asking.expand(to),
        });
        end = whole.end();
        // The rest would be cut off anyway.
        if out.len() > MAX_TEXT {
            return out;
        }
    }
    out.push_str(&text[end..]);
    out
}

fn group<'t>(found: &Captures<'t>, name: &str) -> Option<Cow<'t, str>> {
    let group = match name.parse::<usize>() {
        Ok(number) => found.get(number),
        Err(_) => found.name(name),
    };
    group.map(|group| group.as_str().into())
}

fn piece<'t>(text: &'t str, by: &str, take: i64) -> &'t str {
    let found = match usize::try_from(take) {
        Ok(number) => text.split(by).nth(number.saturating_sub(1)),
        Err(_) => text.rsplit(by).nth(usize::try_from(-take - 1).unwrap_or(usize::MAX)),
    };
    found.unwrap_or_default()
}

fn joined(text: &str, regex: &Regex, join: &str) -> String {
    let mut out = String::new();
    for (n, found) in matches::all(regex, text).enumerate() {
        if n > 0 {
            out.push_str(join);
        }
        let of_match = if regex.captures_len() > 1 { found.get(1) } else { found.get(0) };
        out.push_str(of_match.map_or("", |group| group.as_str()));
        if out.len() > MAX_TEXT {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_that_of_unicode() {
        assert_eq!(in_case("ÄRGER Straße", Case::Lower), "ärger straße");
        assert_eq!(in_case("straße", Case::Upper), "STRASSE");
        assert_eq!(in_case("élan vital's rust-USERS", Case::Title), "Élan Vital's Rust-Users");
    }

    #[test]
    fn pieces_are_counted_from_both_ends() {
        let of = |take| piece("a.b.c", ".", take);
        assert_eq!([of(1), of(3), of(4), of(-1), of(-3), of(-4)], ["a", "c", "", "c", "a", ""]);
    }
}
