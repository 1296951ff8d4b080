//! The sender of an outgoing message, and relays that refuse a sender.

use jiff::{SignedDuration, Timestamp};

use super::{ItemToSend, Pass, undelivered};
use crate::clean;
use crate::config::{LmtpPlace, Relay, RelayKind, Server};
use crate::decision::{Telling, Way};
use crate::error::{Error, Kind, Result};
use crate::outbox::outcome::AttemptResult;
use crate::outbox::refusal::{help_with_sender, is_about_sender};
use crate::outbox::relay::{Mail, RecipientVerdict, RelayTrouble};
use crate::stop::unless_stopped;

/// How long the refusal of the null sender is remembered. Then the null sender is tried again, because it is the right
/// one.
const NULL_REFUSAL_REMEMBERED: SignedDuration = SignedDuration::from_hours(30 * 24);

type Sent = Option<std::result::Result<Vec<RecipientVerdict>, RelayTrouble>>;

impl Pass {
    /// The sender of an outgoing message: what its action says, except for answers through a relay that refused the
    /// null sender.
    pub(super) fn sender(&self, telling: &Telling, relay: &Relay, own: &str, original: Option<&str>) -> Result<String> {
        let from = self.relays.reverse_path(telling, relay, own, original);
        let is_refused = from.is_empty() && may_be_own(&telling.way) && self.refuses_null(relay)?;
        Ok(if is_refused { own.to_owned() } else { from.to_owned() })
    }

    /// Sends a message. If the relay refuses the null sender, an answer is sent from the user's address in the same
    /// session: the refused attempt delivered nothing, so it is not sent twice. Returns `None` if the program has to
    /// stop.
    pub(super) async fn send_or_as_own(
        &mut self,
        relay: &Relay,
        mail: &Mail<'_>,
        way: &Way,
        own: &str,
        was_open: bool,
    ) -> Result<Sent> {
        let stop = self.stop.clone();
        let sent = unless_stopped(&stop, self.send_over(relay, mail, was_open)).await;
        let is_refused = mail.from.is_empty() && may_be_own(way) && sent.as_ref().is_some_and(refuses_sender);
        if !is_refused {
            return Ok(sent);
        }
        self.remember_refusal(relay)?;
        self.told.remark(format!("the relay {} refuses the null sender; answers go out from {own}", relay.name));
        let mail = Mail { from: own, ..*mail };
        Ok(unless_stopped(&stop, self.send_over(relay, &mail, true)).await)
    }

    fn refuses_null(&self, relay: &Relay) -> Result<bool> {
        let Some(refusal) = self.world.store.fact(&fact(relay))? else { return Ok(false) };
        let Some((at, place)) = refusal.split_once(' ') else { return Ok(false) };
        let at = at.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
        let is_fresh = at.is_some_and(|at| self.world.now().duration_since(at) <= NULL_REFUSAL_REMEMBERED);
        Ok(is_fresh && place == place_of(relay))
    }

    fn remember_refusal(&self, relay: &Relay) -> Result<()> {
        let refusal = format!("{} {}", self.world.now().as_second(), place_of(relay));
        self.world.store.set_fact(&fact(relay), &refusal)
    }

    /// Handles a refusal of one message's sender: a foreign one, the null one, or one that `sendmail -f` names.
    pub(super) fn sender_refused(
        &mut self,
        item: ItemToSend,
        relay: &Relay,
        from: &str,
        own: &str,
        error: Error,
    ) -> Result<bool> {
        let error = error.helped_by(help_with_sender(relay, from, own));
        let cause = clean::line(error.to_string().as_bytes());
        let (telling, is_null) = (item.row.telling.to_string(), from.is_empty());
        let gives_up = is_null && matches!(item.row.telling.way, Way::Redirect(_));
        self.conclude(item.row, Some(item.original), AttemptResult::NotFrom { is_null, cause: cause.clone() })?;
        if !gives_up {
            self.told.remark(format!("{telling} waits: {cause}"));
            undelivered::tell_of_relay(&self.shared, &relay.name, Some(from), &error)?;
        }
        Ok(true)
    }
}

/// Whether the user's address may be the sender: for an answer or a notification. A forward with the null sender is
/// somebody else's report.
pub(super) fn may_be_own(way: &Way) -> bool {
    match way {
        Way::Vacation(_) | Way::Reply(_) | Way::Reject(_) | Way::Notify(_) => true,
        Way::Redirect(_) | Way::Pipe(_) | Way::Imap(_) | Way::Lmtp(_) => false,
    }
}

/// Whether the message reached nobody because of its sender. Some servers say so only after the recipients.
fn refuses_sender(sent: &std::result::Result<Vec<RecipientVerdict>, RelayTrouble>) -> bool {
    let is_about_it =
        |verdict: &RecipientVerdict| matches!(verdict, RecipientVerdict::Never(e) if is_about_sender(&e.to_string()));
    match sent {
        Err(RelayTrouble::Sender(_)) => true,
        Ok(verdicts) => !verdicts.is_empty() && verdicts.iter().all(is_about_it),
        Err(_) => false,
    }
}

/// Adds what helps to verdicts about a sender.
pub(super) fn with_help(
    verdicts: Vec<RecipientVerdict>,
    relay: &Relay,
    from: &str,
    own: &str,
) -> Vec<RecipientVerdict> {
    let helped = |verdict| match verdict {
        RecipientVerdict::Never(e) if e.kind() == Kind::Refused && is_about_sender(&e.to_string()) => {
            RecipientVerdict::Never(e.helped_by(help_with_sender(relay, from, own)))
        }
        verdict => verdict,
    };
    verdicts.into_iter().map(helped).collect()
}

fn fact(relay: &Relay) -> String {
    format!("null sender {}", relay.name)
}

/// Where a relay leads: another server under the same name is another relay.
fn place_of(relay: &Relay) -> String {
    let of = |server: &Server| format!("{}:{}", server.host, server.port);
    match &relay.kind {
        RelayKind::Smtp { server, .. } | RelayKind::Lmtp(LmtpPlace::Server(server)) => of(server),
        RelayKind::Lmtp(LmtpPlace::Socket(path)) => path.display().to_string(),
        RelayKind::Sendmail(program) => program.join(" "),
    }
}
