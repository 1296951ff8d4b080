//! What one pass over the outbox works with.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::pass::{Relays, World};
use crate::state::Owned;

/// What all lanes of one pass over the outbox share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) world: World,
    pub(super) owned: Arc<Owned>,
    pub(super) relays: Arc<Relays>,
    pub(super) until: Instant,
    pub(super) stop: CancellationToken,
    /// How much was sent within the time of each limit.
    pub(super) counts: Arc<Mutex<HashMap<&'static str, u64>>>,
    /// One lane at a time files something: two may give up the same message.
    filing: Arc<Mutex<()>>,
    /// The rows that a lane gives up just now.
    given_up: Arc<Mutex<HashSet<i64>>>,
}

/// A row that is being given up, until this is dropped.
pub(super) struct GivingUp {
    id: i64,
    all: Arc<Mutex<HashSet<i64>>>,
}

impl Drop for GivingUp {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Shared {
    pub(super) fn new(
        world: &World,
        owned: Arc<Owned>,
        relays: &Relays,
        until: Instant,
        stop: CancellationToken,
    ) -> Self {
        Self {
            world: world.clone(),
            owned,
            relays: Arc::new(relays.clone()),
            until,
            stop,
            counts: Arc::default(),
            filing: Arc::default(),
            given_up: Arc::default(),
        }
    }

    /// Holds up the other lanes while something is filed.
    pub(super) fn filing(&self) -> MutexGuard<'_, ()> {
        self.filing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever gives a row up says so first: what is noted of it on the way looks like what a crash left.
    pub(super) fn give_up(&self, id: i64) -> GivingUp {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        GivingUp { id, all: Arc::clone(&self.given_up) }
    }

    /// Whether a lane is at it.
    pub(super) fn is_giving_up(&self, id: i64) -> bool {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// Whether the time of the pass is over.
    pub(super) fn is_over(&self) -> bool {
        self.stop.is_cancelled() || Instant::now() > self.until
    }
}
