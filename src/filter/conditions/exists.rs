//! `exists`: whether the message has a header field.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::super::fields::Fields;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::{self, TEXTS};
use crate::config::yaml::Node;

pub(super) const EXISTS: ConditionWord = ConditionWord::new(
    ("exists", "A header field is there; of a list, any one of them. `X-Spam-*` is any that begins so.", TEXTS),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let names = reader::texts(node, "the name of a header field, or a list of names", &mut compiler.problems)?;
    let fields: Option<Vec<Fields>> = names.iter().map(|name| Fields::read(name, node.span, compiler)).collect();
    Some(Box::new(ExistsCondition { fields: fields? }))
}

#[derive(Debug)]
struct ExistsCondition {
    fields: Vec<Fields>,
}

impl Condition for ExistsCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        let mut unanswered = None;
        for fields in &self.fields {
            match fields.of_message(asking) {
                Ok(fields) => {
                    if let Some(field) = fields.of(&message).next() {
                        asking.saw(true, || format!("{} is there", field.name()));
                        return Ok(true);
                    }
                }
                Err(why) => unanswered = unanswered.or(Some(why)),
            }
        }
        asking.saw(false, || "none of them is there".to_owned());
        unanswered.map_or(Ok(false), Err)
    }
}
