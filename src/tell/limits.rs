//! Limits on what goes out within a time: they end a loop that nobody noticed.

use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};

use super::{Pass, undelivered};
use crate::config::Limits;
use crate::config::units::show_duration;
use crate::decision::{RedirectMode, Reply, Way};
use crate::error::Result;
use crate::state::OutboxRow;

impl Pass {
    /// Why a reply must not be sent: its sender has had as many as `max_per_sender` allows. The reply does not wait,
    /// because a sender who writes that often would get all of them in the end.
    pub(super) fn is_one_too_many(&self, row: &OutboxRow, now: Timestamp) -> Result<Option<String>> {
        let Way::Reply(Reply { most: Some((most, within)), handle, to, sender, .. }) = &row.telling.way else {
            return Ok(None);
        };
        let since = now.checked_sub(*within).unwrap_or(Timestamp::MIN);
        let counted = if sender.is_empty() { to } else { sender };
        let is_full = self.world.store.replied_since(handle, counted, since)? >= u64::from(*most);
        Ok(is_full.then(|| format!("{to} was answered {most} times within {}", show_duration(*within))))
    }

    /// Answers beyond the hourly limit and forwards beyond the daily one wait.
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

    /// Counts one more item. What leaves the period during this pass stays counted until the next pass.
    pub(super) fn count(&mut self, row: &OutboxRow) {
        let Some(limit) = Limit::of(&row.telling.way, self.relays.limits()) else { return };
        let mut counts = self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = counts.get_mut(limit.what) {
            *sent += 1;
        }
    }
}

/// A limit on one kind of items within a period.
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
            // The user's own submissions are not limited.
            Way::Redirect(redirect) if redirect.mode == RedirectMode::Submit => None,
            Way::Redirect(_) => {
                let (what, key, kinds) = ("forwards", "forwards_per_day", &["redirect"]);
                Some(Self { what, key, kinds, hours: 24, most: limits.forwards_per_day })
            }
            _ => None,
        }
    }
}
