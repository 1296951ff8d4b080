//! Recheck: whether a folder has to be listed at all. As long as its server says the same of it as when it was listed last, and
//! nothing was left to do then, nothing in it is new. Only a listing tells what is missing, and settles: each folder is listed
//! once a day whatever its server says.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::World;
use crate::config::{Account, Retention};
use crate::error::Result;
use crate::message::uid_in_id;
use crate::source::{Glance, Listing};
use crate::state::{FolderMark, Known, Mark, Owned};

/// A folder is listed at least this often.
const LISTED_AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// How folders stood, as far as that still holds by itself: what is left is to ask the server.
pub fn marks(
    world: &World,
    owned: &Owned,
    account: &Account,
    folders: &[String],
) -> Result<HashMap<String, FolderMark>> {
    // What the state was put back from may know less than it says. And what is searched for may hang on flags.
    if world.store.rebuilt().is_some() || account.select.search.is_some() {
        return Ok(HashMap::new());
    }
    let (asked, now) = (asked(account), world.now());
    let mut marks = HashMap::new();
    for folder in folders {
        let mark = world.store.folder_mark(owned.space(), folder)?;
        let holds = |mark: &FolderMark| {
            let age = now.duration_since(mark.listed);
            mark.asked == asked
                && (SignedDuration::ZERO..LISTED_AGAIN).contains(&age)
                && mark.due.is_none_or(|due| now < due)
        };
        marks.extend(mark.filter(holds).map(|mark| (folder.clone(), mark)));
    }
    Ok(marks)
}

/// A message that comes raises UIDNEXT, and one that goes lowers the count (RFC 3501 2.3.1.1): where both are the same, so are
/// the messages.
pub fn is_unchanged(mark: &FolderMark, glance: &Glance) -> bool {
    glance.generation == Some(mark.generation)
        && glance.uid_next == Some(mark.uid_next)
        && glance.exists == Some(mark.exists)
}

/// What a pass over a folder found, as far as the next one hangs on it.
#[derive(Debug)]
pub struct Looked<'a> {
    /// The list.
    pub listing: &'a Listing,
    /// What was remembered when the pass began.
    pub known: &'a Known,
    /// Whether all that was wanted came, and all that was to be settled was.
    pub is_done: bool,
}

impl Looked<'_> {
    /// Notes how the folder stands, where nothing is left to do in it.
    pub fn note(&self, world: &World, owned: &Owned, account: &Account) -> Result<()> {
        let folder = &self.listing.origin.folder;
        let before = world.store.folder_mark(owned.space(), folder)?;
        let mark = self.mark(account, world.now());
        if mark == before { Ok(()) } else { world.store.set_folder_mark(owned, folder, mark.as_ref()) }
    }

    fn mark(&self, account: &Account, now: Timestamp) -> Option<FolderMark> {
        let Listing { origin, ids, doubled, odd, is_short, uid_next } = self.listing;
        let (uid_next, exists) = ((*uid_next)?, u32::try_from(ids.len()).ok()?);
        let is_plain = odd.is_none() && !is_short && doubled.is_empty();
        let has_rest = match account.retention {
            Retention::Keep | Retention::DeleteAfter(_) => false,
            // Each pass looks at what could not be settled.
            Retention::Delete | Retention::MarkSeen | Retention::MoveTo(_) => !ids.is_empty(),
        };
        // A server whose UIDNEXT is no promise gives numbers again.
        let is_below = |id: &[u8]| uid_in_id(id).is_some_and(|uid| uid < uid_next);
        let is_promise = ids.iter().all(|id| is_below(id)) && self.known.iter().all(|(id, _)| is_below(id));
        let waits = self.known.iter().any(|(_, r)| waits(r.mark));
        (self.is_done && is_plain && is_promise && !has_rest && !waits).then(|| FolderMark {
            generation: origin.generation,
            uid_next,
            exists,
            asked: asked(account),
            listed: now,
            due: self.due(account, now),
        })
    }

    /// When the first message becomes old enough to be deleted. One that came in this pass does so after all others.
    fn due(&self, account: &Account, now: Timestamp) -> Option<Timestamp> {
        let Retention::DeleteAfter(age) = account.retention else { return None };
        let oldest = self.known.here().map(|(_, r)| r.at).min().unwrap_or(now);
        Some(oldest.checked_add(age).unwrap_or(now))
    }
}

/// Whether a later pass has something to do with a message although its server says nothing new.
fn waits(mark: Mark) -> bool {
    match mark {
        Mark::SetAside
        | Mark::Doubtful
        | Mark::Again
        | Mark::Stood
        | Mark::Replaced
        | Mark::NotLetGo
        | Mark::Copied => true,
        Mark::Here | Mark::Skipped | Mark::Settled | Mark::TooOld | Mark::Redressed => false,
    }
}

/// A mark of what the account asks for: where that changes, what was left out may be wanted.
fn asked(account: &Account) -> String {
    let asked = format!("{} {:?} {:?} {:?}", account.mailbox(), account.select, account.first, account.retention);
    data_encoding::HEXLOWER.encode(&Sha256::digest(asked)[..8])
}
