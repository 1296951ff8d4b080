//! Whether the program was asked to stop. Also for code without a cancellation token: waits for locks and for programs.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};

/// How long servers may still answer after the request to stop. Whoever requested it will not wait much longer.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

static STOP_REQUESTED: AtomicBool = AtomicBool::new(false);

/// Requests the stop. Waits for locks end at once.
pub(crate) fn ask_to_stop() {
    STOP_REQUESTED.store(true, Ordering::SeqCst);
}

/// Whether a stop was requested.
pub(crate) fn is_stopping() -> bool {
    STOP_REQUESTED.load(Ordering::SeqCst)
}

/// The result of the work, or `None` if the program is stopping and the server does not answer in time.
pub(crate) async fn unless_stopped<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    let over = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_ANSWER_TIMEOUT).await;
    };
    tokio::select! { biased; done = work => Some(done), () = over => None }
}

/// For a request without consequences: when the program stops, its answer is not waited for.
pub(crate) async fn asked<T>(stop: &CancellationToken, question: impl Future<Output = Result<T>>) -> Result<T> {
    stop.run_until_cancelled(question).await.unwrap_or_else(|| Err(stopped()))
}

/// For a request that changes something: when the program stops, it may still be completed.
pub(crate) async fn done<T>(stop: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    unless_stopped(stop, work).await.unwrap_or_else(|| Err(stopped()))
}

/// The error for a stop. It is not known whether the server has done what was requested.
pub(crate) fn stopped() -> Error {
    Error::transient(Kind::Stopped, "the program had to stop before there was an answer")
}
