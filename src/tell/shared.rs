//! What one pass over the outbox works with.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::outbox::Relays;
use crate::pass::World;
use crate::state::Owned;

/// What all lanes of a pass over the outbox share.
#[derive(Clone)]
pub(super) struct SharedByLanes {
    pub(super) world: World,
    pub(super) owned: Arc<Owned>,
    pub(super) relays: Arc<Relays>,
    pub(super) until: Instant,
    pub(super) stop: CancellationToken,
    /// How much was sent within the period of each limit.
    pub(super) counts: Arc<Mutex<HashMap<&'static str, u64>>>,
    /// One lane files at a time, because two lanes may give up the same message.
    filing: Arc<Mutex<()>>,
    /// The items that a lane is giving up now.
    given_up: Arc<Mutex<HashSet<i64>>>,
}

/// An item that is being given up, until this is dropped.
pub(super) struct GivingUp {
    id: i64,
    all: Arc<Mutex<HashSet<i64>>>,
}

impl Drop for GivingUp {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl SharedByLanes {
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

    /// Announces that a lane gives an item up. Otherwise what is recorded on the way would look like the traces of a
    /// crash.
    pub(super) fn give_up(&self, id: i64) -> GivingUp {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        GivingUp { id, all: Arc::clone(&self.given_up) }
    }

    /// Whether a lane is giving the item up.
    pub(super) fn is_giving_up(&self, id: i64) -> bool {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// Whether the time of the pass is over.
    pub(super) fn is_over(&self) -> bool {
        self.stop.is_cancelled() || Instant::now() > self.until
    }
}
