//! `lua`: runs a script.

use std::sync::Arc;

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::lua::Script;
use super::super::run::Run;
use super::{ActionWord, BoxedAction, Verb};
use crate::config::reader::Takes;
use crate::config::yaml::Node;

pub(super) const LUA: ActionWord = ActionWord::new(
    (
        "lua",
        "A script, `triage.lua`, or statements in Lua that use `m` and `act`: `act.fileinto(\"by/\" .. m.from.domain)`.",
        Takes::Text,
    ),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    Script::of_node(node, compiler).map(|script| Box::new(LuaAction(Arc::new(script))) as BoxedAction)
}

#[derive(Debug)]
struct LuaAction(Arc<Script>);

impl Verb for LuaAction {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        self.0.filter(run)
    }

    fn changes(&self) -> bool {
        true
    }
}
