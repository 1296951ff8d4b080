//! How long an outbox item has waited.

use jiff::{SignedDuration, Timestamp};

use super::retry;
use crate::state::{OutboxRow, is_possible};

/// After this time the user is told that an item is waiting. It is below a day, because items with a lifetime of one day must be
/// reported some hours before they are given up.
const REPORT_AFTER: SignedDuration = SignedDuration::from_hours(20);

/// The start of an item's wait: when it was queued, or when the user last retried it. A time from before the machine's clock was
/// set counts as now.
pub fn waits_since(row: &OutboxRow, now: Timestamp) -> Timestamp {
    if is_possible(row.since) { row.since } else { now }
}

/// Whether an item has waited for longer than its lifetime. This is asked after an attempt, never instead of one, because a
/// machine that was asleep for a week has not tried anything.
pub fn is_too_old(row: &OutboxRow, now: Timestamp) -> bool {
    let lifetime = SignedDuration::try_from(retry::lifetime(&row.telling.way)).unwrap_or(SignedDuration::MAX);
    now.duration_since(waits_since(row, now)) > lifetime
}

/// Whether it has waited for so long that the user is told.
pub fn has_waited_a_day(row: &OutboxRow, now: Timestamp) -> bool {
    now.duration_since(waits_since(row, now)) >= REPORT_AFTER
}
