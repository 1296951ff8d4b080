//! How long a row has waited.

use jiff::{SignedDuration, Timestamp};

use super::retry;
use crate::state::{OutboxRow, is_possible};

/// After so long the user is told that something waits. What is tried for no longer than a day ends some hours before it.
const A_DAY: SignedDuration = SignedDuration::from_hours(20);

/// Since when a row waits: one that the user tried again waits since then. One from before the clock of the machine was set is
/// as old as now, until it gets a date.
pub fn waits_since(row: &OutboxRow, now: Timestamp) -> Timestamp {
    if is_possible(row.since) { row.since } else { now }
}

/// Whether a row has waited for longer than it may. It is asked after an attempt, never instead of one: a machine that was
/// asleep for a week has tried nothing meanwhile.
pub fn is_too_old(row: &OutboxRow, now: Timestamp) -> bool {
    let lifetime = SignedDuration::try_from(retry::lifetime(&row.telling.way)).unwrap_or(SignedDuration::MAX);
    now.duration_since(waits_since(row, now)) > lifetime
}

/// Whether it has waited for so long that the user hears of it.
pub fn has_waited_a_day(row: &OutboxRow, now: Timestamp) -> bool {
    now.duration_since(waits_since(row, now)) >= A_DAY
}
