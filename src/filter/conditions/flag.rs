//! `flag`: flags and keywords that the message has on the server or got from a rule.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::TEXTS;
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};
use crate::message::Flags;

pub(super) const FLAG: ConditionWord = ConditionWord::new(
    ("flag", "The message has this flag or keyword, or one of these: `seen`, `flagged`, `$later`.", TEXTS),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let nodes = match &node.value {
        Value::Seq(items) if !items.is_empty() => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut wanted = Vec::new();
    for node in nodes {
        let word = compiler.compared(node, "a flag, or a list of flags")?;
        if let Some(Err(bad)) = word.as_literal().map(|word| Flags::default().parse_word(word)) {
            compiler.problems.error(node.span, bad.to_string());
            return None;
        }
        wanted.push(word);
    }
    Some(Box::new(HasFlag { wanted }))
}

#[derive(Debug)]
struct HasFlag {
    wanted: Vec<Text>,
}

impl Condition for HasFlag {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let mut unanswered = None;
        for word in &self.wanted {
            match asking.expand_known(word) {
                Ok(word) => {
                    let mut one = Flags::default();
                    if one.parse_word(&word).is_ok() && asking.flags.has_all(&one) {
                        asking.saw(true, || format!("it is {word}"));
                        return Ok(true);
                    }
                }
                Err(why) => unanswered = unanswered.or(Some(why)),
            }
        }
        let shown = asking.flags.to_string();
        asking.saw(false, || {
            if shown.is_empty() { "it has no flags".to_owned() } else { format!("its flags are {shown}") }
        });
        unanswered.map_or(Ok(false), Err)
    }
}
