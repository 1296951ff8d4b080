//! One pass over an account: this is what the program does.
//!
//! ```text
//! source ──────> message ──> filter ──────> stage ──> record ──> publish ──> settle
//! ```
//!
//! The source fetches a batch while the previous one is being committed. So network and disk work at the same time, and
//! a bounded channel between them limits the memory.

mod deliver;
mod folder;
mod session;
mod watchers;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

pub use self::deliver::{DELIVER, Delivered, deliver};
pub use self::session::Session;
use crate::config::Account;
use crate::error::Result;
use crate::pass::{self, Decide, Report, Watch, World};
use crate::state::{Owned, Trouble};
use crate::stop::asked;

/// An account with its compiled rules.
#[derive(Clone, Debug)]
pub struct Job {
    /// The account.
    pub account: Arc<Account>,
    /// Its rules.
    pub engine: Arc<dyn Decide>,
}

/// Registers all accounts before any of them is fetched: one transaction is less work than one for each.
pub fn enrol(world: &World, jobs: &[Job]) {
    if let Err(error) = pass::enrol(world, jobs.iter().map(|job| &*job.account)) {
        tracing::debug!("each account is registered in its own pass: {error}");
    }
}

/// Fetches everything new in an account and settles it on the server. It never fails as a whole: errors are in the
/// report, and mail that arrived before an error is safe.
///
/// It asks the server even if the host could not be reached just now.
pub async fn fetch(world: &World, job: &Job, watch: &Arc<dyn Watch>, stop: &CancellationToken) -> Report {
    match pass::try_host_now(world, &job.account) {
        Ok(()) => fetch_among_others(world, job, watch, stop).await,
        Err(error) => Report { errors: vec![error], ..Report::of(&job.account.name) },
    }
}

/// Does the same for one of several accounts. If the host cannot be reached, the first of its accounts reports that for
/// all.
pub async fn fetch_among_others(world: &World, job: &Job, watch: &Arc<dyn Watch>, stop: &CancellationToken) -> Report {
    let mut session = None;
    let report = pass(world, job, &mut session, &Extent::All, watch, stop).await;
    if let Some(session) = session {
        session.close().await;
    }
    report
}

/// How much of an account a pass looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every folder, as the config names them.
    All,
    /// The folders in which the server says that something happened.
    Folders(BTreeSet<String>),
}

/// Runs one pass in a session, and starts a session if there is none. The session is kept for the next pass if nothing
/// has to be recovered. After a failure of the disk or the state, or a crash before it, the next pass starts another
/// session, which recovers first.
pub async fn pass(
    world: &World,
    job: &Job,
    session: &mut Option<Session>,
    extent: &Extent,
    watch: &Arc<dyn Watch>,
    stop: &CancellationToken,
) -> Report {
    let started = Instant::now();
    if stop.is_cancelled() {
        return Report::of(&job.account.name);
    }
    let before = session.take();
    let beginning = async {
        match before {
            Some(session) => session.continue_in(world, extent).await,
            None => Session::begin(world, &job.account).await,
        }
    };
    let session_for_pass = asked(stop, beginning).await;
    let mut report = match session_for_pass {
        Ok(mut session_for_pass) => {
            let report = session_for_pass.pass(world, job, extent, watch, stop).await;
            match session_for_pass.is_settled(&report) {
                true => *session = Some(session_for_pass),
                false => session_for_pass.close().await,
            }
            report
        }
        Err(error) => Report { errors: vec![error], ..Report::of(&job.account.name) },
    };
    report.took = started.elapsed();
    report
}

/// Counts the death of the previous owner while it decided about a message.
fn count_death(world: &World, owned: &Owned) -> Result<()> {
    if let Some(key) = world.store.died_deciding(owned)? {
        // The mark is removed first: a death in between is not counted, which is better than counting one death twice.
        world.store.deciding(owned, None)?;
        world.store.attempt(owned, &key, Trouble::Died, pass::DIED, world.now())?;
    }
    Ok(())
}
