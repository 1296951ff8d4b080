//! Compare: finds which of the messages that a server lists under new numbers are remembered under old ones.
//!
//! Messages are matched by header and size, then by the fields that no server changes, because a server may have
//! announced a wrong size before. Each old message is matched at most once. A message that matches is remembered under
//! its new number; one that does not is new mail.
//!
//! A server that has just changed its numbers may list too few messages, or withhold a header. Until everything was
//! compared, the old numbers that no message matched stay remembered, in a generation of their own, and a message that
//! cannot be compared is not fetched.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::World;
use crate::error::{Error, Kind, Result};
use crate::message::{DeliveryName, Key, Origin};
use crate::safeguard::Safeguard;
use crate::source::{Details, Listed, Listing, Source};
use crate::state::{KeyPurpose, KnownOrigin, Owned, RememberedKey};

/// What is compared: size, header hash, and the arrival date if the message was never read.
type Print = (u64, Option<[u8; 16]>, Option<Timestamp>);

/// A message that is remembered under an old number.
type Old = (Key, RememberedKey);

/// The result of a comparison.
#[derive(Debug, Default)]
pub(super) struct FolderMatch {
    /// How many messages are here already.
    pub(super) found: usize,
    /// The messages that may be here, but that the server does not describe well enough to tell.
    pub(super) withheld: Vec<Vec<u8>>,
    /// Whether a later pass has to compare the rest.
    pub(super) is_partial: bool,
}

impl FolderMatch {
    /// The error that tells the user about messages that are not fetched for now.
    pub(super) fn error(&self, folder: &str) -> Option<Error> {
        let count = self.withheld.len();
        (count > 0).then(|| {
            let said = format!(
                "{folder}: {count} of the server's messages cannot be compared with local mail, because it does not send their \
                 headers; they are fetched when it does"
            );
            Error::transient(Kind::Protocol, said)
        })
    }
}

/// A folder whose numbers changed.
pub(super) struct RenumberedFolder<'a> {
    pub(super) world: &'a World,
    pub(super) owned: &'a Owned,
    pub(super) listing: &'a Listing,
    pub(super) known: &'a KnownOrigin,
    /// Generations of the folder that still hold old numbers.
    pub(super) earlier: &'a [Arc<Origin>],
    /// Whether this generation itself holds old numbers too.
    pub(super) is_own_old: bool,
}

impl RenumberedFolder<'_> {
    pub(super) async fn compare(&self, source: &mut Source) -> Result<FolderMatch> {
        let old = self.old()?;
        let asked: Vec<Vec<u8>> = self.listing.ids.iter().filter(|id| self.is_asked_about(id)).cloned().collect();
        let described = source.describe(&asked, Details { date: true, head: true }).await?;
        let Pairs { same, rest, left } = pair(old, described);
        let withheld = match left.is_empty() || !Safeguard::ComparedInFull.is_on() {
            true => Vec::new(),
            false => uncompared(&asked, &same, &rest),
        };
        let may_come = self.listing.is_short || !withheld.is_empty();
        let is_partial = !left.is_empty() && may_come && Safeguard::ComparedInFull.is_on();
        let compared = FolderMatch { found: same.len(), withheld, is_partial };
        // None of the old messages is on the server any more: somebody emptied the mailbox, and this is new mail.
        if same.is_empty() && self.earlier.is_empty() && !is_partial {
            return Ok(compared);
        }
        self.remember(same, left, is_partial)?;
        Ok(compared)
    }

    /// Everything that is remembered under old numbers.
    fn old(&self) -> Result<Vec<Old>> {
        let mut old = Vec::new();
        for origin in self.earlier {
            let known = self.world.store.known(origin)?;
            old.extend(known.iter().map(|(id, remembered)| (known.key(id), *remembered)));
        }
        if self.is_own_old {
            old.extend(self.known.iter().map(|(id, remembered)| (self.known.key(id), *remembered)));
        }
        for (key, remembered) in &mut old {
            if remembered.mark == KeyPurpose::Here && remembered.head_hash.is_none() {
                self.look_at_file(key, remembered)?;
            }
        }
        Ok(old)
    }

    /// Reads the header from the file of a message that was recognised by its file name alone.
    fn look_at_file(&self, key: &Key, remembered: &mut RememberedKey) -> Result<()> {
        let Some(path) = self.world.walk.file_of(self.world, &DeliveryName::of(key))? else { return Ok(()) };
        let read = self.world.read(&path);
        let message = read.map_err(|e| Error::disk(format!("reading {}", path.display()), e))?;
        (remembered.head_hash, remembered.dress) = (Some(message.head_hash()), Some(message.dress_hash()));
        Ok(())
    }

    fn is_asked_about(&self, id: &[u8]) -> bool {
        self.is_own_old || self.known.get(id).is_none_or(|known| known.mark == KeyPurpose::SetAside)
    }

    fn remember(&self, same: Vec<(Vec<u8>, Old)>, left: Vec<Old>, is_partial: bool) -> Result<()> {
        let origin = &self.listing.origin;
        let mut forgotten: Vec<Key> = same.iter().map(|(_, (key, _))| key.clone()).collect();
        let mut marks: Vec<(Key, RememberedKey)> =
            same.into_iter().map(|(id, (_, remembered))| (Key::new(origin, id), remembered)).collect();
        let kept = Arc::new(Origin { generation: before(origin.generation), ..(**origin).clone() });
        let mut kept_ids = Vec::new();
        for (key, remembered) in left {
            if is_partial {
                marks.push((Key::new(&kept, key.id.clone()), remembered));
                kept_ids.push(key.id.clone());
            }
            if !is_partial || key.origin != kept {
                forgotten.push(key);
            }
        }
        let (store, now) = (&self.world.store, self.world.now());
        store.renumber(self.owned, &forgotten, &marks)?;
        // They are forgotten in time, like everything that is missing from complete listings.
        if is_partial {
            store.listed(self.owned, &kept, &kept_ids, now)?;
        }
        store.listed(self.owned, origin, &[], now)
    }
}

/// The generation that keeps the old numbers of this one.
fn before(generation: u32) -> u32 {
    !generation
}

/// Old and new numbers of the same messages, and whatever has no partner.
struct Pairs {
    same: Vec<(Vec<u8>, Old)>,
    rest: Vec<Listed>,
    left: Vec<Old>,
}

fn pair(old: Vec<Old>, listed: Vec<Listed>) -> Pairs {
    let mut by_fingerprint: HashMap<Print, Vec<Old>> = HashMap::new();
    for one in old {
        let remembered = &one.1;
        // What was skipped was never read. It is known by size and arrival date.
        let arrival = remembered.head_hash.is_none().then_some(remembered.at);
        by_fingerprint.entry((remembered.announced, remembered.head_hash, arrival)).or_default().push(one);
    }
    let mut same = Vec::new();
    let mut unmatched = Vec::new();
    for listed in listed {
        // A listed message with neither a header nor an arrival date matches nothing: every remembered one has at least
        // one of them.
        let by_head = (listed.size(), listed.head_hash, None);
        let by_file = (0, listed.head_hash, None);
        let by_arrival = (listed.size(), None, listed.arrived);
        match [by_head, by_file, by_arrival].iter().find_map(|fingerprint| by_fingerprint.get_mut(fingerprint)?.pop()) {
            Some((key, old)) => {
                same.push((listed.id.clone(), (key, RememberedKey { announced: listed.size(), ..old })))
            }
            None => unmatched.push(listed),
        }
    }
    let mut by_dress: HashMap<[u8; 16], Vec<Old>> = HashMap::new();
    let mut left = Vec::new();
    for old in by_fingerprint.into_values().flatten() {
        match old.1.dress {
            Some(dress) => by_dress.entry(dress).or_default().push(old),
            None => left.push(old),
        }
    }
    let mut rest = Vec::new();
    for listed in unmatched {
        match listed.dress.and_then(|dress| by_dress.get_mut(&dress)?.pop()) {
            Some((key, old)) => {
                let (announced, head_hash) = (listed.size(), listed.head_hash);
                let redressed = RememberedKey { mark: in_another_dress(old.mark), announced, head_hash, ..old };
                same.push((listed.id, (key, redressed)));
            }
            None => rest.push(listed),
        }
    }
    left.extend(by_dress.into_values().flatten());
    Pairs { same, rest, left }
}

/// The messages that were asked about and that the server did not describe well enough.
fn uncompared(asked: &[Vec<u8>], same: &[(Vec<u8>, Old)], rest: &[Listed]) -> Vec<Vec<u8>> {
    let matched = same.iter().map(|(id, _)| id.as_slice());
    let told = rest.iter().filter(|listed| listed.head_hash.is_some()).map(|listed| listed.id.as_slice());
    let compared: HashSet<&[u8]> = matched.chain(told).collect();
    asked.iter().filter(|id| !compared.contains(id.as_slice())).cloned().collect()
}

/// Mail whose header or size differs from what was fetched is never deleted on the server.
fn in_another_dress(mark: KeyPurpose) -> KeyPurpose {
    match mark {
        KeyPurpose::Here | KeyPurpose::Copied => KeyPurpose::Redressed,
        other => other,
    }
}
