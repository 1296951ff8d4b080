//! Whose turn it is to send.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Kind, Result};
use crate::message::OUTBOX;
use crate::pass::World;
use crate::state::{Lock, Owned};

/// So often it is looked whether the process before has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The outbox as its owner. One process has it and one waits for it: what is put into the outbox while the first one is about
/// to end is seen by the second. `None`: one waits already, or the time is over.
pub(super) async fn turn(world: &World, is_over: &(dyn Fn() -> bool + Sync)) -> Result<Option<Arc<Owned>>> {
    // No account can have such a name.
    let Some(_next) = unless_busy(Lock::try_take(&world.locks(), "(next to the outbox)"))? else { return Ok(None) };
    loop {
        let owned = unless_busy(world.own(OUTBOX, Duration::ZERO))?;
        if owned.is_some() || is_over() {
            return Ok(owned);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn unless_busy<T>(taken: Result<T>) -> Result<Option<T>> {
    match taken {
        Err(e) if e.kind() == Kind::Busy => Ok(None),
        taken => taken.map(Some),
    }
}
