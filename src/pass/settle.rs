//! Settle: what happens on the server to the messages that are safely filed.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::identity::{Stands, stands};
use super::{Report, World};
use crate::config::Retention;
use crate::error::{Error, Kind, Result};
use crate::message::Key;
use crate::safeguard::Safeguard;
use crate::source::{Complete, Details, Settled, Source};
use crate::state::{KeyPurpose, KnownOrigin, Owned, Recovered, RememberedKey, Settlement, is_possible};

/// A folder whose messages are to be settled.
#[derive(Debug)]
pub struct Settling<'a> {
    /// What the account's config asks for.
    pub retention: &'a Retention,
    /// Everything that the server lists.
    pub listing: Complete<'a>,
    /// What was remembered when the pass began.
    pub known: &'a KnownOrigin,
    /// The account's name space.
    pub owned: &'a Owned,
}

impl Settling<'_> {
    /// Applies the retention to what was just published and to earlier messages that the server still lists. Returns
    /// what the server did not do.
    pub async fn settle(
        &self,
        world: &World,
        source: &mut Source,
        recovered: &Recovered,
        new: Vec<Settlement>,
        report: &mut Report,
    ) -> Result<Vec<Error>> {
        let now = world.now();
        let (before, new) = match self.retention {
            Retention::Keep => return Ok(Vec::new()),
            Retention::DeleteAfter(_) if !world.is_time_plausible()? => return Ok(Vec::new()),
            Retention::DeleteAfter(age) => {
                self.begin_anew(world, now)?;
                (now.checked_sub(*age).unwrap_or(Timestamp::MIN), Vec::new())
            }
            Retention::Delete | Retention::MoveTo(_) | Retention::MarkSeen => (now, new),
        };
        let earlier = self.earlier(recovered, before, now);
        let mut not_let_go = self.not_let_go();
        let Proven { proven: mut messages, undescribed } = self.proven(world, source, earlier, report).await?;
        not_let_go.extend(self.not_described(undescribed));
        messages.extend(new);
        sort(&mut messages);
        if messages.is_empty() {
            return Ok(not_let_go);
        }
        let Settled { gone, copied, mut errors } = source.settle(&messages, self.retention).await;
        remember_settled(world, self.owned, &gone, report)?;
        // This is remembered before the originals are removed: after a crash in between, the messages must not be
        // copied again.
        let fresh: Vec<Key> = copied.iter().filter(|s| !s.is_copied()).map(|s| s.key().clone()).collect();
        remember(world, self.owned, &fresh, KeyPurpose::Copied)?;
        if !copied.is_empty() && !errors.iter().any(ends_the_pass) {
            let taken = source.take_away(&copied).await;
            remember_settled(world, self.owned, &taken.gone, report)?;
            errors.extend(taken.errors);
        }
        errors.extend(not_let_go);
        match errors.iter().position(ends_the_pass) {
            Some(broken) => Err(errors.swap_remove(broken)),
            None => Ok(errors),
        }
    }
}

/// Whether an error ends the pass. A refusal concerns this folder alone; after any other error nothing more can be
/// asked.
fn ends_the_pass(error: &Error) -> bool {
    error.kind() != Kind::Refused
}

/// How many messages one request asks about.
const DESCRIBE_BATCH: usize = 1_000;
/// How long a server may keep listing a message that was deleted, before the deletion is tried again.
const DELETE_RETRY: SignedDuration = SignedDuration::from_hours(24);

impl Settling<'_> {
    /// Gives a message that was fetched while the clock was certainly wrong the present time as its age.
    fn begin_anew(&self, world: &World, now: Timestamp) -> Result<()> {
        let impossible = self.known.here().filter(|(_, r)| !is_possible(r.at) && Safeguard::PlausibleTime.is_on());
        let marks: Vec<(Key, RememberedKey)> =
            impossible.map(|(id, r)| (self.known.key(id), RememberedKey { at: now, ..*r })).collect();
        if marks.is_empty() { Ok(()) } else { world.store.mark(self.owned, &marks) }
    }

    /// The error about messages that were deleted and are still listed. The next pass shows whether another attempt
    /// helped.
    fn not_let_go(&self) -> Vec<Error> {
        let listed = self
            .listing
            .listing()
            .ids
            .iter()
            .filter(|id| self.known.get(id).is_some_and(|r| r.mark == KeyPurpose::NotLetGo));
        let count = listed.count();
        let folder = &self.listing.listing().origin.folder;
        let text = || {
            format!(
                "{folder}: {count} messages were deleted or moved and are listed again; that is tried again once a day"
            )
        };
        (count > 0 && *self.retention != Retention::MarkSeen)
            .then(|| Error::transient(Kind::Refused, text()))
            .into_iter()
            .collect()
    }

    /// What an earlier session fetched and the server still lists.
    fn earlier(&self, recovered: &Recovered, before: Timestamp, now: Timestamp) -> Vec<Settlement> {
        let listed: HashSet<&[u8]> = self.listing.listing().ids.iter().map(Vec::as_slice).collect();
        let mut earlier = Settlement::of_earlier(self.known, recovered, before);
        if matches!(self.retention, Retention::DeleteAfter(_)) && Safeguard::PlausibleTime.is_on() {
            let is_dated = |s: &Settlement| self.known.get(&s.key().id).is_some_and(|r| is_possible(r.at));
            earlier.retain(is_dated);
        }
        if *self.retention != Retention::MarkSeen {
            earlier.extend(Settlement::not_let_go(
                self.known,
                recovered,
                now.saturating_sub(DELETE_RETRY).unwrap_or(now),
            ));
        }
        earlier.retain(|settlement| listed.contains(&*settlement.key().id));
        sort(&mut earlier);
        earlier
    }

    /// Returns those that the server still has under their ids, judged by header and size. Only a message that will be
    /// deleted or moved has to be proven.
    async fn proven(
        &self,
        world: &World,
        source: &mut Source,
        earlier: Vec<Settlement>,
        report: &mut Report,
    ) -> Result<Proven> {
        if *self.retention == Retention::MarkSeen || !Safeguard::LookBeforeDeleting.is_on() {
            return Ok(Proven { proven: earlier, undescribed: 0 });
        }
        let mut undescribed = 0;
        let mut proven = Vec::with_capacity(earlier.len());
        let (mut marks, mut unknown) = (Vec::new(), 0);
        let mut dressed = 0;
        for batch in earlier.chunks(DESCRIBE_BATCH) {
            let mut by_id: HashMap<&[u8], &Settlement> = batch.iter().map(|s| (&*s.key().id, s)).collect();
            let ids: Vec<Vec<u8>> = batch.iter().map(|s| s.key().id.clone()).collect();
            for listed in source.describe(&ids, Details { date: false, head: true }).await? {
                let (Some(settlement), Some(known)) = (by_id.remove(&*listed.id), self.known.get(&listed.id)) else {
                    continue;
                };
                let key = settlement.key();
                if listed.head_hash.is_none() {
                    undescribed += 1;
                    continue;
                }
                match stands(world, key, known, &listed)? {
                    Stands::Same => proven.push(settlement.clone()),
                    Stands::Redressed => {
                        dressed += 1;
                        marks.push((key.clone(), RememberedKey { mark: KeyPurpose::Redressed, ..*known }));
                    }
                    Stands::Another => {
                        marks.push((key.clone(), RememberedKey { mark: KeyPurpose::Replaced, ..*known }))
                    }
                    Stands::Unknown => {
                        unknown += 1;
                        marks.push((key.clone(), RememberedKey { mark: KeyPurpose::Redressed, ..*known }));
                    }
                }
            }
        }
        let replaced = marks.len() - dressed - unknown;
        if !marks.is_empty() {
            world.store.mark(self.owned, &marks)?;
        }
        self.report_kept(dressed, replaced, unknown, report);
        Ok(Proven { proven, undescribed })
    }

    /// A server that does not send a header now may send it in the next pass.
    fn not_described(&self, count: usize) -> Option<Error> {
        let folder = &self.listing.listing().origin.folder;
        let text = || {
            format!("{folder}: {count} messages stay on the server, because it does not send their headers to check")
        };
        (count > 0).then(|| Error::transient(Kind::Protocol, text()))
    }

    fn report_kept(&self, dressed: usize, replaced: usize, unknown: usize, report: &mut Report) {
        let folder = &self.listing.listing().origin.folder;
        if dressed > 0 {
            let text =
                format!("{folder}: {dressed} messages stay on the server, which changed their headers since they came");
            report.remarks.push(text);
        }
        if replaced > 0 {
            let text = format!(
                "{folder}: the server lists other messages under {replaced} old ids; they are fetched in the next pass"
            );
            report.remarks.push(text);
            report.failed += replaced as u64;
        }
        if unknown > 0 {
            let text = format!(
                "{folder}: {unknown} messages stay on the server: nothing proves that they are filed here, because neither their \
                 headers are known nor their files found"
            );
            report.remarks.push(text);
        }
    }
}

/// The messages that may be deleted or moved, and how many could not be checked.
struct Proven {
    proven: Vec<Settlement>,
    undescribed: usize,
}

/// Sorts messages in the order of the server.
fn sort(messages: &mut [Settlement]) {
    messages.sort_by(|a, b| (a.key().as_uid(), a.key()).cmp(&(b.key().as_uid(), b.key())));
}

/// Remembers messages as gone from the server.
pub fn remember_settled(world: &World, owned: &Owned, gone: &[Key], report: &mut Report) -> Result<()> {
    remember(world, owned, gone, KeyPurpose::Settled)?;
    report.settled += gone.len() as u64;
    Ok(())
}

fn remember(world: &World, owned: &Owned, keys: &[Key], mark: KeyPurpose) -> Result<()> {
    let Some(first) = keys.first() else { return Ok(()) };
    let ids: Vec<Vec<u8>> = keys.iter().map(|key| key.id.clone()).collect();
    let known = world.store.known_among(&first.origin, &ids)?;
    let marked = |key: &Key| known.get(&key.id).map(|before| (key.clone(), RememberedKey { mark, ..*before }));
    let marks: Vec<(Key, RememberedKey)> = keys.iter().filter_map(marked).collect();
    if marks.is_empty() { Ok(()) } else { world.store.mark(owned, &marks) }
}
