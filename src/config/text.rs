//! Texts with `${name}` in them: header values, arguments, log lines, answers.
//!
//! The same language as in folder names ([`super::template`]): a single pass, and a value is never looked at again for
//! variables. What makes a value safe is the place where the text goes: each place cleans it.
//!
//! In comparisons, names of header fields and flags a `$` is an ordinary character; there only `$${` is an escape.

use std::borrow::Cow;

use super::template::{TemplateError, variable_at};

/// The longest text that comes of an expansion, in bytes; the rest is cut at a character.
pub const MAX_TEXT: usize = 256 * 1024;

/// A text with variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    pieces: Vec<TextPiece>,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextPiece {
    /// What the user wrote.
    Literal(String),
    /// The name of a value.
    Variable(String),
}

impl Text {
    /// Parses a text. `$$` is a `$`, and so is a `$` before anything but `{`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::read(text, "$$", "$")
    }

    /// Parses a text in which dollars are ordinary: `$$$` is three of them. `$${` is `${`.
    pub fn parse_compared(text: &str) -> Result<Self, TemplateError> {
        Self::read(text, "$${", "${")
    }

    fn read(text: &str, escape: &str, meaning: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            if rest.starts_with(escape) {
                literal.push_str(meaning);
                at += escape.len();
            } else if rest.starts_with("${") {
                let (name, length) = variable_at(at, rest)?;
                if !literal.is_empty() {
                    pieces.push(TextPiece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(TextPiece::Variable(name.to_owned()));
                at += length;
            } else {
                literal.push(c);
                at += c.len_utf8();
            }
        }
        if !literal.is_empty() {
            pieces.push(TextPiece::Literal(literal));
        }
        Ok(Self { pieces })
    }

    /// A text that is taken as it stands.
    pub fn literal(text: impl Into<String>) -> Self {
        Self { pieces: vec![TextPiece::Literal(text.into())] }
    }

    /// The variables, in the order they are written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            TextPiece::Variable(name) => Some(name.as_str()),
            TextPiece::Literal(_) => None,
        })
    }

    /// What it consists of, in order.
    pub fn pieces(&self) -> &[TextPiece] {
        &self.pieces
    }

    /// The text, where no value stands in it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [TextPiece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// What the user wrote before the first value.
    pub fn beginning(&self) -> &str {
        match self.pieces.first() {
            Some(TextPiece::Literal(text)) => text,
            _ => "",
        }
    }

    /// Whether it begins with a value, not with what the user wrote.
    pub fn begins_with_variable(&self) -> bool {
        matches!(self.pieces.first(), Some(TextPiece::Variable(_)))
    }

    /// The text with its values; a variable that `lookup` does not know is empty.
    pub fn expand<'v>(&self, lookup: &dyn Fn(&str) -> Option<Cow<'v, str>>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                TextPiece::Literal(text) => out.push_str(text),
                TextPiece::Variable(name) => out.push_str(&lookup(name).unwrap_or_default()),
            }
            if out.len() > MAX_TEXT {
                out.truncate(out.floor_char_boundary(MAX_TEXT));
                break;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> String {
        let values = |name: &str| match name {
            "a" => Some(Cow::Borrowed("${b}")),
            "b" => Some(Cow::Borrowed("never")),
            _ => None,
        };
        Text::parse(text).unwrap().expand(&values)
    }

    #[test]
    fn one_pass_and_no_more() {
        assert_eq!(expand("x ${a} $$ $y ${none}."), "x ${b} $ $y .");
        assert_eq!(Text::parse("${a}${header.x-y}").unwrap().names().collect::<Vec<_>>(), ["a", "header.x-y"]);
        assert!(Text::parse("${").is_err() && Text::parse("${a b}").is_err() && Text::parse("${}").is_err());
    }

    #[test]
    fn dollars_are_ordinary_in_what_is_compared() {
        let literal = |text: &str| Text::parse_compared(text).unwrap().as_literal().map(str::to_owned);
        assert_eq!(literal("make $$$ fast$").as_deref(), Some("make $$$ fast$"));
        assert_eq!(literal("$${x}").as_deref(), Some("${x}"));
        assert_eq!(literal("").as_deref(), Some(""));
        assert_eq!(literal("a${x}"), None);
    }

    #[test]
    fn the_result_is_bounded() {
        let text = Text::parse(&"${big}".repeat(1000)).unwrap();
        let big = "ü".repeat(10_000);
        assert!(text.expand(&|_| Some(Cow::Borrowed(big.as_str()))).len() <= MAX_TEXT);
    }
}
