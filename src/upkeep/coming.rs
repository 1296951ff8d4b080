//! What a refilter run is going to write. A run that only shows its moves records nothing, so the state cannot answer
//! for it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::decision::{Counted, Fact, Write};

/// What the messages of a run are going to write so far. Later messages see it, as they do within a batch.
#[derive(Debug, Default)]
pub struct Coming(Mutex<Writes>);

#[derive(Debug, Default)]
struct Writes {
    /// Entries of lists, and messages that were answered.
    facts: HashMap<Fact, bool>,
    /// Senders that were answered. There are few, because old mail is not answered.
    answers: Vec<Write>,
    numbers: HashMap<String, u64>,
    /// Messages that are counted, by handle and key.
    counted: HashMap<(String, String), Vec<Write>>,
}

impl Coming {
    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the writes of one more message.
    pub(super) fn add(&self, writes: &[Write]) {
        let mut coming = self.writes();
        for write in writes.iter().cloned() {
            match write {
                Write::Number { counter, number } => _ = coming.numbers.insert(counter, number),
                Write::List { list, entry, .. } => _ = coming.facts.insert(Fact::Listed { list, entry }, true),
                Write::Unlist { list, entry } => _ = coming.facts.insert(Fact::Listed { list, entry }, false),
                Write::Seen { handle, key, .. } => _ = coming.facts.insert(Fact::Seen { handle, key }, true),
                Write::Answered { .. } => coming.answers.push(write),
                Write::Counted { ref handle, ref key, .. } => {
                    coming.counted.entry((handle.clone(), key.clone())).or_default().push(write);
                }
            }
        }
    }

    /// Forgets the writes, because the state holds all of them now.
    pub(super) fn clear(&self) {
        *self.writes() = Writes::default();
    }

    /// The answer to a question according to these writes, or `None` if only the state can answer it.
    pub(super) fn answer(&self, fact: &Fact) -> Option<bool> {
        let coming = self.writes();
        coming.facts.get(fact).copied().or_else(|| Write::latest(coming.answers.iter(), fact))
    }

    /// The messages that these writes count, by their marks.
    pub(super) fn counted(&self, of: &Counted) -> HashSet<i64> {
        let coming = self.writes();
        let writes = coming.counted.get(&(of.handle.clone(), of.key.clone()));
        Write::counted(writes.into_iter().flatten(), of)
    }

    /// The last number that these writes take from a counter.
    pub(super) fn last_number(&self, counter: &str) -> Option<u64> {
        self.writes().numbers.get(counter).copied()
    }
}
