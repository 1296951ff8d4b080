//! Regular work on local mail and on the state.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Daemon;
use super::event::Event;
use crate::net::oauth;
use crate::pass::World;
use crate::upkeep::{self, Upkeep};

/// How often to check which item of `maintenance` is due. An item that failed is tried again then. The state is pruned
/// as often.
const UPKEEP_POLL: Duration = Duration::from_secs(600);

/// Runs the items of `maintenance` when they are due, and prunes the state.
pub(super) async fn keep_up(daemon: Arc<Daemon>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let sign_ins: Vec<_> = daemon.plan().config.sign_ins().cloned().collect();
        tokio::select! { () = oauth::keep_alive(&sign_ins) => {}, () = stop.cancelled() => {} }
        let (plan, stopped, events) = (daemon.plan(), stop.clone(), daemon.events.clone());
        let handle = Handle::current();
        let tell = move |event| handle.block_on(events.tell(event));
        let work = move || keep_up_once(&plan.world, &plan.upkeeps, &stopped, &tell);
        if let Err(e) = tokio::task::spawn_blocking(work).await {
            tracing::error!("the maintenance ended unexpectedly: {e}");
        }
        tokio::select! { () = tokio::time::sleep(UPKEEP_POLL) => {}, () = stop.cancelled() => {} }
    }
}

fn keep_up_once(world: &World, upkeeps: &[Upkeep], stop: &CancellationToken, tell: &dyn Fn(Event)) {
    upkeep::maintain_due(world, upkeeps, &|| stop.is_cancelled(), &mut |maintained| {
        tell(Event::Maintained(Arc::new(maintained)));
    });
    if let Err(e) = upkeep::prune(world) {
        tracing::error!("{e}");
    }
}
