//! `queue drop`.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::shared::SharedByLanes;
use super::{OutboxReport, Pass};
use crate::error::{Error, Kind, Result};
use crate::message::OUTBOX;
use crate::outbox::Relays;
use crate::outbox::outcome::AttemptResult;
use crate::pass::World;
use crate::state::{OutboxRow, OutboxState};

/// Gives an item up because the user says so. A message that is nowhere else goes to the inbox. While another process
/// sends, that process is asked to do it. Returns the item's state if it does not wait.
pub fn drop_row(world: &World, id: i64) -> Result<Option<OutboxState>> {
    let owned = match world.own(OUTBOX, Duration::ZERO) {
        Err(e) if e.kind() == Kind::Busy => return ask(world, id),
        owned => owned?,
    };
    // The lock is held, so no other process sends the item.
    let Some(row) = world.store.outbox_row(id)? else { return Ok(None) };
    if !matches!(row.state, OutboxState::Waiting | OutboxState::Held | OutboxState::Dropped) {
        return Ok(Some(row.state));
    }
    let shared = SharedByLanes::new(world, owned, &Relays::default(), Instant::now(), CancellationToken::new());
    Pass::begin(shared)?.drop_now(row).map(|()| None)
}

fn ask(world: &World, id: i64) -> Result<Option<OutboxState>> {
    match world.store.ask_to_drop(id, world.now())? {
        true => Ok(None),
        false => Ok(world.store.outbox_row(id)?.map(|row| row.state)),
    }
}

/// Gives up the items that users dropped while this process sends, and files messages that could not be filed before.
/// What fails stays as it is and is reported.
pub(super) fn carry_out(shared: &SharedByLanes) -> Result<OutboxReport> {
    let rows = shared.world.store.to_give_up()?;
    if rows.is_empty() {
        return Ok(OutboxReport::default());
    }
    let mut pass = Pass::begin(shared.clone())?;
    for row in rows {
        // A lane may be working on it, or may have finished it since the rows were read.
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
            Ok(original) => self.conclude(row, Some(original), AttemptResult::Dropped).map(drop),
            Err(e) if e.kind() == ErrorKind::NotFound => self.unread(row, &e).map(drop),
            // The only copy may still be there, so the item stays as it is.
            Err(e) => Err(Error::disk(format!("outbox item {id} stays: reading {}", row.bytes.display()), e)),
        }
    }
}
