//! `queue drop`.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::job::Job;
use super::{Item, Pass};
use crate::error::{Error, Result};
use crate::message::OUTBOX;
use crate::pass::{Relays, World};
use crate::state::OutboxState;

/// Gives a row up because the user says so; a message that stands nowhere else goes to the inbox. A state comes back when
/// it does not wait.
pub fn drop_row(world: &World, id: i64) -> Result<Option<OutboxState>> {
    // Read under the lock: nobody sends it meanwhile.
    let owned = world.own(OUTBOX, Duration::ZERO)?;
    let Some(row) = world.store.outbox_row(id)? else { return Ok(None) };
    if !matches!(row.state, OutboxState::Waiting | OutboxState::Held) {
        return Ok(Some(row.state));
    }
    let job = Job::new(world, owned, &Relays::default(), Instant::now(), CancellationToken::new());
    let mut pass = Pass::begin(job)?;
    match world.read(&row.bytes) {
        Ok(original) => pass.give_up(Item { row, original }, "dropped by the user")?,
        Err(e) if e.kind() == ErrorKind::NotFound => pass.unreadable(row, &e)?,
        // The only copy may be there yet: the row stays as it is.
        Err(e) => return Err(Error::disk(format!("entry {id} stays: reading {}", row.bytes.display()), e)),
    }
    Ok(None)
}
