//! `thread`: the messages that this one answers.

use super::super::asking::{Asking, Break};
use super::super::comparator::Comparator;
use super::super::comparison::{Allowed, COMPARED};
use super::super::compile::Compiler;
use super::{BoxedCondition, Condition, ConditionWord, quoted};
use crate::config::yaml::Node;

pub(super) const THREAD: ConditionWord = ConditionWord::new(
    (
        "thread",
        "Any Message-ID in In-Reply-To, References or of the message itself, without brackets, with a comparison: {in_list: muted}.",
        COMPARED,
    ),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    compiler.comparison(node, Allowed::default()).map(|c| Box::new(Thread(c.comparator)) as BoxedCondition)
}

#[derive(Debug)]
struct Thread(Comparator);

impl Condition for Thread {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        let ids: Vec<&str> = message.message_id().into_iter().chain(message.thread_ids()).collect();
        for id in &ids {
            if self.0.accepts(id, asking)? {
                asking.saw(true, || format!("the thread has {}", quoted(std::iter::once(*id))));
                return Ok(true);
            }
        }
        asking.saw(false, || match ids.is_empty() {
            true => "it has no Message-ID".to_owned(),
            false => format!("the thread has {}", quoted(ids.iter().copied())),
        });
        Ok(false)
    }
}
