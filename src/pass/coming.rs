//! What a refilter run is going to write: nothing is recorded while it only looks, and the state cannot say it yet.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::decision::{Counted, Fact, Write};

/// What the messages of a run are going to write, so far: later ones know it, as in a batch.
#[derive(Debug, Default)]
pub struct Coming(Mutex<Writes>);

#[derive(Debug, Default)]
struct Writes {
    /// Entries of lists, and messages that were answered.
    facts: HashMap<Fact, bool>,
    /// Senders that were answered: few, for old mail is not.
    answers: Vec<Write>,
    numbers: HashMap<String, u64>,
    /// Messages that are counted, by handle and key.
    counted: HashMap<(String, String), Vec<Write>>,
}

impl Coming {
    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One message more was decided.
    pub(super) fn note(&self, writes: &[Write]) {
        let mut noted = self.writes();
        for write in writes.iter().cloned() {
            match write {
                Write::Number { counter, number } => _ = noted.numbers.insert(counter, number),
                Write::List { list, entry, .. } => _ = noted.facts.insert(Fact::Listed { list, entry }, true),
                Write::Unlist { list, entry } => _ = noted.facts.insert(Fact::Listed { list, entry }, false),
                Write::Seen { handle, key, .. } => _ = noted.facts.insert(Fact::Seen { handle, key }, true),
                Write::Answered { .. } => noted.answers.push(write),
                Write::Counted { ref handle, ref key, .. } => {
                    noted.counted.entry((handle.clone(), key.clone())).or_default().push(write);
                }
            }
        }
    }

    /// The state knows all of it.
    pub(super) fn clear(&self) {
        *self.writes() = Writes::default();
    }

    /// What these writes make the answer to a question; `None`: nothing, and the state has to say.
    pub(super) fn answer(&self, fact: &Fact) -> Option<bool> {
        let noted = self.writes();
        noted.facts.get(fact).copied().or_else(|| Write::latest(noted.answers.iter(), fact))
    }

    /// The messages that they count, by their marks.
    pub(super) fn counted(&self, of: &Counted) -> HashSet<i64> {
        let noted = self.writes();
        let writes = noted.counted.get(&(of.handle.clone(), of.key.clone()));
        Write::counted(writes.into_iter().flatten(), of)
    }

    /// The last number that they give of a counter.
    pub(super) fn last_number(&self, counter: &str) -> Option<u64> {
        self.writes().numbers.get(counter).copied()
    }
}
