//! One pass over an account: this is what the program does.
//!
//! ```text
//! source ──────> message ──> filter ──────> stage ──> record ──> publish ──> settle
//! ```
//!
//! The source fetches a batch while the one before it is being committed: network and disk work at the same
//! time, and a bounded channel between them keeps the memory small.

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

/// Notes the accounts before any of them is fetched from: one step is less work than one for each.
pub fn enrol(world: &World, jobs: &[Job]) {
    if let Err(error) = pass::enrol(world, jobs.iter().map(|job| &*job.account)) {
        tracing::debug!("each account is noted when it is taken up: {error}");
    }
}

/// Fetches everything new in an account and settles it on the server. Never fails as a whole: what went wrong is
/// in the report, and what arrived before it is safe.
///
/// Whoever calls this wants the server to be asked, also where its host could not be reached just now.
pub async fn fetch(world: &World, job: &Job, watch: &Arc<dyn Watch>, stop: &CancellationToken) -> Report {
    match pass::try_host_now(world, &job.account) {
        Ok(()) => fetch_among_others(world, job, watch, stop).await,
        Err(error) => Report { errors: vec![error], ..Report::of(&job.account.name) },
    }
}

/// The same for one of several accounts. The first of those at a host that cannot be reached has said it for all.
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
    /// Those where the server says that something happened.
    Folders(BTreeSet<String>),
}

/// One pass in a session, which is begun where there is none. It is kept for the next pass where everything is as it should be;
/// where a disk, the state or a crash before it leaves anything to recover, the next pass begins another one, which does.
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
            Some(session) => session.goes_on(world, extent).await,
            None => Session::begin(world, &job.account).await,
        }
    };
    let begun = asked(stop, beginning).await;
    let mut report = match begun {
        Ok(mut begun) => {
            let report = begun.pass(world, job, extent, watch, stop).await;
            match begun.is_settled(&report) {
                true => *session = Some(begun),
                false => begun.close().await,
            }
            report
        }
        Err(error) => Report { errors: vec![error], ..Report::of(&job.account.name) },
    };
    report.took = started.elapsed();
    report
}

/// The owner before died while it decided about a message: that is counted.
fn note_death(world: &World, owned: &Owned) -> Result<()> {
    if let Some(key) = world.store.died_deciding(owned)? {
        // The note goes first: a death between the two is not counted, better than counting one death twice.
        world.store.deciding(owned, None)?;
        world.store.attempt(owned, &key, Trouble::Died, pass::DIED, world.now())?;
    }
    Ok(())
}
