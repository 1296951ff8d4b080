//! Whose turn it is to send.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Kind, Result};
use crate::message::OUTBOX;
use crate::pass::World;
use crate::state::{Lock, Owned};

/// How often to check whether the previous process has ended.
const OUTBOX_LOCK_POLL: Duration = Duration::from_millis(50);

/// Takes the outbox's lock. One process holds it and one waits for it: the second sees what is put into the outbox
/// while the first is about to end. Returns `None` if another process waits already, or the time is over.
pub(super) async fn turn(world: &World, is_over: &(dyn Fn() -> bool + Sync)) -> Result<Option<Arc<Owned>>> {
    // No account can have this name.
    let Some(_next) = unless_busy(Lock::try_take(&world.locks(), "(next to the outbox)"))? else { return Ok(None) };
    loop {
        let owned = unless_busy(world.own(OUTBOX, Duration::ZERO))?;
        if owned.is_some() || is_over() {
            return Ok(owned);
        }
        tokio::time::sleep(OUTBOX_LOCK_POLL).await;
    }
}

fn unless_busy<T>(taken: Result<T>) -> Result<Option<T>> {
    match taken {
        Err(e) if e.kind() == Kind::Busy => Ok(None),
        taken => taken.map(Some),
    }
}
