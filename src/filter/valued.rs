//! Comparisons that contain values, `{is: "${brand}"}`, which are known only for a message.
//!
//! A value is inserted literally, even into a pattern or a regular expression. If a name has no value or an empty one,
//! the comparison is neither true nor false: it does not hold, and neither does its negation with `not`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::asking::{Asking, Break};
use super::captures::Captured;
use super::comparator::{Pattern, composed};
use super::fold::{self, folded};
use super::names;
use super::rule::{RuleList, RuleListKind};
use super::width::ordinary;
use crate::config::text::{Text, TextPiece};

/// How texts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ComparisonKind {
    /// The whole value equals one of them.
    Is,
    /// The value contains one of them.
    Contains,
    /// The whole value matches one of them, with the wildcards `*` and `?`.
    Matches,
    /// One of them is found in the value as a regular expression.
    Regex,
    /// A short form: with an `@` inside, it is a whole address; otherwise, it is a domain or a parent domain.
    Address,
}

/// Texts with values, of which one must match.
#[derive(Debug)]
pub(super) struct Valued {
    kind: ComparisonKind,
    texts: Vec<Text>,
    captures: Vec<Vec<Captured>>,
}

/// The longest pattern including its values, in bytes. The limit is needed because each is compiled for the message.
const MAX_PATTERN_BYTES: usize = 8 * 1024;

impl Valued {
    /// Refuses expressions that are invalid for all values.
    pub(super) fn new(kind: ComparisonKind, texts: Vec<Text>) -> Result<Self, regex::Error> {
        let patterns = texts.iter().filter(|_| matches!(kind, ComparisonKind::Matches | ComparisonKind::Regex));
        let patterns =
            patterns.map(|text| pattern(kind, &in_place(kind, text, |_| Ok(Cow::Borrowed("x"))).unwrap_or_default()));
        let captures = patterns.map(|pattern| Ok(pattern?.captures())).collect::<Result<_, regex::Error>>()?;
        Ok(Self { kind, texts, captures })
    }

    /// The captures of each text.
    pub(super) fn captures(&self) -> impl Iterator<Item = Vec<Captured>> {
        self.captures.iter().cloned()
    }

    /// Whether a value passes. If one text matches, missing values in other texts do not matter.
    pub(super) fn accepts(
        &self,
        value: &str,
        ordinary: &str,
        is_of_text: bool,
        asking: &mut Asking<'_>,
    ) -> Result<bool, Break> {
        let mut unanswered = None;
        for text in &self.texts {
            match self.fits(text, value, ordinary, is_of_text, asking) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(Break::NoAnswer(why)) => unanswered = unanswered.or(Some(why)),
                Err(broken) => return Err(broken),
            }
        }
        unanswered.map_or(Ok(false), |why| Err(Break::NoAnswer(why)))
    }

    fn fits(
        &self,
        text: &Text,
        value: &str,
        ordinary: &str,
        is_of_text: bool,
        asking: &mut Asking<'_>,
    ) -> Result<bool, Break> {
        let wanted = in_place(self.kind, text, |name| names::value(name, asking))?;
        match self.kind {
            ComparisonKind::Is => Ok(fold::is(ordinary, &of_width(&wanted, is_of_text))),
            ComparisonKind::Contains => Ok(fold::contains(ordinary, &of_width(&wanted, is_of_text))),
            ComparisonKind::Address => {
                let (place, wanted) = match wanted.strip_prefix('@') {
                    Some(domain) => (fold::FoldAnchor::Below, domain),
                    None if wanted.contains('@') => (fold::FoldAnchor::Whole, wanted.as_str()),
                    None => (fold::FoldAnchor::Below, wanted.as_str()),
                };
                Ok(place.fits(ordinary, &of_width(wanted, is_of_text)))
            }
            ComparisonKind::Matches | ComparisonKind::Regex => {
                let pattern = asking.pattern(self.kind, wanted)?;
                Ok(pattern.fits(value, ordinary, is_of_text, asking))
            }
        }
    }
}

/// Expands a text and prepares it for the kind of comparison.
fn in_place<'v>(
    kind: ComparisonKind,
    text: &Text,
    value: impl Fn(&str) -> Result<Cow<'v, str>, Break>,
) -> Result<String, Break> {
    let mut out = String::new();
    for piece in text.pieces() {
        match piece {
            TextPiece::Literal(text) => out.push_str(text),
            TextPiece::Variable(name) => out.push_str(&literal(kind, &value(name)?)),
        }
    }
    Ok(out)
}

/// Escapes a value so that it is literal.
fn literal(kind: ComparisonKind, value: &str) -> Cow<'_, str> {
    match kind {
        ComparisonKind::Is | ComparisonKind::Contains | ComparisonKind::Address => value.into(),
        ComparisonKind::Matches => value.replace('\\', r"\\").replace('*', r"\*").replace('?', r"\?").into(),
        ComparisonKind::Regex => regex::escape(value).into(),
    }
}

/// Compiles the text of a pattern.
pub(super) fn pattern(kind: ComparisonKind, text: &str) -> Result<Pattern, regex::Error> {
    if kind == ComparisonKind::Regex { Pattern::expression(text) } else { Pattern::glob(text) }
}

/// Compiles an expanded text. A text that is too long cannot be a pattern.
pub(super) fn pattern_of_message(kind: ComparisonKind, text: &str) -> Result<Arc<Pattern>, Break> {
    let too_long = || Break::NoAnswer("the value in it is too long".to_owned());
    if text.len() > MAX_PATTERN_BYTES {
        return Err(too_long());
    }
    pattern(kind, text).map(Arc::new).map_err(|_| too_long())
}

/// Whether a value contains a text that is at most a line long.
pub(super) fn holds(value: &str, part: &str, is_of_text: bool) -> bool {
    let value = if is_of_text { ordinary(value) } else { value.into() };
    fold::contains(&value, &of_width(part, is_of_text))
}

fn of_width(text: &str, is_of_text: bool) -> String {
    let text = composed(text);
    folded(&if is_of_text { ordinary(&text) } else { text })
}

/// A list whose name contains values.
#[derive(Debug)]
pub(super) struct NamedList {
    pub(super) name: Text,
    pub(super) lists: BTreeMap<String, RuleList>,
}

impl NamedList {
    /// The list for this message. If there is no list of that name, the comparison is neither true nor false.
    pub(super) fn list(&self, asking: &Asking<'_>) -> Result<RuleList, Break> {
        let name = asking.expand_known(&self.name)?;
        if name == "me" {
            return Ok(RuleList { name: "me".into(), kind: RuleListKind::Me });
        }
        let no_list = || Break::NoAnswer(format!("there is no list `{}`", crate::clean::short(&name, 60)));
        self.lists.get(&name).cloned().ok_or_else(no_list)
    }
}
