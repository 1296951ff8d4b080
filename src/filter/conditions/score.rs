//! `score`: adds up weights of several conditions.

use super::super::asking::{Asking, Break};
use super::super::captures::Captured;
use super::super::comparator::Range;
use super::super::comparison;
use super::super::compile::Compiler;
use super::super::habits::doubt_reach;
use super::occurrences::Occurrences;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::yaml::{Node, Value};

pub(super) static KEYS: Shape = Shape {
    what: "a score",
    keys: &[
        (
            "weights",
            "Conditions with what each adds: [{if: {…}, add: 60}, …], or {each: '!', add: 5, decay: 0.5} for every place; all of them are asked.",
            Takes::List(&Takes::Section(&WEIGHT)),
        ),
        ("over", "The sum is greater.", Takes::Number),
        ("under", "The sum is smaller.", Takes::Number),
        ("at_least", "The sum is as great or greater.", Takes::Number),
        ("at_most", "The sum is as small or smaller.", Takes::Number),
    ],
};

pub(super) static WEIGHT: Shape = Shape {
    what: "a weight",
    keys: &[
        ("if", "The condition.", Takes::Rules("a condition")),
        ("each", "Instead of `if`: a regular expression; each match adds.", Takes::Text),
        (
            "in",
            "Where `each` looks: `body` (default), `header` (all fields), `anywhere` (both), or a field such as `Subject`.",
            Takes::Text,
        ),
        ("add", "What it adds when it holds; may be negative.", Takes::Number),
        (
            "per_size",
            "Instead of `if`: `add` counts once for each full so much of the message: {per_size: 100K, add: 5}.",
            Takes::Size,
        ),
        (
            "decay",
            "Each further match adds this factor times what the match before it added, as in procmail's `w^x`: 0 to 1. Default: 1.",
            Takes::Number,
        ),
    ],
};

pub(super) const SCORE: ConditionWord = ConditionWord::new(
    (
        "score",
        "Conditions with weights whose sum decides: {weights: […], at_least: 100}. `${score}` is the sum.",
        Takes::Section(&KEYS),
    ),
    read,
);

#[derive(Debug)]
struct Score {
    weights: Vec<ScoreWeight>,
    range: Range,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let weights = map.require("weights");
    let bounds: Vec<(crate::config::yaml::YamlKey, Node)> = match &node.value {
        Value::Map(entries) => entries.iter().filter(|(key, _)| key.text != "weights").cloned().collect(),
        _ => return None,
    };
    if bounds.is_empty() {
        let at = map.place();
        map.problems().error(at, "a score needs one of `over`, `under`, `at_least`, `at_most`");
        return None;
    }
    let range = comparison::range(&Node { value: Value::Map(bounds), span: node.span }, &mut compiler.problems);
    let items = weights.and_then(|node| reader::list(node, "a list of weights", &mut compiler.problems))?;
    let read: Vec<_> = items.iter().map(|item| weight(item, compiler)).collect();
    let weights = read.into_iter().collect::<Option<Vec<_>>>()?;
    let range = range?;
    let reach = |sign: f64| -> f64 { weights.iter().map(ScoreWeight::most).filter(|most| most * sign > 0.0).sum() };
    doubt_reach(&range, (reach(-1.0), reach(1.0)), node.span, &mut compiler.problems);
    compiler.captured(vec![Captured { name: "score".to_owned(), always: true }]);
    Some(Box::new(Score { weights, range }))
}

/// What adds to the score.
#[derive(Debug)]
enum ScoreWeight {
    Condition {
        condition: BoxedCondition,
        add: f64,
    },
    Places(Occurrences),
    /// A weight for each `unit` bytes.
    Size {
        unit: u64,
        add: f64,
    },
}

impl ScoreWeight {
    /// The largest amount that it can add, or the smallest if it is negative.
    fn most(&self) -> f64 {
        match self {
            Self::Condition { add, .. } => *add,
            Self::Places(places) => places.most(),
            Self::Size { add, .. } => add * f64::INFINITY,
        }
    }
}

fn weight(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<ScoreWeight> {
    let mut map = MapReader::new(node, &WEIGHT, &mut compiler.problems);
    if map.take("each").is_some() {
        return Occurrences::read(map).map(ScoreWeight::Places);
    }
    if map.take("per_size").is_some() {
        let unit = map.read("per_size", |node, problems| {
            let unit = reader::size(node, problems).filter(|unit| *unit > 0);
            if unit.is_none() {
                reader::mismatch(node, "a size above 0", problems);
            }
            unit
        });
        if let Some(node) = map.take("if") {
            map.problems().error(node.span, "a weight has one of `if`, `each` and `per_size`");
        }
        let add = map.need("add", comparison::decimal);
        return Some(ScoreWeight::Size { unit: unit?, add: add? });
    }
    for key in ["in", "decay"] {
        if let Some(node) = map.take(key) {
            map.problems().error(node.span, format!("`{key}` is for `each`")).hint("leave it out");
        }
    }
    let condition = map.require("if");
    let add = map.need("add", comparison::decimal);
    let condition = condition.and_then(|node| compiler.in_own_scope(|this| this.condition(node)));
    Some(ScoreWeight::Condition { condition: condition?, add: add? })
}

impl Condition for Score {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let mut sum = 0.0;
        let before = asking.why.len();
        for weight in &self.weights {
            let (condition, add) = match weight {
                ScoreWeight::Condition { condition, add } => (condition, add),
                ScoreWeight::Size { unit, add } => {
                    sum += (asking.message().size() / unit) as f64 * add;
                    continue;
                }
                ScoreWeight::Places(places) => {
                    sum += places.score(asking);
                    continue;
                }
            };
            let mark = asking.names.mark();
            match condition.holds(asking) {
                Ok(true) => sum += add,
                Ok(false) | Err(Break::NoAnswer(_)) => {}
                Err(broken) => return Err(broken),
            }
            asking.names.forget(mark);
        }
        asking.why.truncate(before);
        let holds = self.range.holds(sum);
        asking.names.capture("score", Some(((sum * 100.0).round() / 100.0).to_string()));
        asking.saw(holds, || format!("the score is {sum}"));
        Ok(holds)
    }
}
