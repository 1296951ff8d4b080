//! One pass over an account: this is what the program does.
//!
//! ```text
//! source ──────> message ──> filter ──────> stage ──> record ──> publish ──> settle
//! ```
//!
//! The source fetches a batch while the one before it is being committed: network and disk work at the same
//! time, and a bounded channel between them keeps the memory small.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::template::Template;
use crate::config::{Account, Protocol, Retention};
use crate::deliver::{recover, recover_what_can_be};
use crate::error::{Error, Kind, Result};
use crate::message::{self, Bytes, Envelope, Flags, Key, Origin};
use crate::pass::{self, Cause, Choice, Committer, Decide, FolderLooked, Leftovers, Notice, Report, Watch, World};
use crate::safeguard::Safeguard;
use crate::source::{Batch, Chosen, Fetched, Heard, Item, Listed, Outlet, Push, Source, Whole};
use crate::state::{Clock, Lock, Mark, Owned, Recovered, Registered, Remembered, Settlement, Trouble, Unfinished};

/// An account with its compiled rules.
#[derive(Clone, Debug)]
pub struct Job {
    /// The account.
    pub account: Arc<Account>,
    /// Its rules.
    pub engine: Arc<dyn Decide>,
}

/// Notes the accounts before any of them is fetched from: one step is less work than one for each.
pub fn enrol(world: &World, jobs: &[Job]) {
    if let Err(error) = pass::enrol(world, jobs.iter().map(|job| &*job.account)) {
        tracing::debug!("each account is noted when it is taken up: {error}");
    }
}

/// Fetches everything new in an account and settles it on the server. Never fails as a whole: what went wrong is
/// in the report, and what arrived before it is safe.
pub async fn fetch(world: &World, job: &Job, watch: &Arc<dyn Watch>, stop: &CancellationToken) -> Report {
    let mut session = None;
    let report = pass(world, job, &mut session, &Extent::All, watch, stop).await;
    if let Some(session) = session {
        session.close().await;
    }
    report
}

/// How much of an account a pass looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every folder, as the config names them.
    All,
    /// Those where the server says that something happened.
    Folders(BTreeSet<String>),
}

/// One pass in a session, which is begun where there is none. It is kept for the next pass where everything is as it should be;
/// where a disk, the state or a crash before it leaves anything to recover, the next pass begins another one, which does.
pub async fn pass(
    world: &World,
    job: &Job,
    session: &mut Option<Session>,
    extent: &Extent,
    watch: &Arc<dyn Watch>,
    stop: &CancellationToken,
) -> Report {
    let started = Instant::now();
    let begun = match session.take() {
        Some(session) => session.goes_on(world).await,
        None => Session::begin(world, &job.account).await,
    };
    let mut report = match begun {
        Ok(mut begun) => {
            let report = begun.pass(world, job, extent, watch, stop).await;
            *session = begun.is_settled(&report).then_some(begun);
            report
        }
        Err(error) => Report { errors: vec![error], ..Report::of(&job.account.name) },
    };
    report.took = started.elapsed();
    report
}

/// An account whose name space is ours, with what an interrupted run left half done finished or found, and with the connection
/// to its server.
#[derive(Debug)]
pub struct Session {
    owned: Arc<Owned>,
    registered: Registered,
    recovered: Recovered,
    /// Why some of it cannot be finished yet.
    held: Vec<Error>,
    leftovers: Leftovers,
    source: Option<Source>,
    /// The folders of which news is waited for, the most important first.
    pushed: Vec<String>,
    _turn: OwnedMutexGuard<()>,
}

impl Session {
    /// Before anything new begins. It may wait for locks of mbox files, so no worker of the runtime does it.
    async fn begin(world: &World, account: &Account) -> Result<Self> {
        let (name, mailbox) = (account.name.clone(), account.mailbox());
        // The root first: what it knows of the account counts, where the state was lost.
        let enrolled = move |world: &World| pass::enrolled(world, &pass::mounted(world)?, name, mailbox);
        let registered = world.off(enrolled).await?;
        // Two accounts of the config may be one mailbox.
        let turn = world.turns.of(&registered.space).await;
        world
            .off(move |world| {
                let mounted = pass::mounted(world)?;
                let owned = world.own(&registered.space, Duration::ZERO)?;
                pass::note_accounts(world, &mounted)?;
                note_death(world, &owned)?;
                let (recovered, held) = recover_what_can_be(&*world.disk, &*world.store, world.folders.root(), &owned)?;
                let leftovers = Leftovers::find(world, &owned)?.without(held.iter().map(|(row, _)| &row.key));
                let held = held.into_iter().map(|(_, error)| error).collect();
                Ok(Self {
                    owned,
                    registered,
                    recovered,
                    held,
                    leftovers,
                    source: None,
                    pushed: Vec::new(),
                    _turn: turn,
                })
            })
            .await
    }

    /// For another pass: the mail root may have gone since, and so may the connection.
    async fn goes_on(mut self, world: &World) -> Result<Self> {
        world.off(|world| pass::mounted(world).map(drop)).await?;
        if let Some(source) = &mut self.source
            && !source.is_alive(ANSWER).await
        {
            self.source = None;
        }
        Ok(self)
    }

    /// Whether nothing is left that another session would have to recover.
    fn is_settled(&self, report: &Report) -> bool {
        let is_ours = |error: &Error| matches!(error.kind(), Kind::Disk | Kind::State);
        self.has_nothing_to_recover() && !report.errors.iter().any(is_ours)
    }

    fn has_nothing_to_recover(&self) -> bool {
        self.held.is_empty() && !self.recovered.is_odd() && !self.owned.may_have_left()
    }

    /// As the owner of the account's name space, which it is until the last notice is filed.
    async fn pass(
        &mut self,
        world: &World,
        job: &Job,
        extent: &Extent,
        watch: &Arc<dyn Watch>,
        stop: &CancellationToken,
    ) -> Report {
        let (name, into) = (&job.account.name, job.account.into.clone());
        let engine = Arc::clone(&job.engine);
        let mut committer = Committer::new(world, &self.owned, name, engine, into).since(self.registered.first_run);
        if let Err(error) = self.pass_over(world, job, extent, &mut committer, watch, stop).await {
            tell_if_only_the_user_can_help(&mut committer, &error);
            committer.report.errors.push(error);
        }
        if let Err(error) = committer.finish() {
            committer.report.errors.push(error);
        }
        self.registered.is_new = false;
        committer.report
    }

    async fn pass_over(
        &mut self,
        world: &World,
        job: &Job,
        extent: &Extent,
        committer: &mut Committer,
        watch: &Arc<dyn Watch>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let account = &*job.account;
        committer.report.errors.append(&mut self.held);
        let mut lost = std::mem::take(&mut self.recovered.lost);
        // It is put back when the pass is through: after an error nobody knows what it would answer to.
        let mut source = match self.source.take() {
            Some(source) => source,
            None => Source::connect(account, self.owned.space(), world.spool(self.owned.stamp())).await?,
        };
        let (folders, mut all_listed) = self.folders(world, &mut source, extent, committer).await?;
        if *extent == Extent::All {
            self.pushed = account.push.of(&folders);
        }
        let mut leftovers = std::mem::take(&mut self.leftovers);
        // What is looked for is found in a listing or not at all.
        let may_pass_over = lost.is_empty() && leftovers.is_empty() && self.has_nothing_to_recover();
        let unchanged = match may_pass_over {
            true => {
                let marks = pass::folder_marks(world, &self.owned, account, &folders)?;
                pass::unchanged(&mut source, &marks).await?
            }
            false => HashSet::new(),
        };
        for folder in folders {
            if stop.is_cancelled() {
                all_listed = false;
                break;
            }
            if unchanged.contains(&folder) {
                continue;
            }
            let (recovered, registered, owned) = (&self.recovered, &self.registered, &self.owned);
            let mut pass = FolderPass { world, owned, account, registered, recovered, watch, stop };
            match pass.run(&mut source, &folder, committer, &mut leftovers, &mut lost).await {
                // What a listing lacks may stand there all the same.
                Ok(is_short) => all_listed &= !is_short,
                // A folder that cannot be opened does not keep the others from being fetched.
                Err(error) if error.kind() == Kind::Refused => {
                    all_listed = false;
                    pass::stand(world, &self.owned, &folder, std::slice::from_ref(&error), committer)?;
                    committer.report.errors.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        world.walk.let_go();
        if source.lasts() {
            self.source = Some(source);
        } else {
            let gone = source.close().await?;
            pass::remember_settled(world, &self.owned, &gone, &mut committer.report)?;
        }
        if all_listed {
            pass::tell_of_lost(world, &self.owned, lost, committer)?;
            pass::rescue_unlisted(world, self.owned.space(), leftovers, committer)?;
            self.owned.is_cleared();
        }
        committer.finish()
    }

    /// The folders to look at, and whether these are all that were asked for: mail that is looked for may be in a folder that
    /// was meant and has another name.
    async fn folders(
        &self,
        world: &World,
        source: &mut Source,
        extent: &Extent,
        committer: &mut Committer,
    ) -> Result<(Vec<String>, bool)> {
        if let Extent::Folders(folders) = extent {
            return Ok((folders.iter().cloned().collect(), false));
        }
        let chosen = source.folders().await?;
        pass::stand_for_folders(world, &self.owned, &chosen, committer)?;
        let Chosen { folders, errors, remarks } = chosen;
        let is_all = errors.is_empty();
        committer.report.errors.extend(errors);
        committer.report.remarks.extend(remarks);
        Ok((folders, is_all))
    }

    /// Waits until the server says that something happened; for ever where it cannot say so.
    pub async fn wait(&mut self) -> Result<Heard> {
        match &mut self.source {
            Some(source) if !self.pushed.is_empty() => source.wait(&self.pushed).await,
            _ => std::future::pending().await,
        }
    }

    /// How the server tells of new mail, in words; `None`: it does not.
    pub fn push(&self) -> Option<String> {
        let first = self.pushed.first()?;
        let others = self.pushed.len() - 1;
        match self.source.as_ref()?.pushed() {
            Push::None => None,
            Push::Notify => Some(format!("NOTIFY for {}", folders(self.pushed.len()))),
            Push::Idle if others == 0 => Some(format!("IDLE on {first}")),
            Push::Idle => Some(format!("IDLE on {first}, {} looked at by the clock", folders(others))),
        }
    }

    /// The connection is of no use any more.
    pub fn hang_up(&mut self) {
        self.source = None;
    }

    /// Says goodbye and gives the account back.
    pub async fn close(self) {
        if let Some(source) = self.source
            && let Err(error) = source.close().await
        {
            tracing::debug!("saying goodbye: {error}");
        }
    }
}

fn folders(count: usize) -> String {
    format!("{count} folder{}", if count == 1 { "" } else { "s" })
}

/// So long a connection that was kept may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(10);

/// What an interrupted run left half done is finished before anything new begins.
fn resume(world: &World, owned: &Owned) -> Result<Recovered> {
    note_death(world, owned)?;
    recover(&*world.disk, &*world.store, world.folders.root(), owned)
}

/// The owner before died while it decided about a message: that is counted.
fn note_death(world: &World, owned: &Owned) -> Result<()> {
    if let Some(key) = world.store.died_deciding(owned)? {
        // The note goes first: a death between the two is not counted, better than counting one death twice.
        world.store.deciding(owned, None)?;
        world.store.attempt(owned, &key, Trouble::Died, pass::DIED, world.now())?;
    }
    Ok(())
}

/// One folder of one account.
struct FolderPass<'a> {
    world: &'a World,
    owned: &'a Owned,
    account: &'a Account,
    registered: &'a Registered,
    recovered: &'a Recovered,
    watch: &'a Arc<dyn Watch>,
    stop: &'a CancellationToken,
}

impl FolderPass<'_> {
    /// Whether the server counts more messages than it lists.
    async fn run(
        &mut self,
        source: &mut Source,
        folder: &str,
        committer: &mut Committer,
        leftovers: &mut Leftovers,
        lost: &mut Vec<Unfinished>,
    ) -> Result<bool> {
        let mut listing = source.open(folder).await?;
        let before = undone(&committer.report);
        let keys = listing.ids.iter().map(|id| Key::new(&listing.origin, id.clone()));
        leftovers.remove_listed(self.world, keys)?;
        pass::fetch_again(self.world, self.owned, self.account.protocol, &listing, lost, committer)?;

        let room = self.account.select.limit.map(|limit| u64::from(limit).saturating_sub(committer.report.new));
        let Choice { wanted, known, odd, left, notices, withheld } =
            pass::choose(self.world, self.owned, self.account, self.registered, source, &mut listing, room).await?;
        committer.report.left += left;
        notices.iter().try_for_each(|notice| committer.notify(notice))?;
        committer.report.errors.extend(withheld);

        self.compare_clocks(&wanted, committer)?;
        committer.begin_folder(&listing.origin)?;
        let wanted = committer.suspects_last(wanted);
        let settlements = self.fetch_and_commit(source, &wanted, committer).await?;

        let mut is_done = odd.is_none();
        match odd.filter(|_| Safeguard::ShortListing.is_on()) {
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
                self.world.store.listed(self.owned, &listing.origin, &missing, self.world.now())?;
                if !self.recovered.is_odd() && !self.stop.is_cancelled() {
                    let (retention, owned) = (&self.account.retention, self.owned);
                    let folder = pass::Settling { retention, listing: &listing, known: &known, owned };
                    let not_done =
                        folder.settle(self.world, source, self.recovered, settlements, &mut committer.report).await?;
                    pass::stand(self.world, self.owned, &listing.origin.folder, &not_done, committer)?;
                    committer.report.errors.extend(not_done);
                } else {
                    is_done = false;
                }
            }
        }
        is_done &= undone(&committer.report) == before && !self.stop.is_cancelled();
        let looked = FolderLooked { listing: &listing, known: &known, is_done };
        looked.note(self.world, self.owned, self.account, source)?;
        Ok(listing.is_short)
    }

    /// Mail that came just now tells the server's time. Ours is doubted until then, or until it has gone on for a day. POP3
    /// has no arrival dates: those in the mail itself may be any sender's, and none is ever ahead of our own time.
    fn compare_clocks(&self, wanted: &[Listed], committer: &mut Committer) -> Result<()> {
        let (store, now) = (&self.world.store, self.world.now());
        let thought = store.observe(now, false)?;
        if thought == Clock::Plausible {
            return Ok(());
        }
        let is_now = |at: Timestamp| now.duration_since(at).abs() <= SignedDuration::from_hours(24);
        let has_dates = self.account.protocol == Protocol::Imap;
        let agrees = has_dates && wanted.iter().filter_map(|listed| listed.arrived).any(is_now);
        if agrees && store.observe(now, true)? == Clock::Plausible || thought == Clock::Unproven {
            return Ok(());
        }
        let text = format!(
            "The clock of this machine says {now}, which does not follow the last time that was seen. Until it has gone on for \
             a day, or mail that comes just now has the same date, nothing is deleted or given up because of its age."
        );
        committer.notify(&Notice { cause: Cause::ClockDoubted, account: self.account.name.clone(), text })
    }

    /// The source sends batches, a thread commits them.
    async fn fetch_and_commit(
        &self,
        source: &mut Source,
        wanted: &[Vec<Listed>; 2],
        committer: &mut Committer,
    ) -> Result<Vec<Settlement>> {
        let count = wanted.iter().map(Vec::len).sum::<usize>();
        if count == 0 {
            return Ok(Vec::new());
        }
        let bytes = wanted.iter().flatten().fold(0_u64, |sum, message| sum.saturating_add(message.size()));
        self.watch.expect(&self.account.name, count as u64, bytes);
        let (outlet, receive) = Outlet::new(&self.world.memory, self.stop);
        let watch = Arc::clone(self.watch);
        let mut working = committer.take();
        let commits = tokio::task::spawn_blocking(move || {
            let result = commit_all(&mut working, receive, &*watch);
            (working, result)
        });
        let [calm, suspects] = wanted;
        let mut fetched = source.fetch(calm, &outlet).await;
        // Each by itself: a server answers in its own order, and what breaks the connection would be blamed on another one.
        for suspect in suspects {
            if fetched.is_ok() && !self.stop.is_cancelled() {
                fetched = source.fetch(std::slice::from_ref(suspect), &outlet).await;
            }
        }
        drop(outlet);
        let (working, committed) =
            commits.await.map_err(|e| Error::transient(Kind::Disk, "the committing thread ended").because(e))?;
        *committer = working;
        // A disk that is full says more than the connection that was dropped because of it.
        let settlements = committed?;
        fetched?;
        if self.stop.is_cancelled() {
            committer.report.left += count.saturating_sub(settlements.len()) as u64;
        }
        Ok(settlements)
    }
}

/// How much of a report says that a later pass has to look again.
fn undone(report: &Report) -> (u64, u64, u64, usize) {
    (report.failed, report.deferred, report.left, report.errors.len())
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

/// A refused login is something that a daemon's user would never see otherwise.
fn tell_if_only_the_user_can_help(committer: &mut Committer, error: &Error) {
    let until = match error.kind() {
        Kind::Auth => "its password is right",
        Kind::Login => "its server takes the login",
        _ => return,
    };
    let error = error.to_string();
    let text = format!("{}.\n\nNo mail is fetched from this account until {until}.", error.trim_end_matches('.'));
    let account = committer.report.account.clone();
    if let Err(e) = committer.notify(&Notice { cause: Cause::LoginRefused, account, text }) {
        committer.report.errors.push(e);
    }
}

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
