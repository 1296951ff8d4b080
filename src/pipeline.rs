//! One pass over an account: this is what the program does.
//!
//! ```text
//! source ──────> message ──> filter ──────> stage ──> record ──> publish ──> settle
//! ```
//!
//! The source fetches a batch while the one before it is being committed: network and disk work at the same
//! time, and a bounded channel between them keeps the memory small.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::template::Template;
use crate::config::{Account, Retention};
use crate::deliver::recover;
use crate::error::{Error, Kind, Result};
use crate::message::{self, Bytes, Envelope, Flags, Key, Origin};
use crate::pass::{self, Cause, Choice, Committer, Decide, Leftovers, Notice, Report, Watch, World};
use crate::source::{Batch, Fetched, Item, Listed, Outlet, Source, Whole};
use crate::state::{Lock, Mark, Recovered, Remembered, Settlement, Trouble};

/// An account with its compiled rules.
#[derive(Clone, Debug)]
pub struct Job {
    /// The account.
    pub account: Arc<Account>,
    /// Its rules.
    pub engine: Arc<dyn Decide>,
}

/// Fetches everything new in an account and settles it on the server. Never fails as a whole: what went wrong is
/// in the report, and what arrived before it is safe.
pub async fn fetch(world: &World, job: &Job, watch: &Arc<dyn Watch>, stop: &CancellationToken) -> Report {
    let started = Instant::now();
    let mut committer = Committer::new(world, &job.account.name, Arc::clone(&job.engine), job.account.into.clone());
    if let Err(error) = pass_over(world, job, &mut committer, watch, stop).await {
        tell_if_only_the_user_can_help(&mut committer, &error);
        committer.report.errors.push(error);
    }
    if let Err(error) = committer.finish() {
        committer.report.errors.push(error);
    }
    committer.report.took = started.elapsed();
    committer.report
}

async fn pass_over(
    world: &World,
    job: &Job,
    committer: &mut Committer,
    watch: &Arc<dyn Watch>,
    stop: &CancellationToken,
) -> Result<()> {
    let account = &*job.account;
    let _lock = Lock::try_take(&world.locks(), &account.name)?;
    let recovered = resume(world, &account.name)?;
    let mut leftovers = Leftovers::find(world, &account.name)?;

    let mut source = Source::connect(account, world.spool()).await?;
    let mut all_listed = true;
    for folder in source.folders().await? {
        if stop.is_cancelled() {
            all_listed = false;
            break;
        }
        let mut pass = FolderPass { world, account, recovered: &recovered, watch, stop };
        match pass.run(&mut source, &folder, committer, &mut leftovers).await {
            Ok(()) => {}
            // A folder that cannot be opened does not keep the others from being fetched.
            Err(error) if error.kind() == Kind::Refused => {
                all_listed = false;
                committer.report.errors.push(error);
            }
            Err(error) => return Err(error),
        }
    }
    let gone = source.close().await?;
    pass::remember_settled(world, &gone, &mut committer.report)?;
    if all_listed {
        rescue_unlisted(world, &account.name, leftovers, committer)?;
    }
    committer.finish()
}

/// What an interrupted run left half done is finished before anything new begins.
fn resume(world: &World, account: &str) -> Result<Recovered> {
    let now = world.now();
    if let Some(key) = world.store.died_deciding(account)? {
        // The note goes first: a death between the two is not counted, better than counting one death twice.
        world.store.deciding(account, None)?;
        world.store.attempt(&key, Trouble::Died, pass::DIED, now)?;
    }
    recover(&*world.disk, &*world.store, account, now)
}

/// One folder of one account.
struct FolderPass<'a> {
    world: &'a World,
    account: &'a Account,
    recovered: &'a Recovered,
    watch: &'a Arc<dyn Watch>,
    stop: &'a CancellationToken,
}

impl FolderPass<'_> {
    async fn run(
        &mut self,
        source: &mut Source,
        folder: &str,
        committer: &mut Committer,
        leftovers: &mut Leftovers,
    ) -> Result<()> {
        let mut listing = source.open(folder).await?;
        let keys = listing.ids.iter().map(|id| Key::new(&listing.origin, id.clone()));
        leftovers.remove_listed(self.world, keys)?;

        let room = self.account.select.limit.map(|limit| u64::from(limit).saturating_sub(committer.report.new));
        let Choice { wanted, known, odd, left, notices } =
            pass::choose(self.world, self.account, source, &mut listing, room).await?;
        committer.report.left += left;
        notices.iter().try_for_each(|notice| committer.notify(notice))?;

        committer.begin_folder(&listing.origin)?;
        let settlements = self.fetch_and_commit(source, &wanted, committer).await?;

        match odd {
            Some(odd) => {
                let deletes = self.account.retention != Retention::Keep;
                let spared = if deletes { "; nothing was deleted on the server in this pass" } else { "" };
                let said = format!("{odd}{spared}");
                match listing.is_short {
                    true => committer.report.errors.push(Error::transient(Kind::Protocol, said)),
                    false => committer.report.remarks.push(said),
                }
            }
            None => {
                let missing = pass::missing(&known, &listing);
                self.world.store.listed(&listing.origin, &missing, self.world.now())?;
                if !self.recovered.is_odd() && !self.stop.is_cancelled() {
                    let folder =
                        pass::Settling { retention: &self.account.retention, listing: &listing, known: &known };
                    folder.settle(self.world, source, self.recovered, settlements, &mut committer.report).await?;
                }
            }
        }
        Ok(())
    }

    /// The source sends batches, a thread commits them.
    async fn fetch_and_commit(
        &self,
        source: &mut Source,
        wanted: &[Listed],
        committer: &mut Committer,
    ) -> Result<Vec<Settlement>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = wanted.iter().fold(0_u64, |sum, message| sum.saturating_add(message.size()));
        self.watch.expect(&self.account.name, wanted.len() as u64, bytes);
        let (outlet, receive) = Outlet::new(&self.world.memory, self.stop);
        let watch = Arc::clone(self.watch);
        let mut working = committer.take();
        let commits = tokio::task::spawn_blocking(move || {
            let result = commit_all(&mut working, receive, &*watch);
            (working, result)
        });
        let fetched = source.fetch(wanted, &outlet).await;
        drop(outlet);
        let (working, committed) =
            commits.await.map_err(|e| Error::transient(Kind::Disk, "the committing thread ended").because(e))?;
        *committer = working;
        // A disk that is full says more than the connection that was dropped because of it.
        let settlements = committed?;
        fetched?;
        if self.stop.is_cancelled() {
            committer.report.left += wanted.len().saturating_sub(settlements.len()) as u64;
        }
        Ok(settlements)
    }
}

fn commit_all(
    committer: &mut Committer,
    mut batches: mpsc::Receiver<Batch>,
    watch: &dyn Watch,
) -> Result<Vec<Settlement>> {
    let mut all = Vec::new();
    while let Some(batch) = batches.blocking_recv() {
        let Batch { items, room } = batch;
        let published = committer.commit(items)?;
        drop(room);
        let (messages, bytes) =
            published.entries().fold((0, 0), |(n, b), e| (n + 1, e.announced.max(e.size).saturating_add(b)));
        watch.safe(messages, bytes);
        all.extend(published.settlements());
    }
    Ok(all)
}

/// Staged files whose messages no folder lists any more: they may be the only copies.
fn rescue_unlisted(world: &World, account: &str, leftovers: Leftovers, committer: &mut Committer) -> Result<()> {
    let origin = Arc::new(Origin { account: account.to_owned(), folder: message::RECOVERED.to_owned(), generation: 0 });
    for (name, paths) in leftovers.unlisted(world)? {
        let Some(path) = paths.first() else { continue };
        let key = Key::new(&origin, name.as_str());
        // Known already: the run that filed it died before it could remove what it had found.
        if world.store.remembered(&key)?.is_none() {
            committer.rescue(key, read(world, path)?)?;
        }
        let text = format!(
            "After a crash the file {} was found, complete or not, of a message that the server does not list any \
             more. It is in the inbox now.",
            path.display()
        );
        committer.notify(&Notice { cause: Cause::Recovered, account: account.to_owned(), text })?;
        paths
            .iter()
            .try_for_each(|path| world.disk.remove(path))
            .map_err(|e| Error::disk("removing staged files", e))?;
    }
    Ok(())
}

fn read(world: &World, path: &std::path::Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = world.disk.open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|e| Error::disk(format!("reading {}", path.display()), e))?;
    Ok(bytes)
}

/// A wrong password is something that a daemon's user would never see otherwise.
fn tell_if_only_the_user_can_help(committer: &mut Committer, error: &Error) {
    if error.kind() == Kind::Auth {
        let error = error.to_string();
        let error = error.trim_end_matches('.');
        let text = format!("{error}.\n\nNo mail is fetched from this account until its password is right.");
        let account = committer.report.account.clone();
        if let Err(e) = committer.notify(&Notice { cause: Cause::LoginRefused, account, text }) {
            committer.report.errors.push(e);
        }
    }
}

/// The account name of what comes on standard input.
pub const DELIVER: &str = message::DELIVERED;

/// How long a delivery waits for another one of the same bytes; then the MTA is asked to try again.
const PATIENCE: Duration = Duration::from_secs(300);

/// Delivers one message from standard input, in procmail's seat. When this returns without an error the message is
/// safe, and the caller has to be told at once: until the lock is released, the same bytes given again are the same
/// message; after it, they are new mail.
pub fn deliver(world: World, engine: Arc<dyn Decide>, bytes: Bytes, digest: &str) -> Result<Report> {
    let started = Instant::now();
    // One lock for each possible beginning of the hash: deliveries of different messages run side by side.
    let lock = Lock::take(&world.locks(), &format!("{DELIVER}-{}", &digest[..2]), PATIENCE)?;
    let mut committer = Committer::new(&world, DELIVER, engine, Template::inbox());
    recover(&*world.disk, &*world.store, DELIVER, world.now())?;
    if let Some(id) = lock.interrupted() {
        expect_again(&world, &stdin_key(id))?;
    }
    let (id, is_here) = unacknowledged(&world, digest)?;
    lock.note(&id)?;
    let key = stdin_key(&id);
    if !is_here {
        let envelope = Envelope { key: key.clone(), arrived: world.now(), flags: Flags::default(), announced: 0 };
        committer.commit(vec![Item::Fetched(Fetched { envelope, bytes, whole: Whole::given() })])?;
        committer.finish()?;
        if committer.report.deferred > 0 {
            return Err(Error::transient(Kind::Busy, committer.report.remarks.join("; ")));
        }
    }
    acknowledge(&world, &key)?;
    let mut report = std::mem::take(&mut committer.report);
    report.took = started.elapsed();
    // Closing the database takes its time; once the lock is released there is none to lose.
    drop((committer, world));
    Ok(report)
}

fn stdin_key(id: &str) -> Key {
    let origin = Origin { account: DELIVER.to_owned(), folder: message::STDIN.to_owned(), generation: 0 };
    Key::new(&Arc::new(origin), id)
}

/// The process before us died before its caller could hear that the message is safe, so the caller will try again.
/// What that process acknowledged it has told nobody.
fn expect_again(world: &World, key: &Key) -> Result<()> {
    Leftovers::remove_of(world, key)?;
    match world.store.remembered(key)? {
        Some(told) if told.mark == Mark::Settled => {
            world.store.mark(&[(key.clone(), Remembered { mark: Mark::Here, ..told })])
        }
        _ => Ok(()),
    }
}

/// The id for these bytes: the hash, with a number when the same bytes were delivered and acknowledged before. And
/// whether an earlier attempt got as far as recording it.
fn unacknowledged(world: &World, digest: &str) -> Result<(String, bool)> {
    let mut ordinal = 0;
    loop {
        let id = format!("{digest}.{ordinal}");
        match world.store.remembered(&stdin_key(&id))?.map(|r| r.mark) {
            Some(Mark::Settled) => ordinal += 1,
            Some(_) => return Ok((id, true)),
            None => return Ok((id, false)),
        }
    }
}

/// The caller is about to be told that the message is safe. The key is kept for a while, so that the same bytes
/// get another one.
fn acknowledge(world: &World, key: &Key) -> Result<()> {
    let now = world.now();
    let settled = Remembered { mark: Mark::Settled, announced: 0, head_hash: None, at: now };
    world.store.mark(&[(key.clone(), settled)])
}
