//! One message from standard input, in procmail's seat.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::note_death;
use crate::config::template::Template;
use crate::deliver::recover;
use crate::error::{Error, Kind, Result};
use crate::message::{self, Bytes, Envelope, Flags, Key, Origin};
use crate::pass::{Committer, Decide, Leftovers, Report, World};
use crate::safeguard::Safeguard;
use crate::source::{Fetched, Item, Whole};
use crate::state::{Lock, Mark, Owned, Recovered, Remembered};

/// The account name of what comes on standard input.
pub const DELIVER: &str = message::DELIVERED;

/// How long a delivery waits for another one of the same bytes; then the MTA is asked to try again.
const PATIENCE: Duration = Duration::from_secs(300);
/// So long whoever delivers a message goes on to give it (RFC 5321 4.5.4.1 says 4 to 5 days), and some more.
const GIVEN_AGAIN: SignedDuration = SignedDuration::from_hours(14 * 24);

/// A message that is safe. Until this is dropped the same bytes given again are the same message; after it they are new mail,
/// so nothing may come between that and telling the caller.
#[derive(Debug)]
pub struct Delivered {
    /// What was done with it.
    pub report: Report,
    /// Its lock.
    _owned: Arc<Owned>,
}

/// Delivers one message from standard input, in procmail's seat.
pub fn deliver(world: World, engine: Arc<dyn Decide>, bytes: Bytes, digest: &str) -> Result<Delivered> {
    let started = Instant::now();
    // One name space for each possible beginning of the hash: deliveries of different messages run side by side.
    let owned = world.own(&format!("{DELIVER}-{}", &digest[..2]), PATIENCE)?;
    let mut committer = Committer::new(&world, &owned, DELIVER, engine, Template::inbox());
    for row in resume(&world, &owned)?.lost {
        // Its caller was told nothing.
        world.store.again(&owned, &row)?;
    }
    if let Some(id) = owned.lock().and_then(Lock::interrupted) {
        expect_again(&world, &owned, &stdin_key(id))?;
    }
    let (id, is_here) = unacknowledged(&world, &owned, digest)?;
    owned.lock().map_or(Ok(()), |lock| lock.note(&id))?;
    let key = stdin_key(&id);
    if owned.may_have_left() {
        Leftovers::remove_spooled_of(&world, &key)?;
        owned.is_cleared();
    }
    if Safeguard::DeliverGivesUp.is_on() {
        committer.begin_stdin(&key.origin)?;
    }
    if !is_here {
        let envelope = Envelope { key: key.clone(), arrived: world.now(), flags: Flags::default(), announced: 0 };
        committer.commit(vec![Item::Fetched(Fetched { envelope, bytes, whole: Whole::given() })])?;
        committer.finish()?;
        if committer.report.deferred > 0 {
            return Err(Error::transient(Kind::Busy, committer.report.remarks.join("; ")));
        }
    }
    acknowledge(&world, &owned, &key)?;
    let mut report = std::mem::take(&mut committer.report);
    report.took = started.elapsed();
    // Closing the database takes its time; once the name space is given back there is none to lose.
    drop((committer, world));
    Ok(Delivered { report, _owned: owned })
}

fn stdin_key(id: &str) -> Key {
    let origin = Origin { account: DELIVER.to_owned(), folder: message::STDIN.to_owned(), generation: 0 };
    Key::new(&Arc::new(origin), id)
}

/// The process before us died before its caller could hear that the message is safe, so the caller will try again.
/// What that process acknowledged it has told nobody.
fn expect_again(world: &World, owned: &Owned, key: &Key) -> Result<()> {
    Leftovers::remove_of(world, owned, key)?;
    match world.store.remembered(key)? {
        Some(told) if told.mark == Mark::Settled => {
            world.store.mark(owned, &[(key.clone(), Remembered { mark: Mark::Here, ..told })])
        }
        _ => Ok(()),
    }
}

/// The id for these bytes: the hash, with a number when the same bytes were delivered and acknowledged before. And
/// whether an earlier attempt got as far as recording it.
fn unacknowledged(world: &World, owned: &Owned, digest: &str) -> Result<(String, bool)> {
    let mut ordinal = 0;
    loop {
        let id = format!("{digest}.{ordinal}");
        match world.store.remembered(&stdin_key(&id))?.map(|r| r.mark) {
            Some(Mark::Settled) => ordinal += 1,
            // Recorded, and its files are nowhere.
            Some(Mark::Again) => return Ok((id, false)),
            Some(_) => return Ok((id, true)),
            None => return Ok((id.clone(), stands_here(world, owned, &stdin_key(&id))?)),
        }
    }
}

/// Where the state was rebuilt or put back, its memory of a delivery may be gone and the file stand here. Nobody gives a
/// message again after so many days as that is looked into.
fn stands_here(world: &World, owned: &Owned, key: &Key) -> Result<bool> {
    let is_recent = |rebuilt: Timestamp| world.now().duration_since(rebuilt) <= GIVEN_AGAIN;
    if !world.store.rebuilt().is_some_and(is_recent) || !world.walk.is_published(world, key)? {
        return Ok(false);
    }
    world.store.mark(owned, &[(key.clone(), Remembered::unread(Mark::Here, 0, world.now()))])?;
    Ok(true)
}

/// The caller is about to be told that the message is safe. The key is kept for a while, so that the same bytes
/// get another one.
fn acknowledge(world: &World, owned: &Owned, key: &Key) -> Result<()> {
    let settled = Remembered::unread(Mark::Settled, 0, world.now());
    world.store.mark(owned, &[(key.clone(), settled)])
}

/// What an interrupted run left half done is finished before anything new begins.
fn resume(world: &World, owned: &Owned) -> Result<Recovered> {
    note_death(world, owned)?;
    recover(&*world.disk, &*world.store, world.folders.root(), owned)
}
