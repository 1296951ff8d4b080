//! The envelope of one mail: what is asked for it, and what came of it.

use std::time::Duration;

use super::data::{LONGEST_LINE, Survey};
use super::wire::{Capabilities, Reply};
use crate::error::{Error, Kind, Result};
use crate::net::deadline;
use crate::outbox::address::Mailbox;
use crate::outbox::relay::{Mail, Trouble, Verdict};

/// One command of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Mail,
    /// Of the recipient with this index.
    Rcpt(usize),
    Data,
}

impl Step {
    /// How long its reply may take.
    pub(super) fn limit(self) -> Duration {
        match self {
            Self::Mail => deadline::SMTP_MAIL,
            Self::Rcpt(_) => deadline::SMTP_RCPT,
            Self::Data => deadline::SMTP_DATA,
        }
    }
}

/// An envelope, as far as it has come.
#[derive(Debug)]
pub(super) struct Envelope {
    mail: String,
    /// Each recipient's command, or why there is none.
    recipients: Vec<Recipient>,
    /// The refusal of MAIL.
    pub(super) refused: Option<Reply>,
    /// The reply to DATA.
    pub(super) data: Option<Reply>,
    /// Whether the server takes no more recipients in this transaction.
    is_full: bool,
}

#[derive(Debug)]
struct Recipient {
    address: String,
    command: String,
    is_accepted: bool,
    verdict: Option<Verdict>,
}

impl Envelope {
    /// Checks everything that can be known without asking the server.
    pub(super) fn write(mail: &Mail<'_>, survey: &Survey, can: &Capabilities) -> Result<Self, Trouble> {
        let never = |error| Trouble::Mail(Verdict::Never(error));
        check_message(survey, can).map_err(never)?;
        let from = if mail.from.is_empty() { "" } else { mailbox(mail.from, can).map_err(never)?.as_str() };
        let recipients: Vec<Recipient> = mail.to.iter().map(|to| Recipient::new(to, mail.no_reports, can)).collect();
        let mut command = format!("MAIL FROM:<{from}>");
        if can.size.is_some() {
            command += &format!(" SIZE={}", survey.size);
        }
        if survey.has_8_bit {
            command += " BODY=8BITMIME";
        }
        if !from.is_ascii() || recipients.iter().any(|to| to.verdict.is_none() && !to.address.is_ascii()) {
            command += " SMTPUTF8";
        }
        Ok(Self { mail: command + "\r\n", recipients, refused: None, data: None, is_full: false })
    }

    /// All steps of the transaction, for those recipients that can be asked for.
    pub(super) fn steps(&self) -> Vec<Step> {
        let asked = self.recipients.iter().enumerate().filter(|(_, to)| to.verdict.is_none());
        let rcpts: Vec<Step> = asked.map(|(index, _)| Step::Rcpt(index)).collect();
        if rcpts.is_empty() {
            return rcpts;
        }
        [vec![Step::Mail], rcpts, vec![Step::Data]].concat()
    }

    pub(super) fn command(&self, step: Step) -> &str {
        match step {
            Step::Mail => &self.mail,
            Step::Rcpt(index) => &self.recipients[index].command,
            Step::Data => "DATA\r\n",
        }
    }

    /// Whether the step makes sense after the replies so far.
    pub(super) fn wants(&self, step: Step) -> bool {
        let may_be_accepted = |to: &Recipient| to.is_accepted || to.verdict.is_none();
        self.refused.is_none()
            && match step {
                Step::Mail => true,
                Step::Rcpt(_) => !self.is_full,
                Step::Data => self.recipients.iter().any(may_be_accepted),
            }
    }

    pub(super) fn note(&mut self, step: Step, reply: Reply) -> Result<()> {
        if step != Step::Data && reply.code / 100 == 3 {
            return Err(reply.out_of_place("the envelope"));
        }
        match step {
            Step::Mail if reply.is_ok() => {}
            Step::Mail => self.refused = Some(reply),
            Step::Rcpt(index) => {
                // "Too many recipients" was 552 once (RFC 5321 4.5.3.1.10). Before anybody was taken it means a mailbox.
                self.is_full |= reply.code == 552 && !self.accepted().is_empty();
                self.recipients[index].note(&reply);
            }
            Step::Data => self.data = Some(reply),
        }
        Ok(())
    }

    /// The recipients that the message is now sent to.
    pub(super) fn accepted(&self) -> Vec<usize> {
        (0..self.recipients.len()).filter(|index| self.recipients[*index].is_accepted).collect()
    }

    /// The same verdict for some of those, each with its own words.
    pub(super) fn decide(&mut self, who: &[usize], verdict: impl Fn(&str) -> Verdict) {
        for index in who {
            let to = &mut self.recipients[*index];
            to.verdict = Some(verdict(&to.address));
        }
    }

    /// In the order of the mail. Who was not asked for has to wait for the next transaction.
    pub(super) fn verdicts(self) -> Vec<Verdict> {
        let later = |address: &str| {
            let why = format!("sending to {address}: the server takes no more recipients at a time");
            Verdict::Later(Error::transient(Kind::Refused, why))
        };
        self.recipients.into_iter().map(|to| to.verdict.unwrap_or_else(|| later(&to.address))).collect()
    }
}

impl Recipient {
    fn new(address: &str, no_reports: bool, can: &Capabilities) -> Self {
        let (command, verdict) = match mailbox(address, can) {
            Ok(mailbox) => {
                let notify = if no_reports && can.dsn { " NOTIFY=NEVER" } else { "" };
                (format!("RCPT TO:<{}>{notify}\r\n", mailbox.as_str()), None)
            }
            Err(error) => (String::new(), Some(Verdict::Never(error))),
        };
        Self { address: address.to_owned(), command, is_accepted: false, verdict }
    }

    fn note(&mut self, reply: &Reply) {
        self.is_accepted = reply.is_ok();
        if self.is_accepted {
            return;
        }
        let error = reply.refusal(&format!("sending to {}", self.address));
        self.verdict = Some(match reply.code {
            552 => Verdict::Later(Error::transient(Kind::Refused, error.to_string())),
            _ if error.is_transient() => Verdict::Later(error),
            _ => Verdict::Never(error),
        });
    }
}

/// What one reply after the data means for a recipient.
pub(super) fn verdict(reply: &Reply, address: &str) -> Verdict {
    let doing = format!("the message to {address}");
    match reply.code / 100 {
        2 => Verdict::Sent(reply.text()),
        4 => Verdict::Later(reply.refusal(&doing)),
        _ => Verdict::Never(reply.refusal(&doing)),
    }
}

/// What a refusal of MAIL means (RFC 5321 4.2.2, RFC 1870 section 6, RFC 4954 section 6).
pub(super) fn sender_trouble(reply: &Reply, from: &str) -> Trouble {
    let error = reply.refusal(&format!("the sender <{from}>"));
    match reply.code {
        530 => Trouble::Relay(Error::permanent(Kind::Auth, "the server wants a login").said(reply.text())),
        552 => Trouble::Mail(Verdict::Never(error)),
        _ if error.is_transient() => Trouble::Mail(Verdict::Later(error)),
        _ => Trouble::Sender(error),
    }
}

fn mailbox<'a>(address: &'a str, can: &Capabilities) -> Result<Mailbox<'a>> {
    let mailbox = Mailbox::parse(address)?;
    if !mailbox.is_ascii() && !can.utf8 {
        let why = format!("{address} cannot be written to this server: it has no SMTPUTF8 (RFC 6531)");
        return Err(Error::permanent(Kind::Refused, why));
    }
    Ok(mailbox)
}

/// Whether the message can go through this server without a change to its bytes (`reliability.md` I8).
fn check_message(survey: &Survey, can: &Capabilities) -> Result<()> {
    let why = match can.size.flatten() {
        Some(limit) if survey.size > limit => format!("it has {} bytes, and the server takes {limit}", survey.size),
        _ if survey.longest_line > LONGEST_LINE => {
            format!("a line of it has {} bytes, and SMTP allows {LONGEST_LINE}", survey.longest_line)
        }
        _ if survey.has_8_bit && !can.eight_bit => {
            "it has bytes beyond ASCII, and the server has no 8BITMIME (RFC 6152)".to_owned()
        }
        _ if survey.has_hidden_dot => {
            "a line of it begins with NUL bytes and a dot, which some servers take for its end".to_owned()
        }
        _ => return Ok(()),
    };
    Err(Error::permanent(Kind::Refused, format!("the message cannot be sent as it is: {why}")))
}
