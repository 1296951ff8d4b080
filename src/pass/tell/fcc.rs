//! `fcc` (RFC 8580): a copy of an answer as it was sent, filed once.
//!
//! The relay has taken the answer, and its row is still marked as being sent. A process that is killed before the copy is
//! recorded leaves a row of which nobody knows whether it went out, and no copy; one that is killed after that leaves a
//! copy that the next pass finishes, and with it the proof that the answer went out.

use std::sync::Arc;

use super::Shared;
use super::undelivered::committer;
use crate::decision::Decision;
use crate::error::{Error, Result};
use crate::message::{Bytes, Key, Message, OUTBOX, Origin};
use crate::pass::World;
use crate::state::OutboxRow;

/// Files what was sent where the rule wants a copy.
pub(super) fn file(shared: &Shared, row: &OutboxRow, sent: &Message) -> Result<()> {
    let Some(folder) = row.telling.way.form().and_then(|form| form.fcc.clone()) else { return Ok(()) };
    let _alone = shared.filing();
    if is_filed(&shared.world, row)? {
        return Ok(());
    }
    let mut bytes = Vec::new();
    sent.reader()
        .and_then(|mut reader| reader.read_to_end(&mut bytes))
        .map_err(|e| Error::disk("reading an answer that was sent", e))?;
    let mut committer = committer(&shared.world, &shared.owned);
    let decision = Decision::copy(folder, format!("a copy of what was sent: {}", row.telling));
    committer.carry_out(key(row), Message::new(Bytes::Memory(bytes)), decision)?;
    committer.finish()
}

/// Whether the copy of what a row sent is recorded.
pub(super) fn is_filed(world: &World, row: &OutboxRow) -> Result<bool> {
    let has_one = row.telling.way.form().is_some_and(|form| form.fcc.is_some());
    Ok(has_one && world.store.remembered(&key(row))?.is_some())
}

/// One row, one copy.
fn key(row: &OutboxRow) -> Key {
    let origin = Origin { account: OUTBOX.to_owned(), folder: "copies".to_owned(), generation: 0 };
    Key::new(&Arc::new(origin), format!("{}.{}", row.id, row.at.as_second()))
}
