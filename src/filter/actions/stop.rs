//! `stop`: end here and now.

use super::super::asking::Break;
use super::super::run::Run;
use super::{Verb, Word, no_value};
use crate::config::reader::Takes;

pub(super) const STOP: Word = Word::bare(
    ("stop", "End filtering here; a message that nothing filed is kept.", Takes::Nothing),
    || Box::new(Stop),
    |node, compiler| no_value("stop", node, compiler),
);

#[derive(Debug)]
struct Stop;

impl Verb for Stop {
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
