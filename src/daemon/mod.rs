//! The program that stays: one worker for each account, each at its own interval.

mod schedule;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::pass::{self, Report, Silent, Told, Watch, Ways, World};
use crate::pipeline::{self, Job};

/// Fetches every account at its `poll` interval until `stop` is cancelled; then every worker finishes its batch.
/// `tell` gets the report of each pass over an account, `told` that of each pass over the outbox.
pub async fn run(
    world: &World,
    jobs: Vec<Job>,
    ways: Ways,
    stop: CancellationToken,
    tell: impl Fn(&Report) + Clone + Send + 'static,
    told: impl Fn(&Told) + Send + 'static,
) {
    let mut workers = JoinSet::new();
    workers.spawn(empty_outbox(world.clone(), ways, stop.clone(), told));
    for job in jobs {
        workers.spawn(work(world.clone(), job, stop.clone(), tell.clone()));
    }
    while workers.join_next().await.is_some() {}
}

/// The outbox is looked at so often: other processes put mail into it.
const LOOK: Duration = Duration::from_secs(5);
/// So long one pass over it may take.
const PASS: Duration = Duration::from_secs(600);

/// Sends what is due, again and again.
async fn empty_outbox(world: World, ways: Ways, stop: CancellationToken, told: impl Fn(&Told)) {
    while !stop.is_cancelled() {
        match pass::tell(&world, &ways, PASS, &stop).await {
            Ok(pass) => told(&pass),
            Err(e) => tracing::error!("{e}"),
        }
        tokio::select! { () = tokio::time::sleep(LOOK) => {}, () = stop.cancelled() => {} }
    }
}

async fn work(world: World, job: Job, stop: CancellationToken, tell: impl Fn(&Report)) {
    let watch: Arc<dyn Watch> = Arc::new(Silent);
    while !stop.is_cancelled() {
        let pass = pass_alone(&world, &job, &watch, &stop).await;
        tell(&pass);
        if let Err(e) = pass::prune(&world) {
            tracing::error!("{e}");
        }
        let wait = schedule::until_next(job.account.poll, &pass);
        tokio::select! { () = tokio::time::sleep(wait) => {}, () = stop.cancelled() => {} }
    }
}

/// A pass in a task of its own: a parser that panics on a server's reply does not end the worker.
async fn pass_alone(world: &World, job: &Job, watch: &Arc<dyn Watch>, stop: &CancellationToken) -> Report {
    let (world, name) = (world.clone(), job.account.name.clone());
    let (job, watch, stop) = (job.clone(), Arc::clone(watch), stop.clone());
    let task = tokio::spawn(async move { pipeline::fetch(&world, &job, &watch, &stop).await });
    task.await.unwrap_or_else(|e| {
        let mut report = Report::of(&name);
        report
            .errors
            .push(crate::error::Error::transient(crate::error::Kind::Protocol, "the pass broke off").because(e));
        report
    })
}
