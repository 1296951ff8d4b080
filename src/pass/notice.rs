//! Notices: what the user must know, filed as mail in the inbox, once for each cause and day.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::clean;
use crate::message::{Bytes, Key, Message, NOTICES, Origin};

/// How many messages one notice names. The others are in the log.
const MAX_MESSAGES_NAMED: usize = 50;

/// Why a notice is sent. The cause and the day identify a notice, so it comes once a day. A notice about messages is
/// identified by those as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A message could not be fetched, several times.
    SetAside,
    /// What came of a message may be incomplete.
    Doubtful,
    /// The program died twice while deciding about a message.
    Crashed,
    /// The rules failed on a message.
    RulesFailed,
    /// The rules deferred a message for too long.
    Deferred,
    /// A message could not be sent: the number of its outbox item, and how many recipients it still had. Others may
    /// refuse it later on the same day.
    Undelivered(i64, usize),
    /// The copy of a sent message could not be filed: the number of its outbox item.
    NoCopy(i64),
    /// The relay of this name does not take mail.
    RelayRefuses(String),
    /// Items for this relay, program or account have waited for a day.
    Waits(String),
    /// A notification could not be shown on the desktop.
    NoDesktop,
    /// The clock of this machine may be wrong.
    ClockDoubted,
    /// A folder or mbox file cannot take messages.
    TargetRefuses(String),
    /// Mail that moved cannot be removed from this folder.
    CannotLeave(String),
    /// The server cannot do what the account's config asks for.
    NotDone,
    /// The recipients of a message that the user submitted cannot be read.
    NotSent,
    /// More is to be sent than the limits allow.
    LimitReached,
    /// The config that is written now cannot be used.
    ConfigBroken,
    /// The server refused the credentials.
    LoginRefused,
    /// A staged message was found that the server does not list any more.
    Recovered,
    /// UIDVALIDITY changed, or ids were reused.
    Renumbered,
    /// The database was gone or older, and the outbox items with it.
    StateLost,
    /// The spool held files that the state does not know.
    Nobodys,
    /// The state is an older copy, and its waiting outbox items are held.
    StateOlder,
    /// A message was recorded, and neither its file nor the message on the server is there.
    NeverPublished,
}

impl Cause {
    fn word(&self) -> String {
        let word = match self {
            Self::Undelivered(id, left) => return format!("undelivered-{id}.{left}"),
            Self::NoCopy(id) => return format!("no-copy-{id}"),
            Self::RelayRefuses(relay) => return format!("relay-refuses-{}", clean::line(relay.as_bytes())),
            Self::Waits(whose) => return format!("waits-{}", short_hash(whose)),
            Self::TargetRefuses(target) => return format!("target-refuses-{}", short_hash(target)),
            Self::CannotLeave(folder) => return format!("cannot-leave-{}", short_hash(folder)),
            Self::NotDone => "not-done",
            Self::NotSent => "not-sent",
            Self::NoDesktop => "no-desktop",
            Self::ClockDoubted => "clock-doubted",
            Self::SetAside => "set-aside",
            Self::Doubtful => "doubtful",
            Self::Crashed => "crashed",
            Self::RulesFailed => "rules-failed",
            Self::Deferred => "deferred",
            Self::LimitReached => "limit-reached",
            Self::ConfigBroken => "config-broken",
            Self::LoginRefused => "login-refused",
            Self::Recovered => "recovered",
            Self::Renumbered => "renumbered",
            Self::StateLost => "state-lost",
            Self::Nobodys => "nobodys",
            Self::StateOlder => "state-older",
            Self::NeverPublished => "never-published",
        };
        word.to_owned()
    }

    /// Whether the text is about single messages: a notice about other messages is then another notice.
    fn is_about_messages(&self) -> bool {
        matches!(
            self,
            Self::SetAside | Self::Doubtful | Self::Crashed | Self::Recovered | Self::NeverPublished | Self::NotSent
        )
    }

    fn subject(&self) -> &'static str {
        match self {
            Self::Undelivered(..) => "a message could not be sent on",
            Self::NoCopy(_) => "a copy of what was sent could not be filed",
            Self::RelayRefuses(_) => "a relay does not take mail",
            Self::Waits(_) => "something has waited for a day to be sent",
            Self::TargetRefuses(_) => "a folder cannot take mail",
            Self::CannotLeave(_) => "mail that moved is in two folders",
            Self::NotSent => "a message was not sent",
            Self::NotDone => "something is not done on the server",
            Self::NoDesktop => "a notification could not be shown",
            Self::ClockDoubted => "the clock may be wrong",
            Self::SetAside => "a message could not be fetched",
            Self::Doubtful => "a message came incomplete",
            Self::Crashed => "a message was filed without its rules",
            Self::RulesFailed => "the rules failed on a message",
            Self::Deferred => "a message was deferred for too long",
            Self::LimitReached => "more is to be sent than the limits allow",
            Self::ConfigBroken => "it cannot be used",
            Self::LoginRefused => "the server refuses the password",
            Self::Recovered => "a message was saved after a crash",
            Self::Renumbered => "the server renumbered its messages",
            Self::StateLost => "the state was lost",
            Self::Nobodys => "unknown files were in the spool",
            Self::StateOlder => "the state is an older copy",
            Self::NeverPublished => "a message cannot be found",
        }
    }
}

fn short_hash(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text)[..8])
}

/// A notice about one account.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Why.
    pub cause: Cause,
    /// The account.
    pub account: String,
    /// What happened, in sentences. The caller has cleaned the server's lines in it.
    pub text: String,
}

impl Notice {
    /// The key in a name space. The same cause on the same day is the same notice.
    pub fn key(&self, space: &str, now: Timestamp) -> Key {
        let origin = Origin { account: space.to_owned(), folder: NOTICES.to_owned(), generation: 0 };
        let day = now.to_zoned(TimeZone::system()).date();
        let mut id = format!("{} {day}", self.cause.word());
        if self.cause.is_about_messages() {
            // The text names the messages.
            let digest = Sha256::digest(&self.text);
            id = format!("{id} {}", data_encoding::HEXLOWER.encode(&digest[..8]));
        }
        Key::new(&Arc::new(origin), id)
    }

    /// Combines the notices about messages that have the same cause, so that a rule that fails on all mail does not
    /// fill the inbox.
    pub fn gather(notices: Vec<Self>) -> Vec<Self> {
        let mut gathered: Vec<(Self, usize)> = Vec::new();
        for notice in notices {
            let is_alike = |(one, _): &&mut (Self, usize)| one.cause == notice.cause && one.account == notice.account;
            match gathered.iter_mut().find(is_alike) {
                Some((one, count)) if notice.cause.is_about_messages() => {
                    *count += 1;
                    if *count <= MAX_MESSAGES_NAMED {
                        one.text = format!("{}\n\n{}", one.text.trim_end(), notice.text);
                    }
                }
                _ => gathered.push((notice, 1)),
            }
        }
        let closed = |(mut notice, count): (Self, usize)| {
            if count > MAX_MESSAGES_NAMED {
                notice.text =
                    format!("{}\n\nThe same applies to {} others.", notice.text.trim_end(), count - MAX_MESSAGES_NAMED);
            }
            notice
        };
        gathered.into_iter().map(closed).collect()
    }

    /// The notice as a message. Its Auto-Submitted field (RFC 3834) keeps responders from answering it.
    pub fn message(&self, now: Timestamp, host: &str) -> Message {
        let mut mail = Vec::new();
        let text = NoticeMail { notice: self, now, host };
        // Writing to memory does not fail.
        std::io::Write::write_fmt(&mut mail, format_args!("{text}")).ok();
        Message::new(Bytes::Memory(mail))
    }
}

struct NoticeMail<'a> {
    notice: &'a Notice,
    now: Timestamp,
    host: &'a str,
}

impl fmt::Display for NoticeMail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { notice, now, host } = self;
        let date = jiff::fmt::rfc2822::to_string(&now.to_zoned(TimeZone::system())).unwrap_or_default();
        let account = clean::line(notice.account.as_bytes());
        let host = clean::line(host.as_bytes());
        writeln!(f, "From: mailsluice <mailsluice@{host}>")?;
        writeln!(f, "Subject: [mailsluice] {account}: {}", notice.cause.subject())?;
        writeln!(f, "Date: {date}")?;
        writeln!(f, "Message-ID: <{}.{}.{account}@{host}>", notice.cause.word(), now.as_nanosecond())?;
        writeln!(f, "Auto-Submitted: auto-generated")?;
        writeln!(f, "X-Mailsluice-Notice: {}", notice.cause.word())?;
        writeln!(f, "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n")?;
        writeln!(f, "{}\n", notice.text.trim_end())?;
        match notice.cause {
            Cause::ConfigBroken => writeln!(f, "`mailsluice check` shows everything that is wrong in it.")?,
            _ => writeln!(f, "`mailsluice log {account}` shows the account's history.")?,
        }
        writeln!(f, "You get this at most once a day for each cause, or for each message.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_named_and_one_mail_is_enough() {
        let about = |text: &str| Notice { cause: Cause::SetAside, account: "work".into(), text: text.into() };
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        assert_ne!(about("UID 7").key("work", now), about("UID 8").key("work", now));
        let other = Notice { cause: Cause::LoginRefused, account: "work".into(), text: "no".into() };
        let gathered = Notice::gather(vec![about("UID 7"), other.clone(), about("UID 8"), other]);
        let texts: Vec<_> = gathered.iter().map(|n| n.text.as_str()).collect();
        assert_eq!(texts, ["UID 7\n\nUID 8", "no", "no"]);
        let many = Notice::gather((0..60).map(|n| about(&format!("UID {n}."))).collect());
        assert_eq!(many.len(), 1);
        assert!(many[0].text.ends_with("UID 49.\n\nThe same applies to 10 others."), "{}", many[0].text);
    }

    #[test]
    fn a_notice_is_a_mail_that_nothing_answers_and_comes_once_a_day() {
        let notice = Notice { cause: Cause::SetAside, account: "work".into(), text: "UID 7 is broken.".into() };
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let mail = notice.message(now, "host");
        assert_eq!(mail.first("Auto-Submitted"), Some("auto-generated"));
        assert_eq!(mail.first("Subject"), Some("[mailsluice] work: a message could not be fetched"));
        let later = "2026-11-23T12:30:00Z".parse().unwrap();
        assert_eq!(notice.key("work", now), notice.key("work", later));
        assert_ne!(notice.key("work", now), notice.key("work", "2026-11-25T12:00:00Z".parse().unwrap()));
    }
}
