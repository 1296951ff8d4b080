//! How much goes out within a time, whatever the rules say.

use jiff::{SignedDuration, Timestamp};

use super::Pass;
use crate::decision::Way;
use crate::error::Result;
use crate::state::OutboxRow;

/// So many answers go out within an hour, whoever they are for (RFC 5436 5 has the idea); the rest waits.
const MOST_ANSWERS: u64 = 50;
/// So many forwards within a day: a loop that nobody saw would otherwise fill somebody's mailbox.
const MOST_FORWARDS: u64 = 1000;

impl Pass<'_> {
    /// Answers beyond the hourly limit and forwards beyond the daily one wait for their time.
    pub(super) fn is_over_a_limit(&mut self, row: &OutboxRow, now: Timestamp) -> Result<bool> {
        let (kinds, hours, most): (&[&str], i64, u64) = match row.telling.way {
            Way::Vacation(_) | Way::Reply(_) | Way::Reject(_) => (&["vacation", "reply", "reject"], 1, MOST_ANSWERS),
            Way::Redirect(_) => (&["redirect"], 24, MOST_FORWARDS),
            _ => return Ok(false),
        };
        let since = now.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN);
        if self.world.store.sent_since(kinds, since)? < most {
            return Ok(false);
        }
        let text = format!("more than {most} {} within {hours} h: the rest waits", kinds.join(", "));
        if !self.told.remarks.contains(&text) {
            self.told.remarks.push(text);
        }
        Ok(true)
    }
}
