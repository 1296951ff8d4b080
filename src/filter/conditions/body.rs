//! `body`: the decoded text of a message without markup, or its raw bytes.

use super::super::asking::{Asking, Break};
use super::super::comparator::Comparator;
use super::super::comparison::{Allowed, COMPARED};
use super::super::compile::Compiler;
use super::super::short::ComparedKind;
use super::{BoxedCondition, Condition, ConditionWord};

use crate::config::yaml::Node;
use crate::message::MAX_TEXT;

pub(super) const BODY: ConditionWord = ConditionWord::new(
    (
        "body",
        "The text of all text parts, decoded, HTML without its markup: {contains: unsubscribe}. With `raw: true` the bytes as they stand.",
        COMPARED,
    ),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let comparison =
        compiler.comparison(node, Allowed { about: ComparedKind::Text, raw: true, part: false, many: false })?;
    let raw = comparison.raw;
    Some(Box::new(BodyCondition { comparator: comparison.of_text(!raw).comparator, raw }))
}

#[derive(Debug)]
struct BodyCondition {
    comparator: Comparator,
    raw: bool,
}

impl Condition for BodyCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        let holds = if self.raw {
            let raw = message.raw_body(MAX_TEXT);
            self.comparator.accepts(&String::from_utf8_lossy(&raw), asking)?
        } else {
            match asking.ordinary_text() {
                Some(ordinary) => self.comparator.accepts_both(message.text(), &ordinary, asking)?,
                None => self.comparator.accepts_both(message.text(), message.text(), asking)?,
            }
        };
        let what = if self.raw { "the raw body" } else { "the text" };
        asking.saw(holds, || if holds { format!("{what} fits") } else { format!("{what} does not fit") });
        Ok(holds)
    }
}
