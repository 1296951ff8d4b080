//! The envelope of one mail: its commands and the replies to them.

use std::time::Duration;

use super::data::Survey;
use super::session::Dialect;
use super::wire::{Capabilities, SmtpReply};
use crate::error::{Error, Kind, Result};
use crate::net::deadline;
use crate::outbox::address::Mailbox;
use crate::outbox::relay::{Mail, RecipientVerdict, RelayTrouble};

/// One command of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransactionStep {
    Mail,
    /// For the recipient with this index.
    Rcpt(usize),
    Data,
}

impl TransactionStep {
    /// How long the reply may take.
    pub(super) fn limit(self) -> Duration {
        match self {
            Self::Mail => deadline::SMTP_MAIL,
            Self::Rcpt(_) => deadline::SMTP_RCPT,
            Self::Data => deadline::SMTP_DATA,
        }
    }
}

/// An envelope, with the replies so far.
#[derive(Debug)]
pub(super) struct EnvelopeProgress {
    mail: String,
    /// Each recipient with its command, or a verdict if there is none.
    recipients: Vec<EnvelopeRecipient>,
    /// The refusal of MAIL.
    pub(super) refused: Option<SmtpReply>,
    /// The reply to DATA.
    pub(super) data: Option<SmtpReply>,
    /// Whether the server accepts no more recipients in this transaction.
    is_full: bool,
}

#[derive(Debug)]
struct EnvelopeRecipient {
    address: String,
    command: String,
    is_accepted: bool,
    verdict: Option<RecipientVerdict>,
}

impl EnvelopeProgress {
    /// Writes the commands. Checks everything that can be known without asking the server.
    pub(super) fn write(
        mail: &Mail<'_>,
        survey: &Survey,
        can: &Capabilities,
        dialect: Dialect,
    ) -> Result<Self, RelayTrouble> {
        let never = |error| RelayTrouble::Mail(RecipientVerdict::Never(error));
        check_message(survey, can).map_err(never)?;
        let sender = |from| writable(Mailbox::parse(from), can).map(|from| from.as_str().to_owned());
        let from = if mail.from.is_empty() { String::new() } else { sender(mail.from).map_err(never)? };
        let mailbox = if dialect == Dialect::Lmtp { Mailbox::parse_local } else { Mailbox::parse };
        let recipients: Vec<EnvelopeRecipient> =
            mail.to.iter().map(|to| EnvelopeRecipient::new(to, mailbox(to), mail.no_reports, can)).collect();
        let mut command = format!("MAIL FROM:<{from}>");
        if can.size.is_some() {
            command += &format!(" SIZE={}", survey.size);
        }
        if survey.has_8_bit && can.eight_bit {
            command += " BODY=8BITMIME";
        }
        if !from.is_ascii() || recipients.iter().any(|to| !to.command.is_ascii()) {
            command += " SMTPUTF8";
        }
        Ok(Self { mail: command + "\r\n", recipients, refused: None, data: None, is_full: false })
    }

    /// All steps of the transaction, without recipients that already have a verdict.
    pub(super) fn steps(&self) -> Vec<TransactionStep> {
        let asked = self.recipients.iter().enumerate().filter(|(_, to)| to.verdict.is_none());
        let rcpts: Vec<TransactionStep> = asked.map(|(index, _)| TransactionStep::Rcpt(index)).collect();
        if rcpts.is_empty() {
            return rcpts;
        }
        [vec![TransactionStep::Mail], rcpts, vec![TransactionStep::Data]].concat()
    }

    pub(super) fn command(&self, step: TransactionStep) -> &str {
        match step {
            TransactionStep::Mail => &self.mail,
            TransactionStep::Rcpt(index) => &self.recipients[index].command,
            TransactionStep::Data => "DATA\r\n",
        }
    }

    /// Whether the step still makes sense after the replies so far.
    pub(super) fn wants(&self, step: TransactionStep) -> bool {
        let may_be_accepted = |to: &EnvelopeRecipient| to.is_accepted || to.verdict.is_none();
        self.refused.is_none()
            && match step {
                TransactionStep::Mail => true,
                TransactionStep::Rcpt(_) => !self.is_full,
                TransactionStep::Data => self.recipients.iter().any(may_be_accepted),
            }
    }

    pub(super) fn record(&mut self, step: TransactionStep, reply: SmtpReply) -> Result<()> {
        if step != TransactionStep::Data && reply.code / 100 == 3 {
            return Err(reply.out_of_place("the envelope"));
        }
        match step {
            TransactionStep::Mail if reply.is_ok() => {}
            TransactionStep::Mail => self.refused = Some(reply),
            TransactionStep::Rcpt(index) => {
                // 552 once meant "too many recipients" (RFC 5321 4.5.3.1.10). Before any recipient was accepted it is about
                // the mailbox.
                self.is_full |= reply.code == 552 && !self.accepted().is_empty();
                self.recipients[index].record(&reply);
            }
            TransactionStep::Data => self.data = Some(reply),
        }
        Ok(())
    }

    /// The recipients that the server has accepted.
    pub(super) fn accepted(&self) -> Vec<usize> {
        (0..self.recipients.len()).filter(|index| self.recipients[*index].is_accepted).collect()
    }

    /// Sets the verdict on some of them. The words depend on the address.
    pub(super) fn decide(&mut self, who: &[usize], verdict: impl Fn(&str) -> RecipientVerdict) {
        for index in who {
            let to = &mut self.recipients[*index];
            to.verdict = Some(verdict(&to.address));
        }
    }

    /// The verdicts, in the order of the mail. Recipients that were not tried wait for the next transaction.
    pub(super) fn verdicts(self) -> Vec<RecipientVerdict> {
        let later = |address: &str| {
            let why = format!("sending to {address}: the server accepts no more recipients at a time");
            RecipientVerdict::Later(Error::transient(Kind::Refused, why))
        };
        self.recipients.into_iter().map(|to| to.verdict.unwrap_or_else(|| later(&to.address))).collect()
    }
}

impl EnvelopeRecipient {
    fn new(address: &str, mailbox: Result<Mailbox<'_>>, no_reports: bool, can: &Capabilities) -> Self {
        let (command, verdict) = match writable(mailbox, can) {
            Ok(mailbox) => {
                let notify = if no_reports && can.dsn { " NOTIFY=NEVER" } else { "" };
                (format!("RCPT TO:<{}>{notify}\r\n", mailbox.as_str()), None)
            }
            Err(error) => (String::new(), Some(RecipientVerdict::Never(error))),
        };
        Self { address: address.to_owned(), command, is_accepted: false, verdict }
    }

    fn record(&mut self, reply: &SmtpReply) {
        self.is_accepted = reply.is_ok();
        if self.is_accepted {
            return;
        }
        let error = reply.refusal(&format!("sending to {}", self.address));
        self.verdict = Some(match reply.code {
            552 => RecipientVerdict::Later(Error::transient(Kind::Refused, error.to_string())),
            _ if error.is_transient() => RecipientVerdict::Later(error),
            _ => RecipientVerdict::Never(error),
        });
    }
}

/// What a reply after the message means for a recipient.
pub(super) fn verdict(reply: &SmtpReply, address: &str) -> RecipientVerdict {
    let doing = format!("the message to {address}");
    match reply.code / 100 {
        2 => RecipientVerdict::Sent(reply.text()),
        4 => RecipientVerdict::Later(reply.refusal(&doing)),
        _ => RecipientVerdict::Never(reply.refusal(&doing)),
    }
}

/// What a refusal of MAIL means (RFC 5321 4.2.2, RFC 1870 section 6, RFC 4954 section 6).
pub(super) fn sender_trouble(reply: &SmtpReply, from: &str) -> RelayTrouble {
    let error = reply.refusal(&format!("the sender <{from}>"));
    match reply.code {
        530 => {
            let error = Error::permanent(Kind::Auth, "the server requires a login").said(reply.text());
            RelayTrouble::Relay(error.helped_by("add `user` and `password` to the relay"))
        }
        552 => RelayTrouble::Mail(RecipientVerdict::Never(error)),
        _ if error.is_transient() => RelayTrouble::Mail(RecipientVerdict::Later(error)),
        _ => RelayTrouble::Sender(error),
    }
}

/// Checks that this server can be sent the address.
pub(super) fn writable<'a>(mailbox: Result<Mailbox<'a>>, can: &Capabilities) -> Result<Mailbox<'a>> {
    let mailbox = mailbox?;
    if !mailbox.is_ascii() && !can.utf8 {
        let address = mailbox.as_str();
        let why = format!("{address} cannot be sent to this server: it has no SMTPUTF8 (RFC 6531)");
        return Err(Error::permanent(Kind::Refused, why));
    }
    Ok(mailbox)
}

/// Checks that the message can be sent to this server. Whatever else the server might refuse has been encoded by now, except what
/// must not be encoded: that is sent, and the server decides.
fn check_message(survey: &Survey, can: &Capabilities) -> Result<()> {
    let why = match can.size.flatten() {
        Some(limit) if survey.size > limit => format!("it has {} bytes, and the server accepts {limit}", survey.size),
        _ if survey.has_hidden_dot => {
            "a line begins with NUL bytes and a dot, which some servers take for the end of the message".to_owned()
        }
        _ => return Ok(()),
    };
    Err(Error::permanent(Kind::Refused, format!("the message cannot be sent as it is: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mailbox::MAX_ADDRESS_BYTES;
    use crate::message::{Bytes, Message};

    /// RFC 5321 4.5.3.1.4 allows 512 bytes for a command, and extensions add to that. The longest address with everything that
    /// we add stays below that limit, and a longer address is refused before anything is sent.
    #[test]
    fn no_command_is_longer_than_512_bytes() {
        let longest = format!("{}@{}.example", "ü".repeat(60), "x".repeat(MAX_ADDRESS_BYTES - 129));
        assert_eq!(longest.len(), MAX_ADDRESS_BYTES);
        let can = Capabilities { size: Some(None), utf8: true, dsn: true, eight_bit: true, ..Capabilities::default() };
        let survey = Survey { size: u64::MAX, has_8_bit: true, ..Survey::default() };
        let message = Message::new(Bytes::Memory(Vec::new()));
        let to = [longest.clone(), format!("x{longest}")];
        let mail = Mail { from: &longest, to: &to, message: &message, no_reports: true };
        let envelope = EnvelopeProgress::write(&mail, &survey, &can, Dialect::Smtp).unwrap();
        assert_eq!(envelope.steps(), [TransactionStep::Mail, TransactionStep::Rcpt(0), TransactionStep::Data]);
        for step in envelope.steps() {
            assert!(envelope.command(step).len() <= 512, "{}", envelope.command(step));
        }
        assert!(
            envelope.command(TransactionStep::Mail).contains(" SMTPUTF8")
                && envelope.command(TransactionStep::Rcpt(0)).contains("NOTIFY")
        );
        match envelope.verdicts().pop() {
            Some(RecipientVerdict::Never(error)) => assert!(error.to_string().contains("it is too long"), "{error}"),
            other => panic!("{other:?}"),
        }
        let mail = Mail { from: &to[1], to: &to[..1], message: &message, no_reports: true };
        assert!(matches!(
            EnvelopeProgress::write(&mail, &survey, &can, Dialect::Smtp),
            Err(RelayTrouble::Mail(RecipientVerdict::Never(_)))
        ));
    }
}
