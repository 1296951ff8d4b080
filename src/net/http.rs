//! HTTP as a client, for webhooks and sign-ins: with the authorities that everything else here trusts.

use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use ureq::Agent;

use super::web;
use crate::error::{Error, Kind, Result};

/// For exchanges that take at most so long. It trusts the system's authorities. A redirection is not followed: it could lead to
/// another place. An answer is an answer, whatever its status.
pub fn agent(https_only: bool, limit: Duration) -> Agent {
    Agent::config_builder()
        .https_only(https_only)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(limit))
        .user_agent(concat!("mailsluice/", env!("CARGO_PKG_VERSION")))
        .tls_config(web::of_the_system())
        .build()
        .into()
}

/// Does what blocks on a thread of its own. When the program has to stop, or whoever asked has left, the thread is left behind and
/// ends what it began.
pub async fn aside<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    let failed = || Error::transient(Kind::Busy, format!("{name}: the work could not be done"));
    // Whoever has left does not hear the answer.
    let work = move || _ = answer.send(work());
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|e| failed().because(e))?;
    answered.await.map_err(|e| failed().because(e))
}
