//! What a wait for news does not notice by itself: the machine slept, or the network is another one. A connection may be dead
//! since, and says nothing. No foreign host is ever asked.

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

/// The time between two looks at the clocks.
const LOOK: Duration = Duration::from_secs(10);
/// The boot clock goes on while the machine sleeps and the other one does not: this much apart, it slept.
const SLEPT: Duration = Duration::from_secs(20);
/// After a change of routes more of them follow: addresses, gateways, name servers.
const SETTLES: Duration = Duration::from_secs(2);
/// The groups of `rtnetlink(7)` about routes: RTMGRP_IPV4_ROUTE and RTMGRP_IPV6_ROUTE.
const ROUTES: u32 = 0x40 | 0x400;

/// Tells every worker when it happens.
pub(super) async fn watch(daemon: Arc<Daemon>, stop: CancellationToken) {
    let mut routes = routes().inspect_err(|e| tracing::debug!("changes of the network are not noticed: {e}")).ok();
    let mut before = asleep();
    while !stop.is_cancelled() {
        let is_other_network = tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => false,
            () = next_change(routes.as_mut()) => true,
        };
        let now = asleep();
        let slept = now.saturating_sub(before) >= SLEPT;
        before = now;
        if is_other_network {
            tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(SETTLES) => {} }
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

/// Hears the kernel tell of routes that come and go. What changed does not matter: that something did is a hint to look.
fn routes() -> io::Result<mpsc::Receiver<()>> {
    // NETLINK_ROUTE is the protocol that is taken when none is named.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, ROUTES))?;
    let (tell, told) = mpsc::channel(1);
    // It waits in the kernel until the process ends.
    std::thread::Builder::new().name("routes".to_owned()).spawn(move || {
        let mut buffer = [0_u8; 16 * 1024];
        // Too many changes to be told are a change, too.
        while matches!(recv(&socket, &mut buffer[..], RecvFlags::empty()), Ok(_) | Err(Errno::NOBUFS | Errno::INTR)) {
            if let Err(TrySendError::Closed(())) = tell.try_send(()) {
                return;
            }
        }
    })?;
    Ok(told)
}

/// Waits for the next change; for ever where nobody tells of any.
async fn next_change(routes: Option<&mut mpsc::Receiver<()>>) {
    let told = match routes {
        Some(routes) => routes.recv().await,
        None => None,
    };
    if told.is_none() {
        std::future::pending().await
    }
}
