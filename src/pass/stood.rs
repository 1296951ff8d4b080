//! What stood on a server before the account's first run. It is filed like any other mail, and nobody is told of it: whoever
//! begins to use the program has answered his old mail, and does not want years of it on his phone.
//!
//! What the first run lists is noted by its number, whatever clocks and servers say of its date. What shows up later, in a
//! folder that was not there then, is told by its date.

use jiff::{SignedDuration, Timestamp};

use super::World;
use crate::error::Result;
use crate::message::Key;
use crate::safeguard::Safeguard;
use crate::source::Listing;
use crate::state::{Known, Mark, Owned, Registered, Registry, Remembered, is_possible};

/// The clocks of servers are not ours: mail of the last hour before the first run is not old.
pub(super) const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(1);
/// So far a clock may be set back in the ordinary course of things.
const SET_BACK: SignedDuration = SignedDuration::from_mins(10);

/// Notes what a folder lists at the account's first run, before anything else is noted of it: a crash must not make it look as
/// if it had been looked at. A state that was made anew tells nobody of what is older than itself
/// anyway, and what came since is new.
pub(super) fn note(
    world: &World,
    owned: &Owned,
    registered: &Registered,
    known: &Known,
    listing: &Listing,
) -> Result<()> {
    if registered.was_looked_at || !known.is_first_time() || world.store.rebuilt().is_some() {
        return Ok(());
    }
    let stood = Remembered::unread(Mark::Stood, 0, world.now());
    let ids = listing.ids.iter().cloned();
    let marks: Vec<(Key, Remembered)> = ids.map(|id| (Key::new(&listing.origin, id), stood)).collect();
    world.store.mark(owned, &marks)
}

/// A message and the first run of its account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came<'a> {
    pub(super) key: &'a Key,
    pub(super) arrived: Timestamp,
    pub(super) first_run: Timestamp,
}

impl Came<'_> {
    /// Whether it stood on the server before.
    pub(super) fn stood(&self, world: &World) -> Result<bool> {
        if !Safeguard::OldIsNotTold.is_on() {
            return Ok(false);
        }
        if world.store.remembered(self.key)?.is_some_and(|known| known.mark == Mark::Stood) {
            return Ok(true);
        }
        let before = self.first_run.saturating_sub(CLOCKS_DIFFER).unwrap_or(self.first_run);
        Ok(self.arrived < before && is_believed(world, self.first_run)?)
    }
}

/// Whether a time that was noted as the present once can have been that. A machine without a clock begins in 1970, and one
/// whose clock was ahead would find all mail old for years.
pub(super) fn is_believed(world: &World, noted: Timestamp) -> Result<bool> {
    if !is_possible(noted) {
        return Ok(false);
    }
    let has_come = noted.duration_since(world.now()) <= SET_BACK;
    Ok(has_come || !world.is_time_plausible()?)
}

/// The first run of the account of that label, where the state knows it.
pub(super) fn first_run_of(store: &dyn Registry, label: &str) -> Result<Option<Timestamp>> {
    Ok(store.accounts()?.into_iter().find(|account| account.label == label).map(|account| account.first_run))
}
