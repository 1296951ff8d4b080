//! The worker of one account. It keeps its session and waits for whichever comes first: news from the server, the time
//! of the next pass, an order, a change of the network, or the stop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::newest::Newest;
use super::status::{AccountTrouble, Doing};
use super::{Daemon, Task};
use crate::error::{Error, Kind};
use crate::pass::{self, Passed, Report, Silent, Watch, World, on_own_thread};
use crate::pipeline::{self, Extent, Job, Session};
use crate::source::Heard;
use crate::state::Pace;

/// How often the other folders are checked if the server reports on one folder only. Other programs may also put mail
/// into a folder without the server noticing.
const OTHER_FOLDERS_POLL: Duration = Duration::from_secs(90);
/// How many reports of news in a row may turn out to be nothing, because another program removes messages one by one.
const FALSE_NEWS_TOLERATED: u32 = 5;
const LONGEST_NEWS_PAUSE: Duration = Duration::from_secs(10);
/// Over how much time the passes are spread after the network has changed.
const NETWORK_SPREAD: Duration = Duration::from_secs(5);
/// If the wait for news ends sooner than this, again and again, the server is only polled.
const SHORT_WAIT: Duration = Duration::from_secs(30);
const SHORT_WAITS_TOLERATED: u32 = 3;

/// An order to look at the account now.
#[derive(Debug)]
pub(super) struct RequestedLook {
    /// Whether a refused login is tried again, too.
    pub(super) typed: bool,
    /// The channel to the client that waits for the result.
    pub(super) told: Option<oneshot::Sender<Passed>>,
}

/// The worker of one account.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) daemon: Arc<Daemon>,
    pub(super) task: watch::Receiver<Arc<Task>>,
    pub(super) orders: mpsc::Receiver<RequestedLook>,
    pub(super) stop: CancellationToken,
    /// Whether the session is kept between passes. It is not if two accounts share a name space.
    pub(super) keeps: bool,
    pub(super) session: Option<Session>,
    /// How many times in a row the wait for news ended soon.
    pub(super) short_waits: u32,
    /// How many times in a row news turned out to be nothing.
    pub(super) false_news: u32,
    pub(super) network: watch::Receiver<u64>,
    pub(super) pauses: watch::Receiver<BTreeSet<String>>,
}

/// Why a worker wakes up.
#[derive(Debug)]
enum WorkerWake {
    Stop,
    Time,
    Order(RequestedLook),
    News(BTreeSet<String>),
    /// There may be news anywhere, or the connection broke.
    Perhaps,
    /// The network changed, or the machine slept.
    Network,
    /// An account was paused or resumed.
    Pauses,
}

impl Worker {
    pub(super) async fn work(mut self) {
        let mut next = Instant::now();
        let mut looks = Vec::new();
        let mut is_typed = false;
        loop {
            let extent = match self.wake(next).await {
                WorkerWake::Stop => break,
                WorkerWake::Pauses => continue,
                WorkerWake::News(folders) => Extent::Folders(folders),
                WorkerWake::Order(look) => {
                    is_typed = look.typed;
                    looks.push(look);
                    Extent::All
                }
                WorkerWake::Time => {
                    self.short_waits = self.short_waits.saturating_sub(1);
                    Extent::All
                }
                WorkerWake::Perhaps => Extent::All,
                WorkerWake::Network => {
                    self.forgive_the_network().await;
                    // All workers notice the change at once, but should not all connect at once.
                    next = next.min(Instant::now() + NETWORK_SPREAD.mul_f64(pass::random()));
                    continue;
                }
            };
            // Orders that came meanwhile get the same result.
            while let Ok(look) = self.orders.try_recv() {
                is_typed |= look.typed;
                looks.push(look);
            }
            let passed = match self.reason_to_wait(is_typed).await {
                Some((passed, wait)) => {
                    next = Instant::now() + wait;
                    passed
                }
                None => {
                    let is_news = matches!(extent, Extent::Folders(_));
                    let (passed, wait) = self.look(extent).await;
                    let is_nothing = passed.new + passed.settled + passed.discarded == 0;
                    self.false_news = if is_news && is_nothing { self.false_news.saturating_add(1) } else { 0 };
                    // A pass over some folders does not put off the next pass over all.
                    next = wait.map_or(next, |wait| Instant::now() + wait);
                    passed
                }
            };
            is_typed = false;
            for look in looks.drain(..) {
                look.told.map(|told| told.send(passed.clone()).ok());
            }
        }
        if let Some(session) = self.session.take() {
            session.close().await;
        }
        self.daemon.board.forget(&self.name());
    }

    fn name(&self) -> String {
        self.task.borrow().job.account.name.clone()
    }

    async fn wake(&mut self, next: Instant) -> WorkerWake {
        let waits_since = Instant::now();
        let hears = self.short_waits < SHORT_WAITS_TOLERATED;
        let news_pause = news_pause(self.false_news);
        let session = &mut self.session;
        let heard = async {
            // A server with much false news is heard less and less often.
            tokio::time::sleep(news_pause).await;
            match session {
                Some(session) if hears => session.wait().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => WorkerWake::Stop,
            Some(look) = self.orders.recv() => WorkerWake::Order(look),
            _ = self.pauses.changed() => WorkerWake::Pauses,
            _ = self.network.changed() => WorkerWake::Network,
            () = tokio::time::sleep_until(next) => WorkerWake::Time,
            heard = heard => match heard {
                Ok(heard) => {
                    // The server works, however short the wait was: when much mail comes, every wait is short.
                    self.short_waits = 0;
                    match heard {
                        Heard::News(folders) => WorkerWake::News(folders),
                        Heard::Anywhere => WorkerWake::Perhaps,
                    }
                }
                Err(error) => {
                    tracing::info!("{}: the wait for news ended: {error}", self.name());
                    self.session.as_mut().map(Session::hang_up);
                    self.short_waits = if waits_since.elapsed() < SHORT_WAIT { self.short_waits + 1 } else { 0 };
                    WorkerWake::Perhaps
                }
            },
        }
    }

    /// Whether the account is left alone for now: the answer for clients, and for how long.
    async fn reason_to_wait(&self, is_typed: bool) -> Option<(Passed, Duration)> {
        let task = Arc::clone(&self.task.borrow());
        let account = Arc::clone(&task.job.account);
        let (name, poll) = (account.name.clone(), account.poll);
        if self.daemon.is_paused(&name) {
            self.daemon.board.update(&name, |it| (it.doing, it.next_look) = (Doing::Paused, None));
            return Some((Passed::paused(&name), poll));
        }
        let held_up = move |world: &World| match is_typed {
            // The user may know more than the state does.
            true => pass::try_host_now(world, &account).map(|()| None),
            false => pass::held_up(world, &account),
        };
        let pace = task.world.off(held_up).await.ok().flatten()?;
        let wait = self.rest(&name, &pace, task.world.now(), poll);
        let kind = if pace.is_refused { Kind::Auth } else { Kind::Network };
        let error =
            if pace.is_refused { Error::permanent(kind, pace.cause) } else { Error::transient(kind, pace.cause) };
        Some((failed_pass(&name, &error), wait))
    }

    /// Puts the account to rest on the board, and returns for how long. A refused login is not tried sooner than `poll`
    /// says.
    fn rest(&self, name: &str, pace: &Pace, now: Timestamp, poll: Duration) -> Duration {
        let rest = Duration::try_from(pace.until.duration_since(now)).unwrap_or_default();
        let wait = if pace.is_refused { rest.max(poll) } else { rest };
        self.daemon.board.update(name, |it| {
            it.doing = Doing::Resting;
            it.next_look = after(now, wait);
            it.trouble = Some(trouble(pace));
        });
        wait
    }

    /// Runs one pass. Returns the time to the next one, or `None` if that stays as it was.
    async fn look(&mut self, extent: Extent) -> (Passed, Option<Duration>) {
        let task = Arc::clone(&self.task.borrow_and_update());
        let account = Arc::clone(&task.job.account);
        let name = account.name.clone();
        self.daemon.board.update(&name, |it| it.doing = Doing::Queued);
        let daemon = Arc::clone(&self.daemon);
        let host = daemon.host(&account.server.host);
        // The place at the host first, so that an account at a slow host takes no place from the others.
        let places = async { (host.acquire().await, daemon.places.acquire().await) };
        let stopped = || Error::transient(Kind::Stopped, "it was stopped before its turn came");
        let Some(places) = self.stop.run_until_cancelled(places).await else {
            return (failed_pass(&name, &stopped()), None);
        };
        self.daemon.board.update(&name, |it| it.doing = Doing::Fetching);
        let is_all = extent == Extent::All;
        let report = self.pass_alone(&task, extent).await;
        if let (Some(session), true) = (&mut self.session, is_all) {
            tokio::select! { () = session.watch(&task.world, &account) => {}, () = self.stop.cancelled() => {} }
        }
        drop(places);
        let kept = task.world.off({
            let account = Arc::clone(&account);
            move |world| {
                let kept = pass::keep_pace(world, &account, &report);
                Ok((report, kept))
            }
        });
        let (report, pace) = match kept.await {
            Ok((report, pace)) => (
                report,
                pace.unwrap_or_else(|e| {
                    tracing::error!("{e}");
                    None
                }),
            ),
            Err(error) => (Report { errors: vec![error], ..Report::of(&name) }, None),
        };
        if report.told > 0 {
            self.daemon.outbox.notify_one();
        }
        let now = task.world.now();
        let wait = match &pace {
            Some(pace) => Some(self.rest(&name, pace, now, account.poll)),
            None if is_all => Some(self.waits(&name, account.poll, &report, now)),
            None => {
                self.record_partial_pass(&name, &report, now);
                None
            }
        };
        let passed = Passed::from(&report);
        self.daemon.events.tell(Event::Passed(passed.clone())).await;
        (passed, wait)
    }

    /// Puts the result of a pass on the board. Returns for how long the account waits for news.
    fn waits(&mut self, name: &str, poll: Duration, report: &Report, now: Timestamp) -> Duration {
        let push = self.session.as_ref().filter(|_| self.short_waits < SHORT_WAITS_TOLERATED).and_then(Session::push);
        let wait = if push.is_some() { poll.min(OTHER_FOLDERS_POLL) } else { poll };
        self.daemon.board.update(name, |it| {
            (it.doing, it.next_look, it.push, it.left) = (Doing::Waiting, after(now, wait), push, report.left);
            it.last_mail = if report.new > 0 { Some(now) } else { it.last_mail };
            it.trouble = report.errors.first().map(|error| repeated_trouble(it.trouble.take(), error, now));
            it.last_success = if report.errors.is_empty() { Some(now) } else { it.last_success };
        });
        wait
    }

    /// Puts the result of a pass over some folders on the board. It says nothing about the others.
    fn record_partial_pass(&self, name: &str, report: &Report, now: Timestamp) {
        self.daemon.board.update(name, |it| {
            it.doing = Doing::Waiting;
            it.last_mail = if report.new > 0 { Some(now) } else { it.last_mail };
            if let Some(error) = report.errors.first() {
                it.trouble = Some(repeated_trouble(it.trouble.take(), error, now));
            }
        });
    }

    /// Runs a pass on a thread of its own: it may wait for disks and locks, and a parser that panics on a server's
    /// reply does not end the worker.
    async fn pass_alone(&mut self, task: &Arc<Task>, extent: Extent) -> Report {
        let (name, stop) = (self.name(), self.stop.clone());
        let (task, mut session) = (Arc::clone(task), self.session.take());
        let job = Job { engine: Arc::new(Newest::new(&task, &self.task)), ..task.job.clone() };
        let pass = on_own_thread(async move {
            let watch: Arc<dyn Watch> = Arc::new(Silent);
            let report = pipeline::pass(&task.world, &job, &mut session, &extent, &watch, &stop).await;
            (report, session)
        });
        match pass.await {
            Ok((report, session)) => {
                self.session = session;
                if !self.keeps
                    && let Some(session) = self.session.take()
                {
                    session.close().await;
                }
                report
            }
            Err(e) => {
                let error = Error::transient(Kind::Protocol, "the pass broke off").because(e);
                Report { errors: vec![error], ..Report::of(&name) }
            }
        }
    }

    /// Forgets failures that may pass, because they belong to the old network.
    async fn forgive_the_network(&mut self) {
        self.short_waits = 0;
        let task = Arc::clone(&self.task.borrow());
        let forgive = task.world.off({
            let account = Arc::clone(&task.job.account);
            move |world| pass::forgive_network(world, &account)
        });
        if let Err(e) = forgive.await {
            tracing::error!("{e}");
        }
    }
}

fn failed_pass(account: &str, error: &Error) -> Passed {
    let said = pass::ReportedError { error: error.to_string(), transient: error.is_transient() };
    Passed { account: account.to_owned(), errors: vec![said], code: error.exit_code(), ..Passed::default() }
}

/// How long to ignore a server after this much false news in a row.
fn news_pause(false_news: u32) -> Duration {
    match false_news.checked_sub(FALSE_NEWS_TOLERATED) {
        None => Duration::ZERO,
        Some(more) => Duration::from_millis(500).saturating_mul(1 << more.min(8)).min(LONGEST_NEWS_PAUSE),
    }
}

fn after(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok())
}

/// The problem that continues, or a new one.
fn repeated_trouble(before: Option<AccountTrouble>, error: &Error, now: Timestamp) -> AccountTrouble {
    let since = before.as_ref().map_or(now, |trouble| trouble.since);
    let times = before.map_or(1, |trouble| trouble.times.saturating_add(1));
    AccountTrouble { text: error.to_string(), since, times, is_refused: false }
}

fn trouble(pace: &Pace) -> AccountTrouble {
    AccountTrouble { text: pace.cause.clone(), since: pace.since, times: pace.failures, is_refused: pace.is_refused }
}

/// How many passes to one host may run at a time.
pub(super) fn host_places() -> Arc<Semaphore> {
    /// Servers refuse more logins at once.
    const MAX_PASSES_PER_HOST: usize = 8;
    Arc::new(Semaphore::new(MAX_PASSES_PER_HOST))
}
