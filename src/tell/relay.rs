//! Sends items through a relay, and handles a relay that does not accept them.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::conclude::for_each;
use super::{ItemToSend, Pass, fcc, sender, undelivered};
use crate::clean;
use crate::config::{Relay, RelayKind};
use crate::decision::Way;
use crate::error::{Error, Kind, Result};
use crate::message::Message;
use crate::outbox::compose::{self, Desk};
use crate::outbox::outcome::AttemptResult;
use crate::outbox::refusal::help_with_sender;
use crate::outbox::relay::{Connection, Mail, RecipientVerdict, RelayTrouble};
use crate::outbox::retry;
use crate::state::{OutboxRow, Rest};
use crate::stop::{stopped, unless_stopped};

/// Failures this far apart do not count as consecutive: the machine was asleep.
const CONSECUTIVE_WITHIN: SignedDuration = SignedDuration::from_hours(12);

impl Pass {
    /// Handles an item for a relay. Returns whether anything about it changed.
    pub(super) async fn by_relay(&mut self, row: OutboxRow) -> Result<bool> {
        let named = self.relays.relay_named(&row.telling, &row.account);
        let Some(relay) = self.relays.relay(named) else {
            let cause = match named {
                Some(name) => format!("there is no relay `{}` in the config", clean::short(name, 40)),
                None => "no relay is configured; add `relays:` to the config".to_owned(),
            };
            return self.wait_for_config(row, cause);
        };
        if matches!(row.telling.way, Way::Lmtp(_)) != matches!(relay.kind, RelayKind::Lmtp(_)) {
            let (name, way) = (clean::short(&relay.name, 40), row.telling.way.word());
            return self.wait_for_config(
                row,
                format!("the relay `{name}` cannot carry `{way}`: LMTP relays are only for `lmtp`"),
            );
        }
        let relay = relay.clone();
        let Some(own) = self.relays.from(Some(&relay), &row.account).map(str::to_owned) else {
            return self.wait_for_config(row, "no address of your own is known; add `me:` to the config".to_owned());
        };
        if self.rests(&relay.name, &own) {
            return Ok(false);
        }
        let was_open = self.open.contains_key(&relay.name);
        if !was_open {
            // The outcomes of another connection must not wait for this one.
            self.write_outcomes()?;
        }
        let stop = self.stop.clone();
        match unless_stopped(&stop, self.connect(&relay)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return self.put_off(row, &relay.name, "", &error),
            None => return Ok(false),
        }
        // The claim comes before the message is read: a message that kills the program has one more attempt each time.
        if !self.claim(&row)? {
            return Ok(true);
        }
        match self.with_message(row)? {
            Some(item) => self.send_claimed(item, &relay, &own, was_open).await,
            None => Ok(true),
        }
    }

    /// Composes the message of an item that is marked as being sent, and sends it.
    async fn send_claimed(&mut self, item: ItemToSend, relay: &Relay, own: &str, was_open: bool) -> Result<bool> {
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
            Err(e) => return self.unread(item.row, &e),
        };
        let original = item.original.envelope_sender();
        let from = self.sender(&item.row.telling, relay, own, original)?;
        let mail = Mail { from: &from, to: &to, message: &message, no_reports: item.row.telling.way.is_answer() };
        let sent = self.send_or_as_own(relay, &mail, &item.row.telling.way, own, was_open).await?;
        match sent.unwrap_or_else(|| Err(RelayTrouble::Unknown(stopped()))) {
            Ok(verdicts) => {
                // An answer whose null sender was refused was sent from the user's address.
                let is_own = from.is_empty() && sender::may_be_own(&item.row.telling.way);
                let verdicts = sender::with_help(verdicts, relay, if is_own { own } else { &from }, own);
                let ItemToSend { mut row, original } = item;
                row.copy = fcc::owed(&row, &message, &verdicts);
                self.conclude(row, Some(original), AttemptResult::Verdicts(verdicts))?;
                self.end_rest(&relay.name, own)?;
                Ok(true)
            }
            // A refusal of an unusual sender says nothing about other mail.
            Err(RelayTrouble::Sender(error))
                if from != own && (!from.is_empty() || !sender::may_be_own(&item.row.telling.way)) =>
            {
                self.sender_refused(item, relay, &from, own, error)
            }
            Err(trouble) => self.conclude_trouble(item, relay, own, trouble),
        }
    }

    pub(super) async fn send_over(
        &mut self,
        relay: &Relay,
        mail: &Mail<'_>,
        was_open: bool,
    ) -> std::result::Result<Vec<RecipientVerdict>, RelayTrouble> {
        let sent = self.send(relay, mail).await;
        if was_open && matches!(sent, Err(RelayTrouble::Relay(_))) {
            // Servers close a connection that is idle, or after some number of messages. That says nothing about a new
            // connection.
            self.open.remove(&relay.name);
            return self.send(relay, mail).await;
        }
        sent
    }

    async fn send(
        &mut self,
        relay: &Relay,
        mail: &Mail<'_>,
    ) -> std::result::Result<Vec<RecipientVerdict>, RelayTrouble> {
        self.connect(relay).await.map_err(RelayTrouble::Relay)?;
        match self.open.get_mut(&relay.name) {
            Some(connection) => connection.send(mail).await,
            None => Err(RelayTrouble::Relay(Error::transient(Kind::Network, "there is no connection"))),
        }
    }

    async fn connect(&mut self, relay: &Relay) -> Result<()> {
        if !self.open.contains_key(&relay.name) {
            let connection = Connection::connect(relay).await?;
            self.open.insert(relay.name.clone(), connection);
        }
        Ok(())
    }

    /// Whether a relay rests for one of the user's addresses.
    pub(super) fn rests(&self, relay: &str, own: &str) -> bool {
        let now = self.world.now();
        self.rests.iter().any(|rest| rest.concerns(relay, own) && rest.is_at(now))
    }

    /// Handles what broke the sending of an item, according to whom it concerns.
    fn conclude_trouble(&mut self, item: ItemToSend, relay: &Relay, own: &str, trouble: RelayTrouble) -> Result<bool> {
        self.open.remove(&relay.name);
        match trouble {
            RelayTrouble::Mail(verdict) => {
                let recipients = item.row.telling.way.recipients().len().max(1);
                self.conclude(item.row, Some(item.original), AttemptResult::Verdicts(for_each(verdict, recipients)))
            }
            RelayTrouble::Unknown(error) => {
                let cause = clean::line(error.to_string().as_bytes());
                self.conclude(item.row, Some(item.original), AttemptResult::Unknown(cause))
            }
            RelayTrouble::Relay(error) => self.put_off(item.row, &relay.name, "", &error),
            RelayTrouble::Sender(error) => {
                let error = error.helped_by(help_with_sender(relay, own, own));
                self.put_off(item.row, &relay.name, own, &error)
            }
        }
    }

    /// Makes an item wait for a relay that rests now, for this sender or for all. The item is due when the rest ends.
    /// If the message itself is the cause, the items that were due before go first.
    pub(super) fn put_off(&mut self, row: OutboxRow, relay: &str, sender: &str, error: &Error) -> Result<bool> {
        let cause = clean::line(error.to_string().as_bytes());
        let rest = self.rest_after(relay, sender, &cause);
        let (until, failures, is_away) = (rest.until, rest.failures, error.kind() == Kind::Network);
        let came = AttemptResult::Resting { until, failures, is_away, cause: cause.clone() };
        let is_given_up = self.conclude(row, None, came)?;
        self.world.store.rest(&self.owned, &rest)?;
        if !is_given_up {
            self.told.remark(format!("the relay {relay} rests: {cause}"));
            let from = if sender.is_empty() { None } else { Some(sender) };
            undelivered::tell_of_relay(&self.shared, relay, from, error)?;
        }
        Ok(is_given_up)
    }

    /// Lets a relay rest in this lane. Returns until when, and its number of consecutive failures.
    fn rest_after(&mut self, relay: &str, sender: &str, cause: &str) -> Rest {
        let now = self.world.now();
        let is_consecutive = |rest: &&Rest| now.duration_since(rest.until) < CONSECUTIVE_WITHIN;
        let before = self.rests.iter().find(|rest| rest.relay == relay && rest.sender == sender).filter(is_consecutive);
        let failures = before.map_or(1, |rest| rest.failures.saturating_add(1));
        let until = now.checked_add(retry::rest(failures)).unwrap_or(now);
        let (relay, sender) = (relay.to_owned(), sender.to_owned());
        let rest = Rest { relay, sender, until, failures, cause: cause.to_owned() };
        self.rests.retain(|known| known.relay != rest.relay || known.sender != rest.sender);
        self.rests.push(rest.clone());
        rest
    }

    /// Ends the rest of a relay that works again.
    pub(super) fn end_rest(&mut self, relay: &str, own: &str) -> Result<()> {
        for rest in self.rests.iter_mut().filter(|rest| rest.concerns(relay, own) && rest.failures > 0) {
            (rest.failures, rest.until) = (0, Timestamp::UNIX_EPOCH);
            self.world.store.rest(&self.owned, rest)?;
        }
        Ok(())
    }
}

/// The message and its recipients.
fn composed(item: &ItemToSend, desk: &Desk<'_>) -> std::io::Result<(Message, Vec<String>)> {
    let original = &item.original;
    let to = item.row.telling.way.recipients();
    let message = match &item.row.telling.way {
        Way::Redirect(redirect) => compose::redirect(original, redirect, desk)?,
        Way::Vacation(vacation) => compose::vacation(original, vacation, desk),
        Way::Reply(reply) => compose::reply(original, reply, desk),
        Way::Reject(reject) => compose::reject(original, reject, desk),
        Way::Notify(notify) => compose::notification(notify, notify.mail.as_deref().unwrap_or(desk.from), desk),
        // Unchanged, because the server on the other side is the last one. Programs and folders get no composed mail.
        Way::Lmtp(_) | Way::Pipe(_) | Way::Imap(_) => original.edited(&[]),
    };
    Ok((message, to))
}
