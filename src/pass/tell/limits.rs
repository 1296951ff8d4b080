//! How much goes out within a time: a loop that nobody saw ends here.

use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};

use super::{Pass, undelivered};
use crate::config::Limits;
use crate::config::units::show_duration;
use crate::decision::{RedirectMode, Reply, Way};
use crate::error::Result;
use crate::state::OutboxRow;

impl Pass {
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
        let Some(limit) = Limit::of(&row.telling.way, self.relays.limits()) else { return Ok(false) };
        let sent = {
            let mut counts = self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
            match counts.get(limit.what) {
                Some(sent) => *sent,
                None => {
                    let since = now.checked_sub(SignedDuration::from_hours(limit.hours)).unwrap_or(Timestamp::MIN);
                    let sent = self.world.store.sent_since(limit.kinds, since)?;
                    counts.insert(limit.what, sent);
                    sent
                }
            }
        };
        if sent < limit.most {
            return Ok(false);
        }
        let Limit { what, key, hours, most, .. } = limit;
        let text =
            format!("more than {most} {what} within {hours} h: the rest waits (`limits: {{{key}:}}` in the config)");
        if !self.told.remarks.contains(&text) {
            self.write_outcomes()?;
            undelivered::tell_of_limit(&self.shared, &text)?;
            self.told.remark(text);
        }
        Ok(true)
    }

    /// One more was sent. What falls out of its time while the pass lasts is counted on: it is for the next one.
    pub(super) fn count(&mut self, row: &OutboxRow) {
        let Some(limit) = Limit::of(&row.telling.way, self.relays.limits()) else { return };
        let mut counts = self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = counts.get_mut(limit.what) {
            *sent += 1;
        }
    }
}

/// How much of what goes out within how long.
struct Limit {
    what: &'static str,
    key: &'static str,
    kinds: &'static [&'static str],
    hours: i64,
    most: u64,
}

impl Limit {
    fn of(way: &Way, limits: Limits) -> Option<Self> {
        match way {
            way if way.is_answer() => {
                let kinds = &["vacation", "reply", "reject"];
                let (what, key) = ("answers", "answers_per_hour");
                Some(Self { what, key, kinds, hours: 1, most: limits.answers_per_hour })
            }
            // The user's own mail is his own business.
            Way::Redirect(redirect) if redirect.mode == RedirectMode::Submit => None,
            Way::Redirect(_) => {
                let (what, key, kinds) = ("forwards", "forwards_per_day", &["redirect"]);
                Some(Self { what, key, kinds, hours: 24, most: limits.forwards_per_day })
            }
            _ => None,
        }
    }
}
