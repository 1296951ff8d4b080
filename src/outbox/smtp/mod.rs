//! An SMTP (RFC 5321, 6409) and LMTP (RFC 2033) client: one connection, many mails, and an answer for each recipient.
//!
//! `session` opens the connection and logs in, `envelope` knows what MAIL, RCPT and DATA say and what their replies
//! mean, `data` makes the wire form of a message, and `wire` takes replies apart.
//!
//! Bytes arrive as they were: no line is cut, no blank line is added. What this server would not take, lines that are too
//! long or bytes beyond ASCII, is encoded (`outgoing`); its content arrives as it was. What cannot be sent at all is refused
//! here, with its reason.

mod data;
mod envelope;
mod outgoing;
mod session;
mod trial;
mod wire;

use std::io::{self, Read};

use self::data::{Encoder, PIECE, Survey};
use self::envelope::{Envelope, sender_trouble, verdict};
use self::outgoing::Outgoing;
use self::session::{Dialect, Session};
pub use self::trial::Hello;
use super::relay::{Mail, Trouble, Verdict};
use crate::config::{LmtpPlace, Relay, RelayKind};
use crate::error::{Error, Kind, Result};
use crate::net::deadline;

/// So many commands are in flight at once with PIPELINING (RFC 2920): their replies fit into any socket's buffer.
const IN_FLIGHT: usize = 100;

/// A connection to an SMTP or LMTP server, ready to send.
#[derive(Debug)]
pub struct SmtpRelay {
    session: Session,
    state: State,
}

/// Where the dialog is between two mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// A transaction was begun and not finished: RSET comes first.
    Aborted,
    /// A mail was given up in the middle of it, or the connection broke.
    Lost,
}

impl SmtpRelay {
    /// Connects and logs in.
    pub async fn connect(relay: &Relay) -> Result<Self> {
        let session = match &relay.kind {
            RelayKind::Smtp { server, login } => Session::open(Dialect::Smtp, server, login.as_ref()).await,
            RelayKind::Lmtp(LmtpPlace::Server(server)) => Session::open(Dialect::Lmtp, server, None).await,
            RelayKind::Lmtp(LmtpPlace::Socket(path)) => Session::open_socket(path).await,
            RelayKind::Sendmail(_) => Err(trial::is_no_server()),
        };
        Ok(Self { session: session?, state: State::Ready })
    }

    /// Sends one mail and says what became of it for each recipient, in order. After [`Trouble::Relay`] and
    /// [`Trouble::Unknown`], and when this is dropped before its end, the connection is of no more use.
    pub async fn send(&mut self, mail: &Mail<'_>) -> Result<Vec<Verdict>, Trouble> {
        // Read before anything is asked: size and kind have to be told first.
        let outgoing = Outgoing::of(mail.message, &self.session.can).map_err(unreadable)?;
        let survey = outgoing.survey;
        let mut message = outgoing.reader().map_err(unreadable)?;
        let mut envelope = Envelope::write(mail, &survey, &self.session.can, self.session.dialect)?;
        if envelope.steps().is_empty() {
            return Ok(envelope.verdicts());
        }
        let before = std::mem::replace(&mut self.state, State::Lost);
        self.begin(before).await.map_err(Trouble::Relay)?;
        self.ask(&mut envelope).await.map_err(Trouble::Relay)?;
        let goes_on = envelope.data.as_ref().is_some_and(|reply| reply.code == 354);
        let accepted = envelope.accepted();
        if let Some(refused) = &envelope.refused {
            self.abort(goes_on).await.map_err(Trouble::Relay)?;
            return Err(sender_trouble(refused, mail.from));
        }
        if accepted.is_empty() {
            self.abort(goes_on).await.map_err(Trouble::Relay)?;
            return Ok(envelope.verdicts());
        }
        if goes_on {
            let sent = self.send_message(&mut message, &survey).await;
            sent.map_err(|trouble| outgoing.explained(trouble))?;
            self.await_verdicts(&mut envelope, &accepted).await?;
            return Ok(outgoing.told(envelope.verdicts()));
        }
        match envelope.data.take() {
            Some(reply) if reply.is_temporary() || reply.is_permanent() => {
                envelope.decide(&accepted, |address| verdict(&reply, address));
                self.state = State::Aborted;
                Ok(envelope.verdicts())
            }
            Some(reply) => Err(Trouble::Relay(reply.out_of_place("DATA"))),
            None => Err(Trouble::Relay(Error::permanent(Kind::Protocol, "DATA was not asked"))),
        }
    }

    /// Says goodbye; nothing depends on it.
    pub async fn quit(mut self) {
        if self.state != State::Lost {
            self.session.command("QUIT", deadline::GOODBYE).await.ok();
        }
    }

    /// Brings the dialog to where MAIL may come.
    async fn begin(&mut self, before: State) -> Result<()> {
        if self.session.has_unread() {
            // Taken for the reply to MAIL, it would shift all others by one.
            return Err(self.session.reply(deadline::REPLY).await?.out_of_place("between two mails"));
        }
        match before {
            State::Ready => Ok(()),
            State::Lost => Err(Error::transient(Kind::Network, "the connection was given up")),
            State::Aborted => {
                let reply = self.session.command("RSET", deadline::REPLY).await?;
                if reply.is_ok() { Ok(()) } else { Err(reply.refusal("RSET")) }
            }
        }
    }

    /// MAIL, RCPTs and DATA, as many at a time as the server allows, and all their replies.
    async fn ask(&mut self, envelope: &mut Envelope) -> Result<()> {
        let window = if self.session.can.pipelining { IN_FLIGHT } else { 1 };
        for steps in envelope.steps().chunks(window) {
            let wanted: Vec<_> = steps.iter().copied().filter(|step| envelope.wants(*step)).collect();
            if wanted.is_empty() {
                continue;
            }
            let commands: String = wanted.iter().map(|step| envelope.command(*step)).collect();
            self.session.send(&commands).await?;
            for step in wanted {
                let reply = self.session.reply(step.limit()).await?;
                envelope.note(step, reply)?;
            }
        }
        Ok(())
    }

    /// Leaves a transaction in which nobody is to get anything. A server that waits for a message all the same gets none
    /// (RFC 2920 3.1).
    async fn abort(&mut self, waits_for_message: bool) -> Result<()> {
        if waits_for_message {
            self.session.send_piece(b".\r\n").await?;
            self.session.reply(deadline::SMTP_DOT).await?;
        }
        self.state = State::Aborted;
        Ok(())
    }

    /// The message up to its final dot. Whatever happens before that was written, the server has no message.
    async fn send_message(&mut self, message: &mut (dyn Read + Send), survey: &Survey) -> Result<(), Trouble> {
        let (mut encoder, mut piece, mut out) = (Encoder::default(), vec![0; PIECE], Vec::with_capacity(2 * PIECE));
        loop {
            let read = data::read(message, &mut piece).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            encoder.feed(&piece[..read], &mut out);
            if out.len() >= PIECE {
                self.send_piece(&out).await?;
                out.clear();
            }
        }
        // With the rest, so that a small message is one write.
        encoder.end(&mut out);
        if encoder.size != survey.size {
            return Err(unreadable(io::Error::other("it changed while it was sent")));
        }
        self.send_piece(&out).await
    }

    /// A server that closes in the middle may have said why: about this mail, or nothing.
    async fn send_piece(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let Err(error) = self.session.send_piece(bytes).await else { return Ok(()) };
        match self.session.reply(deadline::GOODBYE).await {
            Ok(reply) if reply.is_temporary() => Err(Trouble::Mail(Verdict::Later(reply.refusal("the message")))),
            Ok(reply) if reply.is_permanent() => Err(Trouble::Mail(Verdict::Never(reply.refusal("the message")))),
            _ => Err(Trouble::Relay(error)),
        }
    }

    /// After the final dot: one reply for all (RFC 5321 4.1.1.4), with LMTP one for each (RFC 2033 4.2).
    async fn await_verdicts(&mut self, envelope: &mut Envelope, accepted: &[usize]) -> Result<(), Trouble> {
        let at_once = if self.session.dialect == Dialect::Lmtp { 1 } else { accepted.len() };
        for (number, who) in accepted.chunks(at_once).enumerate() {
            let trouble = match self.session.any_reply(deadline::SMTP_DOT).await {
                Ok(reply) => match self.session.is_closing(&reply) {
                    Some(error) => Trouble::Relay(error),
                    None if reply.code / 100 == 3 => Trouble::Unknown(reply.out_of_place("the message")),
                    None => {
                        envelope.decide(who, |address| verdict(&reply, address));
                        continue;
                    }
                },
                Err(error) => Trouble::Unknown(error),
            };
            return without_the_rest(trouble, envelope, &accepted[number..], number > 0);
        }
        self.state = State::Ready;
        Ok(())
    }
}

/// The connection broke at a reply. If some were answered already, that must not be forgotten: the others are tried
/// again, and may get the message twice.
fn without_the_rest(trouble: Trouble, envelope: &mut Envelope, rest: &[usize], some: bool) -> Result<(), Trouble> {
    match trouble {
        Trouble::Relay(error) | Trouble::Unknown(error) if some => {
            envelope.decide(rest, |address| {
                let why = format!("the message to {address}: {error}");
                Verdict::Later(Error::transient(Kind::Network, why))
            });
            Ok(())
        }
        trouble => Err(trouble),
    }
}

/// Our own disk, not the server's fault.
fn unreadable(error: io::Error) -> Trouble {
    Trouble::Mail(Verdict::Later(Error::disk("reading the message to be sent", error)))
}
