//! `kind`: whether the message is from a person, a program or a mailing list, or is a bounce.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::{self, Takes};
use crate::config::yaml::{Node, Value};
use crate::message::Message;

const KIND_WORDS: &[&str] = &["automated", "list", "bounce", "personal"];

const KIND_TAKES: Takes = Takes::Some(&Takes::Word(KIND_WORDS));
pub(super) const KIND: ConditionWord = ConditionWord::new(
    (
        "kind",
        "`list`: a mailing list; `bounce`: a delivery report; `automated`: by a program; `personal`: none of these. Or a list of them.",
        KIND_TAKES,
    ),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let words: Vec<(&str, &'static str)> = KIND_WORDS.iter().map(|word| (*word, *word)).collect();
    let nodes = match &node.value {
        Value::Seq(items) if !items.is_empty() => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let kinds: Vec<_> = nodes.iter().map(|node| reader::choice(node, &words, &mut compiler.problems)).collect();
    Some(Box::new(OfKind { kinds: kinds.into_iter().collect::<Option<_>>()? }))
}

#[derive(Debug)]
struct OfKind {
    kinds: Vec<&'static str>,
}

impl Condition for OfKind {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        let holds = self.kinds.iter().any(|kind| is_of(&message, kind));
        asking.saw(holds, || {
            let all: Vec<&str> = KIND_WORDS.iter().copied().filter(|kind| is_of(&message, kind)).collect();
            format!("it is {}", all.join(" and "))
        });
        Ok(holds)
    }
}

fn is_of(message: &Message, kind: &str) -> bool {
    match kind {
        "automated" => message.is_automated(),
        "list" => message.is_list(),
        "bounce" => message.is_bounce(),
        _ => !message.is_automated() && !message.is_list() && !message.is_bounce(),
    }
}
