//! `variable`: compares a variable of `set` or `execute`, or a capture.

use super::super::asking::{Asking, Break};
use super::super::captures::Captured;
use super::super::comparison::{Allowed, COMPARED};
use super::super::compile::Compiler;
use super::{BoxedCondition, Condition, ConditionWord, all, quoted};
use crate::config::reader::{self, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};

const VARIABLE_TAKES: Takes = Takes::Named(&COMPARED);
pub(super) const VARIABLE: ConditionWord = ConditionWord::new(
    ("variable", "A variable or capture, each with a comparison: {ticket: {regex: '^[0-9]+$'}}.", VARIABLE_TAKES),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let Value::Map(entries) = &node.value else {
        reader::mismatch(node, "variables with comparisons (a mapping)", &mut compiler.problems);
        return None;
    };
    let mut tests: Vec<Option<BoxedCondition>> = Vec::new();
    for (key, node) in entries {
        let name = Node { value: Value::Scalar { text: format!("${{{}}}", key.text), quoted: true }, span: key.span };
        let value = compiler.text(&name, "the name of a variable");
        let comparison = compiler.comparison(node, Allowed::default());
        let test = value.zip(comparison).map(|(value, comparison)| {
            Box::new(VariableCondition { name: key.text.clone(), value, comparator: comparison.comparator })
                as BoxedCondition
        });
        // If the comparison holds, the variable has a value.
        compiler.captured(vec![Captured { name: key.text.clone(), always: true }]);
        tests.push(test);
    }
    tests.into_iter().collect::<Option<Vec<_>>>().filter(|tests| !tests.is_empty()).map(all)
}

#[derive(Debug)]
struct VariableCondition {
    name: String,
    value: Text,
    comparator: super::super::comparator::Comparator,
}

impl Condition for VariableCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let value = asking.expand(&self.value);
        let holds = self.comparator.accepts(&value, asking)?;
        asking.saw(holds, || format!("{} is {}", self.name, quoted(std::iter::once(value.as_str()))));
        Ok(holds)
    }
}
