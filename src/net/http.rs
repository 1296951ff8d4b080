//! The HTTP client for webhooks and sign-ins. It trusts the same authorities as mail connections do.

use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use ureq::Agent;

use super::web;
use crate::error::{Error, Kind, Result};

/// A client whose exchanges take at most `limit`. It trusts the system's authorities. It follows no redirects, because they could
/// lead to another host. Any status is returned as a response, not as an error.
pub fn agent(https_only: bool, limit: Duration) -> Agent {
    Agent::config_builder()
        .https_only(https_only)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(limit))
        .user_agent(concat!("mailsluice/", env!("CARGO_PKG_VERSION")))
        .tls_config(web::system_tls_config())
        .build()
        .into()
}

/// Runs blocking work on its own thread. When the program stops or the caller is dropped, nobody waits for the thread; it
/// finishes what it began.
pub async fn aside<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    let failed = || Error::transient(Kind::Busy, format!("{name}: the work could not be done"));
    // The send fails when the caller is gone, and then nobody needs the result.
    let work = move || _ = answer.send(work());
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|e| failed().because(e))?;
    answered.await.map_err(|e| failed().because(e))
}
