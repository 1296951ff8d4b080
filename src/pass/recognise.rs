//! Recognise: which of the messages that seem to be new are here all the same, because the server changed its numbers, the
//! account moved, or our state was lost. Nothing is delivered twice, nothing is taken for delivered that is not.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::choose::reused;
use super::{Cause, Notice, World};
use crate::config::{Account, Protocol};
use crate::error::Result;
use crate::message::{DeliveryName, Key, Origin};
use crate::safeguard::Safeguard;
use crate::source::{Details, Listing, Source};
use crate::state::{Known, Mark, Owned, Registered, Remembered};

/// What is compared: size, header hash, and for what was never read its arrival.
type Print = (u64, Option<[u8; 16]>, Option<Timestamp>);

/// Why a folder was compared.
pub(super) enum Recognised {
    /// It needed not to be.
    Not,
    /// The server's numbers changed: nothing is deleted in this pass, and the user is told.
    Renumbered(Notice),
    /// The state was rebuilt or put back.
    Rebuilt,
}

/// Compares what a folder lists with what is remembered and with what stands here.
pub(super) struct Recogniser<'a> {
    pub(super) world: &'a World,
    pub(super) owned: &'a Owned,
    pub(super) account: &'a Account,
    pub(super) registered: &'a Registered,
}

impl Recogniser<'_> {
    /// Marks what is recognised. `known` is to be read again after anything but [`Recognised::Not`].
    pub(super) async fn recognise(&self, source: &mut Source, listing: &Listing, known: &Known) -> Result<Recognised> {
        let store = &self.world.store;
        let earlier = match known.is_empty() && Safeguard::RecogniseRenumbered.is_on() {
            true => store.earlier_generations(&listing.origin)?,
            false => Vec::new(),
        };
        if !earlier.is_empty() {
            let found = self.by_content(source, listing, &earlier).await?;
            // What a state that was put back does not know under the old numbers may stand here under the new ones.
            if store.rebuilt().is_some() && !store.is_recognised(&listing.origin)? {
                self.by_file_name(listing, &store.known(&listing.origin)?)?;
                store.set_recognised(self.owned, &listing.origin, self.world.now())?;
            }
            return Ok(Recognised::Renumbered(self.notice(listing, found)));
        }
        let since = store.rebuilt().max(self.registered.moved);
        let is_due = match since {
            Some(_) => !store.is_recognised(&listing.origin)?,
            None => known.is_first_time(),
        };
        if is_due {
            let moved = self.registered.moved.is_some_and(|moved| since == Some(moved)) && !known.is_empty();
            let notice = match moved {
                true => {
                    let found = self.by_content(source, listing, std::slice::from_ref(&listing.origin)).await?;
                    Some(self.notice(listing, found))
                }
                false => None,
            };
            let found = self.by_file_name(listing, known)? | self.by_reused_id(source, listing).await?;
            store.set_recognised(self.owned, &listing.origin, self.world.now())?;
            return Ok(match (notice, found) {
                (Some(notice), _) => Recognised::Renumbered(notice),
                (None, true) => Recognised::Rebuilt,
                (None, false) => Recognised::Not,
            });
        }
        if self.all_ids_changed(listing, known) && Safeguard::RecogniseRenumbered.is_on() {
            let found = self.by_content(source, listing, std::slice::from_ref(&listing.origin)).await?;
            // Nothing is here still: the mailbox was emptied by somebody, and this is new mail.
            if found > 0 {
                return Ok(Recognised::Renumbered(self.notice(listing, found)));
            }
        }
        Ok(Recognised::Not)
    }

    /// POP3 servers that were moved give every message another UIDL.
    fn all_ids_changed(&self, listing: &Listing, known: &Known) -> bool {
        self.account.protocol == Protocol::Pop3
            && known.iter().any(|(_, r)| matches!(r.mark, Mark::Here | Mark::Copied | Mark::Redressed | Mark::Doubtful))
            && listing.ids.len() > 1
            && !listing.ids.iter().any(|id| known.get(id).is_some())
    }

    /// Messages are matched by header and size, then by the fields that no server changes, as everywhere else: a server may
    /// have told a false size before. Each old one is matched at most once. What matches is remembered under its new number,
    /// what does not is new mail. The result is how many matched.
    async fn by_content(&self, source: &mut Source, listing: &Listing, earlier: &[Arc<Origin>]) -> Result<usize> {
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
        let described = source.describe(&listing.ids, Details { date: true, head: true }).await?;
        let mut marks = Vec::new();
        let mut unmatched = Vec::new();
        for listed in described {
            let by_head = (listed.size(), listed.head_hash, None);
            let by_arrival = (listed.size(), None, listed.arrived);
            match [by_head, by_arrival].iter().find_map(|print| old.get_mut(print)?.pop()) {
                Some(remembered) => marks.push((Key::new(&listing.origin, listed.id), remembered)),
                None => unmatched.push(listed),
            }
        }
        let mut by_dress: HashMap<[u8; 16], Vec<Remembered>> = HashMap::new();
        for remembered in old.into_values().flatten() {
            if let Some(dress) = remembered.dress {
                by_dress.entry(dress).or_default().push(remembered);
            }
        }
        for listed in unmatched {
            if let Some(old) = listed.dress.and_then(|dress| by_dress.get_mut(&dress)?.pop()) {
                let (announced, head_hash) = (listed.size(), listed.head_hash);
                let redressed = Remembered { mark: in_another_dress(old.mark), announced, head_hash, ..old };
                marks.push((Key::new(&listing.origin, listed.id), redressed));
            }
        }
        if marks.is_empty() && earlier == [Arc::clone(&listing.origin)] {
            return Ok(0);
        }
        self.world.store.renumber(self.owned, &old_keys, &marks)?;
        self.world.store.listed(self.owned, &listing.origin, &[], self.world.now())?;
        Ok(marks.len())
    }

    fn notice(&self, listing: &Listing, found: usize) -> Notice {
        let text = format!(
            "The server changed the numbers of the messages in the folder {}. {found} of its {} messages were recognised as \
             being here already; the others are fetched as new. Nothing was deleted on the server in this pass.",
            listing.origin.folder,
            listing.ids.len()
        );
        Notice { cause: Cause::Renumbered, account: self.account.name.clone(), text }
    }

    /// The Maildirs may hold files with names derived from keys that our database does not know: those messages are here.
    fn by_file_name(&self, listing: &Listing, known: &Known) -> Result<bool> {
        let here = self.world.walk.published(self.world, self.owned.space())?;
        let now = self.world.now();
        let unknown = listing.ids.iter().filter(|id| known.get(id).is_none());
        let marks: Vec<(Key, Remembered)> = unknown
            .map(|id| Key::new(&listing.origin, id.clone()))
            .filter(|key| names_of(key).iter().any(|name| here.contains(name)))
            .map(|key| (key, Remembered::unread(Mark::Here, 0, now)))
            .collect();
        if marks.is_empty() {
            return Ok(false);
        }
        tracing::info!(account = self.account.name, "recognised {} messages by their file names", marks.len());
        self.world.store.mark(self.owned, &marks)?;
        if known.is_first_time() {
            self.world.store.listed(self.owned, &listing.origin, &[], now)?;
        }
        Ok(true)
    }
}

impl Recogniser<'_> {
    /// A message that stood under another one's id has its file under an id of its own, which its header is part of.
    async fn by_reused_id(&self, source: &mut Source, listing: &Listing) -> Result<bool> {
        let known = self.world.store.known(&listing.origin)?;
        let unknown: Vec<Vec<u8>> = listing.ids.iter().filter(|id| known.get(id).is_none()).cloned().collect();
        let here = self.world.walk.published(self.world, self.owned.space())?;
        if unknown.is_empty() || here.is_empty() {
            return Ok(false);
        }
        let now = self.world.now();
        let mut marks = Vec::new();
        for listed in source.describe(&unknown, Details { date: false, head: true }).await? {
            let Some(head_hash) = listed.head_hash else { continue };
            let key = Key::new(&listing.origin, reused(&listed.id, head_hash));
            if here.contains(&DeliveryName::of(&key)) {
                marks.push((Key::new(&listing.origin, listed.id), Remembered::unread(Mark::Replaced, 0, now)));
                marks.push((key, Remembered::unread(Mark::Here, 0, now)));
            }
        }
        if !marks.is_empty() {
            self.world.store.mark(self.owned, &marks)?;
        }
        Ok(!marks.is_empty())
    }
}

/// Mail with another header or size than the one that was fetched is never deleted on the server.
fn in_another_dress(mark: Mark) -> Mark {
    match mark {
        Mark::Here | Mark::Copied => Mark::Redressed,
        other => other,
    }
}

/// The names that the file of a message can have: INBOX was spelled as the config spells it once.
fn names_of(key: &Key) -> Vec<DeliveryName> {
    let mut names = vec![DeliveryName::of(key)];
    if key.origin.folder == "INBOX" {
        names.extend(["Inbox", "inbox"].map(|folder| {
            let origin = Origin { folder: folder.to_owned(), ..(*key.origin).clone() };
            DeliveryName::of(&Key::new(&Arc::new(origin), key.id.clone()))
        }));
    }
    names
}
