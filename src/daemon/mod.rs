//! The daemon: a worker for each account, one for the outbox, one for `maintenance`, a socket for orders, and the
//! supervisor that starts and stops them as the config changes.
//!
//! A worker keeps its session ([`worker`]). Whatever happens is an [`Event`]. The board holds the present status, which
//! [`status`] describes. Orders come in as [`order`] says. A config that changed is read whole, and the difference is
//! applied (`reload`).

mod board;
pub mod changes;
mod event;
mod files;
pub mod language;
mod newest;
pub mod order;
mod outbox;
mod plan;
mod reload;
mod service;
mod socket;
pub mod status;
mod upkeep;
mod wakeful;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use event::Event;
pub use plan::{ConfigLoader, DaemonPlan};

use self::board::Board;
use self::changes::ConfigChanges;
use self::event::Events;
use self::reload::Supervisor;
use self::service::ServiceManager;
use self::socket::{Looking, Socket};
use self::worker::RequestedLook;
use crate::error::{Error, Kind, Result};
use crate::pass::World;
use crate::pipeline::Job;
use crate::state::Lock;

/// How many accounts are fetched at the same time. The others wait, and so do their passwords.
const MAX_ACCOUNTS_AT_WORK: usize = 64;
/// How long a client that waits for a pass waits for a place in the queue of orders.
const ORDER_QUEUE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for the lock of the daemon: a command that asks which process holds it takes it for a moment.
const RUN_LOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// How many orders wait for a busy worker.
const ORDER_QUEUE: usize = 64;

/// What a worker works on.
struct Task {
    world: World,
    job: Job,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("job", &self.job).finish_non_exhaustive()
    }
}

/// The handle by which others reach a worker.
#[derive(Debug)]
struct Hand {
    task: watch::Sender<Arc<Task>>,
    orders: mpsc::Sender<RequestedLook>,
    stop: CancellationToken,
}

/// What the parts of the daemon share.
struct Daemon {
    plan: Mutex<Arc<DaemonPlan>>,
    events: Events,
    board: Board,
    workers: Mutex<BTreeMap<String, Hand>>,
    /// The names of paused accounts; the empty name means all.
    paused: watch::Sender<BTreeSet<String>>,
    /// Changes when the network does, or when the machine wakes up.
    network: watch::Sender<u64>,
    /// Notified when there is something to send.
    outbox: Notify,
    places: Semaphore,
    /// Limits the orders that stay connected: `fetch` and `events`.
    listeners: Semaphore,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    reloads: mpsc::Sender<oneshot::Sender<Reloaded>>,
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon").finish_non_exhaustive()
    }
}

/// What changed, or why nothing did.
type Reloaded = Result<ConfigChanges>;

/// Runs until `stop` is cancelled. Then every worker finishes its batch. `log` gets every event.
pub async fn run(
    plan: DaemonPlan,
    load: ConfigLoader,
    hangups: mpsc::Receiver<()>,
    stop: CancellationToken,
    log: impl FnMut(Event) + Send + 'static,
) -> Result<()> {
    let world = plan.world.clone();
    // There is one daemon for a state, so its socket belongs to this daemon.
    let lock = Arc::new(Lock::take(&order::locks(&world.state), order::LOCK, RUN_LOCK_TIMEOUT)?);
    let socket = Socket::open(&world.state, Arc::clone(&lock))?;
    let (events, heard) = Events::new();
    let logging = std::thread::spawn(move || write_log(heard, log));
    let paused = world.off(|world| world.store.paused()).await?.into_iter().map(|(name, _)| name).collect();
    let (reloads, asked) = mpsc::channel(ORDER_QUEUE);
    let daemon = Arc::new(Daemon {
        plan: Mutex::new(Arc::new(plan)),
        events,
        board: Board::new(world.now()),
        workers: Mutex::default(),
        paused: watch::Sender::new(paused),
        network: watch::Sender::new(0),
        outbox: Notify::new(),
        places: Semaphore::new(MAX_ACCOUNTS_AT_WORK),
        listeners: Semaphore::new(MAX_ACCOUNTS_AT_WORK),
        hosts: Mutex::default(),
        reloads,
    });
    let mut parts = JoinSet::new();
    parts.spawn(socket.serve(Arc::clone(&daemon), stop.clone()));
    parts.spawn(outbox::empty(Arc::clone(&daemon), stop.clone()));
    parts.spawn(upkeep::keep_up(Arc::clone(&daemon), stop.clone()));
    parts.spawn(wakeful::watch(Arc::clone(&daemon), stop.clone()));
    let service = ServiceManager::of_this_process();
    parts.spawn(service.clone().follow(Arc::clone(&daemon), stop.clone()));
    let supervisor = Supervisor::new(Arc::clone(&daemon), load, service, stop.clone());
    supervisor.run(asked, hangups).await;
    while parts.join_next().await.is_some() {}
    drop(daemon);
    // All senders of events are gone, so the log ends.
    tokio::task::spawn_blocking(move || logging.join()).await.ok();
    Ok(())
}

fn write_log(mut heard: mpsc::Receiver<Event>, mut log: impl FnMut(Event)) {
    while let Some(event) = heard.blocking_recv() {
        log(event);
    }
}

impl Daemon {
    fn plan(&self) -> Arc<DaemonPlan> {
        Arc::clone(&self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn workers(&self) -> MutexGuard<'_, BTreeMap<String, Hand>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_paused(&self, account: &str) -> bool {
        let paused = self.paused.borrow();
        paused.contains("") || paused.contains(account)
    }

    /// Limits the passes to one host.
    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(hosts.entry(host.to_ascii_lowercase()).or_insert_with(worker::host_places))
    }

    /// Orders passes over accounts, or over all if none is named. With `waits`, the caller waits for the results.
    async fn look(&self, accounts: &[String], typed: bool, waits: bool) -> Looking {
        let known: BTreeMap<String, mpsc::Sender<RequestedLook>> =
            self.workers().iter().map(|(name, hand)| (name.clone(), hand.orders.clone())).collect();
        let names: Vec<String> = if accounts.is_empty() { known.keys().cloned().collect() } else { accounts.to_vec() };
        let mut looking = Looking::default();
        for name in names {
            let Some(orders) = known.get(&name) else {
                looking.unknown.push(name);
                continue;
            };
            let (told, passed) = oneshot::channel();
            let look = RequestedLook { typed, told: waits.then_some(told) };
            // A full queue holds enough passes for a caller that does not wait. If the worker has ended, the caller
            // notices the dropped channel.
            match waits {
                true => _ = orders.send_timeout(look, ORDER_QUEUE_TIMEOUT).await,
                false => _ = orders.try_send(look),
            }
            looking.passes.push((name, passed));
        }
        looking
    }

    /// Pauses or resumes accounts, or all if none is named.
    async fn pause(&self, accounts: Vec<String>, pauses: bool) -> Result<()> {
        if !pauses && !accounts.is_empty() && self.is_paused("") {
            let text = "everything is paused; `mailsluice resume` without a name lets all accounts go on";
            return Err(Error::permanent(Kind::Usage, text));
        }
        let plan = self.plan();
        if let Some(name) = accounts.iter().find(|name| !plan.jobs.iter().any(|job| job.account.name == **name)) {
            let text = format!("there is no account `{}` here", crate::clean::short(name, 60));
            return Err(Error::permanent(Kind::Usage, text));
        }
        let names = if accounts.is_empty() { vec![String::new()] } else { accounts };
        let world = self.plan().world.clone();
        let to_record = names.clone();
        let paused = world.off(move |world| {
            for name in &to_record {
                if pauses { world.store.pause(name, world.now())? } else { world.store.resume(name)? }
            }
            world.store.paused()
        });
        let paused = paused.await?.into_iter().map(|(name, _)| name).collect();
        self.paused.send_replace(paused);
        if !pauses {
            self.look(&names.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>(), false, false).await;
        }
        for name in names {
            self.events.tell(Event::Paused(name, pauses)).await;
        }
        Ok(())
    }

    /// Has the config read again.
    async fn reload(&self) -> Reloaded {
        let (tell, told) = oneshot::channel();
        let gone = || Error::transient(Kind::Stopped, "the running mailsluice is stopping");
        self.reloads.send(tell).await.map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }
}
