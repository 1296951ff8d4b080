//! Recheck: whether a folder has to be listed, and how much of it. While the server describes the folder as it did at
//! the last listing, and nothing was left to do then, the folder holds nothing new. Where mail only came, only that is
//! listed. Only a complete listing shows what is missing, and settles messages, so each folder is listed completely
//! once a day.

use std::collections::{HashMap, HashSet};

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::World;
use crate::config::{Account, Protocol, Retention};
use crate::error::Result;
use crate::message::{Origin, uid_in_id};
use crate::source::{Glance, Listing, Reach, Source, Stat, Stood};
use crate::state::{FolderMark, KeyPurpose, KnownOrigin, Owned};

/// A folder is listed at least this often.
const RELIST_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// The same over POP3, where the order of messages is not guaranteed.
const RELIST_AFTER_OVER_POP3: SignedDuration = SignedDuration::from_hours(1);

/// The marks of folders that still hold as far as the state shows. What remains is to ask the server.
pub fn marks(
    world: &World,
    owned: &Owned,
    account: &Account,
    folders: &[String],
) -> Result<HashMap<String, FolderMark>> {
    // A restored state may know less than its mark says. A `search` may depend on flags, which no mark shows.
    if world.store.rebuilt().is_some() || account.select.search.is_some() {
        return Ok(HashMap::new());
    }
    let (request_hash, now) = (request_hash(account), world.now());
    let mut marks = HashMap::new();
    for folder in folders {
        let mark = world.store.folder_mark(owned.space(), folder)?;
        let holds = |mark: &FolderMark| {
            let age = now.duration_since(mark.listed);
            let listed_again = if account.protocol == Protocol::Imap { RELIST_AFTER } else { RELIST_AFTER_OVER_POP3 };
            mark.asked == request_hash
                && (SignedDuration::ZERO..listed_again).contains(&age)
                && mark.due.is_none_or(|due| now < due)
        };
        marks.extend(mark.filter(holds).map(|mark| (folder.clone(), mark)));
    }
    Ok(marks)
}

/// The state of a folder of which a pass has to look only at what came since: everything else in it is known, stays on
/// the server, and needs no comparison with older numbers.
pub fn stood(
    world: &World,
    owned: &Owned,
    account: &Account,
    folder: &str,
    mark: &FolderMark,
) -> Result<Option<Stood>> {
    // To delete, move or mark messages, now or later, a complete listing is needed.
    if account.protocol != Protocol::Imap || account.retention != Retention::Keep {
        return Ok(None);
    }
    let Some(stood) = stood_in(&mark.stands) else { return Ok(None) };
    let (account, generation) = (owned.space().to_owned(), stood.generation);
    let origin = Origin { account, folder: folder.to_owned(), generation };
    let is_known = world.store.was_looked_at(&origin)?
        && world.store.is_recognised(&origin)?
        && world.store.earlier_generations(&origin)?.is_empty();
    Ok(is_known.then_some(stood))
}

/// The folders that have not changed since they were last listed, as far as the server tells without a listing.
pub async fn unchanged(source: &mut Source, marks: &HashMap<String, FolderMark>) -> Result<HashSet<String>> {
    let mut unchanged = HashSet::new();
    if let Source::Pop3(_) = source {
        for (folder, mark) in marks {
            if let Some(stat) = stat_in(&mark.stands)
                && source.is_unchanged(&stat).await?
            {
                unchanged.insert(folder.clone());
            }
        }
    } else if !marks.is_empty() {
        let mut folders: Vec<String> = marks.keys().cloned().collect();
        folders.sort();
        let glances = source.glance(&folders).await?;
        let is_unchanged = |folder: &String| {
            let seen = glances.get(folder).and_then(of_glance);
            seen.is_some() && seen == marks.get(folder).map(|mark| mark.stands.clone())
        };
        unchanged.extend(folders.into_iter().filter(is_unchanged));
    }
    Ok(unchanged)
}

/// A message that comes raises UIDNEXT, and one that goes lowers the count (RFC 3501 2.3.1.1). If both are unchanged,
/// so are the messages.
fn of_imap(stood: Stood) -> String {
    format!("{} {} {}", stood.generation, stood.uid_next, stood.exists)
}

fn stood_in(stands: &str) -> Option<Stood> {
    let mut numbers = stands.split(' ').map(|number| number.parse().ok());
    let mut next = || numbers.next()?;
    Some(Stood { generation: next().filter(|n| *n != 0)?, uid_next: next()?, exists: next()? })
}

fn of_glance(glance: &Glance) -> Option<String> {
    Some(of_imap(Stood { generation: glance.generation?, uid_next: glance.uid_next?, exists: glance.exists? }))
}

/// The number of messages, their total octets, and the ids of the first and the last, because some servers list the
/// newest first.
fn of_pop3(stat: &Stat) -> String {
    format!("{} {} {} {}", stat.count, stat.octets, HEXLOWER.encode(&stat.first_uidl), HEXLOWER.encode(&stat.last_uidl))
}

fn stat_in(stands: &str) -> Option<Stat> {
    let mut words = stands.split(' ');
    let (count, octets) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let mut uidl = || HEXLOWER.decode(words.next()?.as_bytes()).ok();
    Some(Stat { count, octets, first_uidl: uidl()?, last_uidl: uidl()? })
}

/// What a pass over a folder found, as far as it affects the next one.
#[derive(Debug)]
pub struct FolderLook<'a> {
    /// The listing.
    pub listing: &'a Listing,
    /// What was remembered of the listed messages when the pass began, or of the whole folder if the listing is
    /// complete.
    pub known: &'a KnownOrigin,
    /// Whether every wanted message was fetched, and every message to be settled was settled.
    pub is_done: bool,
}

impl FolderLook<'_> {
    /// Remembers how the folder is, if nothing is left to do in it.
    pub fn record(&self, world: &World, owned: &Owned, account: &Account, source: &Source) -> Result<()> {
        let folder = &self.listing.origin.folder;
        let before = world.store.folder_mark(owned.space(), folder)?;
        let stands = if self.is_at_rest(account) { self.stands(source) } else { None };
        let now = world.now();
        // The time of the last complete listing stays: a partial listing says nothing about the rest.
        let listed = match self.listing.reach {
            Reach::Complete => Some(now),
            Reach::Since { .. } => before.as_ref().map(|before| before.listed),
        };
        let mark =
            |(stands, listed)| FolderMark { stands, asked: request_hash(account), listed, due: self.due(account, now) };
        let mark = stands.zip(listed).map(mark);
        if mark == before { Ok(()) } else { world.store.set_folder_mark(owned, folder, mark.as_ref()) }
    }

    fn is_at_rest(&self, account: &Account) -> bool {
        let Listing { ids, doubled, odd, is_short, .. } = self.listing;
        let is_left_alone = match (&account.retention, account.protocol) {
            (Retention::Keep, _) | (Retention::DeleteAfter(_), Protocol::Imap) => true,
            // Each pass looks again at what could not be settled.
            _ => ids.is_empty(),
        };
        let is_plain = odd.is_none() && !is_short && doubled.is_empty();
        self.is_done && is_plain && is_left_alone && !self.known.iter().any(|(_, r)| waits(r.mark))
    }

    fn stands(&self, source: &Source) -> Option<String> {
        let Listing { origin, ids, uid_next, reach, .. } = self.listing;
        if let Source::Pop3(_) = source {
            return source.stat().filter(|stat| stat.count as usize == ids.len()).as_ref().map(of_pop3);
        }
        let older = match *reach {
            Reach::Complete => 0,
            Reach::Since { older } => older,
        };
        let (uid_next, exists) = ((*uid_next)?, u32::try_from(ids.len()).ok()?.checked_add(older)?);
        // Some servers always announce the same high UIDNEXT. It is reliable if it directly follows the last message.
        let highest =
            self.known.iter().map(|(id, _)| id).chain(ids.iter().map(Vec::as_slice)).filter_map(uid_in_id).max();
        let is_promise = highest.map_or(uid_next == 1, |highest| highest.checked_add(1) == Some(uid_next));
        is_promise.then(|| of_imap(Stood { generation: origin.generation, uid_next, exists }))
    }

    /// When the first message becomes old enough to be deleted. A message that came in this pass is the last to do so.
    fn due(&self, account: &Account, now: Timestamp) -> Option<Timestamp> {
        let Retention::DeleteAfter(age) = account.retention else { return None };
        let oldest = self.known.here().map(|(_, r)| r.at).min().unwrap_or(now);
        Some(oldest.checked_add(age).unwrap_or(now))
    }
}

/// Whether a later pass has something to do with a message although its server says nothing new.
fn waits(mark: KeyPurpose) -> bool {
    match mark {
        KeyPurpose::SetAside
        | KeyPurpose::Doubtful
        | KeyPurpose::Again
        | KeyPurpose::Stood
        | KeyPurpose::Replaced
        | KeyPurpose::NotLetGo
        | KeyPurpose::Copied => true,
        KeyPurpose::Here | KeyPurpose::Skipped | KeyPurpose::Settled | KeyPurpose::TooOld | KeyPurpose::Redressed => {
            false
        }
    }
}

/// A hash of what the account asks for. When it changes, a message that was left out may be wanted.
fn request_hash(account: &Account) -> String {
    let request = format!("{} {:?} {:?} {:?}", account.mailbox(), account.select, account.first, account.retention);
    HEXLOWER.encode(&Sha256::digest(request)[..8])
}
