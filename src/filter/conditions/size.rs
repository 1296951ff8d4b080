//! `size`: the size of the message as filed, with LF line ends.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::super::habits::doubt_bounds;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::yaml::Node;

pub(super) static KEYS: Shape = Shape {
    what: "a size condition",
    keys: &[("over", "Larger than this.", Takes::Size), ("under", "Smaller than this.", Takes::Size)],
};

pub(super) const SIZE: ConditionWord =
    ConditionWord::new(("size", "The size of the message: {over: 1M} or {under: 10K}.", Takes::Section(&KEYS)), read);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    bounds(node, &mut compiler.problems).map(|bounds| Box::new(SizeCondition(bounds)) as BoxedCondition)
}

/// Almost no message or file is smaller than this many bytes.
const MIN_USUAL_BYTES: u64 = 100;

/// Bounds of a size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    over: Option<u64>,
    under: Option<u64>,
}

impl Bounds {
    pub(super) fn hold(&self, size: u64) -> bool {
        self.over.is_none_or(|n| size > n) && self.under.is_none_or(|n| size < n)
    }
}

pub(super) fn bounds(node: &Node, problems: &mut crate::config::problem::Problems) -> Option<Bounds> {
    if let Some(text) = node.as_text() {
        let problem = reader::mismatch(node, "bounds of a size (a mapping)", problems);
        problem.hint(format!("write {{over: {0}}} or {{under: {0}}}", crate::clean::short(text, 40)));
        return None;
    }
    let mut map = MapReader::new(node, &KEYS, problems);
    let (over, under) = (map.read("over", reader::size), map.read("under", reader::size));
    if map.is_known() && map.take("over").is_none() && map.take("under").is_none() {
        let at = map.place();
        map.problems().error(at, "a size condition needs `over` or `under`");
    }
    doubt_bounds(over, under, node.span, problems);
    for (key, size) in [("over", over), ("under", under)] {
        if let (Some(size @ 1..MIN_USUAL_BYTES), Some(node)) = (size, node.get(key)) {
            problems
                .warn(node.span, format!("{size} bytes: every message is larger"))
                .hint(format!("write `{size}K` or `{size}M`"));
        }
    }
    (over.is_some() || under.is_some()).then_some(Bounds { over, under })
}

#[derive(Debug)]
struct SizeCondition(Bounds);

impl Condition for SizeCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let size = asking.message().size();
        let holds = self.0.hold(size);
        asking.saw(holds, || format!("size is {size}"));
        Ok(holds)
    }
}
