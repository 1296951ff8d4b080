//! Recognise: finds which of the messages that seem to be new are already here, because the server changed its numbers,
//! the account moved, or the state was lost. No message is delivered twice, and none counts as delivered that is not.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::choose::reused;
use super::compare::{FolderMatch, RenumberedFolder};
use super::identity::{Stands, stands};
use super::{Cause, Notice, World};
use crate::config::{Account, Protocol};
use crate::error::Result;
use crate::message::{DeliveryName, Key, Origin};
use crate::safeguard::Safeguard;
use crate::source::{Complete, Details, Listing, Source};
use crate::state::{KeyPurpose, KnownOrigin, Owned, Registered, RememberedKey};

/// How long after a rebuild of the state a newly listed message is looked up by the name of its file.
const NAMES_LOOKED_UP_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The result. After anything but [`Recognised::Not`], the caller has to read again what is known.
pub(super) enum Recognised {
    /// No message that seemed new is here.
    Not,
    /// The server changed its numbers: this pass deletes nothing, and the user gets one notice.
    Renumbered(Option<Notice>),
    /// The state was rebuilt or restored.
    Rebuilt,
}

/// Compares the listing of a folder with what is remembered and with the local files.
pub(super) struct Recogniser<'a> {
    pub(super) world: &'a World,
    pub(super) owned: &'a Owned,
    pub(super) account: &'a Account,
    pub(super) registered: &'a Registered,
}

impl Recogniser<'_> {
    /// Marks the messages that are recognised. Also returns what could not be compared.
    pub(super) async fn recognise(
        &self,
        source: &mut Source,
        complete: Complete<'_>,
        known: &KnownOrigin,
    ) -> Result<(Recognised, FolderMatch)> {
        let listing = complete.listing();
        let store = &self.world.store;
        let is_on = Safeguard::RecogniseRenumbered.is_on();
        let earlier = if is_on { store.earlier_generations(&listing.origin)? } else { Vec::new() };
        let since = store.rebuilt().max(self.registered.moved);
        let is_due = !store.is_recognised(&listing.origin)?;
        let is_moved = is_due && since == self.registered.moved && since.is_some() && !known.is_empty();

        let is_own_old = is_moved || is_on && self.all_ids_changed(listing, known);
        let is_first_look = known.is_empty() || is_own_old;
        let comparison =
            RenumberedFolder { world: self.world, owned: self.owned, listing, known, earlier: &earlier, is_own_old };
        let mut compared = match is_own_old || !earlier.is_empty() {
            true => comparison.compare(source).await?,
            false => FolderMatch::default(),
        };
        let is_renumbered = compared.found > 0 || is_moved || known.is_empty() && !earlier.is_empty();

        // File names say nothing about numbers that another server assigned, or that the server has changed since.
        let is_named = !is_moved && (earlier.is_empty() || store.rebuilt().is_some());
        let found = match is_due {
            true => is_named && self.by_name(source, listing).await?,
            false => self.by_name_later(source, listing, known, &mut compared).await?,
        };
        if is_due && !(is_named && listing.is_short && Safeguard::ComparedInFull.is_on()) {
            store.set_recognised(self.owned, &listing.origin, self.world.now())?;
        }
        let recognised = match (is_renumbered, found) {
            (true, _) => Recognised::Renumbered(is_first_look.then(|| self.notice(listing, &compared))),
            (false, true) => Recognised::Rebuilt,
            (false, false) => Recognised::Not,
        };
        Ok((recognised, compared))
    }

    /// A POP3 server that was moved gives every message another UIDL.
    fn all_ids_changed(&self, listing: &Listing, known: &KnownOrigin) -> bool {
        self.account.protocol == Protocol::Pop3
            && known.iter().any(|(_, r)| {
                matches!(r.mark, KeyPurpose::Here | KeyPurpose::Copied | KeyPurpose::Redressed | KeyPurpose::Doubtful)
            })
            && !listing.ids.is_empty()
            && !listing.ids.iter().any(|id| known.get(id).is_some())
    }

    fn notice(&self, listing: &Listing, compared: &FolderMatch) -> Notice {
        let later = match compared.is_partial {
            true => " The server did not list everything; what it lists later is compared then.",
            false => "",
        };
        let text = format!(
            "The server changed the numbers of the messages in the folder {}. {} of its {} messages were recognised as already filed; the others are fetched as new.{later} Nothing was deleted on the server in this pass.",
            listing.origin.folder,
            compared.found,
            listing.ids.len()
        );
        Notice { cause: Cause::Renumbered, account: self.account.name.clone(), text }
    }

    /// A message that the server did not list when the state was rebuilt may be listed later, and its file may be here.
    /// Over POP3 nothing shows that a listing is incomplete. A file that rules edited does not disprove it.
    async fn by_name_later(
        &self,
        source: &mut Source,
        listing: &Listing,
        known: &KnownOrigin,
        compared: &mut FolderMatch,
    ) -> Result<bool> {
        let now = self.world.now();
        let is_recent = |rebuilt: Timestamp| now.duration_since(rebuilt) <= NAMES_LOOKED_UP_FOR;
        if !self.world.store.rebuilt().is_some_and(is_recent) {
            return Ok(false);
        }
        let named = self.named_here(listing, known)?;
        let mut marks = Vec::new();
        for listed in source.describe(&named, Details { date: false, head: true }).await? {
            let (key, here) =
                (Key::new(&listing.origin, listed.id.clone()), RememberedKey::unread(KeyPurpose::Here, 0, now));
            match stands(self.world, &key, &here, &listed)? {
                Stands::Another => {}
                Stands::Unknown if listed.head_hash.is_none() => compared.withheld.push(listed.id),
                Stands::Same | Stands::Redressed | Stands::Unknown => marks.push((key, here)),
            }
        }
        if !marks.is_empty() {
            self.world.store.mark(self.owned, &marks)?;
        }
        Ok(!marks.is_empty())
    }

    /// The ids that seem new, and for which there is a file of that name.
    fn named_here(&self, listing: &Listing, known: &KnownOrigin) -> Result<Vec<Vec<u8>>> {
        let mut unknown = listing.ids.iter().filter(|id| known.get(id).is_none()).peekable();
        if unknown.peek().is_none() {
            return Ok(Vec::new());
        }
        let here = self.world.walk.published(self.world, self.owned.space())?;
        let is_named = |id: &&Vec<u8>| {
            let key = Key::new(&listing.origin, id.as_slice());
            names_of(&key).iter().any(|name| here.contains(name))
        };
        Ok(unknown.filter(is_named).cloned().collect())
    }

    /// Recognises messages by their file names. After an incomplete listing, the next pass does it again.
    async fn by_name(&self, source: &mut Source, listing: &Listing) -> Result<bool> {
        let known = self.world.store.known(&listing.origin)?;
        Ok(self.by_file_name(listing, &known)? | self.by_reused_id(source, listing).await?)
    }

    /// Files whose names are derived from keys that the database does not know are messages that are here.
    fn by_file_name(&self, listing: &Listing, known: &KnownOrigin) -> Result<bool> {
        let now = self.world.now();
        let here = |id| (Key::new(&listing.origin, id), RememberedKey::unread(KeyPurpose::Here, 0, now));
        let marks: Vec<(Key, RememberedKey)> = self.named_here(listing, known)?.into_iter().map(here).collect();
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
    /// A message that was listed under another one's id has its file under an id of its own, which includes the hash of
    /// its header.
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
                marks.push((Key::new(&listing.origin, listed.id), RememberedKey::unread(KeyPurpose::Replaced, 0, now)));
                marks.push((key, RememberedKey::unread(KeyPurpose::Here, 0, now)));
            }
        }
        if !marks.is_empty() {
            self.world.store.mark(self.owned, &marks)?;
        }
        Ok(!marks.is_empty())
    }
}

/// The names that the file of a message can have: earlier versions used the config's spelling of INBOX.
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
