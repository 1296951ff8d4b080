//! Empties the outbox beside the accounts.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Daemon;
use super::event::Event;
use crate::pass::on_own_thread;
use crate::tell;

/// How often the outbox is checked, because other processes put mail into it.
const OUTBOX_POLL: Duration = Duration::from_secs(5);
/// How long one pass over it may take.
const LONGEST_PASS: Duration = Duration::from_secs(600);

/// Sends what is due, again and again. A remark that one pass makes is not repeated by the next ones.
pub(super) async fn empty(daemon: Arc<Daemon>, stop: CancellationToken) {
    let mut said = Vec::new();
    while !stop.is_cancelled() {
        let (plan, stopped) = (daemon.plan(), stop.clone());
        // On a thread of its own, so that a panic on one message does not end the worker.
        let task = on_own_thread(async move { tell::tell(&plan.world, &plan.relays, LONGEST_PASS, &stopped).await });
        match task.await {
            Ok(Ok(mut told)) => {
                let remarks = told.remarks.clone();
                told.remarks.retain(|remark| !said.contains(remark));
                said = remarks;
                if told.sent + told.failed + told.later > 0 || !told.remarks.is_empty() {
                    daemon.events.tell(Event::Told(Arc::new(told))).await;
                }
            }
            Ok(Err(e)) => tracing::error!("{e}"),
            Err(e) => tracing::error!("the pass over the outbox broke off: {e}"),
        }
        tokio::select! {
            () = tokio::time::sleep(OUTBOX_POLL) => {},
            () = daemon.outbox.notified() => {},
            () = stop.cancelled() => {},
        }
    }
}
