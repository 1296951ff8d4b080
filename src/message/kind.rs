//! Whether a person or a program wrote the message.

use super::{Address, Field, Message, unwrapped};

/// The kind of a message, judged by its header alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Written by a program to one person.
    Automated,
    /// From a mailing list or a newsletter.
    List,
    /// A report that a message was delivered, or could not be.
    Bounce,
    /// No sign that a program wrote it.
    Personal,
}

impl MessageKind {
    /// The word a rule uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Automated => "automated",
            Self::List => "list",
            Self::Bounce => "bounce",
            Self::Personal => "personal",
        }
    }
}

/// The fields of mailing lists: RFC 2369, RFC 2919, RFC 8058, and those of old list software.
const LIST_FIELDS: [&str; 10] = [
    "List-Id",
    "List-Help",
    "List-Subscribe",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Mailing-List",
    "X-Mailing-List",
];

/// Fields whose presence says that a program wrote the message, whatever their value is.
const ROBOT_FIELDS: [&str; 7] =
    ["X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-AutoReply-From", "X-Loop", "X-Mail-Autoreply", "X-Cron-Env"];

/// Local parts of programs (RFC 5230 4.6, RFC 3834 2, vacation(1)), without dots, dashes and underscores.
const ROBOTS: [&str; 15] = [
    "mailerdaemon",
    "daemon",
    "listserv",
    "majordomo",
    "mailman",
    "cron",
    "crondaemon",
    "root",
    "uucp",
    "mailer",
    "autoreply",
    "autoresponder",
    "nobody",
    "mdaemon",
    "wwwdata",
];

/// Phrases in local parts and display names that say that nobody reads replies: `do-not-reply`, `drive-noreply`, `Bitte
/// nicht antworten`. In English, German, French, Spanish, Chinese and Japanese, without separators between words.
const NO_REPLY: [&str; 42] = [
    "noreply",
    "donotreply",
    "dontreply",
    "sendonly",
    "keineantwort",
    "nichtantworten",
    "nichtbeantworten",
    "antwortunmöglich",
    "nepasrepondre",
    "nepasrépondre",
    "nerepondezpas",
    "nerépondezpas",
    "pasdereponse",
    "pasderéponse",
    "sansreponse",
    "sansréponse",
    "noresponder",
    "noresponda",
    "norespondas",
    "nocontestar",
    "noconteste",
    "sinrespuesta",
    "qingwuhuifu",
    "wuxuhuifu",
    "buyaohuifu",
    "请勿回复",
    "請勿回覆",
    "勿回复",
    "请勿直接回复",
    "無需回覆",
    "无需回复",
    "不要回复",
    "自动回复",
    "系统邮件",
    "henshinfuyo",
    "henshinfuka",
    "soushinsenyo",
    "返信不要",
    "返信不可",
    "返信しないで",
    "送信専用",
    "自動送信",
];

/// Beginnings and ends of local parts of programs: `owner-list`, `list-request`, `bounce+x`.
const ROBOT_STARTS: [&str; 5] = ["owner-", "bounce-", "bounces-", "bounce+", "bounces+"];
const ROBOT_ENDS: [&str; 6] = ["-request", "-owner", "-bounces", "-bounce", "-errors", "-relay"];

/// Local parts from which bounces come.
const BOUNCERS: [&str; 2] = ["mailerdaemon", "postmaster"];

/// Phrases in the subjects of nonstandard bounces.
const FAILURES: [&str; 11] = [
    "undeliver",
    "returned mail",
    "delivery status",
    "delivery failure",
    "delivery failed",
    "failure notice",
    "mail delivery",
    "not delivered",
    "delivery report",
    "delayed mail",
    "could not send message",
];

impl Message {
    /// The kind of the message. If several apply, bounce comes before list, and list before automated.
    pub fn kind(&self) -> MessageKind {
        if self.is_bounce() {
            MessageKind::Bounce
        } else if self.is_list() {
            MessageKind::List
        } else if self.is_automated() {
            MessageKind::Automated
        } else {
            MessageKind::Personal
        }
    }

    /// Whether it is a report about a delivery: it has a null Return-Path and is not an automatic answer, which may
    /// have one too (RFC 3834 3.3); or it is a delivery report (RFC 3464 2); or it is a nonstandard failure message of
    /// a mail system.
    pub fn is_bounce(&self) -> bool {
        let has_null_sender = self.envelope_sender().is_some_and(str::is_empty);
        has_null_sender && !self.is_automatic_answer()
            || self.is_from_nobody()
            || self.is_delivery_report()
            || self.is_failure()
    }

    /// Whether From has a null address: `From: MAILER-DAEMON <>`. Some mail systems write it in reports.
    fn is_from_nobody(&self) -> bool {
        self.all("From").any(|field| field.value().trim_end().ends_with("<>"))
    }

    /// Whether it is from a mailing list or newsletter: it has a List field (RFC 2369, RFC 2919), Mailing-List, or
    /// Precedence: list.
    pub fn is_list(&self) -> bool {
        self.fields().iter().any(|field| is_one_of(field, &LIST_FIELDS)) || self.has_precedence(&["list"])
    }

    /// Whether a program wrote it: it has Auto-Submitted other than `no` (RFC 3834 5), Precedence bulk, junk or
    /// `auto_reply`, a field that only programs write, or the sender of a program; or it is a bounce.
    pub fn is_automated(&self) -> bool {
        self.has_precedence(&["bulk", "junk", "auto_reply", "auto-reply"])
            || self.fields().iter().any(|f| is_one_of(f, &ROBOT_FIELDS) || is_auto_submitted(f) || is_suppressing(f))
            || self.is_bounce()
            || self.is_from_program()
    }

    /// Whether a sender (in the envelope, From or Sender) is a program, by its local part or its display name.
    pub fn is_from_program(&self) -> bool {
        self.senders().any(|local| is_program(&local))
            || ["From", "Sender"].iter().flat_map(|name| self.addresses(name)).any(says_so)
    }

    /// Whether any Content-Type field says that it is a report about another message (RFC 6522).
    pub fn is_report(&self) -> bool {
        let is_one = |field: &Field| {
            let kind = field.parsed().main;
            matches!(kind.as_str(), "multipart/report" | "message/delivery-status" | "message/disposition-notification")
        };
        self.all("Content-Type").any(is_one) || self.is_delivery_report()
    }

    fn has_precedence(&self, words: &[&str]) -> bool {
        self.all("Precedence").any(|field| words.contains(&keyword(field.value()).as_str()))
    }

    fn is_automatic_answer(&self) -> bool {
        self.all("Auto-Submitted").any(|field| keyword(field.value()) == "auto-replied")
            && !self.senders().any(is_bouncer)
            && !self.is_delivery_report()
    }

    fn is_delivery_report(&self) -> bool {
        let is_report = |field: &Field| {
            let parsed = field.parsed();
            parsed.main == "multipart/report"
                && parsed.get("report-type").is_some_and(|kind| kind.eq_ignore_ascii_case("delivery-status"))
        };
        self.all("Content-Type").any(is_report) || self.fields().iter().any(|f| f.is_named("X-Failed-Recipients"))
    }

    fn is_failure(&self) -> bool {
        let says_failure = || {
            let subject = self.first("Subject").unwrap_or_default().to_lowercase();
            FAILURES.iter().any(|words| subject.contains(words))
        };
        self.senders().any(is_bouncer) && says_failure()
    }

    /// The local parts of all claimed senders, in lower case.
    fn senders(&self) -> impl Iterator<Item = String> {
        let envelope = self.envelope_sender().map(unwrapped);
        let envelope = envelope.map(|sender| match sender.rsplit_once('@') {
            Some((local, _)) => local.to_owned(),
            None => sender,
        });
        let written = ["From", "Sender"].iter().flat_map(|name| self.addresses(name)).map(|a| a.local_part());
        written.map(str::to_lowercase).chain(envelope)
    }
}

fn is_one_of(field: &Field, names: &[&str]) -> bool {
    names.iter().any(|name| field.is_named(name))
}

fn is_auto_submitted(field: &Field) -> bool {
    field.is_named("Auto-Submitted") && !matches!(keyword(field.value()).as_str(), "no" | "")
}

/// Whether it is X-Auto-Response-Suppress (Exchange) with a value other than `None`.
fn is_suppressing(field: &Field) -> bool {
    field.is_named("X-Auto-Response-Suppress") && !matches!(keyword(field.value()).as_str(), "none" | "")
}

/// Whether a local part in lower case is that of a program. It may have a detail.
pub fn is_program(local: &str) -> bool {
    let starts = ROBOT_STARTS.iter().any(|start| local.starts_with(start));
    let (user, detail) = local.split_once('+').unwrap_or((local, ""));
    let plain = bare(user);
    starts
        || detail.starts_with("bounce")
        || ["owner", "request"].contains(&detail)
        || ROBOT_ENDS.iter().any(|end| local.ends_with(end))
        || ROBOTS.contains(&plain.as_str())
        || NO_REPLY.iter().any(|word| plain.contains(word))
}

/// Whether an address is that of a program, by its local part or its display name.
pub fn is_robot(address: &Address) -> bool {
    is_program(&address.local_part().to_lowercase()) || says_so(address)
}

/// Whether the display name says that nobody reads replies.
fn says_so(address: &Address) -> bool {
    let name = address.name.as_deref().unwrap_or_default().to_lowercase();
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    NO_REPLY.iter().any(|words| letters.contains(words))
}

fn is_bouncer(local: String) -> bool {
    BOUNCERS.contains(&bare(&local).as_str())
}

/// Removes the separators from `No-Reply` and `do_not_reply`.
fn bare(local: &str) -> String {
    local.chars().filter(|c| !matches!(c, '-' | '_' | '.')).collect()
}

/// The keyword of a structured value in lower case: `no` of `No (human); x=y` (RFC 3834 5.1).
fn keyword(value: &str) -> String {
    super::params::parse(value.as_bytes(), &crate::charsets::NOTHING_SAID).main
}

#[cfg(test)]
mod tests {
    use super::super::Bytes;
    use super::*;

    fn kind(head: &str) -> MessageKind {
        Message::new(Bytes::Memory(format!("{head}\n\n").into_bytes())).kind()
    }

    #[test]
    fn people() {
        for head in [
            "From: ann@example.org",
            "Auto-Submitted: no",
            "Auto-Submitted: (people) NO (human); x=y",
            "X-Auto-Response-Suppress: None",
            "From: postmaster@example.org\nSubject: lunch?",
            "From: Noreen <noreen@example.org>\nReturn-Path: <noreen@example.org>",
            "From: Wu Huifu <wuhuifu@example.org>",
            "Return-Path: <prvs=1234567890=ann@example.org>",
            "Precedence: first-class",
        ] {
            assert_eq!(kind(head), MessageKind::Personal, "{head}");
        }
    }

    #[test]
    fn programs() {
        for head in [
            "Auto-Submitted: auto-replied (vacation)",
            "Auto-Submitted: Auto-Generated; x=y",
            "Auto-Submitted: no\nAuto-Submitted: auto-notified; owner-email=\"a@b\"",
            "Auto-Submitted: something-new",
            "Precedence: Bulk",
            "Precedence: junk (spam)",
            "X-Auto-Response-Suppress: OOF, AutoReply",
            "X-Loop: x",
            "From: do_not-reply@example.org",
            // mlmmj
            "From: list+owner@example.org",
            "From: x@example.org\nReturn-Path: <list+bounces-help@example.org>",
            "From: \"Cron Daemon\" <root@host.example>",
            "From: Bitte nicht antworten <service@example.org>",
            "From: keine.antwort@example.org",
            "From: ne-pas-repondre@example.org",
            "From: =?utf-8?Q?Ne_pas_r=C3=A9pondre?= <service@example.org>",
            "From: no_responder@example.org",
            "From: =?utf-8?B?6K+35Yu/5Zue5aSN?= <service@example.org>",
            "From: =?utf-8?B?77yI6YCB5L+h5bCC55So77yJ?= <info@example.org>",
            "From: soushin-senyo@example.org",
            "Return-Path: <SRS0=HH=TT=example.org=no-reply@forwarder.example>",
            "From: ann@example.org\nReturn-Path: <list-request@example.org>",
            "Sender: owner-list@example.org",
            "Return-Path: <>\nAuto-Submitted: auto-replied\nFrom: ann@example.org",
        ] {
            assert_eq!(kind(head), MessageKind::Automated, "{head}");
        }
    }

    #[test]
    fn lists() {
        for head in ["List-Id: <a.b>", "list-unsubscribe: <mailto:a@b>", "Mailing-List: x", "Precedence: list"] {
            assert_eq!(kind(head), MessageKind::List, "{head}");
        }
    }

    #[test]
    fn bounces() {
        for head in [
            "Return-Path: <>",
            "Return-Path: <>\nAuto-Submitted: auto-replied\nFrom: MAILER-DAEMON@example.org",
            "Content-Type: multipart/report; report-type=\"Delivery-Status\"; boundary=x",
            "X-Failed-Recipients: a@b",
            "From: Mail System <postmaster@example.org>\nSubject: Undeliverable: hello",
        ] {
            assert_eq!(kind(head), MessageKind::Bounce, "{head}");
        }
    }
}
