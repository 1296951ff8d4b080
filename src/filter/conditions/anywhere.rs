//! `anywhere`: header and body together, as a mail reader searches them.

use std::sync::Arc;

use super::super::asking::{Asking, Break};
use super::super::comparator::Comparator;
use super::super::comparison::{Allowed, COMPARED};
use super::super::compile::Compiler;
use super::super::short::ComparedKind;
use super::{BoxedCondition, Condition, ConditionWord, quoted};
use crate::config::yaml::Node;
use crate::message::{MAX_TEXT, Message};

pub(super) const ANYWHERE: ConditionWord = ConditionWord::new(
    (
        "anywhere",
        "Any header field, the text, or the name of a file: {contains: confidential}. With `raw: true` the header and the body as they stand.",
        COMPARED,
    ),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let comparison =
        compiler.comparison(node, Allowed { about: ComparedKind::Text, raw: true, part: false, many: false })?;
    let raw = comparison.raw;
    Some(Box::new(Anywhere { comparator: comparison.of_text(!raw).comparator, raw }))
}

#[derive(Debug)]
struct Anywhere {
    comparator: Comparator,
    raw: bool,
}

impl Condition for Anywhere {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = Arc::clone(asking.message());
        let found = if self.raw { self.in_bytes(&message, asking)? } else { self.in_texts(&message, asking)? };
        asking.saw(found.is_some(), || found.clone().unwrap_or_else(|| "it is nowhere".to_owned()));
        Ok(found.is_some())
    }
}

impl Anywhere {
    /// Where the text was found: in a field, in the text, or in a file name.
    fn in_texts(&self, message: &Message, asking: &mut Asking<'_>) -> Result<Option<String>, Break> {
        for field in message.fields() {
            if self.comparator.accepts(field.value(), asking)? {
                return Ok(Some(format!("{} is {}", field.name(), quoted(std::iter::once(field.value())))));
            }
        }
        let ordinary = asking.ordinary_text();
        if self.comparator.accepts_both(message.text(), ordinary.as_deref().unwrap_or(message.text()), asking)? {
            return Ok(Some("it is in the text".to_owned()));
        }
        for name in message.parts().iter().flat_map(|part| part.file_names()) {
            if self.comparator.accepts(name, asking)? {
                return Ok(Some(format!("a file is named {}", quoted(std::iter::once(name)))));
            }
        }
        Ok(None)
    }

    fn in_bytes(&self, message: &Message, asking: &mut Asking<'_>) -> Result<Option<String>, Break> {
        if self.comparator.accepts(&String::from_utf8_lossy(message.head()), asking)? {
            return Ok(Some("it is in the header".to_owned()));
        }
        let body = message.raw_body(MAX_TEXT);
        let fits = self.comparator.accepts(&String::from_utf8_lossy(&body), asking)?;
        Ok(fits.then(|| "it is in the body".to_owned()))
    }
}
