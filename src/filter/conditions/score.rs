//! `score`: weak signs add up.

use super::super::asking::{Asking, Break};
use super::super::comparator::Range;
use super::super::comparison;
use super::super::compile::Compiler;
use super::{Boxed, Condition, Word};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::yaml::{Node, Value};

pub(super) static KEYS: Shape = Shape {
    what: "a score",
    keys: &[
        (
            "weights",
            "Conditions with what each adds: [{if: {…}, add: 60}, …]; all of them are asked.",
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
        ("add", "What it adds when it holds; may be negative.", Takes::Number),
    ],
};

pub(super) const SCORE: Word = Word::new(
    ("score", "Conditions with weights whose sum decides: {weights: […], at_least: 100}.", Takes::Section(&KEYS)),
    read,
);

#[derive(Debug)]
struct Score {
    weights: Vec<(Boxed, f64)>,
    range: Range,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let weights = map.require("weights");
    let bounds: Vec<(crate::config::yaml::Key, Node)> = match &node.value {
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
    Some(Box::new(Score { weights, range: range? }))
}

fn weight(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<(Boxed, f64)> {
    let mut map = MapReader::new(node, &WEIGHT, &mut compiler.problems);
    let condition = map.require("if");
    let add = map.need("add", comparison::decimal);
    let condition = condition.and_then(|node| compiler.in_own_scope(|this| this.condition(node)));
    Some((condition?, add?))
}

impl Condition for Score {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let mut sum = 0.0;
        let before = asking.why.len();
        for (condition, add) in &self.weights {
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
        asking.saw(holds, || format!("the score is {sum}"));
        Ok(holds)
    }
}
