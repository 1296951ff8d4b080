//! `account` and `folder`: where the message comes from.

use super::super::asking::{Asking, Break};
use super::super::comparator::Comparator;
use super::super::comparison::{Allowed, COMPARED};
use super::super::compile::Compiler;
use super::super::short::ComparedKind;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::yaml::Node;

pub(super) const ACCOUNT: ConditionWord =
    ConditionWord::new(("account", "The account's name, with a comparison.", COMPARED), |node, compiler| {
        read(node, compiler, false)
    });

pub(super) const FOLDER: ConditionWord = ConditionWord::new(
    ("folder", "The folder on the server, with a comparison; levels are separated by `/`.", COMPARED),
    |node, compiler| read(node, compiler, true),
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>, folder: bool) -> Option<BoxedCondition> {
    let about = if folder { ComparedKind::Value } else { ComparedKind::Account };
    let comparison = compiler.comparison(node, Allowed::only(about))?.of_text(folder);
    Some(Box::new(OriginCondition { folder, comparator: comparison.comparator }))
}

#[derive(Debug)]
struct OriginCondition {
    folder: bool,
    comparator: Comparator,
}

impl Condition for OriginCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let (what, value) =
            if self.folder { ("folder", asking.folder().to_owned()) } else { ("account", asking.account().to_owned()) };
        let holds = self.comparator.accepts(&value, asking)?;
        asking.saw(holds, || format!("{what} is \"{value}\""));
        Ok(holds)
    }
}
