//! `lua`: a condition that a script answers.

use std::sync::Arc;

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::super::lua::Script;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::Takes;
use crate::config::yaml::Node;

pub(super) const LUA: ConditionWord = ConditionWord::new(
    (
        "lua",
        "A script, or an expression in Lua: `m.size > 1000 and m.subject:lower():find(\"x\", 1, true) ~= nil`.",
        Takes::Text,
    ),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    Script::of_node(node, compiler).map(|script| Box::new(LuaCondition(Arc::new(script))) as BoxedCondition)
}

#[derive(Debug)]
struct LuaCondition(Arc<Script>);

impl Condition for LuaCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let holds = self.0.holds(asking)?;
        asking.saw(holds, || format!("{} says {holds}", self.0.name));
        Ok(holds)
    }
}
