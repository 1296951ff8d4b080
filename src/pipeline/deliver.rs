//! Delivers one message from standard input, as procmail does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::count_death;
use crate::config::template::Template;
use crate::deliver::recover;
use crate::error::{Error, Kind, Result};
use crate::message::{self, Bytes, Envelope, Flags, Key, Origin};
use crate::pass::{Committer, Decide, Filer, Leftovers, Report, World};
use crate::safeguard::Safeguard;
use crate::source::{FetchOutcome, Fetched, Whole};
use crate::state::{KeyPurpose, Lock, Owned, Recovered, RememberedKey};

/// The account name of messages from standard input.
pub const DELIVER: &str = message::DELIVERED;

/// How long a delivery waits for another one of the same bytes. Then the MTA is asked to try again.
const DELIVERY_LOCK_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a caller may deliver a message again: RFC 5321 4.5.4.1 says 4 to 5 days, and this leaves a margin.
const REDELIVERY_WINDOW: SignedDuration = SignedDuration::from_hours(14 * 24);

/// A message that is safely filed. Until this is dropped, the same bytes count as the same message; after that they are
/// new mail. So nothing may come between dropping this and answering the caller.
#[derive(Debug)]
pub struct Delivered {
    /// What was done with it.
    pub report: Report,
    /// The lock of its name space.
    _owned: Arc<Owned>,
}

/// Delivers one message from standard input, as procmail does.
pub fn deliver(world: World, engine: Arc<dyn Decide>, bytes: Bytes, digest: &str) -> Result<Delivered> {
    let started = Instant::now();
    // One name space for each possible start of the hash, so that different messages are delivered in parallel.
    let owned = world.own(&format!("{DELIVER}-{}", &digest[..2]), DELIVERY_LOCK_TIMEOUT)?;
    let mut committer = Committer::new(Filer::new(&world, &owned, DELIVER, Template::inbox()), engine);
    for row in resume(&world, &owned)?.lost {
        // The caller got no answer.
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
        committer.commit(vec![FetchOutcome::Fetched(Fetched { envelope, bytes, whole: Whole::given() })])?;
        committer.filer.finish()?;
        if committer.filer.report.deferred > 0 {
            return Err(Error::transient(Kind::Busy, committer.filer.report.remarks.join("; ")));
        }
    }
    acknowledge(&world, &owned, &key)?;
    let mut report = std::mem::take(&mut committer.filer.report);
    report.took = started.elapsed();
    // Closing the database takes time, and the caller should get its answer right after the name space is released.
    drop((committer, world));
    Ok(Delivered { report, _owned: owned })
}

fn stdin_key(id: &str) -> Key {
    let origin = Origin { account: DELIVER.to_owned(), folder: message::STDIN.to_owned(), generation: 0 };
    Key::new(&Arc::new(origin), id)
}

/// The previous process died before its caller could hear that the message is safe, so the caller will try again. If
/// that process acknowledged the message, nobody heard of it.
fn expect_again(world: &World, owned: &Owned, key: &Key) -> Result<()> {
    Leftovers::remove_of(world, owned, key)?;
    match world.store.remembered(key)? {
        Some(told) if told.mark == KeyPurpose::Settled => {
            world.store.mark(owned, &[(key.clone(), RememberedKey { mark: KeyPurpose::Here, ..told })])
        }
        _ => Ok(()),
    }
}

/// The id for these bytes: the hash, with a number that is higher if the same bytes were delivered and acknowledged
/// before. Also returns whether an earlier attempt recorded the message.
fn unacknowledged(world: &World, owned: &Owned, digest: &str) -> Result<(String, bool)> {
    let mut ordinal = 0;
    loop {
        let id = format!("{digest}.{ordinal}");
        match world.store.remembered(&stdin_key(&id))?.map(|r| r.mark) {
            Some(KeyPurpose::Settled) => ordinal += 1,
            // It was recorded, and its files are gone.
            Some(KeyPurpose::Again) => return Ok((id, false)),
            Some(_) => return Ok((id, true)),
            None => return Ok((id.clone(), is_filed_here(world, owned, &stdin_key(&id))?)),
        }
    }
}

/// Where the state was rebuilt or restored, it may have forgotten a delivery whose file is here. This is checked for as
/// long as a caller may deliver a message again.
fn is_filed_here(world: &World, owned: &Owned, key: &Key) -> Result<bool> {
    let is_recent = |rebuilt: Timestamp| world.now().duration_since(rebuilt) <= REDELIVERY_WINDOW;
    if !world.store.rebuilt().is_some_and(is_recent) || !world.walk.is_published(world, key)? {
        return Ok(false);
    }
    world.store.mark(owned, &[(key.clone(), RememberedKey::unread(KeyPurpose::Here, 0, world.now()))])?;
    Ok(true)
}

/// Remembers that the caller is about to hear that the message is safe. The key is kept for a while, so that the same
/// bytes get another one next time.
fn acknowledge(world: &World, owned: &Owned, key: &Key) -> Result<()> {
    let settled = RememberedKey::unread(KeyPurpose::Settled, 0, world.now());
    world.store.mark(owned, &[(key.clone(), settled)])
}

/// Finishes what an interrupted run left unfinished, before anything new starts.
fn resume(world: &World, owned: &Owned) -> Result<Recovered> {
    count_death(world, owned)?;
    recover(&*world.disk, &*world.store, world.folders.root(), owned)
}
