//! A download that ended properly and cannot be the message: it is empty, or far smaller than announced.

use std::sync::Arc;

use super::commit::{Committer, GivenUpMessage, MAX_FETCH_ATTEMPTS};
use super::plan::Decided;
use super::{Cause, Notice};
use crate::clean;
use crate::decision::Decision;
use crate::error::{Error, Result};
use crate::message::{Bytes, Envelope, Key};
use crate::state::{KeyPurpose, RememberedKey};

impl Committer {
    /// Counts a failed attempt like any other. After [`MAX_FETCH_ATTEMPTS`] the user gets what came, and the server
    /// keeps its copy for good.
    pub(super) fn doubtful(
        &mut self,
        envelope: Envelope,
        bytes: Bytes,
        error: &Error,
    ) -> Result<Option<GivenUpMessage>> {
        let cause = clean::line(error.to_string().as_bytes());
        if self.count_attempt(&envelope.key, &cause)? < MAX_FETCH_ATTEMPTS {
            self.drop_spooled(&bytes)?;
            return Ok(None);
        }
        let (key, announced) = (envelope.key.clone(), envelope.announced);
        let part = part_of(&key, bytes.length());
        if self.filer.world.store.remembered(&part)?.is_none() {
            let decision = Decision::keep(format!("filed without rules: {cause}"));
            let message = Arc::new(self.filer.world.message(bytes));
            let envelope = Envelope { key: part, ..envelope };
            self.filer.make_durable(vec![Decided { envelope, message, decision, base: None }])?;
        } else {
            // The run that filed it died before it could remember the mark.
            self.drop_spooled(&bytes)?;
        }
        let mark = RememberedKey::unread(KeyPurpose::Doubtful, announced, self.filer.world.now());
        let notice = self.not_whole(&key, &cause);
        Ok(Some(GivenUpMessage { key, mark, notice }))
    }

    fn not_whole(&self, key: &Key, why: &str) -> Notice {
        let text = format!(
            "The message {key} came incomplete in {MAX_FETCH_ATTEMPTS} attempts: {why}.\n\nWhat came is in the inbox. The \
             message stays on the server whatever the account's `retention` says, and is fetched again when the \
             server describes it differently."
        );
        Notice { cause: Cause::Doubtful, account: self.filer.account.clone(), text }
    }

    fn drop_spooled(&self, bytes: &Bytes) -> Result<()> {
        match bytes {
            Bytes::Spooled { path, .. } => super::leftovers::remove(&self.filer.world, path),
            Bytes::Memory(_) | Bytes::Rehead { .. } => Ok(()),
        }
    }
}

/// What is filed gets a key of its own, so that nothing says that the message itself is here.
fn part_of(key: &Key, length: u64) -> Key {
    let id = [&key.id[..], b"\0part:", length.to_string().as_bytes()].concat();
    Key::new(&key.origin, id)
}
