//! Work that may wait for a disk, a lock or the database runs on a thread of its own. The few workers of the runtime
//! are for timers, signals and sockets, so work that waits blocks nothing else.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Runs a future to its end on a thread of its own. A panic there becomes an error of the handle and ends nothing else.
pub fn on_own_thread<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || handle.block_on(work))
}
