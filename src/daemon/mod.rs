//! The program that stays: one worker for each account, each at its own interval.

mod schedule;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::pass::{self, Maintained, Relays, Report, Silent, Told, Upkeep, Watch, World, on_own_thread};
use crate::pipeline::{self, Job};

/// Fetches every account at its `poll` interval until `stop` is cancelled; then every worker finishes its batch.
/// Beside them the outbox is emptied and mail that is here is maintained.
pub async fn run(
    world: &World,
    jobs: Vec<Job>,
    upkeeps: Vec<Upkeep>,
    relays: Relays,
    stop: CancellationToken,
    tellers: Tellers<
        impl Fn(&Report) + Clone + Send + 'static,
        impl Fn(&Told) + Send + 'static,
        impl Fn(&Maintained) + Clone + Send + 'static,
    >,
) {
    let Tellers { tell, told, maintained } = tellers;
    let mut workers = JoinSet::new();
    workers.spawn(empty_outbox(world.clone(), relays, stop.clone(), told));
    if !upkeeps.is_empty() {
        workers.spawn(maintain(world.clone(), upkeeps, stop.clone(), maintained));
    }
    let places = Arc::new(Semaphore::new(AT_ONCE));
    for job in jobs {
        workers.spawn(work(world.clone(), job, Arc::clone(&places), stop.clone(), tell.clone()));
    }
    while workers.join_next().await.is_some() {}
}

/// Who is told what came of it.
#[derive(Clone, Debug)]
pub struct Tellers<A, B, C> {
    /// Of each pass over an account.
    pub tell: A,
    /// Of each pass over the outbox.
    pub told: B,
    /// Of each run of an item of `maintenance`.
    pub maintained: C,
}

/// So often it is asked which item of `maintenance` is due; one that failed is tried again then.
const ASK: Duration = Duration::from_secs(600);

/// Runs the items of `maintenance` when their time comes.
async fn maintain(
    world: World,
    upkeeps: Vec<Upkeep>,
    stop: CancellationToken,
    tell: impl Fn(&Maintained) + Clone + Send + 'static,
) {
    while !stop.is_cancelled() {
        let (world, upkeeps, stopped, tell) = (world.clone(), upkeeps.clone(), stop.clone(), tell.clone());
        let work = move || {
            pass::maintain_due(&world, &upkeeps, &|| stopped.is_cancelled(), &mut |maintained| tell(&maintained));
        };
        if let Err(e) = tokio::task::spawn_blocking(work).await {
            tracing::error!("the maintenance ended unexpectedly: {e}");
        }
        tokio::select! { () = tokio::time::sleep(ASK) => {}, () = stop.cancelled() => {} }
    }
}

/// The outbox is looked at so often: other processes put mail into it.
const LOOK: Duration = Duration::from_secs(5);
/// So long one pass over it may take.
const PASS: Duration = Duration::from_secs(600);

/// Sends what is due, again and again. What one pass says, the next ones do not say again.
async fn empty_outbox(world: World, relays: Relays, stop: CancellationToken, told: impl Fn(&Told)) {
    let relays = Arc::new(relays);
    let mut said = Vec::new();
    while !stop.is_cancelled() {
        let (world, relays, stopped) = (world.clone(), Arc::clone(&relays), stop.clone());
        // On a thread of its own: a bug that panics on one mail does not end the worker.
        let task = on_own_thread(async move { pass::tell(&world, &relays, PASS, &stopped).await });
        match task.await {
            Ok(Ok(mut pass)) => {
                let remarks = pass.remarks.clone();
                pass.remarks.retain(|remark| !said.contains(remark));
                said = remarks;
                told(&pass);
            }
            Ok(Err(e)) => tracing::error!("{e}"),
            Err(e) => tracing::error!("the pass over the outbox broke off: {e}"),
        }
        tokio::select! { () = tokio::time::sleep(LOOK) => {}, () = stop.cancelled() => {} }
    }
}

/// So many accounts are at work at the same time; the others wait for their turn, and for their passwords.
const AT_ONCE: usize = 64;

async fn work(world: World, job: Job, places: Arc<Semaphore>, stop: CancellationToken, tell: impl Fn(&Report)) {
    let watch: Arc<dyn Watch> = Arc::new(Silent);
    while !stop.is_cancelled() {
        let place = places.acquire().await;
        let pass = pass_alone(&world, &job, &watch, &stop).await;
        drop(place);
        tell(&pass);
        let wait = schedule::until_next(job.account.poll, &pass);
        tokio::select! { () = tokio::time::sleep(wait) => {}, () = stop.cancelled() => {} }
    }
}

/// A pass on a thread of its own: it may wait for disks and locks, and a parser that panics on a server's reply does not end
/// the worker.
async fn pass_alone(world: &World, job: &Job, watch: &Arc<dyn Watch>, stop: &CancellationToken) -> Report {
    let (world, name) = (world.clone(), job.account.name.clone());
    let (job, watch, stop) = (job.clone(), Arc::clone(watch), stop.clone());
    let task = on_own_thread(async move {
        let report = pipeline::fetch(&world, &job, &watch, &stop).await;
        if let Err(e) = pass::prune(&world) {
            tracing::error!("{e}");
        }
        report
    });
    task.await.unwrap_or_else(|e| {
        let mut report = Report::of(&name);
        report
            .errors
            .push(crate::error::Error::transient(crate::error::Kind::Protocol, "the pass broke off").because(e));
        report
    })
}
