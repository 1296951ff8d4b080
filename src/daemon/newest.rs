//! Applies the newest rules to each message, even in a pass that began before the config changed and takes hours.

use std::sync::Arc;

use tokio::sync::watch;

use super::Task;
use crate::decision::{Decision, Deferral};
use crate::filter::Facts;
use crate::message::{Envelope, Message};
use crate::pass::Decide;

/// Looks up the rules once a message. All other settings of the account apply from the next pass on.
#[derive(Debug)]
pub(super) struct Newest {
    began: Arc<Task>,
    task: watch::Receiver<Arc<Task>>,
}

impl Newest {
    /// For a pass that starts with this task.
    pub(super) fn new(began: &Arc<Task>, task: &watch::Receiver<Arc<Task>>) -> Self {
        Self { began: Arc::clone(began), task: task.clone() }
    }

    fn now(&self) -> Arc<Task> {
        let newest = Arc::clone(&self.task.borrow());
        // The pass reads messages under the config that it started with. Rules of a config that reads them differently
        // do not apply.
        if newest.world.assumed == self.began.world.assumed { newest } else { Arc::clone(&self.began) }
    }
}

impl Decide for Newest {
    fn decide(&self, message: &Arc<Message>, envelope: &Envelope, facts: &dyn Facts) -> Result<Decision, Deferral> {
        self.now().job.engine.decide(message, envelope, facts)
    }
}
