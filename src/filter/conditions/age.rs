//! `age`: how long ago the message arrived.

use std::time::Duration;

use jiff::SignedDuration;

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::super::habits::doubt_bounds;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::units::show_duration;
use crate::config::yaml::Node;

pub(super) static KEYS: Shape = Shape {
    what: "an age condition",
    keys: &[("over", "Longer ago than this.", Takes::Duration), ("under", "Not so long ago.", Takes::Duration)],
};

pub(super) const AGE: ConditionWord = ConditionWord::new(
    ("age", "How long ago the message arrived at its source: {over: 14d} or {under: 2h}.", Takes::Section(&KEYS)),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    if let Some(text) = node.as_text() {
        let problem = reader::mismatch(node, "bounds of an age (a mapping)", &mut compiler.problems);
        problem.hint(format!("write {{over: {0}}} or {{under: {0}}}", crate::clean::short(text, 40)));
        return None;
    }
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let (over, under) = (map.read("over", reader::duration), map.read("under", reader::duration));
    if map.is_known() && map.take("over").is_none() && map.take("under").is_none() {
        let at = map.place();
        map.problems().error(at, "an age condition needs `over` or `under`");
    }
    doubt_bounds(over, under, node.span, &mut compiler.problems);
    (over.is_some() || under.is_some()).then(|| Box::new(Age { over, under }) as BoxedCondition)
}

#[derive(Debug)]
struct Age {
    over: Option<Duration>,
    under: Option<Duration>,
}

impl Condition for Age {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        // A message with a date in the future is new.
        let age = asking.now().timestamp().duration_since(asking.envelope.arrived).max(SignedDuration::ZERO);
        let age = age.unsigned_abs();
        let holds = self.over.is_none_or(|limit| age > limit) && self.under.is_none_or(|limit| age < limit);
        asking.saw(holds, || format!("it arrived {} ago", show_duration(age)));
        Ok(holds)
    }
}
