//! Settle: what happens on the server to the messages that are safe here.

use std::collections::HashSet;

use super::{Report, World};
use crate::config::Retention;
use crate::error::Result;
use crate::source::{Listing, Source};
use crate::state::{Known, Mark, Published, Recovered, Remembered, Settlement};

/// Applies the retention to what was published just now and to earlier messages that the server still lists.
/// Nothing is done in a pass in which anything is odd.
pub async fn settle(
    world: &World,
    source: &mut Source,
    retention: &Retention,
    listing: &Listing,
    known: &Known,
    recovered: &Recovered,
    published: &[Published],
    report: &mut Report,
) -> Result<()> {
    let (before, new_too) = match retention {
        Retention::Keep => return Ok(()),
        Retention::DeleteAfter(age) => (world.now().checked_sub(*age).unwrap_or(jiff::Timestamp::MIN), false),
        Retention::Delete | Retention::MoveTo(_) | Retention::MarkSeen => (world.now(), true),
    };
    let listed: HashSet<&[u8]> = listing.ids.iter().map(Vec::as_slice).collect();
    let earlier = Settlement::of_earlier(known, recovered, before);
    let mut messages: Vec<Settlement> = earlier.into_iter().filter(|s| listed.contains(&*s.key().id)).collect();
    if new_too {
        messages.extend(published.iter().flat_map(Published::settlements));
    }
    messages.sort_by_key(|s| (s.key().as_uid(), s.key().clone()));
    if messages.is_empty() {
        return Ok(());
    }
    let gone = source.settle(&messages, retention).await?;
    remember_settled(world, &gone, report)
}

/// Notes messages as gone from the server.
pub(crate) fn remember_settled(world: &World, gone: &[crate::message::Key], report: &mut Report) -> Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    let known = world.store.known(&gone[0].origin)?;
    let now = world.now();
    let settled = |key: &crate::message::Key| {
        let empty = Remembered { mark: Mark::Settled, announced: 0, head_hash: None, at: now };
        (key.clone(), Remembered { mark: Mark::Settled, ..known.get(&key.id).copied().unwrap_or(empty) })
    };
    world.store.mark(&gone.iter().map(settled).collect::<Vec<_>>())?;
    report.settled += gone.len() as u64;
    Ok(())
}
