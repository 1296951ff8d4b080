//! Choose: which of the listed messages are new, and which of those are wanted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};

use super::{Cause, Notice, World};
use crate::config::{Account, First, Protocol};
use crate::deliver::find_published;
use crate::error::Result;
use crate::message::{DeliveryName, Key, Origin};
use crate::source::{Details, Listed, Listing, Source};
use crate::state::{Known, Mark, Remembered};

/// A message that was set aside is tried again after this time: servers get repaired.
const TRY_AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// What is to be fetched from a folder.
#[derive(Debug)]
pub struct Choice {
    /// The messages, oldest first.
    pub wanted: Vec<Listed>,
    /// What is remembered of the folder.
    pub known: Known,
    /// Why nothing may be deleted in this pass.
    pub odd: Option<String>,
    /// How many wanted messages the `limit` leaves for the next run.
    pub left: u64,
    /// What the user has to be told.
    pub notices: Vec<Notice>,
}

/// Compares a listing with what is remembered and applies `first` and the selection. `room` is what is left of the
/// account's `limit`.
pub async fn choose(
    world: &World,
    account: &Account,
    source: &mut Source,
    listing: &mut Listing,
    room: Option<u64>,
) -> Result<Choice> {
    let mut chooser = Chooser { world, account, source, notices: Vec::new(), odd: listing.odd.clone() };
    let mut known = world.store.known(&listing.origin)?;
    let mut first = account.first;
    if known.is_empty() && chooser.recognise(&known, listing).await? {
        known = world.store.known(&listing.origin)?;
        first = First::All;
    }
    let changed = chooser.changed(&known, listing).await?;
    chooser.reused_ids(&known, listing).await?;
    let is_wanted = |id: &&Vec<u8>| changed.contains(*id) || chooser.is_new(&known, id);
    let mut new: Vec<Vec<u8>> = listing.ids.iter().filter(is_wanted).cloned().collect();
    if listing.doubled.iter().any(|id| known.get(id).is_none()) {
        chooser.odd.get_or_insert_with(|| "the server gives several messages the same id".to_owned());
    }
    if known.is_first_time() {
        new = chooser.first_run(&listing.origin, first, new).await?;
    }
    let wanted = chooser.select(&listing.origin, new).await?;
    let all = wanted.len() as u64;
    let room = room.unwrap_or(u64::MAX).min(all);
    let wanted = wanted.into_iter().take(usize::try_from(room).unwrap_or(usize::MAX)).collect();
    let Chooser { notices, odd, .. } = chooser;
    // `known` as it was read: what changed since is not here yet.
    Ok(Choice { wanted, known, odd, left: all - room, notices })
}

struct Chooser<'a> {
    world: &'a World,
    account: &'a Account,
    source: &'a mut Source,
    notices: Vec<Notice>,
    odd: Option<String>,
}

impl Chooser<'_> {
    fn is_new(&self, known: &Known, id: &[u8]) -> bool {
        let now = self.world.now();
        match known.get(id) {
            None => true,
            Some(r) => match r.mark {
                Mark::Here | Mark::Settled | Mark::Skipped | Mark::Doubtful => false,
                Mark::SetAside => now.duration_since(r.at) > TRY_AGAIN,
                Mark::TooOld => self.account.select.since.is_none_or(|since| r.at >= since.at(now)),
            },
        }
    }

    /// For a folder of which nothing is remembered: finds out whether its messages are here all the same, because
    /// the server changed UIDVALIDITY or because our database was lost.
    async fn recognise(&mut self, known: &Known, listing: &Listing) -> Result<bool> {
        let earlier = self.world.store.earlier_generations(&listing.origin)?;
        if !earlier.is_empty() {
            self.recognise_renumbered(&earlier, listing).await?;
            return Ok(true);
        }
        if known.is_first_time() { self.recognise_by_file_name(listing) } else { Ok(false) }
    }

    /// UIDVALIDITY changed: messages are matched by header and size, each old one at most once. What matches is
    /// remembered under its new number, what does not is new mail. Nothing is delivered twice, nothing is lost.
    async fn recognise_renumbered(&mut self, earlier: &[Arc<Origin>], listing: &Listing) -> Result<()> {
        type Print = (u64, Option<[u8; 16]>, Option<Timestamp>);
        let mut old: HashMap<Print, Vec<Remembered>> = HashMap::new();
        let mut old_keys = Vec::new();
        for origin in earlier {
            let known = self.world.store.known(origin)?;
            for (id, r) in known.iter() {
                // What was skipped was never read; it is known by size and arrival.
                let arrival = r.head_hash.is_none().then_some(r.at);
                old.entry((r.announced, r.head_hash, arrival)).or_default().push(*r);
                old_keys.push(known.key(id));
            }
        }
        let described = self.source.describe(&listing.ids, Details { date: true, head: true }).await?;
        let mut marks = Vec::new();
        for listed in described {
            let by_head = (listed.size(), listed.head_hash, None);
            let by_arrival = (listed.size(), None, listed.arrived);
            let found = [by_head, by_arrival].iter().find_map(|print| old.get_mut(print)?.pop());
            if let Some(remembered) = found {
                marks.push((Key::new(&listing.origin, listed.id), remembered));
            }
        }
        let text = format!(
            "The server changed the numbers (UIDVALIDITY) of the folder {}. {} of its {} messages were recognised as \
             being here already; the others are fetched as new. Nothing was deleted on the server in this pass.",
            listing.origin.folder,
            marks.len(),
            listing.ids.len()
        );
        self.world.store.mark(&marks)?;
        self.world.store.listed(&listing.origin, &[], self.world.now())?;
        self.world.store.forget(&old_keys)?;
        self.odd = Some(format!("{}: UIDVALIDITY changed", listing.origin.folder));
        self.notices.push(Notice { cause: Cause::Renumbered, account: self.account.name.clone(), text });
        Ok(())
    }

    /// Our database knows nothing of the folder, but the Maildirs may hold files with names derived from its keys:
    /// then the database was lost, and those messages are here.
    fn recognise_by_file_name(&mut self, listing: &Listing) -> Result<bool> {
        let here = find_published(&*self.world.disk, self.world.folders.root(), &self.account.name)?;
        let now = self.world.now();
        let key = |id: &Vec<u8>| Key::new(&listing.origin, id.clone());
        let marks: Vec<(Key, Remembered)> = listing
            .ids
            .iter()
            .map(key)
            .filter(|key| here.contains(&DeliveryName::of(key)))
            .map(|key| (key, Remembered { mark: Mark::Here, announced: 0, head_hash: None, at: now }))
            .collect();
        if marks.is_empty() {
            return Ok(false);
        }
        tracing::info!(account = self.account.name, "recognised {} messages by their file names", marks.len());
        self.world.store.mark(&marks)?;
        self.world.store.listed(&listing.origin, &[], now)?;
        self.odd = Some("the state was rebuilt from the Maildirs".to_owned());
        Ok(true)
    }

    /// POP3 servers may give a UIDL to a new message that an old one had. A known id with another size is looked
    /// at: with another header it is new mail and gets an id of its own (`reliability.md` F6).
    async fn reused_ids(&mut self, known: &Known, listing: &mut Listing) -> Result<()> {
        let differs = |id: &Vec<u8>| {
            let size = self.source.listed_size(id)?;
            let r = known.get(id).filter(|r| r.head_hash.is_some() && r.mark != Mark::Doubtful)?;
            (r.announced != size).then(|| id.clone())
        };
        let suspects: Vec<Vec<u8>> = listing.ids.iter().filter_map(differs).collect();
        if suspects.is_empty() {
            return Ok(());
        }
        for listed in self.source.describe(&suspects, Details { date: false, head: true }).await? {
            let (Some(before), Some(head_hash)) = (known.get(&listed.id), listed.head_hash) else { continue };
            if before.head_hash == Some(head_hash) {
                let same = Remembered { announced: listed.size(), ..*before };
                self.world.store.mark(&[(known.key(&listed.id), same)])?;
                continue;
            }
            let new_id = [&listed.id[..], b"\0reused:", HEXLOWER.encode(&head_hash).as_bytes()].concat();
            if known.get(&new_id).is_none() {
                self.odd = Some("the server gave an old message's id to a new one".to_owned());
            }
            self.source.rename(&listed.id, &new_id);
            listing.ids.iter_mut().filter(|id| **id == listed.id).for_each(|id| id.clone_from(&new_id));
        }
        Ok(())
    }

    /// Of the messages that came and were doubted, those of which the server now says something else.
    async fn changed(&mut self, known: &Known, listing: &Listing) -> Result<HashSet<Vec<u8>>> {
        let is_doubted = |id: &&Vec<u8>| known.get(id).is_some_and(|r| r.mark == Mark::Doubtful);
        let doubted: Vec<Vec<u8>> = listing.ids.iter().filter(is_doubted).cloned().collect();
        if doubted.is_empty() {
            return Ok(HashSet::new());
        }
        let mut changed = HashSet::new();
        let mut marks = Vec::new();
        for listed in self.source.describe(&doubted, Details { date: false, head: true }).await? {
            let Some(before) = known.get(&listed.id) else { continue };
            let has_other_head =
                before.head_hash.is_some() && listed.head_hash.is_some_and(|h| before.head_hash != Some(h));
            if before.announced != listed.size() || has_other_head {
                changed.insert(listed.id);
            } else if before.head_hash.is_none() && listed.head_hash.is_some() {
                // What came may have another header than the server tells; from now on it is known.
                let seen = Remembered { head_hash: listed.head_hash, ..*before };
                marks.push((known.key(&listed.id), seen));
            }
        }
        self.world.store.mark(&marks)?;
        Ok(changed)
    }

    /// The first look at a folder: what is there may be left out for good.
    async fn first_run(&mut self, origin: &Arc<Origin>, first: First, new: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let now = self.world.now();
        let since = match first {
            First::All => Timestamp::MIN,
            First::New => Timestamp::MAX,
            First::Since(when) => when.at(now),
        };
        let mut skipped = Vec::new();
        let mut wanted = Vec::new();
        if since == Timestamp::MIN {
            wanted = new;
        } else {
            let details = Details { date: matches!(first, First::Since(_)), head: false };
            for listed in self.source.describe(&new, details).await? {
                let arrived = listed.arrived.unwrap_or(if since == Timestamp::MAX { now } else { Timestamp::MAX });
                if arrived < since {
                    let mark =
                        Remembered { mark: Mark::Skipped, announced: listed.size(), head_hash: None, at: arrived };
                    skipped.push((Key::new(origin, listed.id), mark));
                } else {
                    wanted.push(listed.id);
                }
            }
        }
        self.world.store.mark(&skipped)?;
        // From here on the folder is known, even if it is empty: what arrives later is new.
        self.world.store.listed(origin, &[], now)?;
        Ok(wanted)
    }

    async fn select(&mut self, origin: &Arc<Origin>, new: Vec<Vec<u8>>) -> Result<Vec<Listed>> {
        let select = &self.account.select;
        let now = self.world.now();
        let new = if new.is_empty() { new } else { self.source.search(new, select, now).await? };
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let date = select.since.is_some();
        let mut listed = self.source.describe(&new, Details { date, head: false }).await?;
        listed.retain(|m| select.max_size.is_none_or(|max| m.size() <= max));
        let Some(since) = select.since.map(|since| since.at(now)) else { return Ok(listed) };
        let (wanted, old): (Vec<_>, Vec<_>) = listed.into_iter().partition(|m| m.arrived.is_none_or(|at| at >= since));
        if self.account.protocol == Protocol::Pop3 {
            // The date cost a TOP; it is not asked for again.
            let too_old = |m: Listed| {
                let at = m.arrived.unwrap_or(now);
                let mark = Remembered { mark: Mark::TooOld, announced: m.size(), head_hash: None, at };
                (Key::new(origin, m.id), mark)
            };
            self.world.store.mark(&old.into_iter().map(too_old).collect::<Vec<_>>())?;
        }
        Ok(wanted)
    }
}

/// The remembered ids that a complete listing lacks.
pub fn missing(known: &Known, listing: &Listing) -> Vec<Vec<u8>> {
    let listed: HashSet<&[u8]> = listing.ids.iter().map(Vec::as_slice).collect();
    known.iter().map(|(id, _)| id).filter(|id| !listed.contains(id)).map(<[u8]>::to_vec).collect()
}
