//! When the process dies: one counter of steps for its disk, its memory and its server.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Life and death of one simulated process. Clones are the same fate, so that a process whose disk failed cannot
/// go on talking to the server.
#[derive(Clone, Default)]
pub struct Fate(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    steps: Vec<String>,
    dies_before: Option<usize>,
    last_will: Option<LastWill>,
    is_dead: bool,
}

type LastWill = Box<dyn FnOnce() + Send>;

/// Everything the process tries from its death on.
#[derive(Debug)]
pub struct Dead;

impl std::fmt::Display for Dead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the process is dead")
    }
}

impl std::error::Error for Dead {}

impl From<Dead> for io::Error {
    fn from(dead: Dead) -> Self {
        Self::other(dead)
    }
}

impl Fate {
    /// A new process, which dies before its `n`-th step. That is also a death after the step before, whose answer
    /// it then never used; `None` lets it live.
    pub fn begin(&self, dies_before: Option<usize>) {
        *self.lock() = Inner { dies_before, ..Inner::default() };
    }

    /// Something that changes the world outside the process.
    pub fn step(&self, what: impl FnOnce() -> String) -> Result<(), Dead> {
        let mut inner = self.lock();
        if inner.dies_before == Some(inner.steps.len() + 1) {
            inner.die();
        }
        if inner.is_dead {
            return Err(Dead);
        }
        inner.steps.push(what());
        Ok(())
    }

    /// Done at the death of the process begun last, before it can tidy up.
    pub fn at_death(&self, last_will: impl FnOnce() + Send + 'static) {
        self.lock().last_will = Some(Box::new(last_will));
    }

    /// Something that only looks.
    pub fn look(&self) -> Result<(), Dead> {
        if self.is_dead() { Err(Dead) } else { Ok(()) }
    }

    /// Whether the process is to die.
    pub fn is_doomed(&self) -> bool {
        self.lock().dies_before.is_some()
    }

    pub fn is_dead(&self) -> bool {
        self.lock().is_dead
    }

    /// Until it is told to begin again, nothing of the process happens any more.
    pub fn kill(&self) {
        self.lock().die();
    }

    /// What was done, in order.
    pub fn steps(&self) -> Vec<String> {
        self.lock().steps.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn die(&mut self) {
        self.is_dead = true;
        self.last_will.take().into_iter().for_each(|last_will| last_will());
    }
}
