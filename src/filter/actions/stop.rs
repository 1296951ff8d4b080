//! `stop`: ends filtering immediately.

use super::super::asking::Break;
use super::super::run::Run;
use super::{ActionWord, Verb, no_value};
use crate::config::reader::Takes;

pub(super) const STOP: ActionWord = ActionWord::bare(
    ("stop", "End filtering here; a message that nothing filed is kept.", Takes::Nothing),
    || Box::new(StopAction),
    |node, compiler| no_value("stop", node, compiler),
);

#[derive(Debug)]
struct StopAction;

impl Verb for StopAction {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        run.did("stop");
        Ok(())
    }

    fn ends(&self) -> bool {
        true
    }

    fn stops(&self) -> bool {
        true
    }
}
