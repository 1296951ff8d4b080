//! `fcc` (RFC 8580): files a copy of an answer as it was sent, once.
//!
//! The copy is recorded in the transaction that records the answer as sent. So an item that owes a copy is known to
//! have gone out, and the copy is tried again like anything else, whatever happens to the folder.

use std::sync::Arc;

use super::undelivered::filer;
use super::{OutboxReport, SharedByLanes};
use crate::clean;
use crate::config::template::FolderName;
use crate::decision::Decision;
use crate::error::{Kind, Result};
use crate::message::{Bytes, Key, Message, OUTBOX, Origin};
use crate::outbox::outcome::{self, Moment};
use crate::outbox::relay::RecipientVerdict;
use crate::pass::{Cause, Filer, Notice, World, leftovers};
use crate::state::{OutboxRow, OutboxState, OwedCopy};

/// The copy that an item owes after this was sent.
pub(super) fn owed(row: &OutboxRow, sent: &Message, verdicts: &[RecipientVerdict]) -> Option<OwedCopy> {
    let is_out = verdicts.iter().any(|verdict| matches!(verdict, RecipientVerdict::Sent(_)));
    folder(row).filter(|_| is_out)?;
    let mut message = Vec::new();
    // An answer was composed in memory and is read from there.
    sent.reader().and_then(|mut reader| reader.read_to_end(&mut message)).ok()?;
    Some(OwedCopy { message, attempts: 0, said: String::new() })
}

/// Files the copies that are due. A copy that cannot be filed holds up no other.
pub(super) fn carry_out(shared: &SharedByLanes) -> Result<OutboxReport> {
    let mut told = OutboxReport::default();
    for row in shared.world.store.copies_due(shared.world.now())? {
        file_copy(shared, row, &mut told)?;
    }
    Ok(told)
}

/// Files the copy of one item, or plans another attempt, or gives it up and files it in the inbox.
fn file_copy(shared: &SharedByLanes, mut row: OutboxRow, told: &mut OutboxReport) -> Result<()> {
    let cause = match (folder(&row), &row.copy) {
        (Some(folder), Some(copy)) => match file(shared, &row, &copy.message, folder) {
            Ok(()) => None,
            Err(error) if error.kind() == Kind::State => return Err(error),
            Err(error) => Some(clean::line(error.to_string().as_bytes())),
        },
        // No copy is owed.
        _ => None,
    };
    if let Some(cause) = cause {
        told.remark(format!("no copy of {} can be filed: {cause}", clean::line(row.telling.to_string().as_bytes())));
        if let Some(due) = next(shared, &mut row, &cause) {
            row.due = due;
            told.later += 1;
            return shared.world.store.resolve(&shared.owned, &[row]);
        }
        give_up(shared, &mut row, &cause)?;
    }
    (row.state, row.copy) = (OutboxState::Sent, None);
    shared.world.store.resolve(&shared.owned, std::slice::from_ref(&row))?;
    if let Err(error) = leftovers::remove(&shared.world, &row.bytes) {
        told.remark(error.to_string());
    }
    Ok(())
}

/// Counts an attempt. Returns when the next one is due, or `None` if it is too late.
fn next(shared: &SharedByLanes, row: &mut OutboxRow, cause: &str) -> Option<jiff::Timestamp> {
    let copy = row.copy.as_mut()?;
    copy.attempts += 1;
    cause.clone_into(&mut copy.said);
    let attempts = copy.attempts;
    let is_plausible = shared.world.is_time_plausible().unwrap_or(false);
    outcome::next(row, attempts, Moment { now: shared.world.now(), is_plausible })
}

fn folder(row: &OutboxRow) -> Option<FolderName> {
    row.telling.way.form().and_then(|form| form.fcc.clone())
}

/// Files the copy where the rule wants it, and nowhere else: the next attempt may succeed.
fn file(shared: &SharedByLanes, row: &OutboxRow, copy: &[u8], folder: FolderName) -> Result<()> {
    let decision = Decision::copy(folder, format!("a copy of what was sent: {}", row.telling));
    file_once(shared, row, copy, decision, filer(&shared.world, &shared.owned).only_as_decided())
}

fn file_once(shared: &SharedByLanes, row: &OutboxRow, copy: &[u8], decision: Decision, mut filer: Filer) -> Result<()> {
    let _alone = shared.filing();
    if !is_filed(&shared.world, &key(row))? {
        filer.carry_out(key(row), Message::new(Bytes::Memory(copy.to_vec())), decision)?;
    }
    filer.finish()
}

/// An older state that was restored does not remember the copy, but its file is here.
fn is_filed(world: &World, key: &Key) -> Result<bool> {
    let is_remembered = world.store.remembered(key)?.is_some();
    Ok(is_remembered || world.store.rebuilt().is_some() && world.walk.is_published(world, key)?)
}

/// Files the copy in the inbox. The notice is filed first, so that it comes once; so does the copy.
fn give_up(shared: &SharedByLanes, row: &mut OutboxRow, cause: &str) -> Result<()> {
    let text = format!(
        "Outbox item {} ({}) was sent, but the copy of it could not be filed: {}.\n\nThe copy is in the inbox.",
        row.id,
        clean::line(row.telling.to_string().as_bytes()),
        cause.trim_end_matches('.')
    );
    let mut filer = filer(&shared.world, &shared.owned);
    filer.notify(&Notice { cause: Cause::NoCopy(row.id), account: OUTBOX.to_owned(), text })?;
    let why = format!("a copy of what was sent: {}", row.telling);
    let copy = row.copy.as_ref().map_or_else(Vec::new, |copy| copy.message.clone());
    file_once(shared, row, &copy, Decision::keep(why), filer)?;
    row.said = format!("{}; its copy is in the inbox: {cause}", row.said);
    Ok(())
}

/// The key of an item's copy.
fn key(row: &OutboxRow) -> Key {
    let origin = Origin { account: OUTBOX.to_owned(), folder: "copies".to_owned(), generation: 0 };
    Key::new(&Arc::new(origin), format!("{}.{}", row.id, row.at.as_second()))
}
