//! How long a row has waited.

use jiff::{SignedDuration, Timestamp};

use super::{Pass, undelivered};
use crate::decision::Way;
use crate::error::Result;
use crate::outbox::retry;
use crate::state::{OutboxRow, is_possible};

/// After so long the user is told that something waits. What is tried for no longer than a day ends some hours before it.
const A_DAY: SignedDuration = SignedDuration::from_hours(20);

/// Since when a row waits: one that the user tried again waits since then. One from before the clock of the machine was set is
/// as old as now, until it gets a date.
pub(super) fn waits_since(row: &OutboxRow, now: Timestamp) -> Timestamp {
    if is_possible(row.since) { row.since } else { now }
}

/// Whether a row has waited for longer than it may. It is asked after an attempt, never instead of one: a machine that was
/// asleep for a week has tried nothing meanwhile.
pub(super) fn is_too_old(row: &OutboxRow, now: Timestamp) -> bool {
    let lifetime = SignedDuration::try_from(retry::lifetime(&row.telling.way)).unwrap_or(SignedDuration::MAX);
    now.duration_since(waits_since(row, now)) > lifetime
}

impl Pass {
    /// Says of a row that has waited for a day what it waits for.
    pub(super) fn tell_of_wait(&self, row: &OutboxRow, cause: &str) -> Result<()> {
        let now = self.world.now();
        if now.duration_since(waits_since(row, now)) < A_DAY || !self.world.is_time_plausible()? {
            return Ok(());
        }
        let whose = match &row.telling.way {
            Way::Pipe(pipe) => pipe.run.first().map_or("", String::as_str),
            Way::Imap(append) => &append.account,
            _ => self.relays.relay_named(&row.telling, &row.account).unwrap_or_default(),
        };
        undelivered::tell_of_wait(&self.shared, whose, row, cause)
    }
}
