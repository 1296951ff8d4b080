//! The world as the rules of a real run see it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use jiff::Zoned;

use crate::decision::Fact;
use crate::filter::{Answer, Ask, Facts, Unanswered};

/// Answers from clock, state and programs.
pub(super) struct WorldFacts;

impl Facts for WorldFacts {
    fn now(&self) -> Zoned {
        Zoned::now()
    }

    fn holds(&self, _: &Fact) -> Result<bool, Unanswered> {
        Ok(false)
    }

    fn list_file(&self, _: &Path) -> Option<Arc<HashSet<String>>> {
        None
    }

    fn ask(&self, _: &Ask<'_>) -> Answer {
        Answer::NotAsked
    }
}
