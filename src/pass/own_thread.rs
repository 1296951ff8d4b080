//! Work that may wait for a disk, a lock or the database has a thread of its own: the few workers of the runtime belong to
//! timers, signals and sockets, so that one that waits stops nobody else.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Runs it to its end on a thread of its own. A panic there is an error of the handle and ends nothing else.
pub fn on_own_thread<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || handle.block_on(work))
}
