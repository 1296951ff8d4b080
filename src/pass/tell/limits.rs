//! How much goes out within a time: a loop that nobody saw ends here.

use jiff::{SignedDuration, Timestamp};

use super::Pass;
use crate::config::units::show_duration;
use crate::decision::{Reply, Way};
use crate::error::Result;
use crate::state::OutboxRow;

impl Pass<'_> {
    /// Why a reply must not go out: its sender has got as many as `max_per_sender` allows. It does not wait, for whoever
    /// writes so often would have all his answers in the end.
    pub(super) fn is_one_too_many(&self, row: &OutboxRow, now: Timestamp) -> Result<Option<String>> {
        let Way::Reply(Reply { most: Some((most, within)), handle, to, sender, .. }) = &row.telling.way else {
            return Ok(None);
        };
        let since = now.checked_sub(*within).unwrap_or(Timestamp::MIN);
        let counted = if sender.is_empty() { to } else { sender };
        let is_full = self.world.store.replied_since(handle, counted, since)? >= u64::from(*most);
        Ok(is_full.then(|| format!("{to} was answered {most} times within {}", show_duration(*within))))
    }

    /// Answers beyond the hourly limit and forwards beyond the daily one wait for their time.
    pub(super) fn is_over_a_limit(&mut self, row: &OutboxRow, now: Timestamp) -> Result<bool> {
        let limits = self.ways.limits();
        let (kinds, hours, most): (&[&str], i64, u64) = match row.telling.way {
            Way::Vacation(_) | Way::Reply(_) | Way::Reject(_) => {
                (&["vacation", "reply", "reject"], 1, limits.answers_per_hour)
            }
            Way::Redirect(_) => (&["redirect"], 24, limits.forwards_per_day),
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
