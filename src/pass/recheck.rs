//! Recheck: whether a folder has to be listed, and how much of it. As long as its server says the same of it as when it was listed
//! last, and nothing was left to do then, nothing in it is new; where mail only came, what came is listed. Only a complete listing
//! tells what is missing, and settles: each folder is listed so once a day whatever its server says.

use std::collections::{HashMap, HashSet};

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::World;
use crate::config::{Account, Protocol, Retention};
use crate::error::Result;
use crate::message::{Origin, uid_in_id};
use crate::source::{Glance, Listing, Reach, Source, Stat, Stood};
use crate::state::{FolderMark, Known, Mark, Owned};

/// A folder is listed at least this often.
const LISTED_AGAIN: SignedDuration = SignedDuration::from_hours(24);
/// Over POP3, where the order of messages is no promise.
const LISTED_AGAIN_OVER_POP3: SignedDuration = SignedDuration::from_hours(1);

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
            let listed_again = if account.protocol == Protocol::Imap { LISTED_AGAIN } else { LISTED_AGAIN_OVER_POP3 };
            mark.asked == asked
                && (SignedDuration::ZERO..listed_again).contains(&age)
                && mark.due.is_none_or(|due| now < due)
        };
        marks.extend(mark.filter(holds).map(|mark| (folder.clone(), mark)));
    }
    Ok(marks)
}

/// How a folder stood, where what came since is all that a pass has to look at: everything else in it is known, is kept on the
/// server, and is compared with nothing that is remembered from before.
pub fn stood(
    world: &World,
    owned: &Owned,
    account: &Account,
    folder: &str,
    mark: &FolderMark,
) -> Result<Option<Stood>> {
    // What is deleted, moved or marked, now or later, is looked for in a complete listing.
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

/// The folders that stand as they stood when they were listed last, as far as the server tells without a listing.
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

/// A message that comes raises UIDNEXT, and one that goes lowers the count (RFC 3501 2.3.1.1): where both are the same, so are
/// the messages.
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

/// How many messages there are, their octets together, and the ids of the first and the last: some servers list the newest first.
fn of_pop3(stat: &Stat) -> String {
    format!("{} {} {} {}", stat.count, stat.octets, HEXLOWER.encode(&stat.first_uidl), HEXLOWER.encode(&stat.last_uidl))
}

fn stat_in(stands: &str) -> Option<Stat> {
    let mut words = stands.split(' ');
    let (count, octets) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let mut uidl = || HEXLOWER.decode(words.next()?.as_bytes()).ok();
    Some(Stat { count, octets, first_uidl: uidl()?, last_uidl: uidl()? })
}

/// What a pass over a folder found, as far as the next one hangs on it.
#[derive(Debug)]
pub struct Looked<'a> {
    /// The list.
    pub listing: &'a Listing,
    /// What was remembered of what it lists when the pass began; of a complete one, of the whole folder.
    pub known: &'a Known,
    /// Whether all that was wanted came, and all that was to be settled was.
    pub is_done: bool,
}

impl Looked<'_> {
    /// Notes how the folder stands, where nothing is left to do in it.
    pub fn note(&self, world: &World, owned: &Owned, account: &Account, source: &Source) -> Result<()> {
        let folder = &self.listing.origin.folder;
        let before = world.store.folder_mark(owned.space(), folder)?;
        let stands = if self.is_at_rest(account) { self.stands(source) } else { None };
        let now = world.now();
        // It was listed completely when it was: what came since says nothing of all the rest.
        let listed = match self.listing.reach {
            Reach::Complete => Some(now),
            Reach::Since { .. } => before.as_ref().map(|before| before.listed),
        };
        let mark = |(stands, listed)| FolderMark { stands, asked: asked(account), listed, due: self.due(account, now) };
        let mark = stands.zip(listed).map(mark);
        if mark == before { Ok(()) } else { world.store.set_folder_mark(owned, folder, mark.as_ref()) }
    }

    fn is_at_rest(&self, account: &Account) -> bool {
        let Listing { ids, doubled, odd, is_short, .. } = self.listing;
        let is_left_alone = match (&account.retention, account.protocol) {
            (Retention::Keep, _) | (Retention::DeleteAfter(_), Protocol::Imap) => true,
            // Each pass looks at what could not be settled.
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
        // Some servers always say the same high number. The one behind the last message is no such number.
        let highest =
            self.known.iter().map(|(id, _)| id).chain(ids.iter().map(Vec::as_slice)).filter_map(uid_in_id).max();
        let is_promise = highest.map_or(uid_next == 1, |highest| highest.checked_add(1) == Some(uid_next));
        is_promise.then(|| of_imap(Stood { generation: origin.generation, uid_next, exists }))
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
    HEXLOWER.encode(&Sha256::digest(asked)[..8])
}
