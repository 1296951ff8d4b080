//! `log`: writes a line to the journal.

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::run::Run;
use super::{ActionWord, BoxedAction, Verb};
use crate::config::reader::Takes;
use crate::config::text::Text;
use crate::config::yaml::Node;

pub(super) const LOG: ActionWord =
    ActionWord::new(("log", "Write a line that `mailsluice log` shows: \"score ${score}\".", Takes::Text), read);

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    compiler.text(node, "a text to log").map(|text| Box::new(Log(text)) as BoxedAction)
}

#[derive(Debug)]
struct Log(Text);

impl Verb for Log {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let text = crate::clean::short(&run.asking.expand(&self.0), 500);
        run.note(text);
        Ok(())
    }
}
