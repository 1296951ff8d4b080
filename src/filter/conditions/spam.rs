//! `spam`: what a spam filter wrote into the header.

use super::super::asking::{Asking, Break};
use super::super::comparator::{Range, first_number};
use super::super::comparison;
use super::super::compile::Compiler;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::{self, Shape, Takes};
use crate::config::yaml::{Node, Value};
use crate::message::Message;

pub(super) static KEYS: Shape = Shape {
    what: "a spam condition",
    keys: &[
        ("over", "The score is greater.", Takes::Number),
        ("under", "The score is smaller.", Takes::Number),
        ("at_least", "The score is as great or greater.", Takes::Number),
        ("at_most", "The score is as small or smaller.", Takes::Number),
    ],
};

const SPAM_TAKES: Takes = Takes::Either(&[Takes::Flag, Takes::Section(&KEYS)]);
pub(super) const SPAM: ConditionWord = ConditionWord::new(
    (
        "spam",
        "`true`: SpamAssassin, rspamd or bogofilter called it spam; or its score: {at_least: 8}. Remove such fields before you run a filter of your own: senders can write them too.",
        SPAM_TAKES,
    ),
    read,
);

#[derive(Debug)]
enum Spam {
    Is(bool),
    Score(Range),
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    Some(Box::new(match &node.value {
        Value::Map(_) => Spam::Score(comparison::range(node, &mut compiler.problems)?),
        Value::Scalar { text, .. } if text.parse::<f64>().is_ok() => {
            let problem = reader::mismatch(node, "`true`, `false` or bounds (a mapping)", &mut compiler.problems);
            problem.hint(format!("write {{at_least: {text}}}"));
            return None;
        }
        _ => Spam::Is(reader::flag(node, &mut compiler.problems)?),
    }))
}

impl Condition for Spam {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        match self {
            Self::Is(wanted) => {
                let verdict = verdict(&message);
                let holds = verdict.is_some() == *wanted;
                asking.saw(holds, || verdict.unwrap_or_else(|| "no spam filter called it spam".to_owned()));
                Ok(holds)
            }
            Self::Score(range) => {
                let score = score(&message);
                let holds = score.is_some_and(|score| range.holds(score));
                asking.saw(holds, || {
                    score.map_or("there is no spam score".to_owned(), |score| format!("score is {score}"))
                });
                Ok(holds)
            }
        }
    }
}

/// The field that marks the message as spam, as `Name: value`.
pub(in super::super) fn verdict(message: &Message) -> Option<String> {
    let says = |name: &'static str, word: &str| {
        let value = message.first(name)?;
        let is_so = value.trim_start().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        is_so.then(|| format!("{name} is \"{}\"", crate::clean::short(value, 40)))
    };
    says("X-Spam-Flag", "yes")
        .or_else(|| says("X-Spam-Status", "yes"))
        .or_else(|| says("X-Bogosity", "spam"))
        .or_else(|| says("X-Bogosity", "yes"))
        .or_else(|| says("X-Spam", "yes"))
}

/// The score: X-Spam-Score, `score=` in X-Spam-Status, X-Rspamd-Score, `[score / required]` in X-Spamd-Result, or the
/// stars of X-Spam-Level.
pub(in super::super) fn score(message: &Message) -> Option<f64> {
    let status = message.first("X-Spam-Status").and_then(|value| Some(value.split_once("score=")?.1));
    let result = message.first("X-Spamd-Result").and_then(|value| Some(value.split_once('[')?.1));
    let number = |value: Option<&str>| value.and_then(first_number);
    number(message.first("X-Spam-Score"))
        .or_else(|| number(status))
        .or_else(|| number(message.first("X-Rspamd-Score")))
        .or_else(|| number(result))
        .or_else(|| message.first("X-Spam-Level").map(|level| level.chars().filter(|c| *c == '*').count() as f64))
}
