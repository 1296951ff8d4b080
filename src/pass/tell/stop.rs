//! A program that is asked to stop, and a server that does not answer.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};

/// So long a server may still answer when the program is asked to stop: whoever asks has little more patience.
const LAST_ANSWER: Duration = Duration::from_secs(4);

/// What a server was asked, unless the program has to stop before it answers.
pub(super) async fn unless_stopped<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    let over = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_ANSWER).await;
    };
    tokio::select! { biased; done = work => Some(done), () = over => None }
}

/// Nobody knows whether it was taken.
pub(super) fn stopped() -> Error {
    Error::transient(Kind::Busy, "the program had to stop before there was an answer")
}
