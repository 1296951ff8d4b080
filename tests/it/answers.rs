//! The answers as they are composed and sent: one test for each row of our checklist (RFC 3834 3 and 4, RFC 5230 5).

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use jiff::{Timestamp, Zoned};
use mailsluice::decision::{EnvelopeFrom, Importance, Notify, Per, Reject, Reply, ReplyForm, Vacation, Way};
use mailsluice::message::Message;
use mailsluice::outbox::compose::{self, Desk};

use rustix::process::{Pid, Signal, kill_process};

use crate::engine::{decided, message, settings, shown, yaml, yaml_with};
use crate::outbox::{User, from, mail, text};
use crate::support::maildir::{Found, Maildirs};
use crate::support::smtp_server::{SmtpOptions, SmtpServer, Taken};

const VACATION: &str = "  - {name: away, do: {vacation: I am away}}";

const AWAY: Vacation = Vacation {
    handle: String::new(),
    days: 7,
    subject: None,
    text: String::new(),
    from: None,
    to: String::new(),
    envelope_from: EnvelopeFrom::Null,
    form: ReplyForm { fcc: None, addresses: Vec::new(), mime: false },
};

fn away() -> Vacation {
    Vacation { text: "I am away.\n".to_owned(), to: "ann@far.example".to_owned(), ..AWAY }
}

fn again() -> Reply {
    Reply {
        handle: String::new(),
        per: Per::Message,
        most: None,
        subject: None,
        text: "Thank you.\n".to_owned(),
        from: None,
        to: "ann@far.example".to_owned(),
        sender: String::new(),
        envelope_from: EnvelopeFrom::Null,
        form: ReplyForm::default(),
    }
}

fn now() -> Zoned {
    "2026-03-01T12:30:00+01:00[+01:00]".parse().unwrap()
}

/// What the desk of a user with two addresses writes about a row.
fn at_desk(id: i64, write: impl Fn(&Desk<'_>) -> Message) -> String {
    at_desk_of("me@home.example", id, write)
}

fn at_desk_of(me: &str, id: i64, write: impl Fn(&Desk<'_>) -> Message) -> String {
    let own = [me.to_owned(), "alias@home.example".to_owned()];
    let at = Timestamp::from_second(1_772_000_000).unwrap();
    let (now, host) = (now(), "laptop.internal");
    let desk = Desk { own: &own, delimiters: "+", from: &own[0], host, id, at, now: &now };
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut write(&desk).reader().unwrap(), &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn vacation(original: &str, vacation: &Vacation) -> String {
    at_desk(7, |desk| compose::vacation(&message(original), vacation, desk))
}

/// All three kinds of answers to a message.
fn answers(original: &str) -> [String; 3] {
    let original = message(original);
    let reject = Reject { text: "No.\n".to_owned(), to: "ann@far.example".to_owned() };
    [
        at_desk(7, |desk| compose::vacation(&original, &away(), desk)),
        at_desk(7, |desk| compose::reply(&original, &again(), desk)),
        at_desk(7, |desk| compose::reject(&original, &reject, desk)),
    ]
}

fn header(mail: &str) -> &str {
    mail.split_once("\n\n").unwrap().0
}

fn body(mail: &str) -> &str {
    mail.split_once("\n\n").unwrap().1
}

/// The values of a field, as a reader decodes them.
fn values(mail: &str, name: &str) -> Vec<String> {
    message(mail).all(name).map(|field| field.value().to_owned()).collect()
}

/// The one value of a field.
#[track_caller]
fn value(mail: &str, name: &str) -> String {
    let values = values(mail, name);
    assert_eq!(values.len(), 1, "{name} in\n{mail}");
    values[0].clone()
}

#[track_caller]
fn sent(user: &User, server: &SmtpServer) -> Taken {
    user.until("it is sent", |rows| !rows.is_empty() && rows.iter().all(|row| row["state"] == "sent"));
    assert_eq!(server.count(), 1);
    server.last()
}

/// Everybody that a message names.
const CROWD: &str = "Return-Path: <ann@far.example>\nFrom: Boss <boss@far.example>\nSender: desk@far.example\n\
    Reply-To: replies@far.example\nTo: me@home.example\nCc: cc@far.example\nMessage-ID: <1@far.example>\n\
    Subject: hi\n\nhello\n";

#[test]
fn b1_b2_b14_the_return_path_is_the_one_recipient() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay(VACATION, &server);
    user.deliver(CROWD);
    let taken = sent(&user, &server);
    assert_eq!(taken.to, ["ann@far.example"]);
    let text = text(&taken);
    assert_eq!(value(&text, "To"), "ann@far.example");
    for other in ["boss@", "desk@", "replies@", "cc@"] {
        assert!(!text.contains(other), "{other} in\n{text}");
    }
}

#[test]
fn b3_the_reverse_path_is_null_unless_the_rule_says_otherwise() {
    for (option, expected) in
        [("", ""), (", envelope_from: own", "me@home.example"), (", envelope_from: x@y.example", "x@y.example")]
    {
        let server = SmtpServer::start(SmtpOptions::default());
        let user = User::with_relay(&format!("  - {{name: away, do: {{vacation: {{text: x{option}}}}}}}"), &server);
        user.deliver(mail(1, "hi"));
        assert_eq!(from(&sent(&user, &server)), expected, "{option}");
    }
}

#[test]
fn b4_no_reports_are_asked_for_where_the_server_knows_that() {
    for knows in [true, false] {
        let options = SmtpOptions::default();
        let server = SmtpServer::start(if knows { options } else { options.without("DSN") });
        let user = User::with_relay(VACATION, &server);
        user.deliver(mail(1, "hi"));
        sent(&user, &server);
        let commands = server.commands();
        let rcpt = commands.iter().find(|command| command.starts_with("RCPT")).unwrap();
        assert_eq!(rcpt.contains("NOTIFY=NEVER"), knows, "{commands:#?}");
    }
}

#[test]
fn b5_b16_b21_it_says_that_it_is_automatic() {
    for text in answers(CROWD) {
        assert_eq!(value(&text, "Auto-Submitted"), "auto-replied");
        assert_eq!(value(&text, "Precedence"), "bulk");
        assert_eq!(value(&text, "X-Auto-Response-Suppress"), "All");
    }
    let notify = Notify { importance: Importance::Normal, ..notify() };
    let text = at_desk(7, |desk| compose::notification(&notify, "me@phone.example", desk));
    assert_eq!(value(&text, "Auto-Submitted"), "auto-notified; owner-email=\"me@home.example\"");
}

/// What a rule makes of `notify`.
fn notify() -> Notify {
    let engine = yaml("rules: [{do: {notify: {mail: me@phone.example, title: New, text: Mail}}}]");
    let decision = decided(&engine, CROWD);
    let Some(Way::Notify(notify)) = decision.tellings().next().map(|telling| telling.way.clone()) else {
        panic!("{decision:?}")
    };
    notify
}

#[test]
fn b6_in_reply_to_is_the_message_id_or_nothing() {
    for (field, expected) in [
        ("Message-ID: <1@far.example>\n", Some("<1@far.example>")),
        ("Message-ID: bare@far.example\n", Some("<bare@far.example>")),
        ("Message-ID: <a=?utf-8?Q?b?=@far.example>\n", Some("<a=?utf-8?Q?b?=@far.example>")),
        ("", None),
        ("Message-ID: <>\n", None),
        ("Message-ID: no id at all\n", None),
        ("Message-ID: <ünïcode@far.example>\n", None),
    ] {
        for text in answers(&format!("Subject: x\n{field}\n")) {
            let line = header(&text).lines().find_map(|line| line.strip_prefix("In-Reply-To: "));
            assert_eq!(line, expected, "{field}");
        }
    }
}

fn references(original: &str) -> Vec<String> {
    let text = vacation(original, &away());
    let values = values(&text, "References");
    assert!(values.len() <= 1, "{text}");
    values.iter().flat_map(|value| value.split_whitespace().map(str::to_owned)).collect()
}

#[test]
fn b7_references_are_those_of_the_original_and_its_id() {
    for (fields, expected) in [
        ("References: <a@x> <b@x>\nIn-Reply-To: <c@x>\nMessage-ID: <1@x>\n", &["<a@x>", "<b@x>", "<1@x>"][..]),
        ("In-Reply-To: <c@x>\nMessage-ID: <1@x>\n", &["<c@x>", "<1@x>"]),
        ("In-Reply-To: <c@x> <d@x>\nMessage-ID: <1@x>\n", &["<1@x>"]),
        ("In-Reply-To: <c@x><d@x>\nMessage-ID: <1@x>\n", &["<1@x>"]),
        ("Message-ID: <1@x>\n", &["<1@x>"]),
        ("References: <a@x>\n", &["<a@x>"]),
        ("Subject: nothing\n", &[]),
    ] {
        assert_eq!(references(&format!("{fields}\n")), expected, "{fields}");
    }
}

#[test]
fn b8_broken_and_huge_references_are_bounded() {
    let broken = "References: <a@x><b@x>, half@x> <c@x\n\t(comment) <d e@x> <> <<f@x>> \u{e9}\nMessage-ID: <1@x>\n\n";
    assert_eq!(references(broken), ["<a@x>", "<b@x>", "<f@x>", "<1@x>"]);
    for length in [10, 200, 800, 5000] {
        let ids: Vec<String> = (0..1000).map(|n| format!("<{n}.{}@x>", "i".repeat(length))).collect();
        let original = format!("Message-ID: <1@x>\nReferences: {}\n\n", ids.join("\n "));
        let text = vacation(&original, &away());
        assert!(header(&text).len() < 20_000 && text.lines().all(|line| line.len() <= 998), "{length}: {}", text.len());
        let found = references(&original);
        // Of a field the first 64 KiB are read.
        assert!(length > 10 || found[18] == ids[999], "{found:?}");
        assert_eq!(found.last().unwrap(), "<1@x>", "{length}");
        if length < 900 {
            assert_eq!((found.len(), &found[0]), (20, &ids[0]), "{length}");
        }
    }
}

#[test]
fn b9_the_subject_is_the_original_one_or_a_fixed_text() {
    for (original, expected) in [
        ("Subject: question\n\n", ["Auto: question", "Re: question"]),
        ("Subject: RE: question\n\n", ["Auto: RE: question", "RE: question"]),
        ("Subject:  \n\n", ["Automated reply", "Re: your message"]),
        ("X: y\n\n", ["Automated reply", "Re: your message"]),
    ] {
        let [vacation, reply, _] = answers(original);
        assert_eq!([value(&vacation, "Subject"), value(&reply, "Subject")], expected, "{original}");
    }
    let own = Vacation { subject: Some("Gone fishing".to_owned()), ..away() };
    assert_eq!(value(&vacation(CROWD, &own), "Subject"), "Gone fishing");
}

#[test]
fn b10_a_subject_is_encoded_if_it_must_be() {
    let with = |subject: &str| vacation(CROWD, &Vacation { subject: Some(subject.to_owned()), ..away() });
    assert!(with("Plain = text_here?").contains("\nSubject: Plain = text_here?\n"));
    for subject in ["Grüße", "不在です", "away – Mon", "=?utf-8?Q?not_mine?="] {
        let text = with(subject);
        assert!(header(&text).is_ascii() && text.contains("=?utf-8?Q?"), "{text}");
        assert_eq!(value(&text, "Subject"), subject);
    }
}

#[test]
fn b11_a_subject_is_one_field_of_short_lines() {
    for subject in ["ü".repeat(500), "wörter und Wörter ".repeat(40), "a 請求書 b ".repeat(60), "ü".repeat(100_000)]
    {
        let text = vacation(CROWD, &Vacation { subject: Some(subject.clone()), ..away() });
        for line in header(&text).lines().filter(|line| line.contains("=?")) {
            assert!(
                line.len() <= 76 && line.split(' ').all(|word| word.starts_with("=?") == word.ends_with("?=")),
                "{line}"
            );
        }
        let read = value(&text, "Subject");
        assert!(subject.starts_with(read.trim_end()) && read.len() > 400, "{read}");
    }
    for end in ["\r\n", "\n", "\r", "\0\n", "\u{2028}", "\u{85}"] {
        let evil = format!("x{end}Bcc: victim@x.example{end}{end}body");
        let own = vacation(CROWD, &Vacation { subject: Some(evil.clone()), ..away() });
        let encoded = evil.bytes().map(|byte| format!("={byte:02X}")).collect::<String>();
        let theirs = answers(&format!("Message-ID: <1@x>\nSubject: =?utf-8?Q?{encoded}?=\n\n"));
        for text in theirs.iter().chain([&own]) {
            assert!(values(text, "Bcc").is_empty() && !header(text).contains('\r'), "{text}");
            assert_eq!(header(text), header(&text.replace(['\0', '\u{85}'], "\n")), "{text}");
        }
    }
}

#[test]
fn b12_from_is_the_own_address_that_was_written_to() {
    for (to, expected) in [
        ("To: alias@home.example", "alias@home.example"),
        ("To: x@far.example\nCc: Evil Name <ALIAS@home.example>", "ALIAS@home.example"),
        ("To: Alias+Shop@home.example", "Alias@home.example"),
        ("To: alias+,<x@far.example>@home.example", "me@home.example"),
        ("To: x@far.example", "me@home.example"),
        ("X: none", "me@home.example"),
    ] {
        for text in answers(&format!("{to}\nMessage-ID: <1@far.example>\n\n")) {
            assert_eq!(value(&text, "From"), expected, "{to}");
            assert!(!text.contains("laptop"), "{text}");
        }
    }
    let own = Vacation { from: Some("Jörg M <office@home.example>".to_owned()), ..away() };
    let text = vacation("To: alias@home.example\n\n", &own);
    assert!(header(&text).is_ascii());
    assert_eq!(value(&text, "From"), "Jörg M <office@home.example>");
    let own = Vacation { from: Some("\"M, Jörg (Büro)\" <office@home.example>".to_owned()), ..away() };
    let text = vacation("To: alias@home.example\n\n", &own);
    let from = message(&text).addresses("From").next().cloned().unwrap();
    assert_eq!((from.name.as_deref(), from.address.as_str()), (Some("M, Jörg (Büro)"), "office@home.example"));
}

/// Those of the rule count like those of the config.
#[test]
fn b12_from_is_an_address_of_the_rule_that_was_written_to() {
    for action in ["vacation", "reply"] {
        let server = SmtpServer::start(SmtpOptions::default());
        let rule = format!("  - {{name: r, do: {{{action}: {{text: x, addresses: [desk@home.example]}}}}}}");
        let user = User::with_relay(&rule, &server);
        user.deliver(mail(1, "hi").replace("To: me@", "To: Desk@"));
        assert_eq!(value(&text(&sent(&user, &server)), "From"), "Desk@home.example");
    }
}

#[test]
fn b13_a_from_that_is_no_address_is_an_error_of_the_config() {
    for action in ["vacation", "reply"] {
        for bad in ["not an address", "a@x.example, b@x.example", "@x.example", "\"a@x.example\\nBcc: c@x.example\""] {
            let quoted = if bad.starts_with('"') { bad.to_owned() } else { format!("'{bad}'") };
            let rule = format!("rules: [{{do: {{{action}: {{text: x, from: {quoted}}}}}}}]");
            let problems = shown(&yaml_with(&rule, &settings()).expect_err(&rule));
            assert!(problems.contains("an address"), "{bad}: {problems}");
        }
        let rule = format!("rules: [{{do: {{{action}: {{text: x, from: 'Me <me@x.example>'}}}}}}]");
        assert!(yaml_with(&rule, &settings()).is_ok());
    }
}

/// It would be compared with every recipient and never found.
#[test]
fn a16_an_alias_that_is_no_address_is_an_error_of_the_config() {
    for action in ["vacation", "reply"] {
        for alias in ["Me <me@x.example>", "me"] {
            let rule = format!("rules: [{{do: {{{action}: {{text: x, addresses: ['{alias}']}}}}}}]");
            let problems = yaml_with(&rule, &settings()).unwrap_err();
            assert!(shown(&problems).contains("is no mail address"), "{}", shown(&problems));
        }
    }
}

#[test]
fn b15_date_and_message_id_are_its_own() {
    for text in answers("Date: Thu, 1 Jan 1998 00:00:00 +0000\nMessage-ID: <1@far.example>\n\n") {
        assert_eq!(value(&text, "Date"), "Sun, 1 Mar 2026 12:30:00 +0100");
        let id = value(&text, "Message-ID");
        assert!(id.starts_with('<') && id.ends_with("@home.example>") && !id.contains("1@far"), "{id}");
    }
    let id = |row| value(&at_desk(row, |desk| compose::vacation(&message(CROWD), &away(), desk)), "Message-ID");
    assert_ne!(id(1), id(2));
    assert_eq!(id(1), id(1), "a second copy of the same answer is known by it");
}

/// A message to two users of one server is answered by both in the same second, from a first row each.
#[test]
fn b15_two_users_of_a_domain_have_message_ids_of_their_own() {
    let id = |me| value(&at_desk_of(me, 1, |desk| compose::vacation(&message(CROWD), &away(), desk)), "Message-ID");
    assert_ne!(id("me@home.example"), id("you@home.example"));
}

#[test]
fn b17_the_body_is_text_in_the_encoding_it_needs() {
    for (said, encoding) in [
        ("Back on Monday.\n", "7bit"),
        ("Zurück am Montag.\n", "quoted-printable"),
        (&"x".repeat(998), "7bit"),
        (&"x".repeat(999), "quoted-printable"),
        ("我十月五日回来。急事请打办公室电话。\n谢谢\n", "base64"),
    ] {
        let text = vacation(CROWD, &Vacation { text: said.to_owned(), ..away() });
        assert_eq!(value(&text, "MIME-Version"), "1.0");
        assert_eq!(value(&text, "Content-Type"), "text/plain; charset=utf-8");
        assert_eq!(value(&text, "Content-Transfer-Encoding"), encoding, "{said}");
        assert!(text.is_ascii() && text.lines().all(|line| line.len() <= 998), "{text}");
        assert_eq!(message(&text).part_text(0, 1 << 16).replace("\r\n", "\n").trim_end(), said.trim_end());
    }
}

#[test]
fn b17_mime_is_an_entity_with_fields_of_its_own() {
    let with = |text: &str| {
        let form = ReplyForm { mime: true, ..ReplyForm::default() };
        vacation(CROWD, &Vacation { text: text.to_owned(), form, ..away() })
    };
    for (said, kind, encoding, body) in [
        ("Content-Type: text/html\n\n<p>Away</p>\n", "text/html; charset=utf-8", "7bit", "<p>Away</p>\n"),
        (
            "Content-Type: text/html; charset=utf-8\r\n\r\n<p>zurück</p>",
            "text/html; charset=utf-8",
            "quoted-printable",
            "<p>zur=C3=BCck</p>\n",
        ),
        (
            "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n我不在",
            "text/plain; charset=utf-8",
            "base64",
            "5oiR5LiN5ZyoDQo=\n",
        ),
        (
            "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n=E4",
            "text/plain; charset=iso-8859-1",
            "quoted-printable",
            "=E4\n",
        ),
        (
            "Content-Type: multipart/alternative; boundary=b\n\n--b\n\n我\n--b--\n",
            "multipart/alternative; boundary=b",
            "8bit",
            "--b\n\n我\n--b--\n",
        ),
        ("\nAway", "text/plain; charset=utf-8", "7bit", "Away\n"),
    ] {
        let text = with(said);
        assert_eq!(value(&text, "MIME-Version"), "1.0");
        assert_eq!(value(&text, "Content-Type"), kind);
        assert_eq!((value(&text, "Content-Transfer-Encoding").as_str(), self::body(&text)), (encoding, body));
        assert_eq!(value(&text, "Auto-Submitted"), "auto-replied");
    }
    // What is none gets no field of its own.
    for broken in [
        "Bcc: victim@x.example\n\nx",
        "Content-Type: text/html\nBcc: victim@x.example\n\nx",
        "x",
        "Content-Type: x\r\rBcc: v\n\n",
    ] {
        let text = with(broken);
        assert!(values(&text, "Bcc").is_empty(), "{text}");
        assert_eq!(value(&text, "Content-Type"), "text/plain; charset=utf-8");
        assert_eq!(body(&text).trim_end(), broken.replace('\r', "\n").trim_end());
    }
}

#[test]
fn b17_an_entity_is_checked_when_the_rule_is_read() {
    for action in ["vacation", "reply"] {
        let read = |text: &str| {
            let text = serde_json::to_string(text).unwrap();
            yaml_with(&format!("rules: [{{do: {{{action}: {{mime: true, text: {text}}}}}}}]"), &settings())
        };
        for (text, complaint) in [
            ("I am away", "the text is no MIME entity: no blank line stands behind its fields"),
            ("Hello\n\nI am away", "`Hello` is no header field"),
            ("Subject: x\n\nI am away", "`Subject` is no field of a MIME entity"),
            ("Content-Description: Grüße\n\nx", "its fields are not plain ASCII"),
            ("Content-Type: text/html; charset=${subject}\n\nx", "the fields of a MIME entity have no variables"),
            ("Content-Type: text/html\n${subject}\n\nx", "the fields of a MIME entity have no variables"),
            ("Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n${subject}", "encoded already"),
            ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n${subject}\n--b--", "a text with several parts"),
        ] {
            let problems = shown(&read(text).expect_err(text));
            assert!(problems.contains(complaint), "{text}: {problems}");
        }
        let engine = read("Content-Type: text/html\n\n<p>${subject}</p>").unwrap();
        let decision = decided(&engine, format!("{ASKED}Subject: a b\n\nx\n"));
        let form = decision.tellings().next().and_then(|telling| telling.way.form().cloned());
        assert_eq!(form, Some(ReplyForm { mime: true, ..ReplyForm::default() }));
    }
}

/// Whoever forges a sender must not have HTML of his own sent to him.
#[test]
fn b17_a_value_in_html_is_text() {
    let original = format!("{ASKED}Subject: <a href='https://evil.example'>\"you\" & me</a>\n\nx\n");
    for (kind, expected) in [
        ("text/html", "<p>&lt;a href=&#39;https://evil.example&#39;&gt;&quot;you&quot; &amp; me&lt;/a&gt;</p>"),
        ("text/plain", "<p><a href='https://evil.example'>\"you\" & me</a></p>"),
    ] {
        let entity = format!("Content-Type: {kind}\\n\\n<p>${{subject}}</p>");
        let (text, _) = said(&format!("rules: [{{do: {{reply: {{mime: true, text: \"{entity}\"}}}}}}]"), &original);
        assert_eq!(text.split_once("\n\n").unwrap().1, expected);
    }
}

#[test]
fn b18_nothing_of_the_original_is_quoted() {
    let original = "From: Ann <ann@far.example>\nMessage-ID: <1@x>\nMIME-Version: 1.0\n\
        Content-Type: multipart/mixed; boundary=b\n\n--b\n\nsecret text\n--b\nContent-Type: application/pdf\n\n%PDF\n--b--\n";
    for text in answers(original) {
        assert!(!text.contains("secret") && !text.contains("PDF") && !text.contains("application"), "{text}");
    }
    let [vacation, reply, _] = answers(original);
    assert_eq!((body(&vacation), body(&reply)), ("I am away.\n", "Thank you.\n"));
}

/// The text that a rule answers with.
#[track_caller]
fn said(rule: &str, original: &str) -> (String, Option<String>) {
    let decision = decided(&yaml(rule), original);
    match decision.tellings().next().map(|telling| telling.way.clone()) {
        Some(Way::Vacation(vacation)) => (vacation.text, vacation.subject),
        Some(Way::Reply(reply)) => (reply.text, reply.subject),
        _ => panic!("{decision:?}"),
    }
}

const ASKED: &str = "Return-Path: <ann@far.example>\nTo: me@example.com\nMessage-ID: <1@far.example>\n";

#[test]
fn b19_header_text_in_the_body_is_decoded() {
    let original = format!("{ASKED}Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?Q?_=E9?=\n\nx\n");
    let (text, subject) =
        said("rules: [{do: {vacation: {text: 'On: ${subject}', subject: 'R: ${subject}'}}}]", &original);
    assert_eq!((text.as_str(), subject.as_deref()), ("On: Grüße é", Some("R: Grüße é")));
    let text = vacation(&original, &Vacation { text, ..away() });
    assert_eq!(message(&text).part_text(0, 1 << 16).trim_end(), "On: Grüße é");
}

#[test]
fn b20_there_is_no_reply_to() {
    for text in answers(CROWD) {
        assert!(values(&text, "Reply-To").is_empty(), "{text}");
    }
}

#[test]
fn b22_what_a_variable_holds_is_not_expanded_again() {
    let original = format!("{ASKED}Subject: ${{from}} ${{subject}} $subject\n\nx\n");
    let (text, _) = said("rules: [{do: {reply: {text: '<${subject}>'}}}]", &original);
    assert_eq!(text, "<${from} ${subject} $subject>");
    let (text, _) = said("rules: [{do: {reply: {text: '<${subject}>'}}}]", &format!("{ASKED}\nx\n"));
    assert_eq!(text, "<>");
}

/// The copies of answers.
fn copies(user: &User) -> Vec<Found> {
    Maildirs::at(user.sandbox.maildir()).in_folder("Sent/answers")
}

#[test]
fn b23_fcc_files_a_copy_of_what_was_sent() {
    for action in ["vacation", "reply"] {
        let server = SmtpServer::start(SmtpOptions::default());
        let rule = format!("  - {{name: r, do: {{{action}: {{text: 'Grüße, ${{from}}', fcc: Sent/answers}}}}}}");
        let user = User::with_relay(&rule, &server);
        user.deliver(mail(1, "hi"));
        let taken = sent(&user, &server);
        assert!(user.rows()[0].to_string().contains(" fcc Sent/answers"), "{:#?}", user.rows());
        let copies = copies(&user);
        assert_eq!(copies.len(), 1, "{copies:?}");
        assert_eq!(String::from_utf8_lossy(&copies[0].bytes), text(&taken));
        assert_eq!(copies[0].flags, "S");
        assert_eq!(user.inbox(), [mail(1, "hi")]);
        user.queue(&["retry"]);
        assert_eq!(Maildirs::at(user.sandbox.maildir()).messages().len(), 2);
    }
}

#[test]
fn b23_what_is_not_sent_leaves_no_copy() {
    let rule = "  - {name: r, do: {vacation: {text: x, fcc: Sent/answers}}}";
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT", "550 5.1.1 nobody"));
    let user = User::with_relay(rule, &server);
    user.deliver(mail(1, "hi"));
    user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "failed"));
    assert!(copies(&user).is_empty());
    let user = User::without_relay(rule);
    user.deliver(mail(1, "hi"));
    let id = user.settled()[0]["id"].to_string();
    user.queue(&["drop", &id]);
    assert_eq!((user.states(), copies(&user).len()), (vec!["failed".to_owned()], 0));
}

/// Killed at any time after the server was told everything: there is one copy of what is known to have gone out, and
/// none of what may not have.
#[test]
fn b23_killed_while_it_files_there_is_one_copy_or_none() {
    let rule = "  - {name: r, do: {vacation: {text: x, fcc: Sent/answers}}}";
    let mut ends = BTreeSet::new();
    for step in 0..22_i32 {
        let server = SmtpServer::start(SmtpOptions::default());
        let user = User::without_relay(rule);
        user.deliver(mail(1, "hi"));
        user.settled();
        user.relay(server.port());
        let (told, is_told) = mpsc::channel();
        server.at_command(move |command| {
            if command == "." {
                told.send(()).ok();
            }
        });
        let running = user.sandbox.spawn(&["--allow-root", "queue", "retry"]);
        is_told.recv_timeout(Duration::from_secs(30)).unwrap();
        // From at once to when it has surely ended: until it is waited for, the number is nobody else's. The first kills come
        // without a pause, for a quick machine notes it within a fifth of a millisecond.
        if step > 4 {
            std::thread::sleep(Duration::from_micros(20).mul_f64(1.9_f64.powi(step - 4)));
        }
        kill_process(Pid::from_raw(i32::try_from(running.pid()).unwrap()).unwrap(), Signal::KILL).ok();
        running.wait();
        user.queue(&["retry"]);
        let (states, copies) = (user.states(), copies(&user));
        assert!(states == ["sent"] || states == ["failed"], "{step}: {states:?}");
        assert_eq!(copies.len(), usize::from(states == ["sent"]), "{step}: {states:?}");
        assert_eq!(server.count(), 1, "{step}");
        ends.insert((states[0].clone(), user.rows()[0]["said"].as_str().unwrap().starts_with("taken:")));
    }
    assert!(ends.len() > 1, "no kill came where it hurts: {ends:?}");
}

#[test]
fn b23_the_folder_of_a_copy_is_checked_and_has_no_variables() {
    for action in ["vacation", "reply"] {
        for (folder, complaint) in [
            ("'${from}'", "the folder of a copy has no variables"),
            ("../x", "cannot begin with `.`"),
            ("/x", "cannot begin with `/`"),
            ("Sent/cur", "a folder cannot be named `cur`"),
        ] {
            let rule = format!("rules: [{{do: {{{action}: {{text: x, fcc: {folder}}}}}}}]");
            let problems = shown(&yaml_with(&rule, &settings()).expect_err(&rule));
            assert!(problems.contains(complaint), "{folder}: {problems}");
        }
    }
}

#[test]
fn b24_what_is_queued_is_counted_and_goes_out_once() {
    let user = User::without_relay(VACATION);
    user.deliver(mail(1, "hi"));
    user.deliver(mail(2, "again"));
    assert_eq!(user.settled().len(), 1, "the history was written with the row");
    let server = SmtpServer::start(SmtpOptions::default());
    user.relay(server.port());
    user.retried("sent");
    for _ in 0..3 {
        user.queue(&["retry"]);
    }
    assert_eq!(server.count(), 1);
    assert!(text(&server.last()).contains("In-Reply-To: <1@far.example>"));
}

#[test]
fn b25_refused_for_now_it_is_kept_and_for_good_only_noted() {
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT", "450 4.2.1 later"));
    let mut user = User::with_relay(VACATION, &server);
    user.deliver(mail(1, "hi"));
    assert_eq!(user.settled()[0]["state"], "waiting");
    user.rules = VACATION.replace("I am away", "Another text");
    let willing = SmtpServer::start(SmtpOptions::default());
    user.relay(willing.port());
    user.retried("sent");
    assert_eq!(willing.count(), 1);
    assert!(text(&willing.last()).contains("\nI am away\n"), "it was made anew");

    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT", "550 5.1.1 nobody"));
    let user = User::with_relay(VACATION, &server);
    user.deliver(mail(1, "hi"));
    let rows = user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "failed"));
    assert!(rows[0]["said"].as_str().unwrap().contains("nobody"), "{rows:#?}");
    assert_eq!((user.inbox(), user.rows().len()), (vec![mail(1, "hi")], 1), "no bounce");
}

#[test]
fn a34_a_sender_has_so_many_replies_and_no_more() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay("  - {name: thanks, do: {reply: {text: Thank you, max_per_sender: 2/hour}}}", &server);
    for number in 1..=3 {
        user.deliver(mail(number, "hi"));
        user.settled();
    }
    user.deliver(mail(4, "hi").replace("ann@", "Bob@").replace("ANN@", "bob@"));
    let rows = user.settled();
    assert_eq!(user.states(), ["sent", "sent", "failed", "sent"], "{rows:#?}");
    assert!(rows[2]["said"].as_str().unwrap().contains("ann@far.example was answered 2 times within 1h"), "{rows:#?}");
    assert_eq!((server.count(), user.inbox().len()), (3, 4));
}

/// Each connection counted what was sent, and none saw what the others were about to send.
#[test]
fn a_sender_has_so_many_replies_over_all_connections_together() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::without_relay("  - {name: thanks, do: {reply: {text: Thank you, max_per_sender: 2/hour}}}");
    for number in 1..=8 {
        user.deliver(mail(number, "hi"));
    }
    user.settled();
    let smtp = format!("{{host: 127.0.0.1, port: {}, tls: none}}", server.port());
    user.config(&format!("relays: {{default: {{smtp: {smtp}, connections: 8}}}}\n"));
    user.queue(&["retry"]);
    user.until("all is decided", |rows| rows.iter().all(|row| row["state"] == "sent" || row["state"] == "failed"));
    assert_eq!(server.count(), 2);
}

/// A forwarder or a BATV key makes each message of one sender look like that of another one.
#[test]
fn a25_a_sender_with_tags_is_one_sender() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay("  - {name: thanks, do: {reply: {text: Thank you, max_per_sender: 2/hour}}}", &server);
    for (n, sender) in [
        (1, "ann@far.example"),
        (2, "prvs=1234567890=Ann@far.example"),
        (3, "SRS0=HHH=TT=far.example=ann@forwarder.example"),
        (4, "btv1==abc==bob@far.example"),
    ] {
        user.deliver(mail(n, "hi").replace("Return-Path: <ann@far.example>", &format!("Return-Path: <{sender}>")));
        user.settled();
    }
    assert_eq!(user.states(), ["sent", "sent", "failed", "sent"]);
}

#[test]
fn a_limit_is_given_as_a_rate() {
    let rule = |rate: &str| format!("rules: [{{do: {{reply: {{text: x, max_per_sender: {rate}}}}}}}]");
    let most = |rate: &str| {
        let decision = decided(&yaml(&rule(rate)), format!("{ASKED}\n"));
        match decision.tellings().next().map(|telling| telling.way.clone()) {
            Some(Way::Reply(reply)) => reply.most,
            _ => panic!("{decision:?}"),
        }
    };
    assert_eq!(most("5/hour"), Some((5, Duration::from_secs(3600))));
    for bad in ["0/day", "many", "5", "5/moon"] {
        assert!(yaml_with(&rule(bad), &settings()).is_err(), "{bad}");
    }
}

/// `explain` contradicted itself: "no reply: A14" below a decision that replies.
#[test]
fn n_8_r12_what_explain_says_of_answers_is_what_was_decided() {
    let to_another = mail(1, "hi").replace("To: me@home.example", "To: other@y.example");
    let to_me = mail(1, "hi");
    let words = [
        "`reply` would go to ann@far.example, for it answers whatever its rule matched",
        "`vacation` answers only what is addressed to an own address: no reply: A14",
    ];
    for (action, message, says) in [
        ("{reply: thanks}", &to_another, vec!["answers   as decided: reply ann@far.example"]),
        ("{vacation: away}", &to_another, vec!["answers   as decided: no reply: A14"]),
        ("{vacation: away}", &to_me, vec!["answers   as decided: vacation ann@far.example"]),
        ("keep", &to_another, words.to_vec()),
        ("keep", &to_me, vec!["answers   an automatic reply would go to ann@far.example"]),
    ] {
        let user = User::without_relay(&format!("  - {{name: answer, do: {action}}}"));
        let file = user.sandbox.write("one.eml", message);
        let output = user.sandbox.run(&["--allow-root", "explain", file.to_str().unwrap()]);
        assert!(says.iter().all(|words| output.stdout.contains(words)), "{action}: {output}");
    }
    // The same words in the documentation.
    for file in ["docs/sending.md", "docs/rules.md"] {
        let text = std::fs::read_to_string(file).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        for words in ["answers whatever its rule matched", "answers only what is addressed to an own address"] {
            assert!(text.contains(words), "{file}: {words}");
        }
    }
}
