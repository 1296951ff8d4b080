//! Whether the program was asked to stop: waits for locks of others and for programs hear it too, where no token reaches.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};

/// So long a server may still answer when the program is asked to stop: whoever asks has little more patience.
const LAST_ANSWER: Duration = Duration::from_secs(4);

static ASKED: AtomicBool = AtomicBool::new(false);

/// Lets every wait for a lock end.
pub(crate) fn ask_to_stop() {
    ASKED.store(true, Ordering::SeqCst);
}

/// Whether it was asked.
pub(crate) fn is_stopping() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// What a server was asked, unless the program has to stop before it answers.
pub(crate) async fn unless_stopped<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    let over = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_ANSWER).await;
    };
    tokio::select! { biased; done = work => Some(done), () = over => None }
}

/// A question on which nothing hangs: nobody waits for its answer when the program has to stop.
pub(crate) async fn asked<T>(stop: &CancellationToken, question: impl Future<Output = Result<T>>) -> Result<T> {
    stop.run_until_cancelled(question).await.unwrap_or_else(|| Err(stopped()))
}

/// What a server does for us, which may still come to its end.
pub(crate) async fn done<T>(stop: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    unless_stopped(stop, work).await.unwrap_or_else(|| Err(stopped()))
}

/// Nobody knows whether it was taken.
pub(crate) fn stopped() -> Error {
    Error::transient(Kind::Stopped, "the program had to stop before there was an answer")
}
