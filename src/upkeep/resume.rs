//! Finishes what dead processes recorded and did not publish, in name spaces that have no pass of their own. The
//! process that empties the outbox does it.

use std::time::Duration;

use super::relocate;
use super::stuck::Stuck;
use crate::deliver::recover;
use crate::error::{Kind, Result};
use crate::message::{DELIVERED, OUTBOX, REFILTERED};
use crate::pass::World;
use crate::state::Owned;

/// Publishes what was recorded for name spaces that have no owner now, and leaves live owners alone. Returns what
/// cannot be finished yet: one folder holds up neither the other name spaces nor the outbox.
pub(crate) fn resume_others(world: &World) -> Result<Stuck> {
    let mut stuck = Stuck::default();
    for space in world.store.unfinished_spaces()? {
        if space == OUTBOX {
            continue;
        }
        let owned = match world.own(&space, Duration::ZERO) {
            Err(e) if e.kind() == Kind::Busy => continue,
            owned => owned?,
        };
        match resume_one(world, &owned) {
            Ok(more) => stuck.extend(more),
            Err(error) => stuck.add_error(None, &[], error)?,
        }
    }
    Ok(stuck)
}

fn resume_one(world: &World, owned: &Owned) -> Result<Stuck> {
    if owned.space() == REFILTERED {
        return relocate::resume(world, owned);
    }
    let recovered = recover(&*world.disk, &*world.store, world.folders.root(), owned)?;
    if owned.space().starts_with(DELIVERED) {
        // The caller got no answer, and delivers the message again.
        recovered.lost.iter().try_for_each(|row| world.store.again(owned, row))?;
    }
    Ok(Stuck::default())
}
