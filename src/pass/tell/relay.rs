//! What goes through a relay, and a relay that does not take it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::outcome::{for_each, recipients};
use super::stop::{stopped, unless_stopped};
use super::{Item, Pass, fcc, sender, undelivered};
use crate::clean;
use crate::config::{Relay, RelayKind};
use crate::decision::Way;
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::outbox::compose::{self, Desk};
use crate::outbox::refusal::help_with_sender;
use crate::outbox::relay::{Connection, Mail, Trouble, Verdict};
use crate::outbox::retry;
use crate::state::{OutboxRow, OutboxState, Rest};

/// After so many failures of a relay in a row what has waited for too long is given up. That is about an hour: a machine
/// that wakes up has no network at first.
const GIVEN_UP: u32 = 5;
/// Failures that lie further apart are not in a row: the machine was asleep.
const IN_A_ROW: SignedDuration = SignedDuration::from_hours(12);

impl Pass {
    /// A row that goes through a relay. Whether anything about it changed.
    pub(super) async fn by_relay(&mut self, row: OutboxRow) -> Result<bool> {
        let named = self.relays.relay_named(&row.telling, &row.account);
        let Some(relay) = self.relays.relay(named) else {
            let cause = match named {
                Some(name) => format!("there is no relay `{}` in the config", clean::short(name, 40)),
                None => "no relay is configured; add `relays:` to the config".to_owned(),
            };
            return self.wait(row, cause);
        };
        if matches!(row.telling.way, Way::Lmtp(_)) != matches!(relay.kind, RelayKind::Lmtp(_)) {
            let (name, way) = (clean::short(&relay.name, 40), row.telling.way.word());
            return self.wait(
                row,
                format!("the relay `{name}` cannot carry `{way}`: LMTP servers take what `lmtp` hands over"),
            );
        }
        let relay = relay.clone();
        let Some(own) = self.relays.from(Some(&relay), &row.account).map(str::to_owned) else {
            return self.wait(row, "no address of your own is known; add `me:` to the config".to_owned());
        };
        if self.rests(&relay.name, &own) {
            return Ok(false);
        }
        let was_open = self.open.contains_key(&relay.name);
        if !was_open {
            // What was sent over another connection must not wait for this one.
            self.write_outcomes()?;
        }
        let stop = self.stop.clone();
        match unless_stopped(&stop, self.connect(&relay)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return self.put_off(row, &relay.name, "", &error),
            None => return Ok(false),
        }
        // Before the message is touched: one that kills the program has one attempt more each time.
        if !self.claim(&row)? {
            return Ok(true);
        }
        match self.with_message(row)? {
            Some(item) => self.send_claimed(item, &relay, &own, was_open).await,
            None => Ok(true),
        }
    }

    /// Composes the mail of a row that is marked as being sent, and sends it.
    async fn send_claimed(&mut self, item: Item, relay: &Relay, own: &str, was_open: bool) -> Result<bool> {
        let date = self.world.now().to_zoned(TimeZone::system());
        let desk = Desk {
            own: self.relays.own(),
            delimiters: self.relays.delimiters(),
            from: own,
            host: &self.world.host,
            id: item.row.id,
            at: item.row.at,
            now: &date,
        };
        let (message, to) = match composed(&item, &desk) {
            Ok(composed) => composed,
            Err(e) => return self.unreadable(item.row, &e).map(|()| true),
        };
        let original = item.original.envelope_sender();
        let from = self.sender(&item.row.telling, relay, own, original)?;
        let mail = Mail { from: &from, to: &to, message: &message, no_reports: item.row.telling.way.is_answer() };
        let sent = self.send_or_as_own(relay, &mail, &item.row.telling.way, own, was_open).await?;
        match sent.unwrap_or_else(|| Err(Trouble::Unknown(stopped()))) {
            Ok(verdicts) => {
                // An answer that was refused for the null sender went out from the own one.
                let is_own = from.is_empty() && sender::may_be_own(&item.row.telling.way);
                let verdicts = sender::with_help(verdicts, relay, if is_own { own } else { &from }, own);
                self.wake(&relay.name, own)?;
                self.keep_copy(&item, &message, &verdicts);
                self.note(item, verdicts)?;
                Ok(true)
            }
            // Another sender than the usual one says nothing about the rest of the mail.
            Err(Trouble::Sender(error))
                if from != own && (!from.is_empty() || !sender::may_be_own(&item.row.telling.way)) =>
            {
                self.sender_refused(item, relay, &from, own, error)
            }
            Err(trouble) => self.troubled(item, relay, own, trouble),
        }
    }

    /// `fcc`. The answer is out, also when its copy cannot be filed.
    fn keep_copy(&mut self, item: &Item, sent: &Message, verdicts: &[Verdict]) {
        let is_out = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Sent(_)));
        if is_out && let Err(error) = fcc::file(&self.shared, &item.row, sent) {
            let telling = clean::line(item.row.telling.to_string().as_bytes());
            self.told.remarks.push(format!("no copy of {telling} was filed: {error}"));
        }
    }

    pub(super) async fn send_over(
        &mut self,
        relay: &Relay,
        mail: &Mail<'_>,
        was_open: bool,
    ) -> std::result::Result<Vec<Verdict>, Trouble> {
        let sent = self.send(relay, mail).await;
        if was_open && matches!(sent, Err(Trouble::Relay(_))) {
            // Servers close what is idle, or after so many mails: that says nothing about a new connection.
            self.open.remove(&relay.name);
            return self.send(relay, mail).await;
        }
        sent
    }

    async fn send(&mut self, relay: &Relay, mail: &Mail<'_>) -> std::result::Result<Vec<Verdict>, Trouble> {
        self.connect(relay).await.map_err(Trouble::Relay)?;
        match self.open.get_mut(&relay.name) {
            Some(connection) => connection.send(mail).await,
            None => Err(Trouble::Relay(Error::transient(Kind::Network, "there is no connection"))),
        }
    }

    async fn connect(&mut self, relay: &Relay) -> Result<()> {
        if !self.open.contains_key(&relay.name) {
            let connection = Connection::connect(relay).await?;
            self.open.insert(relay.name.clone(), connection);
        }
        Ok(())
    }

    /// Whether a relay rests for a sender of one's own.
    pub(super) fn rests(&self, relay: &str, own: &str) -> bool {
        let now = self.world.now();
        self.rests.iter().any(|rest| rest.concerns(relay, own) && rest.is_at(now))
    }

    /// What broke the sending of one row, and whom it concerns.
    fn troubled(&mut self, item: Item, relay: &Relay, own: &str, trouble: Trouble) -> Result<bool> {
        self.open.remove(&relay.name);
        match trouble {
            Trouble::Mail(verdict) => {
                let recipients = recipients(&item.row.telling).len().max(1);
                self.note(item, for_each(verdict, recipients)).map(|()| true)
            }
            Trouble::Unknown(error) => self.unknown(item, &error).map(|()| true),
            Trouble::Relay(error) => self.put_off(item.row, &relay.name, "", &error),
            Trouble::Sender(error) => {
                let error = error.helped_by(help_with_sender(relay, own, own));
                self.put_off(item.row, &relay.name, own, &error)
            }
        }
    }

    /// A row waits for a relay that rests now: for this sender, or for all. It is due when the rest ends: should the trouble
    /// be with this very mail, all that were due before have their turn first.
    pub(super) fn put_off(&mut self, mut row: OutboxRow, relay: &str, sender: &str, error: &Error) -> Result<bool> {
        let cause = clean::line(error.to_string().as_bytes());
        let (until, failures) = self.let_rest(relay, sender.to_owned(), &cause)?;
        if failures >= GIVEN_UP && super::age::is_too_old(&row, self.world.now()) && self.world.is_time_plausible()? {
            if error.kind() != Kind::Network {
                self.tell_of_wait(&row, &cause)?;
            }
            return self.give_up_unsent(row, &format!("it could not be told in time; the last answer was: {cause}"));
        }
        row.due = until;
        let from = if sender.is_empty() { None } else { Some(sender) };
        undelivered::tell_of_relay(&self.shared, relay, from, error)?;
        if error.kind() != Kind::Network {
            self.tell_of_wait(&row, &cause)?;
        }
        self.told.remarks.push(format!("the relay {relay} rests: {cause}"));
        row.state = OutboxState::Waiting;
        row.said = cause;
        row.changed = self.world.now();
        self.world.store.resolve(&self.owned, &[row])?;
        self.told.later += 1;
        Ok(false)
    }

    /// Until when it rests, and how often in a row it failed by now.
    fn let_rest(&mut self, relay: &str, sender: String, cause: &str) -> Result<(Timestamp, u32)> {
        let now = self.world.now();
        let is_in_a_row = |rest: &&Rest| now.duration_since(rest.until) < IN_A_ROW;
        let before = self.rests.iter().find(|rest| rest.relay == relay && rest.sender == sender).filter(is_in_a_row);
        let failures = before.map_or(1, |rest| rest.failures.saturating_add(1));
        let until = now.checked_add(retry::rest(failures)).unwrap_or(now);
        let rest = Rest { relay: relay.to_owned(), sender, until, failures, cause: cause.to_owned() };
        self.world.store.rest(&self.owned, &rest)?;
        self.rests.retain(|known| known.relay != rest.relay || known.sender != rest.sender);
        self.rests.push(rest);
        Ok((until, failures))
    }

    /// It works again.
    pub(super) fn wake(&mut self, relay: &str, own: &str) -> Result<()> {
        for rest in self.rests.iter_mut().filter(|rest| rest.concerns(relay, own) && rest.failures > 0) {
            (rest.failures, rest.until) = (0, Timestamp::UNIX_EPOCH);
            self.world.store.rest(&self.owned, rest)?;
        }
        Ok(())
    }
}

/// The mail and its recipients.
fn composed(item: &Item, desk: &Desk<'_>) -> std::io::Result<(Message, Vec<String>)> {
    let original = &item.original;
    let to = recipients(&item.row.telling);
    let message = match &item.row.telling.way {
        Way::Redirect(redirect) => compose::redirect(original, redirect, desk)?,
        Way::Vacation(vacation) => compose::vacation(original, vacation, desk),
        Way::Reply(reply) => compose::reply(original, reply, desk),
        Way::Reject(reject) => compose::reject(original, reject, desk),
        Way::Notify(notify) => compose::notification(notify, notify.mail.as_deref().unwrap_or(desk.from), desk),
        // As it is: the server on the other side is the last one. Programs and folders are not told by mail.
        Way::Lmtp(_) | Way::Pipe(_) | Way::Imap(_) => original.edited(&[]),
    };
    Ok((message, to))
}
