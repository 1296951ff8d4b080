//! Notices what a wait for news does not: the machine slept, or the network changed. A connection may be dead since
//! then without a sign. No foreign host is asked for this.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use super::Daemon;

/// How often to compare the clocks.
const CLOCK_POLL: Duration = Duration::from_secs(10);
/// The boot clock runs while the machine sleeps, and the monotonic clock does not. If they move apart by this much, the
/// machine slept.
const SLEPT_AT_LEAST: Duration = Duration::from_secs(20);
/// How long to wait for further changes of routes: addresses, gateways, name servers.
const ROUTES_SETTLE: Duration = Duration::from_secs(2);
/// The groups of `rtnetlink(7)` about routes: RTMGRP_IPV4_ROUTE and RTMGRP_IPV6_ROUTE.
const ROUTE_GROUPS: u32 = 0x40 | 0x400;

/// Informs every worker when it happens.
pub(super) async fn watch(daemon: Arc<Daemon>, stop: CancellationToken) {
    let mut routes = routes().inspect_err(|e| tracing::debug!("changes of the network are not noticed: {e}")).ok();
    let mut before = asleep();
    while !stop.is_cancelled() {
        let is_other_network = tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(CLOCK_POLL) => false,
            () = next_change(routes.as_mut()) => true,
        };
        let now = asleep();
        let slept = now.saturating_sub(before) >= SLEPT_AT_LEAST;
        before = now;
        if is_other_network {
            tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(ROUTES_SETTLE) => {} }
            if let Some(routes) = &mut routes {
                routes.try_recv().ok();
            }
        }
        if slept || is_other_network {
            tracing::info!("{}", if slept { "the machine slept" } else { "the network changed" });
            daemon.network.send_modify(|count| *count += 1);
        }
    }
}

/// How long the machine has slept since it was started.
fn asleep() -> Duration {
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    read(ClockId::Boottime).saturating_sub(read(ClockId::Monotonic))
}

/// Receives the kernel's messages about routes. It does not matter what changed: any change is a hint to check.
fn routes() -> io::Result<mpsc::Receiver<()>> {
    // NETLINK_ROUTE is the default protocol.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, ROUTE_GROUPS))?;
    let (tell, told) = mpsc::channel(1);
    // The thread waits in the kernel until the process ends.
    std::thread::Builder::new().name("routes".to_owned()).spawn(move || {
        let mut buffer = [0_u8; 16 * 1024];
        // If there were too many changes to report, something changed, too.
        while matches!(recv(&socket, &mut buffer[..], RecvFlags::empty()), Ok(_) | Err(Errno::NOBUFS | Errno::INTR)) {
            if let Err(TrySendError::Closed(())) = tell.try_send(()) {
                return;
            }
        }
    })?;
    Ok(told)
}

/// Waits for the next change, or for ever if there is no source of changes.
async fn next_change(routes: Option<&mut mpsc::Receiver<()>>) {
    let told = match routes {
        Some(routes) => routes.recv().await,
        None => None,
    };
    if told.is_none() {
        std::future::pending().await
    }
}
