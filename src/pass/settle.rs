//! Settle: what happens on the server to the messages that are safe here.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{Report, World};
use crate::config::Retention;
use crate::error::Result;
use crate::message::Key;
use crate::source::{Listing, Source};
use crate::state::{Known, Mark, Owned, Recovered, Remembered, Settlement};

/// A folder whose messages are to be settled.
#[derive(Debug)]
pub struct Settling<'a> {
    /// What the user wants.
    pub retention: &'a Retention,
    /// What the server lists.
    pub listing: &'a Listing,
    /// What was remembered when the pass began.
    pub known: &'a Known,
    /// The account's name space.
    pub owned: &'a Owned,
}

impl Settling<'_> {
    /// Applies the retention to what was published just now and to earlier messages that the server still lists.
    pub async fn settle(
        &self,
        world: &World,
        source: &mut Source,
        recovered: &Recovered,
        new: Vec<Settlement>,
        report: &mut Report,
    ) -> Result<()> {
        let now = world.now();
        let (before, new) = match self.retention {
            Retention::Keep => return Ok(()),
            Retention::DeleteAfter(age) => (now.checked_sub(*age).unwrap_or(Timestamp::MIN), Vec::new()),
            Retention::Delete | Retention::MoveTo(_) | Retention::MarkSeen => (now, new),
        };
        let listed: HashSet<&[u8]> = self.listing.ids.iter().map(Vec::as_slice).collect();
        let mut messages = Settlement::of_earlier(self.known, recovered, before);
        messages.retain(|s| listed.contains(&*s.key().id));
        messages.extend(new);
        messages.sort_by(|a, b| (a.key().as_uid(), a.key()).cmp(&(b.key().as_uid(), b.key())));
        if messages.is_empty() {
            return Ok(());
        }
        let gone = source.settle(&messages, self.retention).await?;
        remember_settled(world, self.owned, &gone, report)
    }
}

/// Notes messages as gone from the server.
pub fn remember_settled(world: &World, owned: &Owned, gone: &[Key], report: &mut Report) -> Result<()> {
    let mut marks = Vec::with_capacity(gone.len());
    if let Some(first) = gone.first() {
        let known = world.store.known(&first.origin)?;
        for key in gone {
            if let Some(remembered) = known.get(&key.id) {
                marks.push((key.clone(), Remembered { mark: Mark::Settled, ..*remembered }));
            }
        }
    }
    if !marks.is_empty() {
        world.store.mark(owned, &marks)?;
    }
    report.settled += gone.len() as u64;
    Ok(())
}
