//! The rows of ownership: which process took a name space last.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::Owned;
use super::sqlite::{Sql, without_sync};
use crate::safeguard::Safeguard;

/// Raises the generation. This need not survive a power cut, because no process does; so it is not synced.
pub(super) fn take_over(db: &mut Connection, space: &str, incarnation: &str) -> Sql<u64> {
    without_sync(db, |db| raise(db, space, incarnation))
}

fn raise(db: &mut Connection, space: &str, incarnation: &str) -> Sql<u64> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let generation = tx.query_row(
        "INSERT INTO owner (space, generation, incarnation) VALUES (?1, 1, ?2)
         ON CONFLICT DO UPDATE SET generation = generation + 1, incarnation = excluded.incarnation
         RETURNING generation",
        [space, incarnation],
        |row| row.get(0),
    )?;
    tx.commit()?;
    Ok(generation)
}

/// Whether this is still the owner, or the name space cannot be taken by others.
pub(super) fn holds(tx: &Transaction<'_>, owned: &Owned) -> Sql<bool> {
    if owned.lock().is_none() || !Safeguard::Fence.is_on() {
        return Ok(true);
    }
    let latest = tx
        .prepare_cached("SELECT generation, incarnation FROM owner WHERE space = ?1")?
        .query_row([owned.space()], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    // If a power cut undid a later take-over, its process is gone.
    Ok(latest.is_none_or(|latest| latest == (owned.generation(), owned.incarnation().to_owned())))
}
