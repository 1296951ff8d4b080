//! Actions that send something out. Each becomes an outbox item with its own copy of the bytes in the spool. All values
//! are expanded already, so nothing has to be looked up when the item is sent.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Version;
use crate::clean;
use crate::config::template::FolderName;
use crate::config::units::show_duration;
use crate::config::wildcard;
use crate::message::Part;

/// One thing to send, with its recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    /// Which version of the message it uses.
    pub version: Version,
    /// The relay that sends it; `None` for the relay of the account or else the default relay.
    pub relay: Option<String>,
    /// How it is sent.
    pub way: Way,
}

impl Telling {
    /// Removes the recipients that get the same bytes in the same form from an earlier action (RFC 5228 2.10.3), and
    /// returns them.
    pub fn leave_out_those_of(&mut self, earlier: &Self) -> Vec<String> {
        let is_alike = match (&self.way, &earlier.way) {
            (Way::Redirect(this), Way::Redirect(earlier)) => this.mode == earlier.mode,
            // The relay is the destination.
            (Way::Lmtp(_), Way::Lmtp(_)) => self.relay == earlier.relay,
            _ => false,
        };
        if !is_alike || self.version != earlier.version {
            return Vec::new();
        }
        let told = earlier.way.recipients();
        let is_told = |to: &String| told.iter().any(|told| told.eq_ignore_ascii_case(to));
        let (again, left) = self.way.recipients().into_iter().partition(is_told);
        self.way.keep_recipients(left);
        again
    }
}

/// The ways to send something out, each named after its action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Forward the message.
    Redirect(Redirect),
    /// Answer that somebody is away (RFC 5230).
    Vacation(Vacation),
    /// Answer from a template.
    Reply(Reply),
    /// Pass it to a program.
    Pipe(Pipe),
    /// Notify the user by a program, a mail, a webhook or the desktop.
    Notify(Notify),
    /// Append it to a folder of an IMAP account.
    Imap(Append),
    /// Hand it to an LMTP server (RFC 2033).
    Lmtp(Lmtp),
    /// Refuse it and send its sender an explanation (RFC 5429).
    Reject(Reject),
}

/// `redirect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// The new recipients.
    pub to: Vec<String>,
    /// The form in which the message is forwarded.
    pub mode: RedirectMode,
    /// The envelope sender.
    pub envelope_from: EnvelopeFrom,
}

/// The form in which a message is forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedirectMode {
    /// The same message with trace fields in front (RFC 5228 4.2).
    #[default]
    Redirect,
    /// As an attachment of a message from the user's own address. This passes DMARC.
    Attach,
    /// With Resent-* fields (RFC 5322 3.6.6).
    Resend,
    /// Unchanged: a message that the user sends with `sendmail`.
    Submit,
}

/// The envelope sender of a forwarded message or an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvelopeFrom {
    /// `own` for SMTP, `original` for a local sendmail. A null sender stays null.
    #[default]
    Default,
    /// The user's own address.
    Own,
    /// The sender of the message.
    Original,
    /// `<>`.
    Null,
    /// This address.
    Address(String),
}

/// `vacation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vacation {
    /// The name under which the history of answers is kept.
    pub handle: String,
    /// The same sender is answered again after this many days.
    pub days: u32,
    /// The Subject; `None` for `Auto: ` and the original one.
    pub subject: Option<String>,
    /// The text.
    pub text: String,
    /// The From; `None` for the own address that the message was sent to.
    pub from: Option<String>,
    /// The one recipient.
    pub to: String,
    /// The envelope sender; the default here is null.
    pub envelope_from: EnvelopeFrom,
    /// What else was said about it.
    #[serde(default)]
    pub form: ReplyForm,
}

/// The rarely used settings that `vacation` and `reply` share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplyForm {
    /// The folder in which a copy of the answer is filed (RFC 8580).
    pub fcc: Option<FolderName>,
    /// Addresses of the user in addition to those in the config. The answer comes from the address that the message was
    /// sent to.
    pub addresses: Vec<String>,
    /// The text is a whole MIME entity: fields, a blank line, a body.
    pub mime: bool,
}

/// `reply`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The name under which the history of answers is kept.
    pub handle: String,
    /// How often the reply is sent.
    pub per: Per,
    /// At most this many answers to one sender within this time.
    pub most: Option<(u32, Duration)>,
    /// The Subject; `None` for `Re: ` and the original one.
    pub subject: Option<String>,
    /// The text, expanded.
    pub text: String,
    /// The From; `None` for the own address that the message was sent to.
    pub from: Option<String>,
    /// The one recipient.
    pub to: String,
    /// The address by which answers are counted: the recipient without tags that change from message to message. Empty
    /// in rows that older versions wrote; these are counted by `to`.
    #[serde(default)]
    pub sender: String,
    /// The envelope sender; the default here is null.
    pub envelope_from: EnvelopeFrom,
    /// What else was said about it.
    #[serde(default)]
    pub form: ReplyForm,
}

/// How often a reply is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Once for each sender.
    Sender,
    /// For every message.
    #[default]
    Message,
}

/// `pipe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipe {
    /// The program and its arguments. They are not passed through a shell.
    pub run: Vec<String>,
    /// What it reads.
    pub input: ProgramInput,
    /// The program reads only attachments whose type or name matches one of these patterns. If empty, it reads all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// Only one program with this lock name runs at a time. `None` sets no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
}

impl Pipe {
    /// Whether it reads this attachment.
    pub fn takes(&self, part: &Part) -> bool {
        Self::takes_one_of(&self.only, part)
    }

    /// Whether an attachment matches one of these patterns. Every attachment matches if there are none.
    pub fn takes_one_of(only: &[String], part: &Part) -> bool {
        let fits = |pattern: &str| match pattern.contains('/') {
            true => wildcard::matches(&pattern.to_lowercase(), part.content_type()),
            false => part.file_names().any(|name| wildcard::matches(&pattern.to_lowercase(), &name.to_lowercase())),
        };
        part.is_attachment() && (only.is_empty() || only.iter().any(|pattern| fits(pattern)))
    }
}

/// What a program reads on its standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgramInput {
    /// The whole message.
    #[default]
    Message,
    /// Its header block.
    Headers,
    /// The body.
    Body,
    /// Each attachment, decoded. The program runs once for each.
    Attachments,
    /// The MIME part with this number, decoded.
    Part(usize),
    /// Nothing.
    Nothing,
}

/// `notify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// A program and its arguments.
    pub run: Option<Vec<String>>,
    /// Or a mail address (RFC 5436).
    pub mail: Option<String>,
    /// Or an HTTPS URL to which JSON is posted.
    pub webhook: Option<String>,
    /// Or the desktop.
    pub desktop: bool,
    /// The title, in one line.
    pub title: String,
    /// The text of the notification.
    pub text: String,
    /// How important it is.
    pub importance: Importance,
}

/// The importance of a notification (RFC 5435 3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Importance {
    /// 1.
    High,
    /// 2.
    #[default]
    Normal,
    /// 3.
    Low,
}

/// `imap`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    /// The account in the config.
    pub account: String,
    /// The folder of that account.
    pub folder: String,
    /// The flags it gets there, as the words of a rule.
    pub flags: Vec<String>,
    /// When the message arrived, in Unix seconds. It becomes the INTERNALDATE.
    pub arrived: i64,
    /// UIDVALIDITY and UIDNEXT of the folder before the first attempt.
    pub noted: Option<(u32, u32)>,
}

/// `lmtp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lmtp {
    /// The recipients.
    pub to: Vec<String>,
}

/// `reject`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The explanation.
    pub text: String,
    /// The one recipient: the envelope sender.
    pub to: String,
}

impl Way {
    /// The name of the action; `send` for a message that the user sends.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Redirect(redirect) if redirect.mode == RedirectMode::Submit => "send",
            Self::Redirect(_) => "redirect",
            Self::Vacation(_) => "vacation",
            Self::Reply(_) => "reply",
            Self::Pipe(_) => "pipe",
            Self::Notify(_) => "notify",
            Self::Imap(_) => "imap",
            Self::Lmtp(_) => "lmtp",
            Self::Reject(_) => "reject",
        }
    }

    /// The settings of an answer; `None` for everything else.
    pub fn form(&self) -> Option<&ReplyForm> {
        match self {
            Self::Vacation(vacation) => Some(&vacation.form),
            Self::Reply(reply) => Some(&reply.form),
            _ => None,
        }
    }

    /// The recipients. A program and a folder have none.
    pub fn recipients(&self) -> Vec<String> {
        match self {
            Self::Redirect(redirect) => redirect.to.clone(),
            Self::Lmtp(lmtp) => lmtp.to.clone(),
            Self::Vacation(vacation) => vec![vacation.to.clone()],
            Self::Reply(reply) => vec![reply.to.clone()],
            Self::Reject(reject) => vec![reject.to.clone()],
            Self::Notify(notify) => notify.mail.clone().into_iter().collect(),
            Self::Pipe(_) | Self::Imap(_) => Vec::new(),
        }
    }

    /// Whether all of its recipients were removed.
    pub fn names_nobody(&self) -> bool {
        matches!(self, Self::Redirect(_) | Self::Lmtp(_)) && self.recipients().is_empty()
    }

    /// Replaces the recipients of an action that can have several.
    pub fn keep_recipients(&mut self, left: Vec<String>) {
        match self {
            Self::Redirect(redirect) => redirect.to = left,
            Self::Lmtp(lmtp) => lmtp.to = left,
            _ => {}
        }
    }

    /// Whether this goes to the sender of the message, who must not get it twice.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Vacation(_) | Self::Reply(_) | Self::Reject(_))
    }

    /// Whether this delivers the message. If such an action finally fails, the message goes to the inbox.
    pub fn delivers(&self) -> bool {
        matches!(self, Self::Redirect(_) | Self::Pipe(_) | Self::Imap(_) | Self::Lmtp(_) | Self::Reject(_))
    }
}

/// The host of a URL. The rest of the URL may hold a secret, so lists and logs show the host only.
pub fn host_of(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    clean::short(authority.rsplit('@').next().unwrap_or_default(), 100)
}

/// `redirect me@phone.example (attach)`.
impl fmt::Display for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.way.word())?;
        match &self.way {
            Way::Redirect(redirect) => {
                f.write_str(&redirect.to.join(" "))?;
                match redirect.mode {
                    RedirectMode::Redirect | RedirectMode::Submit => {}
                    RedirectMode::Attach => f.write_str(" (attach)")?,
                    RedirectMode::Resend => f.write_str(" (resend)")?,
                }
            }
            Way::Vacation(vacation) => write!(f, "{} ({}, {} days)", vacation.to, vacation.handle, vacation.days)?,
            Way::Reply(reply) => write!(f, "{} ({})", reply.to, reply.handle)?,
            Way::Pipe(pipe) => write!(f, "{}, at most {}", pipe.run.join(" "), show_duration(pipe.timeout))?,
            Way::Notify(notify) => match (&notify.run, &notify.mail, &notify.webhook) {
                (Some(run), _, _) => f.write_str(&run.join(" "))?,
                (_, Some(mail), _) => f.write_str(mail)?,
                (_, _, Some(url)) => f.write_str(&host_of(url))?,
                _ => f.write_str("desktop")?,
            },
            Way::Imap(append) => write!(f, "{}/{}", append.account, append.folder)?,
            Way::Lmtp(lmtp) => f.write_str(&lmtp.to.join(" "))?,
            Way::Reject(reject) => f.write_str(&reject.to)?,
        }
        if let Some(folder) = self.way.form().and_then(|form| form.fcc.as_ref()) {
            write!(f, " fcc {folder}")?;
        }
        if self.version > 0 { f.write_str(" edited") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_an_address_is_its_host() {
        assert_eq!(host_of("https://user:pw@hooks.example:8443/T0/secret?x"), "hooks.example:8443");
        assert_eq!(host_of("https://hooks.example?token=1"), "hooks.example");
    }
}
