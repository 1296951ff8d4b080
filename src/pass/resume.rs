//! What processes that died left recorded and not published, in name spaces that have no pass of their own: whoever empties
//! the outbox finishes it.

use std::time::Duration;

use super::{World, relocate};
use crate::deliver::recover;
use crate::error::{Kind, Result};
use crate::message::{DELIVERED, OUTBOX, REFILTERED};

/// Publishes what was recorded for name spaces that nobody owns now. What is alive stays as it is.
pub(super) fn resume_others(world: &World) -> Result<()> {
    for space in world.store.unfinished_spaces()? {
        if space == OUTBOX {
            continue;
        }
        let owned = match world.own(&space, Duration::ZERO) {
            Err(e) if e.kind() == Kind::Busy => continue,
            owned => owned?,
        };
        if space == REFILTERED {
            relocate::resume(world, &owned)?;
            continue;
        }
        let recovered = recover(&*world.disk, &*world.store, world.folders.root(), &owned)?;
        if space.starts_with(DELIVERED) {
            // Its caller was told nothing, and gives it again.
            recovered.lost.iter().try_for_each(|row| world.store.again(&owned, row))?;
        }
    }
    Ok(())
}
