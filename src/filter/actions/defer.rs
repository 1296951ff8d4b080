//! `defer`: the message stays where it is and is decided again later.

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::run::Run;
use super::{ActionWord, BoxedAction, Verb};
use crate::config::reader::Takes;
use crate::config::text::Text;
use crate::config::yaml::Node;

pub(super) const DEFER: ActionWord = ActionWord::bare(
    (
        "defer",
        "Decide later: the message stays on the server, and the rules run again in later passes; after 24 hours or ten times it is kept. The value is the reason.",
        Takes::Text,
    ),
    || Box::new(Defer { why: Text::literal("a rule said so") }),
    read,
);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    compiler.text(node, "a reason").map(|why| Box::new(Defer { why }) as BoxedAction)
}

#[derive(Debug)]
struct Defer {
    why: Text,
}

impl Verb for Defer {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        Err(Break::Defer(crate::clean::short(&run.asking.expand(&self.why), 200)))
    }

    fn ends(&self) -> bool {
        true
    }

    fn stops(&self) -> bool {
        true
    }
}
