//! The supervisor: begins a worker for each account, and applies a config that changed. It is read whole; what differs is ended
//! and begun, and nothing else is touched. One that cannot be used changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::worker::Worker;
use super::{Daemon, Hand, Load, ORDERS, Plan, Reloaded, Task};
use crate::pipeline::Job;

/// Editors write a file in several steps: so long nothing has to change before it is read,
const CALM: Duration = Duration::from_millis(300);
/// and after this it is read although it goes on.
const LONGEST_STORM: Duration = Duration::from_secs(5);
/// Files on servers change without a word, so they are looked at this often.
const LOOK: Duration = Duration::from_secs(60);

/// Who begins and ends workers.
pub(super) struct Supervisor {
    daemon: Arc<Daemon>,
    load: Load,
    stop: CancellationToken,
    handles: BTreeMap<String, JoinHandle<()>>,
}

impl Supervisor {
    pub(super) fn new(daemon: Arc<Daemon>, load: Load, stop: CancellationToken) -> Self {
        Self { daemon, load, stop, handles: BTreeMap::new() }
    }

    /// Until the daemon stops; then the workers end.
    pub(super) async fn run(
        mut self,
        mut asked: mpsc::Receiver<oneshot::Sender<Reloaded>>,
        mut hangups: mpsc::Receiver<()>,
    ) {
        let plan = self.daemon.plan();
        plan.jobs.iter().for_each(|job| self.begin(&plan, job));
        let mut files = Files::watch(plan.files.clone());
        drop(plan);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(reply) = asked.recv() => {
                    let said = self.reload(&mut files).await;
                    reply.send(said).ok();
                }
                Some(()) = hangups.recv() => { self.reload(&mut files).await.ok(); }
                () = files.changed() => { self.reload(&mut files).await.ok(); }
            }
        }
        for (_, handle) in std::mem::take(&mut self.handles) {
            handle.await.ok();
        }
        self.daemon.workers().clear();
    }

    fn begin(&mut self, plan: &Plan, job: &Job) {
        let name = job.account.name.clone();
        let task = Arc::new(Task { world: plan.world.clone(), job: job.clone() });
        let (task, takes) = watch::channel(task);
        let (orders, heard) = mpsc::channel(ORDERS);
        let stop = self.stop.child_token();
        let worker = Worker {
            daemon: Arc::clone(&self.daemon),
            task: takes,
            orders: heard,
            stop: stop.clone(),
            keeps: keeps(plan, job),
            session: None,
            short_waits: 0,
            network: self.daemon.network.subscribe(),
            pauses: self.daemon.paused.subscribe(),
        };
        self.handles.insert(name.clone(), tokio::spawn(worker.work()));
        self.daemon.workers().insert(name, Hand { task, orders, stop });
    }

    /// It finishes its batch.
    async fn end(&mut self, name: &str) {
        if let Some(hand) = self.daemon.workers().remove(name) {
            hand.stop.cancel();
        }
        if let Some(handle) = self.handles.remove(name) {
            handle.await.ok();
        }
    }

    /// Reads the config and applies what differs.
    async fn reload(&mut self, files: &mut Files) -> Reloaded {
        let (before, load) = (self.daemon.plan(), Arc::clone(&self.load));
        let reading = Arc::clone(&before);
        let read = tokio::task::spawn_blocking(move || load(&reading)).await;
        let read = read.unwrap_or_else(|e| Err(format!("reading the config broke off: {e}")));
        let plan = match read {
            Ok(plan) => plan,
            Err(why) => {
                files.have_been_read();
                self.daemon.board.set_config(Some(why.clone()));
                self.daemon.events.tell(Event::NotReloaded(why.clone())).await;
                return Err(why);
            }
        };
        files.watch_also(plan.files.clone());
        let changes = self.apply(&before, plan).await;
        self.daemon.board.set_config(None);
        self.daemon.events.tell(Event::Reloaded(changes.clone())).await;
        Ok(changes)
    }

    async fn apply(&mut self, before: &Plan, plan: Plan) -> String {
        let plan = Arc::new(plan);
        *self.daemon.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&plan);
        let Difference { ended, begun, changed } = Difference::between(before, &plan);
        for name in ended.iter().chain(&changed) {
            self.end(name).await;
        }
        for job in &plan.jobs {
            let name = &job.account.name;
            if begun.contains(name) || changed.contains(name) {
                self.begin(&plan, job);
            } else if let Some(hand) = self.daemon.workers().get(name) {
                // Its rules may be others from the next message on; its connection stays.
                hand.task.send_replace(Arc::new(Task { world: plan.world.clone(), job: job.clone() }));
            }
        }
        // A password that was refused may be another one now.
        let refused = self.daemon.board.refused();
        self.daemon.look(&refused, false, false).await;
        in_words(&[(&begun, "added"), (&ended, "removed"), (&changed, "changed")])
    }
}

/// Whether no other account of the config has the same name space.
fn keeps(plan: &Plan, job: &Job) -> bool {
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
    fn between(before: &Plan, after: &Plan) -> Self {
        let name = |job: &Job| job.account.name.clone();
        let by_name = |plan: &Plan| plan.jobs.iter().map(|job| (name(job), job.clone())).collect::<BTreeMap<_, _>>();
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

fn in_words(parts: &[(&Vec<String>, &str)]) -> String {
    let part = |(names, what): &(&Vec<String>, &str)| format!("{what}: {}", names.join(", "));
    let parts: Vec<String> = parts.iter().filter(|(names, _)| !names.is_empty()).map(part).collect();
    match parts.is_empty() {
        true => "the accounts are the same".to_owned(),
        false => format!("accounts {}", parts.join("; ")),
    }
}

/// By what a change of a file is seen: which file it is, its size and its times.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

/// The files of the config, and whether they change.
struct Files {
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
    watcher: Option<RecommendedWatcher>,
    /// The folders that are watched.
    folders: BTreeSet<PathBuf>,
    hints: mpsc::Receiver<()>,
}

impl Files {
    fn watch(files: BTreeSet<PathBuf>) -> Self {
        let (hint, hints) = mpsc::channel(1);
        let told = move |event: notify::Result<notify::Event>| {
            // One hint is enough, however many files changed; to be read is no change.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                hint.try_send(()).ok();
            }
        };
        let watcher = notify::recommended_watcher(told)
            .inspect_err(|e| tracing::warn!("changes of the config are noticed within a minute: {e}"))
            .ok();
        let mut new = Self { stamps: BTreeMap::new(), watcher, folders: BTreeSet::new(), hints };
        new.watch_also(files);
        new
    }

    /// Watches these in place of those before. A file that was named once and is not any more does not matter.
    fn watch_also(&mut self, files: BTreeSet<PathBuf>) {
        self.stamps = files.into_iter().map(|path| (path.clone(), stamp(&path))).collect();
        let folders: BTreeSet<PathBuf> = self.stamps.keys().flat_map(|path| folders_of(path)).collect();
        let Some(watcher) = &mut self.watcher else { return };
        for folder in folders.difference(&self.folders) {
            if let Err(e) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::warn!("changes in {} are noticed within a minute: {e}", folder.display());
            }
        }
        for folder in self.folders.difference(&folders) {
            watcher.unwatch(folder).ok();
        }
        self.folders = folders;
    }

    /// What they hold now is known, although it cannot be used.
    fn have_been_read(&mut self) {
        let files = self.stamps.keys().cloned().collect();
        self.watch_also(files);
    }

    /// Waits until one of them changed and nothing changes any more. A hint tells when to look, and the files decide.
    async fn changed(&mut self) {
        loop {
            tokio::select! { _ = self.hints.recv() => {}, () = tokio::time::sleep(LOOK) => {} }
            let until = Instant::now() + LONGEST_STORM;
            while Instant::now() < until {
                match tokio::time::timeout(CALM, self.hints.recv()).await {
                    Ok(Some(())) => {}
                    Ok(None) | Err(_) => break,
                }
            }
            if self.stamps.iter().any(|(path, before)| stamp(path) != *before) {
                return;
            }
        }
    }
}

/// A file that is not there may come.
fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()))
}

/// The folder in which its name stands, and the one in which it is, where the name is a link: each of them may be replaced.
/// Where the folder is missing, the nearest one above it.
fn folders_of(path: &Path) -> Vec<PathBuf> {
    let nearest = |path: &Path| path.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_path_buf);
    let real = std::fs::canonicalize(path).ok();
    let mut folders: Vec<PathBuf> =
        [Some(path.to_path_buf()), real].iter().flatten().filter_map(|p| nearest(p)).collect();
    folders.dedup();
    folders
}
