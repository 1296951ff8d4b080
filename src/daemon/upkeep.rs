//! What is done again and again with mail that is here, and with the state.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Daemon;
use super::event::Event;
use crate::pass;

/// The time between two looks at which item of `maintenance` is due; one that failed is tried again then. The state is pruned
/// as often.
const UPKEEP_POLL: Duration = Duration::from_secs(600);

/// Runs the items of `maintenance` when their time comes, and forgets what is old.
pub(super) async fn keep_up(daemon: Arc<Daemon>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let (plan, stopped, events) = (daemon.plan(), stop.clone(), daemon.events.clone());
        let handle = tokio::runtime::Handle::current();
        let work = move || {
            pass::maintain_due(&plan.world, &plan.upkeeps, &|| stopped.is_cancelled(), &mut |maintained| {
                handle.block_on(events.tell(Event::Maintained(Arc::new(maintained))));
            });
            if let Err(e) = pass::prune(&plan.world) {
                tracing::error!("{e}");
            }
        };
        if let Err(e) = tokio::task::spawn_blocking(work).await {
            tracing::error!("the maintenance ended unexpectedly: {e}");
        }
        tokio::select! { () = tokio::time::sleep(UPKEEP_POLL) => {}, () = stop.cancelled() => {} }
    }
}
