//! `lua`: what a script does with the message.

use std::sync::Arc;

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::lua::Script;
use super::super::run::Run;
use super::{Boxed, Verb, Word};
use crate::config::reader::Takes;
use crate::config::yaml::Node;

pub(super) const LUA: Word = Word::new(
    (
        "lua",
        "A script, `triage.lua`, or statements in Lua that use `m` and `act`: `act.fileinto(\"by/\" .. m.from.domain)`.",
        Takes::Text,
    ),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    Script::of_node(node, compiler).map(|script| Box::new(Lua(Arc::new(script))) as Boxed)
}

#[derive(Debug)]
struct Lua(Arc<Script>);

impl Verb for Lua {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        self.0.filter(run)
    }

    fn changes(&self) -> bool {
        true
    }
}
