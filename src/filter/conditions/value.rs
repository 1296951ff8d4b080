//! `value`: compares any text, which may contain values.

use super::super::asking::{Asking, Break};
use super::super::comparator::Comparator;
use super::super::comparison::{Allowed, COMPARISON};
use super::super::compile::Compiler;
use super::{BoxedCondition, Condition, ConditionWord, quoted};
use crate::config::reader::{KeyDoc, MapReader, Shape, TEXTS, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value as Written};

const OF: KeyDoc = ("of", "The text, with `${name}`.", Takes::Text);

pub(super) static KEYS: Shape = Shape {
    what: "a condition on a value",
    keys: &[
        OF,
        ("is", "The whole value is one of these.", TEXTS),
        ("contains", "One of these is in it.", TEXTS),
        ("matches", "It fits one of these patterns with `*` and `?`.", TEXTS),
        ("regex", "One of these expressions is found in it.", TEXTS),
        ("in", "The same as `is`.", TEXTS),
        ("in_list", "It is in this list.", TEXTS),
        ("contains_list", "An entry of this list stands in it.", TEXTS),
        ("over", "The first number in it is larger.", Takes::Number),
        ("under", "It is smaller.", Takes::Number),
        ("at_least", "It is this or larger.", Takes::Number),
        ("at_most", "It is this or smaller.", Takes::Number),
    ],
};

pub(super) const VALUE: ConditionWord = ConditionWord::new(
    (
        "value",
        "Any text with a comparison: {of: \"${from.user}.${to.detail}\", in_list: known}, {of: \"on\", in_list: switches}.",
        Takes::Section(&KEYS),
    ),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let of = map.require("of");
    let Written::Map(entries) = &node.value else { return None };
    let is_compared = |key: &str| COMPARISON.names().any(|known| known == key);
    let comparison: Vec<_> = entries.iter().filter(|(key, _)| is_compared(&key.text)).cloned().collect();
    if comparison.is_empty() {
        let at = map.place();
        map.problems().error(at, "a value needs a comparison, such as `is` or `in_list`");
        return None;
    }
    compiler.doubt_name(of?);
    let text = compiler.text(of?, "a text")?;
    let comparison = Node { value: Written::Map(comparison), span: node.span };
    let comparator = compiler.comparison(&comparison, Allowed::default())?.comparator;
    Some(Box::new(ValueCondition { text, comparator }))
}

#[derive(Debug)]
struct ValueCondition {
    text: Text,
    comparator: Comparator,
}

impl Condition for ValueCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let value = asking.expand(&self.text);
        let holds = self.comparator.accepts(&value, asking)?;
        asking.saw(holds, || format!("the value is {}", quoted(std::iter::once(value.as_str()))));
        Ok(holds)
    }
}
