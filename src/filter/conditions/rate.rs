//! `rate`: how many such messages arrived within a period.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::super::asking::{Asking, Break};
use super::super::captures::Captured;
use super::super::comparator::Range;
use super::super::comparison::{self, NUMBERS};
use super::super::compile::Compiler;
use super::{BoxedCondition, Condition, ConditionWord, duplicate};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};
use crate::decision::Counted;
use crate::message::Message;

pub(super) static KEYS: Shape = Shape {
    what: "a rate",
    keys: &[
        (
            "per",
            "Messages are counted separately for each value of this: `${from.addr}`, `${list_id}`, `${subject}`. Without it, all messages are counted together.",
            Takes::Text,
        ),
        ("within", "The time up to the arrival of the message: `1h`, `1d`; at most 366d. Required.", Takes::Duration),
        ("over", "More messages than this came, with this one; at most 10000.", Takes::Number),
        ("under", "Fewer came.", Takes::Number),
        ("at_least", "So many came, or more.", Takes::Number),
        ("at_most", "So many came, or fewer.", Takes::Number),
        ("handle", "Only messages under the same handle are counted together. Default: the rule's place.", Takes::Text),
    ],
};

pub(super) const RATE: ConditionWord = ConditionWord::new(
    (
        "rate",
        "How many messages like this one came within a time, with this one: {per: \"${from.addr}\", within: 1h, over: 20}. Copies of one message count once. `${rate}` is the number.",
        Takes::Section(&KEYS),
    ),
    read,
);

const MAX_WITHIN: Duration = Duration::from_secs(366 * 86_400);
/// Higher counts are not distinguished: each message counts those before it.
const MAX_OVER: f64 = 10_000.0;

#[derive(Debug)]
struct Rate {
    per: Option<Text>,
    within: Duration,
    range: Range,
    handle: String,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let place = compiler.place(node.span);
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let within = map.need("within", |node, problems| {
        let within = reader::duration(node, problems)?;
        if within.is_zero() || within > MAX_WITHIN {
            reader::mismatch(node, "a time from `1s` to `366d`", problems);
            return None;
        }
        Some(within)
    });
    let handle = map.read("handle", |n, p| reader::text(n, "a name", p).map(str::to_owned));
    let per = map.take("per");
    let is_map = map.is_map();
    per.iter().for_each(|node| compiler.doubt_key(node));
    let per = per.map(|node| compiler.text(node, "a key"));
    let range = if is_map { bounds(node, compiler) } else { None };
    compiler.captured(vec![Captured { name: "rate".to_owned(), always: true }]);
    if matches!(per, Some(None)) {
        return None;
    }
    Some(Box::new(Rate { per: per.flatten(), within: within?, range: range?, handle: handle.unwrap_or(place) }))
}

fn bounds(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Range> {
    let Value::Map(entries) = &node.value else { return None };
    let bounds: Vec<_> = entries.iter().filter(|(key, _)| NUMBERS.names().any(|name| key.text == name)).collect();
    if bounds.is_empty() {
        let message = "a rate needs one of `over`, `under`, `at_least`, `at_most`";
        compiler.problems.error(node.span, message).hint("for example {per: \"${from.addr}\", within: 1h, over: 20}");
        return None;
    }
    let is_too_much =
        |node: &Node| node.as_text().and_then(|text| text.parse().ok()).is_some_and(|n: f64| n > MAX_OVER);
    if let Some((_, node)) = bounds.iter().find(|(_, node)| is_too_much(node)) {
        reader::mismatch(node, "a number up to 10000", &mut compiler.problems);
        return None;
    }
    let bounds = Value::Map(bounds.into_iter().cloned().collect());
    comparison::range(&Node { value: bounds, span: node.span }, &mut compiler.problems)
}

impl Condition for Rate {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let key = match &self.per {
            None => String::new(),
            Some(per) => {
                // Case is ignored, as everywhere.
                let key = asking.expand(per).trim().to_lowercase();
                if key.is_empty() {
                    asking.saw(false, || "there is nothing to count by".to_owned());
                    return Ok(false);
                }
                duplicate::short(key)
            }
        };
        // The time of arrival counts, not that of the fetch: old mail that is fetched together did not arrive together.
        let upto = asking.envelope.arrived;
        let of = Counted {
            handle: self.handle.clone(),
            key: key.clone(),
            mark: mark(asking.message()),
            after: upto.checked_sub(self.within).unwrap_or(Timestamp::MIN),
            upto,
        };
        let until = upto.checked_add(self.within).unwrap_or(Timestamp::MAX);
        let number = asking.count(of, until)?;
        let holds = self.range.holds(number as f64);
        asking.names.capture("rate", Some(number.to_string()));
        asking.saw(holds, || match key.is_empty() {
            true => format!("message {number} within the time"),
            false => format!("message {number} of \"{key}\" within the time"),
        });
        Ok(holds)
    }
}

/// A number that identifies a message. All copies of a message have the same number, also when it is filtered again.
fn mark(message: &Message) -> i64 {
    let field = |name: &str| message.first(name).unwrap_or_default();
    let digest = match message.message_id() {
        Some(id) => Sha256::digest(id),
        None => Sha256::digest([field("Date"), field("From"), field("Received")].join("\n")),
    };
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    i64::from_be_bytes(first)
}
