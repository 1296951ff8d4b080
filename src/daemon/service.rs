//! What the service manager hears (`sd_notify(3)`): that the daemon is ready, reloads, is alive or stops, and its
//! status.
//!
//! A thread of its own sends it, so that a service manager that does not read holds up no mail.

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Daemon;

/// How many messages wait for a service manager that does not read. Further ones are dropped.
const MESSAGE_QUEUE: usize = 16;
/// How often the status may change.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest interval of the watchdog.
const SHORTEST_PULSE: Duration = Duration::from_millis(1);

/// A message to the service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ServiceState {
    Ready,
    Reloading,
    Alive,
    Stopping,
    Status(String),
}

/// The service manager, if there is one.
#[derive(Clone, Debug)]
pub(super) struct ServiceManager(Option<SyncSender<ServiceState>>);

impl ServiceManager {
    /// The service manager that started this process.
    pub(super) fn of_this_process() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Self(None);
        }
        let (tell, told) = sync_channel(MESSAGE_QUEUE);
        let teller = std::thread::Builder::new().name("service".to_owned()).spawn(move || tell_all(&told));
        if let Err(e) = &teller {
            tracing::error!("the service manager gets no messages: {e}");
        }
        Self(teller.is_ok().then_some(tell))
    }

    /// Says that all workers are running.
    pub(super) fn ready(&self) {
        self.say(ServiceState::Ready);
    }

    /// Says that the config is being read; `ready` follows.
    pub(super) fn reloading(&self) {
        self.say(ServiceState::Reloading);
    }

    /// Says that the workers are being stopped.
    pub(super) fn stopping(&self) {
        self.say(ServiceState::Stopping);
    }

    fn say(&self, said: ServiceState) {
        if let Some(tell) = &self.0 {
            tell.try_send(said).ok();
        }
    }

    /// Waits for a future, and meanwhile says that the daemon is alive, twice in each watchdog interval.
    pub(super) async fn alive_until<T>(&self, wait: impl Future<Output = T>) -> T {
        let watched = self.0.as_ref().and_then(|_| sd_notify::watchdog_enabled());
        let Some(within) = watched else { return wait.await };
        let (mut wait, mut pulse) = (pin!(wait), interval((within / 2).max(SHORTEST_PULSE)));
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                done = &mut wait => return done,
                _ = pulse.tick() => self.say(ServiceState::Alive),
            }
        }
    }

    /// Sends the status of the accounts whenever it changes.
    pub(super) async fn follow(self, daemon: Arc<Daemon>, stop: CancellationToken) {
        if self.0.is_none() {
            return;
        }
        let mut before = String::new();
        while !stop.is_cancelled() {
            let status = daemon.board.in_words();
            if status != before {
                self.say(ServiceState::Status(status.clone()));
                before = status;
            }
            tokio::select! { () = sleep(STATUS_INTERVAL) => {}, () = stop.cancelled() => return }
            tokio::select! { () = daemon.board.changed() => {}, () = stop.cancelled() => return }
        }
    }
}

fn tell_all(told: &Receiver<ServiceState>) {
    while let Ok(said) = told.recv() {
        if let Err(e) = tell(&said) {
            tracing::debug!("telling the service manager: {e}");
        }
    }
}

fn tell(said: &ServiceState) -> std::io::Result<()> {
    match said {
        ServiceState::Ready => sd_notify::notify(&[NotifyState::Ready]),
        ServiceState::Reloading => sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?]),
        ServiceState::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
        ServiceState::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        ServiceState::Status(status) => sd_notify::notify(&[NotifyState::Status(status)]),
    }
}
