//! Rules that are the newest ones for each message, also in a pass that began before the config changed and goes on for hours.

use std::sync::Arc;

use tokio::sync::watch;

use super::Task;
use crate::decision::{Decision, Deferral};
use crate::filter::Facts;
use crate::message::{Envelope, Message};
use crate::pass::Decide;

/// Asks for each message, once, what rules there are. All else that decides about an account's mail begins its pass anew.
#[derive(Debug)]
pub(super) struct Newest {
    began: Arc<Task>,
    task: watch::Receiver<Arc<Task>>,
}

impl Newest {
    /// For a pass that begins with this task.
    pub(super) fn new(began: &Arc<Task>, task: &watch::Receiver<Arc<Task>>) -> Self {
        Self { began: Arc::clone(began), task: task.clone() }
    }

    fn now(&self) -> Arc<Task> {
        let newest = Arc::clone(&self.task.borrow());
        // A message is read as the config says that the pass began with: rules of another one are for messages that are read otherwise.
        if newest.world.assumed == self.began.world.assumed { newest } else { Arc::clone(&self.began) }
    }
}

impl Decide for Newest {
    fn decide(&self, message: &Arc<Message>, envelope: &Envelope, facts: &dyn Facts) -> Result<Decision, Deferral> {
        self.now().job.engine.decide(message, envelope, facts)
    }
}
