//! SIGINT and SIGTERM: the first asks every worker to reach a safe state, the second ends the program at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};

/// A token that is cancelled by the first signal.
pub(super) fn stop_token() -> Result<CancellationToken> {
    let listen = |kind| signal(kind).map_err(|e| Error::transient(Kind::Busy, "listening for signals").because(e));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            if stopping.is_cancelled() {
                // Nothing is lost by ending here: the next run goes on from what is durable.
                std::process::exit(75);
            }
            crate::stop::ask_to_stop();
            stopping.cancel();
        }
    });
    Ok(stop)
}

/// Every SIGHUP: the config is to be read again.
pub(super) fn hangups() -> Result<mpsc::Receiver<()>> {
    let listen = signal(SignalKind::hangup());
    let mut hangup = listen.map_err(|e| Error::transient(Kind::Busy, "listening for signals").because(e))?;
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            // One that waits stands for all.
            tell.try_send(()).ok();
        }
    });
    Ok(told)
}
