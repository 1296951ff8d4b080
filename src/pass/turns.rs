//! Turns within one process: two accounts of the config may be the same mailbox, and a name space has one owner.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Whose turn it is in each name space.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<std::sync::Mutex<HashMap<String, Arc<Mutex<()>>>>>);

impl Turns {
    /// Waits for the turn of a name space.
    pub async fn of(&self, space: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(space.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}
