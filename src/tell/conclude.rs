//! Writes what becomes of an outbox item. Only [`Pass::conclude`] does this.
//!
//! The recipients that were reached are recorded first. Then the rest is done: refused recipients are filed, files of
//! the spool are removed, the user gets notices. A message that is given up is filed before its item is closed, because
//! the item files it after a crash.

use super::undelivered::{self, GivenUpRow};
use super::{Pass, ROWS_PER_ROUND};
use crate::clean;
use crate::decision::Way;
use crate::error::{Error, Result};
use crate::message::Message;
use crate::outbox::outcome::{AttemptResult, Fate, KeptMessage, Moment, NextAttempt, Outcome, RecipientResults};
use crate::outbox::relay::RecipientVerdict;
use crate::pass::leftovers;
use crate::state::{OutboxRow, OutboxState};

impl Pass {
    /// Decides what becomes of an item after an attempt, and writes it. `original` is the message, if the caller has
    /// it. Returns whether something changed that may let other items go out.
    pub(super) fn conclude(&mut self, row: OutboxRow, original: Option<Message>, came: AttemptResult) -> Result<bool> {
        // Nothing is given up while the time is not plausible.
        let is_plausible = !came.is_taken() && self.world.is_time_plausible().unwrap_or(false);
        let outcome = Outcome::of(&row, came, Moment { now: self.world.now(), is_plausible });
        self.write(row, original, outcome)
    }

    fn write(&mut self, mut row: OutboxRow, original: Option<Message>, outcome: Outcome) -> Result<bool> {
        let Outcome { parts, fate, is_said } = outcome;
        row.changed = self.world.now();
        if !matches!(fate, Fate::Sent { .. }) {
            row.copy = None;
        }
        self.write_parts(&mut row, parts, original.as_ref())?;
        match fate {
            Fate::Sent { said } => self.write_sent(row, said),
            Fate::Later { when, why } => self.write_later(row, when, why, is_said),
            Fate::GivenUp { why, message } => {
                row.said = why;
                match message {
                    KeptMessage::InInbox => self.give_up_filed(row, original, is_said),
                    message => self.give_up(row, message, is_said),
                }
            }
        }
    }

    /// Handles the recipients of an item apart: a recipient that has the message must not get it again if a later step
    /// fails, and a refused recipient is given up.
    fn write_parts(&mut self, row: &mut OutboxRow, parts: RecipientResults, original: Option<&Message>) -> Result<()> {
        let RecipientResults { reached, refused, refusal, waiting } = parts;
        let is_reached = !reached.is_empty();
        reached.into_iter().for_each(|ended| row.end(ended));
        if !refused.is_empty() {
            let to: Vec<String> = refused.iter().map(|ended| ended.to.clone()).collect();
            let left: Vec<String> = to.iter().chain(&waiting).cloned().collect();
            self.write_outcomes()?;
            let left_before = left.len();
            if is_reached {
                row.telling.way.keep_recipients(left);
                row.state = OutboxState::Sending;
                self.world.store.resolve(&self.owned, std::slice::from_ref(row))?;
            }
            let read = original.map_or_else(|| self.world.read(&row.bytes), |message| Ok(message.edited(&[])));
            let message = read.map_err(|e| Error::disk(format!("reading {}", row.bytes.display()), e))?;
            undelivered::file(
                &self.shared,
                &GivenUpRow { item: row, to, left: left_before, cause: &refusal },
                &message,
            )?;
            refused.into_iter().for_each(|ended| row.end(ended));
        }
        if !waiting.is_empty() {
            row.telling.way.keep_recipients(waiting);
        }
        Ok(())
    }

    fn write_sent(&mut self, mut row: OutboxRow, said: String) -> Result<bool> {
        row.said = said;
        if !row.ended.is_empty() {
            let has_it = row.ended.iter().filter(|ended| !ended.is_refused).map(|ended| ended.to.clone());
            row.telling.way.keep_recipients(has_it.collect());
        }
        if row.copy.is_some() {
            (row.state, row.due) = (OutboxState::CopyOwed, row.changed);
        } else {
            row.state = OutboxState::Sent;
        }
        self.told.sent += 1;
        self.count(&row);
        // A forward may go out again after a crash, but an answer may not.
        let can_wait = matches!(row.telling.way, Way::Redirect(_) | Way::Lmtp(_));
        self.unwritten.push(row);
        if !can_wait {
            self.write_outcomes()?;
        }
        Ok(true)
    }

    fn write_later(&mut self, mut row: OutboxRow, when: NextAttempt, why: String, is_said: bool) -> Result<bool> {
        let (due, waits) = match when {
            NextAttempt::At(due) => (Some(due), due > row.changed),
            NextAttempt::Rested(due) => (Some(due), true),
            NextAttempt::InTurn(due) => (Some(due), false),
            NextAttempt::AsBefore => (None, true),
        };
        self.told.later += u64::from(waits);
        let is_known = row.said == why;
        row.said = why;
        if let Some(due) = due {
            (row.due, row.state) = (due, OutboxState::Waiting);
            self.world.store.resolve(&self.owned, std::slice::from_ref(&row))?;
        } else if !is_known {
            // No harm is done if this is lost.
            self.unwritten.push(row.clone());
        }
        if is_said || self.unwritten.len() >= ROWS_PER_ROUND as usize {
            self.write_outcomes()?;
        }
        if is_said {
            self.tell_of_wait(&row)?;
        }
        Ok(matches!(when, NextAttempt::At(_)))
    }

    /// Files the message in the inbox with a notice. The item is marked as given up before: if the inbox cannot be
    /// written, the message is filed later and not sent again.
    pub(super) fn give_up_filed(
        &mut self,
        mut row: OutboxRow,
        original: Option<Message>,
        is_said: bool,
    ) -> Result<bool> {
        let _giving_up = self.shared.give_up(row.id);
        let original = match original.map_or_else(|| self.world.read(&row.bytes), Ok) {
            Ok(original) => original,
            // It may have been sent, and must not be sent again: the item stays as it is until its message can be read.
            Err(e) if row.telling.way.is_answer() && e.kind() != std::io::ErrorKind::NotFound => {
                self.told.remark(format!("{}: reading {}: {e}", row.telling, row.bytes.display()));
                self.told.later += 1;
                return Ok(false);
            }
            Err(e) => return self.unread(row, &e),
        };
        self.write_outcomes()?;
        row.state = OutboxState::Unfiled;
        self.world.store.resolve(&self.owned, std::slice::from_ref(&row))?;
        let to = row.telling.way.recipients();
        let given_up = GivenUpRow { item: &row, left: to.len(), to, cause: &row.said };
        undelivered::file(&self.shared, &given_up, &original)?;
        self.give_up(row, KeptMessage::InInbox, is_said)
    }

    fn give_up(&mut self, mut row: OutboxRow, message: KeptMessage, is_said: bool) -> Result<bool> {
        self.write_outcomes()?;
        match (&row.telling.way, message) {
            (_, KeptMessage::Lost) => undelivered::tell_of_loss(&self.shared, &row)?,
            (Way::Notify(notify), KeptMessage::AsNotice) => {
                undelivered::tell_of_desktop(&self.shared, &notify.title, &notify.text, &row.said)?;
            }
            _ => {}
        }
        row.state = OutboxState::Failed;
        self.told.failed += 1;
        self.unwritten.push(row.clone());
        self.write_outcomes()?;
        if is_said {
            self.tell_of_wait(&row)?;
        }
        Ok(true)
    }

    /// Handles a lack that the user has to correct first. The item stays due, because the next process may have the
    /// config that it needs.
    pub(super) fn wait_for_config(&mut self, row: OutboxRow, cause: String) -> Result<bool> {
        self.told.remark(format!("{} waits: {cause}", row.telling));
        self.conclude(row, None, AttemptResult::Lacks(cause))
    }

    /// Handles a message that cannot be read from the disk. If the file is gone, it will not come back, and must not
    /// hold up the others.
    pub(super) fn unread(&mut self, row: OutboxRow, error: &std::io::Error) -> Result<bool> {
        let place = clean::line(row.bytes.as_os_str().as_encoded_bytes());
        let is_gone = error.kind() == std::io::ErrorKind::NotFound;
        let cause = match is_gone {
            true => format!("given up: {place} is gone, and the message with it"),
            false => format!("reading {place}: {error}"),
        };
        if is_gone {
            self.told.remark(format!("{}: {cause}", row.telling));
        }
        self.conclude(row, None, AttemptResult::Unread { is_gone, cause })
    }

    /// Files a notice about an item that has waited for a day.
    fn tell_of_wait(&self, row: &OutboxRow) -> Result<()> {
        let whose = match &row.telling.way {
            Way::Pipe(pipe) => pipe.run.first().map_or("", String::as_str),
            Way::Imap(append) => &append.account,
            _ => self.relays.relay_named(&row.telling, &row.account).unwrap_or_default(),
        };
        undelivered::tell_of_wait(&self.shared, whose, row)
    }

    /// Writes the outcomes of items, before any step that may take long or fail.
    pub(super) fn write_outcomes(&mut self) -> Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        self.world.store.resolve(&self.owned, &self.unwritten)?;
        self.drop_bytes_of_written();
        Ok(())
    }

    /// Removes the messages of items whose outcomes are written, unless another item or a discard still needs them.
    pub(super) fn drop_bytes_of_written(&mut self) {
        for row in std::mem::take(&mut self.unwritten) {
            // A file that cannot be removed ends nothing: nothing names it, and it is removed a day later.
            if let Err(error) = leftovers::remove(&self.world, &row.bytes) {
                self.told.remark(error.to_string());
            }
        }
    }
}

/// The same verdict for each recipient, if it concerned the whole message.
pub(super) fn for_each(verdict: RecipientVerdict, recipients: usize) -> Vec<RecipientVerdict> {
    let text = |error: &Error| clean::line(error.to_string().as_bytes());
    let again = |_| match &verdict {
        RecipientVerdict::Sent(words) => RecipientVerdict::Sent(words.clone()),
        RecipientVerdict::Later(error) => RecipientVerdict::Later(Error::transient(error.kind(), text(error))),
        RecipientVerdict::Never(error) => RecipientVerdict::Never(Error::permanent(error.kind(), text(error))),
    };
    let mut all: Vec<RecipientVerdict> = (1..recipients).map(again).collect();
    all.push(verdict);
    all
}
