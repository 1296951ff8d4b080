//! `list_id`: the identity of a mailing list (RFC 2919).

use super::super::asking::{Asking, Break};
use super::super::comparator::Comparator;
use super::super::comparison::{Allowed, COMPARED};
use super::super::compile::Compiler;
use super::super::short::ComparedKind;
use super::{BoxedCondition, Condition, ConditionWord, quoted};
use crate::config::yaml::Node;

pub(super) const LIST_ID: ConditionWord = ConditionWord::new(
    ("list_id", "The mailing list's identity, what stands in `<>` in List-Id, with a comparison.", COMPARED),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    compiler
        .comparison(node, Allowed::only(ComparedKind::ListId))
        .map(|c| Box::new(ListId(c.comparator)) as BoxedCondition)
}

#[derive(Debug)]
struct ListId(Comparator);

impl Condition for ListId {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        let Some(id) = message.list_id() else {
            asking.saw(false, || "there is no List-Id".to_owned());
            return Ok(false);
        };
        let holds = self.0.accepts(id, asking)?;
        asking.saw(holds, || format!("list_id is {}", quoted(std::iter::once(id))));
        Ok(holds)
    }
}
