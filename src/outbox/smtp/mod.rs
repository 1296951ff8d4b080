//! An SMTP (RFC 5321, 6409) and LMTP (RFC 2033) client: one connection for many mails, and a verdict on each recipient.
//!
//! `session` opens the connection and logs in, `envelope` writes MAIL, RCPT and DATA and interprets the replies,
//! `data` converts a message to its wire form, and `wire` parses replies.
//!
//! Messages arrive unchanged: no line is cut, and no blank line is added. Parts that the server would not accept, because of long
//! lines or bytes beyond ASCII, are encoded (`outgoing`), so that their content arrives unchanged. What cannot be sent at all is
//! refused here, with the reason.

mod data;
mod envelope;
mod outgoing;
mod session;
mod trial;
mod wire;

use std::io::{self, Read};

use self::data::{Encoder, READ_BUFFER_BYTES, Survey};
use self::envelope::{EnvelopeProgress, sender_trouble, verdict};
use self::outgoing::Outgoing;
use self::session::{Dialect, SmtpSession};
pub use self::trial::Hello;
use super::relay::{Mail, RecipientVerdict, RelayTrouble};
use crate::config::{LmtpPlace, Relay, RelayKind};
use crate::error::{Error, Kind, Result};
use crate::net::deadline;

/// How many commands are in flight at once with PIPELINING (RFC 2920). Their replies fit into any socket's buffer.
const COMMANDS_IN_FLIGHT: usize = 100;

/// A connection to an SMTP or LMTP server, ready to send.
#[derive(Debug)]
pub struct SmtpRelay {
    session: SmtpSession,
    state: DialogState,
}

/// The state of the dialog between two mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DialogState {
    Ready,
    /// A transaction was begun and not completed: RSET comes first.
    Aborted,
    /// A mail was abandoned halfway, or the connection broke.
    Lost,
}

impl SmtpRelay {
    /// Connects and logs in.
    pub async fn connect(relay: &Relay) -> Result<Self> {
        let session = match &relay.kind {
            RelayKind::Smtp { server, login } => SmtpSession::open(Dialect::Smtp, server, login.as_ref()).await,
            RelayKind::Lmtp(LmtpPlace::Server(server)) => SmtpSession::open(Dialect::Lmtp, server, None).await,
            RelayKind::Lmtp(LmtpPlace::Socket(path)) => SmtpSession::open_socket(path).await,
            RelayKind::Sendmail(_) => Err(trial::not_a_server()),
        };
        Ok(Self { session: session?, state: DialogState::Ready })
    }

    /// Sends one mail and returns the verdict on each recipient, in order. After [`Trouble::Relay`] and
    /// [`Trouble::Unknown`], and if the returned future is dropped, the connection cannot be used any more.
    pub async fn send(&mut self, mail: &Mail<'_>) -> Result<Vec<RecipientVerdict>, RelayTrouble> {
        // The message is read first, because MAIL announces its size and kind.
        let outgoing = Outgoing::of(mail.message, &self.session.can).map_err(unreadable)?;
        let survey = outgoing.survey;
        let mut message = outgoing.reader().map_err(unreadable)?;
        let mut envelope = EnvelopeProgress::write(mail, &survey, &self.session.can, self.session.dialect)?;
        if envelope.steps().is_empty() {
            return Ok(envelope.verdicts());
        }
        let before = std::mem::replace(&mut self.state, DialogState::Lost);
        self.begin(before).await.map_err(RelayTrouble::Relay)?;
        self.send_envelope(&mut envelope).await.map_err(RelayTrouble::Relay)?;
        let goes_on = envelope.data.as_ref().is_some_and(|reply| reply.code == 354);
        let accepted = envelope.accepted();
        if let Some(refused) = &envelope.refused {
            self.abort(goes_on).await.map_err(RelayTrouble::Relay)?;
            return Err(sender_trouble(refused, mail.from));
        }
        if accepted.is_empty() {
            self.abort(goes_on).await.map_err(RelayTrouble::Relay)?;
            return Ok(envelope.verdicts());
        }
        if goes_on {
            let sent = self.send_message(&mut message, &survey).await;
            sent.map_err(|trouble| outgoing.explained(trouble))?;
            self.await_verdicts(&mut envelope, &accepted).await?;
            return Ok(outgoing.with_changes(envelope.verdicts()));
        }
        match envelope.data.take() {
            Some(reply) if reply.is_temporary() || reply.is_permanent() => {
                envelope.decide(&accepted, |address| verdict(&reply, address));
                self.state = DialogState::Aborted;
                Ok(envelope.verdicts())
            }
            Some(reply) => Err(RelayTrouble::Relay(reply.out_of_place("DATA"))),
            None => Err(RelayTrouble::Relay(Error::permanent(Kind::Protocol, "DATA was not sent"))),
        }
    }

    /// Sends QUIT. Nothing depends on it.
    pub async fn quit(mut self) {
        if self.state != DialogState::Lost {
            self.session.command("QUIT", deadline::GOODBYE).await.ok();
        }
    }

    /// Prepares the dialog for MAIL.
    async fn begin(&mut self, before: DialogState) -> Result<()> {
        if self.session.has_unread() {
            // It would be taken for the reply to MAIL, and shift all others by one.
            return Err(self.session.reply(deadline::REPLY).await?.out_of_place("between two mails"));
        }
        match before {
            DialogState::Ready => Ok(()),
            DialogState::Lost => Err(Error::transient(Kind::Network, "the connection was abandoned")),
            DialogState::Aborted => {
                let reply = self.session.command("RSET", deadline::REPLY).await?;
                if reply.is_ok() { Ok(()) } else { Err(reply.refusal("RSET")) }
            }
        }
    }

    /// Sends MAIL, RCPT and DATA, as many at a time as the server allows, and reads all replies.
    async fn send_envelope(&mut self, envelope: &mut EnvelopeProgress) -> Result<()> {
        let window = if self.session.can.pipelining { COMMANDS_IN_FLIGHT } else { 1 };
        for steps in envelope.steps().chunks(window) {
            let wanted: Vec<_> = steps.iter().copied().filter(|step| envelope.wants(*step)).collect();
            if wanted.is_empty() {
                continue;
            }
            let commands: String = wanted.iter().map(|step| envelope.command(*step)).collect();
            self.session.send(&commands).await?;
            for step in wanted {
                let reply = self.session.reply(step.limit()).await?;
                envelope.record(step, reply)?;
            }
        }
        Ok(())
    }

    /// Leaves a transaction in which nobody shall get the message. If the server nevertheless waits for it, it is sent an
    /// empty one (RFC 2920 3.1).
    async fn abort(&mut self, waits_for_message: bool) -> Result<()> {
        if waits_for_message {
            self.session.send_piece(b".\r\n").await?;
            self.session.reply(deadline::SMTP_DOT).await?;
        }
        self.state = DialogState::Aborted;
        Ok(())
    }

    /// Sends the message up to its final dot. If it fails before the dot was written, the server does not have the message.
    async fn send_message(&mut self, message: &mut (dyn Read + Send), survey: &Survey) -> Result<(), RelayTrouble> {
        let (mut encoder, mut piece, mut out) =
            (Encoder::default(), vec![0; READ_BUFFER_BYTES], Vec::with_capacity(2 * READ_BUFFER_BYTES));
        loop {
            let read = data::read(message, &mut piece).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            encoder.feed(&piece[..read], &mut out);
            if out.len() >= READ_BUFFER_BYTES {
                self.send_piece(&out).await?;
                out.clear();
            }
        }
        // The final dot goes with the rest, so that a small message is a single write.
        encoder.end(&mut out);
        if encoder.size != survey.size {
            return Err(unreadable(io::Error::other("it changed while it was being sent")));
        }
        self.send_piece(&out).await
    }

    /// Sends a piece of the message. If the server closes the connection, it may have sent a reason, which is about this mail.
    async fn send_piece(&mut self, bytes: &[u8]) -> Result<(), RelayTrouble> {
        let Err(error) = self.session.send_piece(bytes).await else { return Ok(()) };
        match self.session.reply(deadline::GOODBYE).await {
            Ok(reply) if reply.is_temporary() => {
                Err(RelayTrouble::Mail(RecipientVerdict::Later(reply.refusal("the message"))))
            }
            Ok(reply) if reply.is_permanent() => {
                Err(RelayTrouble::Mail(RecipientVerdict::Never(reply.refusal("the message"))))
            }
            _ => Err(RelayTrouble::Relay(error)),
        }
    }

    /// Reads the replies to the final dot: one for all recipients (RFC 5321 4.1.1.4), or with LMTP one for each (RFC 2033 4.2).
    async fn await_verdicts(
        &mut self,
        envelope: &mut EnvelopeProgress,
        accepted: &[usize],
    ) -> Result<(), RelayTrouble> {
        let at_once = if self.session.dialect == Dialect::Lmtp { 1 } else { accepted.len() };
        for (number, who) in accepted.chunks(at_once).enumerate() {
            let trouble = match self.session.any_reply(deadline::SMTP_DOT).await {
                Ok(reply) => match self.session.is_closing(&reply) {
                    Some(error) => RelayTrouble::Relay(error),
                    None if reply.code / 100 == 3 => RelayTrouble::Unknown(reply.out_of_place("the message")),
                    None => {
                        envelope.decide(who, |address| verdict(&reply, address));
                        continue;
                    }
                },
                Err(error) => RelayTrouble::Unknown(error),
            };
            return without_the_rest(trouble, envelope, &accepted[number..], number > 0);
        }
        self.state = DialogState::Ready;
        Ok(())
    }
}

/// Handles a connection that broke while waiting for a reply. If some recipients already had theirs, that must not be forgotten:
/// only the others are tried again, and they may get the message twice.
fn without_the_rest(
    trouble: RelayTrouble,
    envelope: &mut EnvelopeProgress,
    rest: &[usize],
    some: bool,
) -> Result<(), RelayTrouble> {
    match trouble {
        RelayTrouble::Relay(error) | RelayTrouble::Unknown(error) if some => {
            envelope.decide(rest, |address| {
                let why = format!("the message to {address}: {error}");
                RecipientVerdict::Later(Error::transient(Kind::Network, why))
            });
            Ok(())
        }
        trouble => Err(trouble),
    }
}

/// The error of our own disk. It is not the server's fault.
fn unreadable(error: io::Error) -> RelayTrouble {
    RelayTrouble::Mail(RecipientVerdict::Later(Error::disk("reading the message to be sent", error)))
}
