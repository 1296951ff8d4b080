//! Mail that was on a server before the account's first run. It is filed like any other mail, but nothing is sent about
//! it: a new user has answered the old mail already, and does not want years of it forwarded to a phone.
//!
//! What the first run lists is marked by its number, whatever clocks and servers say about its date. A message in a
//! folder that turns up later is judged by its date.

use jiff::{SignedDuration, Timestamp};

use super::World;
use crate::error::Result;
use crate::message::Key;
use crate::safeguard::Safeguard;
use crate::source::Listing;
use crate::state::{KeyPurpose, KnownOrigin, Owned, Registered, Registry, RememberedKey, is_possible};

/// The clocks of servers differ from ours: mail of the last hour before the first run is not old.
pub(super) const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(1);
/// How far a clock may be set back without suspicion.
const CLOCK_CORRECTION: SignedDuration = SignedDuration::from_mins(10);

/// Marks what a folder lists at the account's first run, before anything else is remembered of the folder: after a
/// crash it must not look as if it had been listed. A rebuilt state needs no marks: nothing is sent about mail older
/// than the state, and later mail is new.
pub(super) fn mark_stood(
    world: &World,
    owned: &Owned,
    registered: &Registered,
    known: &KnownOrigin,
    listing: &Listing,
) -> Result<()> {
    if registered.was_looked_at || !known.is_first_time() || world.store.rebuilt().is_some() {
        return Ok(());
    }
    let stood = RememberedKey::unread(KeyPurpose::Stood, 0, world.now());
    let ids = listing.ids.iter().cloned();
    let marks: Vec<(Key, RememberedKey)> = ids.map(|id| (Key::new(&listing.origin, id), stood)).collect();
    world.store.mark(owned, &marks)
}

/// A message and the first run of its account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FirstRunMessage<'a> {
    pub(crate) key: &'a Key,
    pub(crate) arrived: Timestamp,
    pub(crate) first_run: Timestamp,
}

impl FirstRunMessage<'_> {
    /// Whether the message was on the server before the first run.
    pub(super) fn stood(&self, world: &World) -> Result<bool> {
        if !Safeguard::OldIsNotTold.is_on() {
            return Ok(false);
        }
        if world.store.remembered(self.key)?.is_some_and(|known| known.mark == KeyPurpose::Stood) {
            return Ok(true);
        }
        let before = self.first_run.saturating_sub(CLOCKS_DIFFER).unwrap_or(self.first_run);
        Ok(self.arrived < before && is_believed(world, self.first_run)?)
    }
}

/// Whether a time that was once recorded as the present can have been the present. A machine without a clock starts in
/// 1970, and after a clock that was ahead all mail would seem old for years.
pub(super) fn is_believed(world: &World, noted: Timestamp) -> Result<bool> {
    if !is_possible(noted) {
        return Ok(false);
    }
    let has_come = noted.duration_since(world.now()) <= CLOCK_CORRECTION;
    Ok(has_come || !world.is_time_plausible()?)
}

/// The first run of the account of that label, if the state knows it.
pub(crate) fn first_run_of(store: &dyn Registry, label: &str) -> Result<Option<Timestamp>> {
    Ok(store.accounts()?.into_iter().find(|account| account.label == label).map(|account| account.first_run))
}
