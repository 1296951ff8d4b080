//! What became of a row, noted.

use jiff::SignedDuration;

use super::{Item, Pass};
use crate::clean;
use crate::decision::{Telling, Way};
use crate::error::{Error, Result};
use crate::outbox::relay::Verdict;
use crate::outbox::retry;
use crate::pass::leftovers;
use crate::pass::undelivered::{self, GivenUp};
use crate::state::{OutboxRow, OutboxState};

impl Pass<'_> {
    /// Something the user has to change first: the row waits, and is not hurried.
    pub(super) fn wait(&mut self, mut item: Item, cause: String) -> Result<bool> {
        let text = format!("{} waits: {cause}", item.row.telling);
        if !self.told.remarks.contains(&text) {
            self.told.remarks.push(text);
        }
        let now = self.world.now();
        item.row.due = now.checked_add(SignedDuration::from_mins(15)).unwrap_or(now);
        item.row.said = cause;
        item.row.changed = now;
        item.row.state = OutboxState::Waiting;
        self.world.store.resolve(&item.row)?;
        self.told.later += 1;
        Ok(true)
    }

    /// The connection broke when everything had been said: the relay may have taken it. A forward goes out again, with
    /// the same Message-ID; an answer does not.
    pub(super) fn unknown(&mut self, mut item: Item, error: &Error) -> Result<()> {
        let is_answer = matches!(item.row.telling.way, Way::Vacation(_) | Way::Reply(_) | Way::Reject(_));
        if is_answer {
            item.row.said = format!("given up, it may have gone out: {error}");
            return self.finish(item.row, OutboxState::Failed);
        }
        self.again(item, &clean::line(error.to_string().as_bytes()))
    }

    /// Notes what became of each recipient.
    pub(super) fn note(&mut self, mut item: Item, verdicts: Vec<Verdict>) -> Result<()> {
        let to = recipients(&item.row.telling);
        let (mut later, mut never, mut said) = (Vec::new(), Vec::new(), Vec::new());
        for (i, verdict) in verdicts.into_iter().enumerate() {
            let recipient = to.get(i).cloned().unwrap_or_default();
            match verdict {
                Verdict::Sent(words) => said.push(words),
                Verdict::Later(error) => later.push((recipient, error.to_string())),
                Verdict::Never(error) => never.push((recipient, error.to_string())),
            }
        }
        if !never.is_empty() {
            let causes: Vec<String> = never.iter().map(|(to, cause)| format!("{to}: {cause}")).collect();
            let cause = clean::line(causes.join("; ").trim_start_matches(": ").as_bytes());
            if later.is_empty() && said.is_empty() {
                return self.give_up(item, &cause);
            }
            let refused = never.iter().map(|(to, _)| to.clone()).collect();
            undelivered::file(self.world, &GivenUp { item: &item.row, to: refused, cause: &cause }, &item.original)?;
        }
        if later.is_empty() {
            item.row.said = clean::line(said.join("; ").as_bytes());
            return self.finish(item.row, OutboxState::Sent);
        }
        if to.len() > 1 {
            keep_recipients(&mut item.row.telling, later.iter().map(|(to, _)| to.clone()).collect());
        }
        let cause = later.first().map(|(_, cause)| cause.clone()).unwrap_or_default();
        self.again(item, &clean::line(cause.as_bytes()))
    }

    /// Tries again later, or gives up when it would be too late.
    pub(super) fn again(&mut self, mut item: Item, cause: &str) -> Result<()> {
        let now = self.world.now();
        let lifetime = retry::lifetime(&item.row.telling.way);
        // The number of the row spreads the attempts as well as chance, and the same each time.
        let chance = (item.row.id.rem_euclid(97)) as f64 / 97.0;
        match retry::next(item.row.attempts + 1, item.row.at, now, lifetime, chance) {
            Some(due) => {
                item.row.due = due;
                item.row.said = cause.to_owned();
                item.row.changed = now;
                item.row.state = OutboxState::Waiting;
                self.told.later += 1;
                self.world.store.resolve(&item.row)
            }
            None => self.give_up(item, cause),
        }
    }

    /// Final failure: the message goes to the inbox with a notice; an answer is only logged (never a bounce).
    pub(super) fn give_up(&mut self, mut item: Item, cause: &str) -> Result<()> {
        if item.row.telling.way.delivers() {
            let to = recipients(&item.row.telling);
            let given_up = GivenUp { item: &item.row, to, cause };
            undelivered::file(self.world, &given_up, &item.original)?;
        }
        item.row.said = cause.to_owned();
        self.finish(item.row, OutboxState::Failed)
    }

    pub(super) fn finish(&mut self, mut row: OutboxRow, state: OutboxState) -> Result<()> {
        row.state = state;
        row.changed = self.world.now();
        match state {
            OutboxState::Sent => self.told.sent += 1,
            _ => self.told.failed += 1,
        }
        self.world.store.resolve(&row)?;
        // Its bytes are needed no more, unless another row or a discard names them.
        if !self.world.store.is_spooled(&row.bytes)? {
            leftovers::remove(self.world, &row.bytes)?;
        }
        Ok(())
    }
}

/// One verdict for each recipient, when the whole mail met it.
pub(super) fn for_each(verdict: Verdict, recipients: usize) -> Vec<Verdict> {
    let text = |error: &Error| clean::line(error.to_string().as_bytes());
    let again = |_| match &verdict {
        Verdict::Sent(words) => Verdict::Sent(words.clone()),
        Verdict::Later(error) => Verdict::Later(Error::transient(error.kind(), text(error))),
        Verdict::Never(error) => Verdict::Never(Error::permanent(error.kind(), text(error))),
    };
    let mut all: Vec<Verdict> = (1..recipients).map(again).collect();
    all.push(verdict);
    all
}

pub(super) fn recipients(telling: &Telling) -> Vec<String> {
    match &telling.way {
        Way::Redirect(redirect) => redirect.to.clone(),
        Way::Lmtp(lmtp) => lmtp.to.clone(),
        Way::Vacation(vacation) => vec![vacation.to.clone()],
        Way::Reply(reply) => vec![reply.to.clone()],
        Way::Reject(reject) => vec![reject.to.clone()],
        Way::Notify(notify) => notify.mail.clone().into_iter().collect(),
        Way::Pipe(_) | Way::Imap(_) => Vec::new(),
    }
}

/// Those that are left.
fn keep_recipients(telling: &mut Telling, left: Vec<String>) {
    match &mut telling.way {
        Way::Redirect(redirect) => redirect.to = left,
        Way::Lmtp(lmtp) => lmtp.to = left,
        _ => {}
    }
}
