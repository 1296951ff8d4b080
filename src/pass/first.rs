//! The first run of an account: mail that had arrived before it may be left out, in whatever folder it turns up, then
//! or later.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::World;
use super::stood::{self, CLOCKS_DIFFER};
use crate::config::{Account, First, Protocol};
use crate::error::Result;
use crate::message::{Key, Origin};
use crate::source::{Details, Listed, Source};
use crate::state::{KeyPurpose, KnownOrigin, Owned, Registered, RememberedKey};

/// Leaves out mail that is older than the account's `first` allows.
pub(super) struct FirstRun<'a> {
    pub(super) world: &'a World,
    pub(super) owned: &'a Owned,
    pub(super) account: &'a Account,
    pub(super) registered: &'a Registered,
    /// Whether the folder, or its current numbering, is listed for the first time and after the account's first run.
    pub(super) is_first_look: bool,
}

/// What has to be checked before a message is wanted.
enum FirstCheck {
    /// Nothing: the message is wanted.
    Nothing,
    /// Nothing: the message was there at the first run.
    WasThere,
    /// Whether it arrived after this time.
    Arrived(Timestamp),
}

impl FirstRun<'_> {
    /// Returns the new messages that are wanted. The others are marked, so that they are not checked again.
    pub(super) async fn wanted(
        &self,
        source: &mut Source,
        origin: &Arc<Origin>,
        known: &KnownOrigin,
        new: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>> {
        let wanted = match self.check(known) {
            FirstCheck::Nothing => new,
            _ if new.is_empty() => new,
            FirstCheck::WasThere => self.was_there(source, origin, new).await?,
            FirstCheck::Arrived(since) => self.arrived(source, origin, since, new).await?,
        };
        if known.is_first_time() {
            // From now on the folder is known, even if it is empty: whatever arrives later is new.
            self.world.store.listed(self.owned, origin, &[], self.world.now())?;
        }
        Ok(wanted)
    }

    fn check(&self, known: &KnownOrigin) -> FirstCheck {
        let first_run = self.registered.first_run;
        let is_first_run = self.registered.is_new && known.is_first_time();
        // POP3 has no arrival dates. Later mail is new by its id, unless the state was rebuilt and knows no ids.
        let is_unknown = known.is_empty() && self.world.store.rebuilt().is_some();
        let has_dates = self.account.protocol == Protocol::Imap || known.is_first_time() || is_unknown;
        match self.account.first {
            First::All => FirstCheck::Nothing,
            First::New if is_first_run => FirstCheck::WasThere,
            First::New if has_dates => {
                FirstCheck::Arrived(first_run.saturating_sub(CLOCKS_DIFFER).unwrap_or(first_run))
            }
            First::Since(when) if has_dates => FirstCheck::Arrived(when.at(first_run)),
            First::New | First::Since(_) => FirstCheck::Nothing,
        }
    }

    /// Messages listed at the first run were there before it, unless they have a later date: those arrived before this
    /// folder was listed.
    async fn was_there(&self, source: &mut Source, origin: &Arc<Origin>, new: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let details = Details { date: self.account.protocol == Protocol::Imap, head: false };
        let described = source.describe(&new, details).await?;
        let first_run = self.registered.first_run;
        // If the clock was wrong at the first run, every message seems to have come since.
        let is_believed = stood::is_believed(self.world, first_run)?;
        let came_since = |at: Timestamp| is_believed && at.as_second() >= first_run.as_second();
        let (since, old): (Vec<_>, Vec<_>) =
            described.into_iter().partition(|listed| listed.arrived.is_some_and(came_since));
        let now = self.world.now();
        self.leave_out(origin, old.into_iter().map(|listed| (listed.arrived.unwrap_or(now), listed)))?;
        Ok(since.into_iter().map(|listed| listed.id).collect())
    }

    /// Marks messages, so that they are not checked again.
    fn leave_out(
        &self,
        origin: &Arc<Origin>,
        old: impl Iterator<Item = (Timestamp, Listed)>,
    ) -> Result<HashSet<Vec<u8>>> {
        let skipped = old.map(|(at, listed)| {
            let mark = RememberedKey::unread(KeyPurpose::Skipped, listed.size(), at);
            (Key::new(origin, listed.id), mark)
        });
        let skipped: Vec<(Key, RememberedKey)> = skipped.collect();
        if !skipped.is_empty() {
            self.world.store.mark(self.owned, &skipped)?;
        }
        Ok(skipped.into_iter().map(|(key, _)| key.id).collect())
    }

    /// Returns the messages that arrived since then. A message without a date is wanted. A server that was moved gives
    /// all its mail new dates, so when a folder or its numbering is listed for the first time, the header's date counts
    /// as well.
    async fn arrived(
        &self,
        source: &mut Source,
        origin: &Arc<Origin>,
        since: Timestamp,
        mut new: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>> {
        let by_server = (Details { date: true, head: false }, (|it| it.arrived) as fn(&Listed) -> Option<Timestamp>);
        let by_header = (Details { date: false, head: true }, (|it| it.received) as fn(&Listed) -> Option<Timestamp>);
        let has_own_dates = self.account.protocol == Protocol::Imap;
        for (details, date) in
            [by_server, by_header].into_iter().take(1 + usize::from(self.is_first_look && has_own_dates))
        {
            let described = source.describe(&new, details).await?;
            let old = described.into_iter().filter_map(|it| Some((date(&it).filter(|at| *at < since)?, it)));
            let old = self.leave_out(origin, old)?;
            new.retain(|id| !old.contains(id));
        }
        Ok(new)
    }
}
