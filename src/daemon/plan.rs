//! What the config asks of the daemon.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Config;
use crate::error::Result;
use crate::outbox::Relays;
use crate::pass::World;
use crate::pipeline::Job;
use crate::upkeep::Upkeep;

/// Everything that the config asks of the daemon.
#[derive(Clone)]
pub struct DaemonPlan {
    /// What passes work with.
    pub world: World,
    /// The accounts.
    pub jobs: Vec<Job>,
    /// The items of `maintenance`.
    pub upkeeps: Vec<Upkeep>,
    /// The relays.
    pub relays: Relays,
    /// The files that the config was read from.
    pub files: BTreeSet<PathBuf>,
    /// The config, for a comparison with the next one.
    pub config: Arc<Config>,
    /// The warnings about the config.
    pub warnings: Vec<String>,
}

impl fmt::Debug for DaemonPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

/// Reads the config again, whole, or says why it cannot be used.
pub type ConfigLoader = Arc<dyn Fn(&DaemonPlan) -> Result<DaemonPlan> + Send + Sync>;
