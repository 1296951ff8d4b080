//! Selects header fields: `Subject`, all whose names match `X-Spam-*`, or the one that a value names.

use std::borrow::Cow;

use regex::Regex;

use super::asking::{Asking, Break};
use super::comparator;
use super::compile::Compiler;
use crate::clean;
use crate::config::text::Text;
use crate::config::yaml::{Node, Span, Value};
use crate::message::{Field, Message, is_field_name};

/// A selection of fields by name.
#[derive(Clone, Debug)]
pub(super) enum Fields {
    /// All fields of this name.
    Named(String),
    /// All fields whose names match a pattern, given as written and compiled.
    Like(String, Regex),
    /// All fields of the name that a value gives.
    Valued(Text),
}

impl Fields {
    /// Reads a name or a pattern, and reports errors.
    pub(super) fn read(text: &str, at: Span, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        let node = Node { value: Value::Scalar { text: text.to_owned(), quoted: true }, span: at };
        let name = compiler.compared(&node, "the name of a header field")?;
        let Some(name) = name.as_literal() else { return Some(Self::Valued(name)) };
        if !is_field_name(name) {
            compiler.problems.error(at, format!("`{}` is no header field name", clean::short(name, 60)));
            return None;
        }
        if !name.contains('*') {
            return Some(Self::Named(name.to_owned()));
        }
        let pattern = format!(r"\A(?:{})\z", name.split('*').map(regex::escape).collect::<Vec<_>>().join(".*"));
        comparator::build(&pattern).ok().map(|regex| Self::Like(name.to_owned(), regex))
    }

    /// The selection for this message, with values expanded. A value is not a pattern.
    pub(super) fn of_message(&self, asking: &Asking<'_>) -> Result<Cow<'_, Self>, Break> {
        match self {
            Self::Valued(name) => Ok(Cow::Owned(Self::Named(asking.expand_known(name)?))),
            known => Ok(Cow::Borrowed(known)),
        }
    }

    /// The fields of a message, in their order.
    pub(super) fn of<'m>(&'m self, message: &'m Message) -> Box<dyn Iterator<Item = &'m Field> + 'm> {
        match self {
            Self::Named(name) => Box::new(message.all(name)),
            Self::Like(_, regex) => Box::new(message.fields().iter().filter(|field| regex.is_match(field.name()))),
            Self::Valued(_) => Box::new(std::iter::empty()),
        }
    }

    /// The name or pattern as written.
    pub(super) fn written(&self) -> &str {
        match self {
            Self::Named(name) | Self::Like(name, _) => name,
            Self::Valued(_) => "",
        }
    }
}
