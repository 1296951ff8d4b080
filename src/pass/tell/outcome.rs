//! What became of a row, noted.

use jiff::SignedDuration;

use super::undelivered::{self, GivenUp};
use super::{Item, Pass, ROUND};
use crate::clean;
use crate::decision::{Telling, Way};
use crate::error::{Error, Result};
use crate::message::Message;
use crate::outbox::relay::Verdict;
use crate::outbox::retry;
use crate::pass::leftovers;
use crate::state::{OutboxRow, OutboxState};

/// So long a row waits that would be given up by a clock that may be wrong.
const DOUBTED: SignedDuration = SignedDuration::from_hours(1);

impl Pass {
    /// Something the user has to change first. The row stays due: the next process may have the config that it needs.
    pub(super) fn wait(&mut self, mut row: OutboxRow, cause: String) -> Result<bool> {
        self.told.remark(format!("{} waits: {cause}", row.telling));
        self.told.later += 1;
        self.tell_of_wait(&row, &cause)?;
        if row.said != cause {
            row.said = cause;
            row.changed = self.world.now();
            self.noted.push(row);
        }
        if self.noted.len() >= ROUND as usize {
            self.write_outcomes()?;
        }
        Ok(false)
    }

    /// The disk does not give the message. One whose file is gone will not come back, and must not hold up the others.
    pub(super) fn unreadable(&mut self, mut row: OutboxRow, error: &std::io::Error) -> Result<()> {
        let place = clean::line(row.bytes.as_os_str().as_encoded_bytes());
        if error.kind() != std::io::ErrorKind::NotFound {
            return self.again(row, None, &format!("reading {place}: {error}"));
        }
        row.said = format!("given up: {place} is gone, and the message with it");
        self.told.remarks.push(format!("{}: {}", row.telling, row.said));
        undelivered::tell_of_loss(&self.shared, &row)?;
        self.finish(row, OutboxState::Failed)
    }

    /// The connection broke when everything had been said: the relay may have taken it. A forward goes out again, with
    /// the same Message-ID; an answer does not.
    pub(super) fn unknown(&mut self, item: Item, error: &Error) -> Result<()> {
        if item.row.telling.way.is_answer() {
            return self.give_up(item, &format!("given up, it may have gone out: {error}"));
        }
        self.later(item, &clean::line(error.to_string().as_bytes()))
    }

    /// Notes what became of each recipient.
    pub(super) fn note(&mut self, mut item: Item, verdicts: Vec<Verdict>) -> Result<()> {
        let to = recipients(&item.row.telling);
        let outcome = Outcome::of(&to, verdicts);
        let is_one_of_several = to.len() > 1 || !item.row.ended.is_empty();
        if is_one_of_several {
            outcome.said.iter().for_each(|(to, words)| item.row.end(to, false, &clean::line(words.as_bytes())));
        }
        if !outcome.never.is_empty() {
            let cause = outcome.refusal();
            if outcome.later.is_empty() && outcome.said.is_empty() {
                return self.give_up(item, &cause);
            }
            self.file_refused(&mut item, &outcome, &cause)?;
            outcome.never.iter().for_each(|(to, cause)| item.row.end(to, true, &clean::line(cause.as_bytes())));
        }
        let Outcome { said, later, .. } = outcome;
        let Some((_, cause)) = later.first() else {
            let said: Vec<&str> = said.iter().map(|(_, words)| words.as_str()).collect();
            item.row.said = clean::line(said.join("; ").as_bytes());
            if is_one_of_several {
                let has_it = item.row.ended.iter().filter(|ended| !ended.is_refused).map(|ended| ended.to.clone());
                let has_it = has_it.collect();
                keep_recipients(&mut item.row.telling, has_it);
            }
            return self.finish(item.row, OutboxState::Sent);
        };
        if to.len() > 1 {
            keep_recipients(&mut item.row.telling, later.iter().map(|(to, _)| to.clone()).collect());
        }
        let cause = clean::line(cause.as_bytes());
        if !said.is_empty() && later.iter().all(|(_, cause)| is_one_too_many(cause)) {
            return self.rest_at_once(item, &cause);
        }
        self.later(item, &cause)
    }

    /// The server takes only so many recipients at a time, and has taken those: the others have their turn at once (RFC 5321
    /// 4.5.3.1.10).
    fn rest_at_once(&mut self, item: Item, cause: &str) -> Result<()> {
        let now = self.world.now();
        let row = OutboxRow { said: cause.to_owned(), changed: now, due: now, state: OutboxState::Waiting, ..item.row };
        self.world.store.resolve(&self.owned, &[row])
    }

    /// Some recipients are given up while others have the message or wait for it.
    fn file_refused(&mut self, item: &mut Item, outcome: &Outcome, cause: &str) -> Result<()> {
        let refused: Vec<String> = outcome.never.iter().map(|(to, _)| to.clone()).collect();
        let left: Vec<String> = refused.iter().chain(outcome.later.iter().map(|(to, _)| to)).cloned().collect();
        let left_before = left.len();
        if !outcome.said.is_empty() {
            // Who has it must not get it again when what follows fails.
            keep_recipients(&mut item.row.telling, left);
            item.row.state = OutboxState::Sending;
            self.world.store.resolve(&self.owned, std::slice::from_ref(&item.row))?;
        }
        let given_up = GivenUp { item: &item.row, to: refused, left: left_before, cause };
        undelivered::file(&self.shared, &given_up, &item.original)
    }

    /// Tries again later, or gives up when it would be too late.
    pub(super) fn later(&mut self, item: Item, cause: &str) -> Result<()> {
        let Item { row, original } = item;
        self.again(row, Some(original), cause)
    }

    /// The same where the message may not be at hand: then the row fails and nothing is filed.
    fn again(&mut self, mut row: OutboxRow, original: Option<Message>, cause: &str) -> Result<()> {
        let now = self.world.now();
        let lifetime = retry::lifetime(&row.telling.way);
        // The number of the row spreads the attempts as well as chance, and the same each time.
        let chance = (row.id.rem_euclid(97)) as f64 / 97.0;
        row.said = cause.to_owned();
        row.changed = now;
        let next = match retry::next(row.attempts + 1, super::age::waits_since(&row, now), now, lifetime, chance) {
            // By a clock that may be wrong nothing is given up.
            None if !self.world.is_time_plausible()? => Some(now.saturating_add(DOUBTED).unwrap_or(now)),
            next => next,
        };
        self.tell_of_wait(&row, cause)?;
        match (next, original) {
            (Some(due), _) => {
                row.due = due;
                row.state = OutboxState::Waiting;
                self.told.later += 1;
                self.world.store.resolve(&self.owned, &[row])
            }
            (None, Some(original)) => self.give_up(Item { row, original }, cause),
            (None, None) => {
                undelivered::tell_of_loss(&self.shared, &row)?;
                self.finish(row, OutboxState::Failed)
            }
        }
    }

    /// Final failure: the message goes to the inbox with a notice; an answer is only logged (never a bounce). What could not
    /// be shown on the desktop is said in the inbox.
    pub(super) fn give_up(&mut self, mut item: Item, cause: &str) -> Result<()> {
        if let Way::Notify(notify) = &item.row.telling.way
            && notify.desktop
        {
            undelivered::tell_of_desktop(&self.shared, &notify.title, &notify.text, cause)?;
        }
        if item.row.telling.way.delivers() {
            let to = recipients(&item.row.telling);
            let given_up = GivenUp { item: &item.row, left: to.len(), to, cause };
            undelivered::file(&self.shared, &given_up, &item.original)?;
        }
        item.row.said = cause.to_owned();
        self.finish(item.row, OutboxState::Failed)
    }

    /// The same where the message is not at hand.
    pub(super) fn give_up_unsent(&mut self, row: OutboxRow, cause: &str) -> Result<bool> {
        if let Some(item) = self.with_message(row)? {
            self.give_up(item, cause)?;
        }
        Ok(true)
    }

    /// The row is done, one way or the other.
    pub(super) fn finish(&mut self, mut row: OutboxRow, state: OutboxState) -> Result<()> {
        row.state = state;
        row.changed = self.world.now();
        match state {
            OutboxState::Sent => {
                self.told.sent += 1;
                self.count(&row);
            }
            _ => self.told.failed += 1,
        }
        // A forward may go out again after a crash, an answer may not.
        let can_wait = state == OutboxState::Sent && matches!(row.telling.way, Way::Redirect(_) | Way::Lmtp(_));
        self.noted.push(row);
        if can_wait { Ok(()) } else { self.write_outcomes() }
    }

    /// Writes what became of rows. Before anything that may take long.
    pub(super) fn write_outcomes(&mut self) -> Result<()> {
        if self.noted.is_empty() {
            return Ok(());
        }
        self.world.store.resolve(&self.owned, &self.noted)?;
        self.drop_bytes_of_noted()
    }

    /// Their outcome is written: the bytes are needed no more, unless another row or a discard names them.
    pub(super) fn drop_bytes_of_noted(&mut self) -> Result<()> {
        for row in std::mem::take(&mut self.noted) {
            // A file that cannot be removed ends nothing: it is nobody's, and goes a day later.
            if !self.world.store.is_spooled(&row.bytes)?
                && let Err(error) = leftovers::remove(&self.world, &row.bytes)
            {
                self.told.remark(error.to_string());
            }
        }
        Ok(())
    }
}

/// What became of the recipients of one row.
#[derive(Default)]
struct Outcome {
    /// Who has it, and what the server said about that.
    said: Vec<(String, String)>,
    /// Who is tried again, and why.
    later: Vec<(String, String)>,
    /// Who is given up, and why.
    never: Vec<(String, String)>,
}

impl Outcome {
    fn of(recipients: &[String], verdicts: Vec<Verdict>) -> Self {
        let mut outcome = Self::default();
        for (i, verdict) in verdicts.into_iter().enumerate() {
            let recipient = recipients.get(i).cloned().unwrap_or_default();
            match verdict {
                Verdict::Sent(words) => outcome.said.push((recipient, words)),
                Verdict::Later(error) => outcome.later.push((recipient, error.to_string())),
                Verdict::Never(error) => outcome.never.push((recipient, error.to_string())),
            }
        }
        // 552 in place of 452, as RFC 821 had it: RFC 5321 4.5.3.1.10 asks to take it for that.
        if !outcome.said.is_empty() {
            let too_many = outcome.never.extract_if(.., |(_, cause)| is_one_too_many(cause));
            outcome.later.extend(too_many);
        }
        outcome
    }

    /// Why some are given up, in one line. What has no recipient, like a program, has none named either.
    fn refusal(&self) -> String {
        let causes: Vec<String> = self.never.iter().map(|(to, cause)| format!("{to}: {cause}")).collect();
        clean::line(causes.join("; ").trim_start_matches(": ").as_bytes())
    }
}

/// Whether a recipient was refused for being one more than the server takes at a time.
fn is_one_too_many(cause: &str) -> bool {
    let cause = cause.to_lowercase();
    ["452", "552"].iter().any(|code| cause.contains(code))
        && ["4.5.3", "5.5.3", "too many"].iter().any(|words| cause.contains(words))
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

/// Those whom a telling names; a program and a folder have none.
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
