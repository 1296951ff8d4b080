//! The supervisor: starts a worker for each account, and applies a config that changed. The config is read whole.
//! Workers that differ are stopped and started, and nothing else is touched. A config that cannot be used changes
//! nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::changes::ConfigChanges;
use super::event::Event;
use super::files::WatchedFiles;
use super::service::ServiceManager;
use super::worker::Worker;
use super::{ConfigLoader, Daemon, DaemonPlan, Hand, ORDER_QUEUE, Reloaded, Task};
use crate::error::{Error, Kind};
use crate::pass::{self, World};
use crate::pipeline::Job;
use crate::upkeep;

/// Why the supervisor wakes up.
enum SupervisorWake {
    Stop,
    /// A client wants the config to be read.
    Asked(oneshot::Sender<Reloaded>),
    /// The config may have changed.
    Changed,
    /// It is time to check the workers.
    Time,
}

/// How often to check that all workers are alive.
const WORKER_CHECK: Duration = Duration::from_secs(10);

/// Starts and stops the workers.
pub(super) struct Supervisor {
    daemon: Arc<Daemon>,
    load: ConfigLoader,
    stop: CancellationToken,
    service: ServiceManager,
    handles: BTreeMap<String, JoinHandle<()>>,
}

impl Supervisor {
    pub(super) fn new(
        daemon: Arc<Daemon>,
        load: ConfigLoader,
        service: ServiceManager,
        stop: CancellationToken,
    ) -> Self {
        Self { daemon, load, stop, service, handles: BTreeMap::new() }
    }

    /// Runs until the daemon stops. Then the workers end.
    pub(super) async fn run(
        mut self,
        mut asked: mpsc::Receiver<oneshot::Sender<Reloaded>>,
        mut hangups: mpsc::Receiver<()>,
    ) {
        let plan = self.daemon.plan();
        plan.jobs.iter().for_each(|job| self.begin(&plan, job));
        let mut files = WatchedFiles::watch(plan.files.clone()).await;
        drop(plan);
        self.service.ready();
        let mut next_check = Instant::now() + WORKER_CHECK;
        loop {
            let wake = async {
                tokio::select! {
                    () = self.stop.cancelled() => SupervisorWake::Stop,
                    Some(reply) = asked.recv() => SupervisorWake::Asked(reply),
                    Some(()) = hangups.recv() => SupervisorWake::Changed,
                    () = files.changed() => SupervisorWake::Changed,
                    () = tokio::time::sleep_until(next_check) => SupervisorWake::Time,
                }
            };
            match self.service.alive_until(wake).await {
                SupervisorWake::Stop => break,
                SupervisorWake::Asked(reply) => {
                    let said = self.reload(&mut files).await;
                    reply.send(said).ok();
                }
                SupervisorWake::Changed => {
                    self.reload(&mut files).await.ok();
                }
                SupervisorWake::Time => {
                    self.restart_ended_workers().await;
                    next_check = Instant::now() + WORKER_CHECK;
                }
            }
        }
        self.service.stopping();
        for (_, handle) in std::mem::take(&mut self.handles) {
            handle.await.ok();
        }
        self.daemon.workers().clear();
    }

    fn begin(&mut self, plan: &DaemonPlan, job: &Job) {
        let name = job.account.name.clone();
        let task = Arc::new(Task { world: plan.world.clone(), job: job.clone() });
        let (task, takes) = watch::channel(task);
        let (orders, heard) = mpsc::channel(ORDER_QUEUE);
        let stop = self.stop.child_token();
        let worker = Worker {
            daemon: Arc::clone(&self.daemon),
            task: takes,
            orders: heard,
            stop: stop.clone(),
            keeps: keeps(plan, job),
            session: None,
            short_waits: 0,
            false_news: 0,
            network: self.daemon.network.subscribe(),
            pauses: self.daemon.paused.subscribe(),
        };
        self.handles.insert(name.clone(), tokio::spawn(worker.work()));
        self.daemon.workers().insert(name, Hand { task, orders, stop });
    }

    /// Restarts the workers that a bug ended.
    async fn restart_ended_workers(&mut self) {
        let plan = self.daemon.plan();
        for job in &plan.jobs {
            let name = &job.account.name;
            if self.handles.get(name).is_some_and(JoinHandle::is_finished) && !self.stop.is_cancelled() {
                let text = format!("{name}: its worker ended unexpectedly and was restarted");
                self.daemon.events.tell(Event::Noted(text)).await;
                self.begin(&plan, job);
            }
        }
    }

    /// Stops a worker, which finishes its batch first.
    async fn end(&mut self, name: &str) {
        if let Some(hand) = self.daemon.workers().remove(name) {
            hand.stop.cancel();
        }
        if let Some(handle) = self.handles.remove(name) {
            handle.await.ok();
        }
    }

    /// Reads the config and applies what differs.
    async fn reload(&mut self, files: &mut WatchedFiles) -> Reloaded {
        let service = self.service.clone();
        service.reloading();
        // Workers take some time to end.
        let reloaded = service.alive_until(self.take_over(files)).await;
        service.ready();
        reloaded
    }

    async fn take_over(&mut self, files: &mut WatchedFiles) -> Reloaded {
        let (before, load, seen) = (self.daemon.plan(), Arc::clone(&self.load), files.seen().await);
        let reading = Arc::clone(&before);
        let read = tokio::task::spawn_blocking(move || load(&reading)).await;
        let broke_off = |e| Err(Error::transient(Kind::Config, "reading the config broke off").because(e));
        let plan = match read.unwrap_or_else(broke_off) {
            Ok(plan) => plan,
            Err(error) => {
                files.remember_read(seen).await;
                self.daemon.board.set_config(Some(error.to_string()));
                self.file_notice(&error).await;
                self.daemon.events.tell(Event::NotReloaded(error.to_string())).await;
                return Err(error);
            }
        };
        files.watch_also(plan.files.clone(), seen).await;
        let changes = self.apply(&before, plan).await;
        self.daemon.board.set_config(None);
        self.daemon.events.tell(Event::Reloaded(changes.clone())).await;
        Ok(changes)
    }

    /// For a user who does not run `status`.
    async fn file_notice(&self, why: &Error) {
        let text = why.to_string();
        if let Err(e) = self.daemon.plan().world.off(move |world| upkeep::tell_of_config(world, &text)).await {
            tracing::error!("a notice about the config could not be filed: {e}");
        }
    }

    async fn apply(&mut self, before: &DaemonPlan, plan: DaemonPlan) -> ConfigChanges {
        let plan = Arc::new(plan);
        *self.daemon.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&plan);
        let Difference { ended, begun, changed } = Difference::between(before, &plan);
        for hand in ended
            .iter()
            .chain(&changed)
            .filter_map(|name| self.daemon.workers().get(name).map(|hand| hand.stop.clone()))
        {
            hand.cancel();
        }
        for name in ended.iter().chain(&changed) {
            self.end(name).await;
            // Earlier failures came from the old settings.
            let (world, name) = (plan.world.clone(), name.clone());
            let account = plan.jobs.iter().map(|job| &job.account).find(|account| account.name == name).cloned();
            let begin_anew = move |world: &World| match account {
                Some(account) => pass::begin_anew(world, &account),
                None => world.store.set_pace(&name, None),
            };
            if let Err(e) = world.off(begin_anew).await {
                tracing::error!("{e}");
            }
        }
        for job in &plan.jobs {
            let name = &job.account.name;
            if begun.contains(name) || changed.contains(name) {
                self.begin(&plan, job);
            } else if let Some(hand) = self.daemon.workers().get(name) {
                // The new rules apply from the next message on, and the connection stays.
                hand.task.send_replace(Arc::new(Task { world: plan.world.clone(), job: job.clone() }));
            }
        }
        // The password of a refused login may have changed.
        let refused = self.daemon.board.refused();
        self.daemon.look(&refused, false, false).await;
        let is_same = ended.is_empty() && begun.is_empty() && changed.is_empty();
        let (new, old) = (&plan.config, &before.config);
        ConfigChanges {
            // One of the user's addresses may come from an account or a relay.
            rules: !new.has_rules_of(old) || is_same && new.has_relays_of(old) && new.settings.me != old.settings.me,
            relays: !new.has_relays_of(old),
            maintenance: !new.has_maintenance_of(old),
            added: begun,
            removed: ended,
            changed,
            warnings: plan.warnings.clone(),
        }
    }
}

/// Whether no other account of the config has the same name space.
fn keeps(plan: &DaemonPlan, job: &Job) -> bool {
    let mailbox = job.account.mailbox();
    plan.jobs.iter().filter(|other| other.account.mailbox() == mailbox).count() == 1
}

/// The names of accounts that differ between two configs.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    ended: Vec<String>,
    begun: Vec<String>,
    changed: Vec<String>,
}

impl Difference {
    fn between(before: &DaemonPlan, after: &DaemonPlan) -> Self {
        let name = |job: &Job| job.account.name.clone();
        let by_name =
            |plan: &DaemonPlan| plan.jobs.iter().map(|job| (name(job), job.clone())).collect::<BTreeMap<_, _>>();
        let (old, new) = (by_name(before), by_name(after));
        let is_same =
            |job: &Job, old: &Job| job.account.is_fetched_like(&old.account) && keeps(before, old) == keeps(after, job);
        Self {
            ended: old.keys().filter(|name| !new.contains_key(*name)).cloned().collect(),
            begun: new.keys().filter(|name| !old.contains_key(*name)).cloned().collect(),
            changed: new
                .iter()
                .filter(|(name, job)| old.get(*name).is_some_and(|old| !is_same(job, old)))
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }
}
