//! Choose: which of the listed messages are new, and which of those are wanted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::SignedDuration;

use super::compare::FolderMatch;
use super::first::FirstRun;
use super::identity::{Stands, stands};
use super::recognise::{Recognised, Recogniser};
use super::{Notice, World, stood};
use crate::config::{Account, Protocol};
use crate::error::{Error, Result};
use crate::message::{Key, Origin, uid_in_id};
use crate::safeguard::Safeguard;
use crate::source::{Complete, Details, Listed, Listing, Source};
use crate::state::{KeyPurpose, KnownOrigin, Owned, Registered, RememberedKey};

/// A message that was set aside is tried again after this time, because servers get repaired.
const SET_ASIDE_RETRY: SignedDuration = SignedDuration::from_hours(24);

/// What is to be fetched from a folder.
#[derive(Debug)]
pub struct FetchChoice {
    /// The messages, oldest first.
    pub wanted: Vec<Listed>,
    /// What is remembered of the folder, or of the listed messages alone where the listing is not complete.
    pub known: KnownOrigin,
    /// Why nothing may be deleted in this pass.
    pub odd: Option<String>,
    /// How many wanted messages the `limit` leaves for the next run.
    pub left: u64,
    /// What the user has to know.
    pub notices: Vec<Notice>,
    /// Why messages that may be new are not fetched in this pass.
    pub withheld: Option<Error>,
}

/// Compares a listing with what is remembered and applies `first` and the selection. `room` is the rest of the
/// account's `limit`.
pub async fn choose(
    world: &World,
    owned: &Owned,
    account: &Account,
    registered: &Registered,
    source: &mut Source,
    listing: &mut Listing,
    room: Option<u64>,
) -> Result<FetchChoice> {
    let mut chooser =
        Chooser { world, owned, account, source, notices: Vec::new(), odd: listing.odd.clone(), went_back: false };
    let remembered = |listing: &Listing| match listing.complete() {
        Some(_) => world.store.known(&listing.origin),
        None => world.store.known_among(&listing.origin, &listing.ids),
    };
    let mut known = remembered(listing)?;
    stood::mark_stood(world, owned, registered, &known, listing)?;
    // At least its numbers are new: the folder may have been listed before under other numbers.
    let is_first_look = known.is_first_time() && !registered.is_new;
    let first_run = FirstRun { world, owned, account, registered, is_first_look };
    let recogniser = Recogniser { world, owned, account, registered };
    let (recognised, compared) = match listing.complete() {
        Some(complete) => recogniser.recognise(chooser.source, complete, &known).await?,
        // There is nothing to compare it with.
        None => (Recognised::Not, FolderMatch::default()),
    };
    match recognised {
        Recognised::Not => {}
        Recognised::Renumbered(notice) => {
            let what = if account.protocol == Protocol::Imap { "UIDVALIDITY" } else { "every UIDL" };
            chooser.odd = Some(format!("{}: {what} changed", listing.origin.folder));
            chooser.notices.extend(notice);
            known = remembered(listing)?;
        }
        Recognised::Rebuilt => {
            chooser.odd = Some("the state was rebuilt from the Maildirs".to_owned());
            known = remembered(listing)?;
        }
    }
    chooser.went_back = went_back(&known, listing);
    if chooser.went_back {
        mark_free_numbers(world, owned, &known, listing)?;
    }
    let changed = chooser.changed(&known, listing).await?;
    if chooser.reused_ids(&known, listing).await? {
        known = remembered(listing)?;
    }
    let is_wanted =
        |id: &&Vec<u8>| !compared.withheld.contains(*id) && (changed.contains(*id) || chooser.is_new(&known, id));
    let new: Vec<Vec<u8>> = listing.ids.iter().filter(is_wanted).cloned().collect();
    if listing.doubled.iter().any(|id| known.get(id).is_none()) {
        chooser.odd.get_or_insert_with(|| "the server gives several messages the same id".to_owned());
    }
    let new = first_run.wanted(chooser.source, &listing.origin, &known, new).await?;
    let wanted = chooser.select(&listing.origin, new).await?;
    let all = wanted.len() as u64;
    let room = room.unwrap_or(u64::MAX).min(all);
    let wanted = wanted.into_iter().take(usize::try_from(room).unwrap_or(usize::MAX)).collect();
    let Chooser { notices, odd, .. } = chooser;
    // `known` is as it was read above; later changes are not in it.
    Ok(FetchChoice { wanted, known, odd, left: all - room, notices, withheld: compared.error(&listing.origin.folder) })
}

struct Chooser<'a> {
    world: &'a World,
    owned: &'a Owned,
    account: &'a Account,
    source: &'a mut Source,
    notices: Vec<Notice>,
    odd: Option<String>,
    /// The server assigns numbers again that it had assigned before.
    went_back: bool,
}

impl Chooser<'_> {
    fn is_new(&self, known: &KnownOrigin, id: &[u8]) -> bool {
        let now = self.world.now();
        match known.get(id) {
            None => true,
            Some(r) => match r.mark {
                KeyPurpose::Here
                | KeyPurpose::Copied
                | KeyPurpose::Settled
                | KeyPurpose::Redressed
                | KeyPurpose::Doubtful
                | KeyPurpose::Replaced
                | KeyPurpose::NotLetGo => false,
                KeyPurpose::Again | KeyPurpose::Stood => true,
                // The arrival date distinguishes a skipped message from a new one. POP3 has no arrival dates.
                KeyPurpose::Skipped | KeyPurpose::TooOld
                    if self.account.protocol == Protocol::Imap && self.is_given_again(known, id) =>
                {
                    true
                }
                KeyPurpose::SetAside => now.duration_since(r.at) > SET_ASIDE_RETRY,
                KeyPurpose::Skipped => false,
                KeyPurpose::TooOld => self.account.select.since.is_none_or(|since| r.at >= since.at(now)),
            },
        }
    }

    /// Finds ids that may mean another message now: POP3 lists another size, the id was settled or gone and is listed
    /// again, or a check before a deletion found another message under it. A message with another header is new mail
    /// and gets an id of its own (`reliability.md` F6).
    ///
    /// Returns whether the store knows more now than `known` does.
    async fn reused_ids(&mut self, known: &KnownOrigin, listing: &mut Listing) -> Result<bool> {
        let suspects: Vec<Vec<u8>> = listing.ids.iter().filter(|id| self.is_suspect(known, id)).cloned().collect();
        if suspects.is_empty() {
            return Ok(false);
        }
        let mut renamed = HashMap::new();
        let mut marks = Vec::new();
        let again = reused_before(known);
        for listed in self.source.describe(&suspects, Details { date: false, head: true }).await? {
            let (Some(before), Some(head_hash)) = (known.get(&listed.id), listed.head_hash) else { continue };
            let key = known.key(&listed.id);
            match (before.mark, stands(self.world, &key, before, &listed)?) {
                // In between, a placeholder was listed, or another message came and went.
                (KeyPurpose::Replaced, Stands::Same) => {
                    marks.push((key, RememberedKey { mark: KeyPurpose::Here, ..*before }))
                }
                (KeyPurpose::Replaced, _) | (_, Stands::Another) => {
                    let before = listed.dress.and_then(|dress| again.get(&(listed.id.as_slice(), dress)));
                    let new_id = before.map_or_else(|| reused(&listed.id, head_hash), |id| id.to_vec());
                    renamed.insert(listed.id.clone(), new_id);
                }
                (KeyPurpose::Settled, Stands::Same | Stands::Redressed) => {
                    marks.push((key, RememberedKey { mark: KeyPurpose::NotLetGo, at: self.world.now(), ..*before }));
                }
                // Another size of the same message.
                (KeyPurpose::Here, Stands::Redressed) if before.head_hash == Some(head_hash) => {
                    marks.push((key, RememberedKey { announced: listed.size(), ..*before }));
                }
                _ => {}
            }
        }
        // Where the state was rebuilt, the file shows that the message is here.
        for new_id in renamed.values().filter(|id| self.world.store.rebuilt().is_some() && known.get(id).is_none()) {
            let key = known.key(new_id);
            if self.world.walk.is_published(self.world, &key)? {
                marks.push((key, RememberedKey::unread(KeyPurpose::Here, 0, self.world.now())));
            }
        }
        if !marks.is_empty() {
            self.world.store.mark(self.owned, &marks)?;
        }
        self.rename(known, listing, &renamed);
        Ok(!marks.is_empty())
    }

    fn is_suspect(&self, known: &KnownOrigin, id: &[u8]) -> bool {
        let Some(before) = known.get(id) else { return false };
        match before.mark {
            KeyPurpose::Replaced => true,
            KeyPurpose::Settled => Safeguard::SettledIsLookedAt.is_on(),
            KeyPurpose::Here => {
                let size = self.source.listed_size(id);
                let has_other_size = before.head_hash.is_some() && size.is_some_and(|size| size != before.announced);
                has_other_size || self.is_given_again(known, id)
            }
            KeyPurpose::Copied | KeyPurpose::Redressed | KeyPurpose::NotLetGo => self.is_given_again(known, id),
            _ => false,
        }
    }

    /// Whether the server may have assigned the number of a message to another one since.
    fn is_given_again(&self, known: &KnownOrigin, id: &[u8]) -> bool {
        self.went_back || known.was_missing(id)
    }

    fn rename(&mut self, known: &KnownOrigin, listing: &mut Listing, renamed: &HashMap<Vec<u8>, Vec<u8>>) {
        for (id, new_id) in renamed {
            if known.get(new_id).is_none() {
                self.odd = Some("the server gave an old message's id to a new one".to_owned());
            }
            self.source.rename(id, new_id);
        }
        for id in &mut listing.ids {
            if let Some(new_id) = renamed.get(id) {
                id.clone_from(new_id);
            }
        }
    }

    /// Returns the doubtful messages that the server now describes differently.
    async fn changed(&mut self, known: &KnownOrigin, listing: &Listing) -> Result<HashSet<Vec<u8>>> {
        let is_doubted = |id: &&Vec<u8>| known.get(id).is_some_and(|r| r.mark == KeyPurpose::Doubtful);
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
                // The header that came may differ from the one that the server describes now; remember the latter.
                let seen = RememberedKey { head_hash: listed.head_hash, ..*before };
                marks.push((known.key(&listed.id), seen));
            }
        }
        self.world.store.mark(self.owned, &marks)?;
        Ok(changed)
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
            // Reading the date cost a TOP command; do not ask for it again.
            let too_old = |m: Listed| {
                let at = m.arrived.unwrap_or(now);
                let mark = RememberedKey::unread(KeyPurpose::TooOld, m.size(), at);
                (Key::new(origin, m.id), mark)
            };
            self.world.store.mark(self.owned, &old.into_iter().map(too_old).collect::<Vec<_>>())?;
        }
        Ok(wanted)
    }
}

/// Whether the server assigns numbers again, as a server that was restored from a backup does: UIDNEXT is not above all
/// known numbers. Known messages that are missing by now are checked when they are listed again.
fn went_back(known: &KnownOrigin, listing: &Listing) -> bool {
    let Some(next) = listing.uid_next else { return false };
    known.iter().any(|(id, _)| uid_in_id(id).is_some_and(|uid| uid >= next) && !known.was_missing(id))
}

/// Marks the numbers that the server is going to assign again as gone, even in a pass that may delete nothing: no later
/// pass could find them.
fn mark_free_numbers(world: &World, owned: &Owned, known: &KnownOrigin, listing: &Listing) -> Result<()> {
    let listed: HashSet<&[u8]> = listing.ids.iter().map(Vec::as_slice).collect();
    let is_free = |id: &[u8]| {
        let is_above = uid_in_id(id).is_some_and(|uid| listing.uid_next.is_some_and(|next| uid >= next));
        is_above && !listed.contains(id)
    };
    let gone = known.iter().map(|(id, _)| id).filter(|id| known.was_missing(id) || is_free(id));
    world.store.listed(owned, &listing.origin, &gone.map(<[u8]>::to_vec).collect::<Vec<_>>(), world.now())
}

/// Separates another message's id from the hash that distinguishes the message from it.
const REUSED: &[u8] = b"\0reused:";

/// The id of a message that the server lists under another message's id.
pub(super) fn reused(id: &[u8], head_hash: [u8; 16]) -> Vec<u8> {
    [id, REUSED, HEXLOWER.encode(&head_hash).as_bytes()].concat()
}

/// The messages that were found under another message's id before, by that id and by the hash of the fields that no
/// server changes. A message whose other fields changed meanwhile is the same message.
fn reused_before(known: &KnownOrigin) -> HashMap<(&[u8], [u8; 16]), &[u8]> {
    let split = |id| memchr::memmem::find(id, REUSED).map(|at| &id[..at]);
    known.iter().filter_map(|(id, r)| Some(((split(id)?, r.dress?), id))).collect()
}

/// The remembered ids that a complete listing lacks.
pub fn missing(known: &KnownOrigin, complete: Complete<'_>) -> Vec<Vec<u8>> {
    let listed: HashSet<&[u8]> = complete.listing().ids.iter().map(Vec::as_slice).collect();
    known.iter().map(|(id, _)| id).filter(|id| !listed.contains(id)).map(<[u8]>::to_vec).collect()
}
