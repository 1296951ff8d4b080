//! `discard`: the message is not filed. `undo` can bring it back for 30 days.

use super::super::asking::Break;
use super::super::run::Run;
use super::{ActionWord, Verb, no_value};
use crate::config::reader::Takes;

pub(super) const DISCARD: ActionWord = ActionWord::bare(
    ("discard", "File nowhere; `mailsluice undo` brings it back for 30 days. Ends filtering.", Takes::Nothing),
    || Box::new(Discard),
    |node, compiler| no_value("discard", node, compiler),
);

#[derive(Debug)]
struct Discard;

impl Verb for Discard {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        run.discard();
        Ok(())
    }

    fn ends(&self) -> bool {
        true
    }

    fn takes_away(&self) -> bool {
        true
    }
}
