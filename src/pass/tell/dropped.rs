//! `queue drop`.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use super::{Pass, Told};
use crate::error::{Error, Kind, Result};
use crate::message::OUTBOX;
use crate::outbox::outcome::Came;
use crate::pass::{Relays, World};
use crate::state::{OutboxRow, OutboxState};

/// Gives a row up because the user says so; a message that stands nowhere else goes to the inbox. While another process
/// sends, that one is asked to do it. A state comes back when the row does not wait.
pub fn drop_row(world: &World, id: i64) -> Result<Option<OutboxState>> {
    let owned = match world.own(OUTBOX, Duration::ZERO) {
        Err(e) if e.kind() == Kind::Busy => return ask(world, id),
        owned => owned?,
    };
    // Read under the lock: nobody sends it meanwhile.
    let Some(row) = world.store.outbox_row(id)? else { return Ok(None) };
    if !matches!(row.state, OutboxState::Waiting | OutboxState::Held | OutboxState::Dropped) {
        return Ok(Some(row.state));
    }
    let shared = Shared::new(world, owned, &Relays::default(), Instant::now(), CancellationToken::new());
    Pass::begin(shared)?.drop_now(row).map(|()| None)
}

fn ask(world: &World, id: i64) -> Result<Option<OutboxState>> {
    match world.store.ask_to_drop(id, world.now())? {
        true => Ok(None),
        false => Ok(world.store.outbox_row(id)?.map(|row| row.state)),
    }
}

/// Gives up what users asked for while this process sends, and files what was given up and could not be filed. What cannot be
/// done stays as it is, and is said.
pub(super) fn carry_out(shared: &Shared) -> Result<Told> {
    let rows = shared.world.store.to_give_up()?;
    if rows.is_empty() {
        return Ok(Told::default());
    }
    let mut pass = Pass::begin(shared.clone())?;
    for row in rows {
        // A lane may be at it, or may have done it since these were read.
        if shared.is_giving_up(row.id)
            || shared.world.store.outbox_row(row.id)?.is_none_or(|now| now.state != row.state)
        {
            continue;
        }
        if let Err(error) = pass.drop_now(row) {
            pass.told.later += 1;
            pass.told.remark(error.to_string());
        }
    }
    Ok(pass.told)
}

impl Pass {
    fn drop_now(&mut self, row: OutboxRow) -> Result<()> {
        let id = row.id;
        match self.world.read(&row.bytes) {
            Ok(original) if row.state == OutboxState::Unfiled => {
                self.give_up_filed(row, Some(original), false).map(drop)
            }
            Ok(original) => self.conclude(row, Some(original), Came::Dropped).map(drop),
            Err(e) if e.kind() == ErrorKind::NotFound => self.unread(row, &e).map(drop),
            // The only copy may be there yet: the row stays as it is.
            Err(e) => Err(Error::disk(format!("entry {id} stays: reading {}", row.bytes.display()), e)),
        }
    }
}
