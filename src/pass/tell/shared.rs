//! What one pass over the outbox works with.

use std::collections::HashMap;
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
        }
    }

    /// Holds up the other lanes while something is filed.
    pub(super) fn filing(&self) -> MutexGuard<'_, ()> {
        self.filing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the time of the pass is over.
    pub(super) fn is_over(&self) -> bool {
        self.stop.is_cancelled() || Instant::now() > self.until
    }
}
