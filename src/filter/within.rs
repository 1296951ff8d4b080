//! Asking about a message within another one: what was noted goes along, and nothing in it is believed that only its own
//! server could know.

use std::sync::Arc;

use super::asking::Asking;
use crate::message::Message;

impl Asking<'_> {
    /// The same for a message within this one. What was noted so far goes along until [`Self::go_on`] takes it back.
    pub(super) fn of_message_within(&mut self, message: &Arc<Message>) -> Self {
        let mut new = Self::new(self.settings, message, self.envelope, self.facts, self.trace.is_some());
        new.why = std::mem::take(&mut self.why);
        new.reads = std::mem::take(&mut self.reads);
        new.writes = std::mem::take(&mut self.writes);
        new.now = self.now.clone();
        new.trace = self.trace.take();
        new.depth = self.depth;
        new.patterns = std::mem::take(&mut self.patterns);
        new.programs = self.programs;
        new.lists = std::mem::take(&mut self.lists);
        new.waited = self.waited;
        new.around = self.around.iter().chain([self.original()]).cloned().collect();
        new.messages_within = self.messages_within;
        new
    }

    /// Takes back what was noted about a message within this one; the result is its versions.
    pub(super) fn go_on(&mut self, noted: Self) -> Vec<Arc<Message>> {
        self.why = noted.why;
        self.reads = noted.reads;
        self.writes = noted.writes;
        self.trace = noted.trace;
        self.patterns = noted.patterns;
        self.programs = noted.programs;
        self.lists = noted.lists;
        self.waited = noted.waited;
        self.messages_within = noted.messages_within;
        noted.versions
    }

    /// Whether a server's word counts about this message. Of one within another nobody has checked anything: whoever sent
    /// the other one wrote its fields too.
    pub(super) fn trusts(&self, server: &str) -> bool {
        self.around.is_empty() && self.settings.trust.iter().any(|trusted| trusted == server)
    }

    /// The message, where its envelope is known.
    pub(super) fn enveloped(&self) -> Option<&Arc<Message>> {
        self.around.is_empty().then(|| self.message())
    }
}
