//! What a server refuses, and whether the user learns what helps: logins over IMAP, POP3 and SMTP, and senders.

use std::fs;

use crate::outbox::{User, from, mail};
use crate::stage::{complaints, play};
use crate::support::scripted_server::ScriptedServer;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

const VACATION: &str = "  - {name: away, do: {vacation: {text: I am away}}}";
const FORWARD: &str = "  - {name: forward, do: {redirect: you@far.example}}";
const NULL: &str = "553 Mail from must equal authorized user";

/// The notices in the inbox.
fn notices(user: &User) -> Vec<String> {
    user.inbox().into_iter().filter(|mail| mail.contains("\nX-Mailsluice-Notice:")).collect()
}

/// A message of another sender than the others.
fn mail_of(sender: &str) -> String {
    mail(sender.len(), "hi").replace("ann@", &format!("{sender}@"))
}

#[test]
fn n_5_a_refused_login_says_what_helps_on_every_protocol() {
    for name in ["imap-login-error", "pop3-login-refused"] {
        let (report, client) = play(name);
        assert_eq!(report.exit_code(), 77, "{report:#?}");
        assert!(complaints(&report).contains("授权码"), "{report:#?}");
        let notices = client.notices().concat();
        assert!(notices.contains("授权码"), "{notices}");
    }
    let server = ScriptedServer::start(&fs::read_to_string("tests/dialogs/smtp-login-refused.dialog").unwrap());
    let user = User::without_relay(FORWARD);
    user.deliver(mail(1, "hi"));
    user.settled();
    user.config(&format!(
        "relays: {{default: {{smtp: {{host: 127.0.0.1, port: {}, tls: none}}, user: me@163.example, password: x}}}}\n",
        server.port()
    ));
    let output = user.queue(&["retry"]);
    assert!(output.stderr.contains("授权码"), "{output}");
    server.finish().unwrap();
    assert!(notices(&user).concat().contains("授权码"), "{:#?}", user.inbox());
}

#[test]
fn n_5_an_answer_goes_out_from_the_own_address_where_the_null_sender_is_refused() {
    for rule in [VACATION, "  - {name: thanks, do: {reply: {text: Thank you}}}", "  - {name: no, do: {reject: no}}"] {
        let server = SmtpServer::start(SmtpOptions::default().reply("MAIL FROM:<>", NULL));
        let user = User::with_relay(rule, &server);
        user.deliver(mail_of("ann"));
        user.until("it is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
        assert_eq!(server.mails().iter().map(from).collect::<Vec<_>>(), ["me@home.example"], "{rule}");
        assert_eq!(server.connections(), 1, "in the same session");
        let before = server.commands().len();
        user.deliver(mail_of("bert"));
        user.until("it is sent", |rows| rows.len() == 2 && rows.iter().all(|row| row["state"] == "sent"));
        assert_eq!(server.count(), 2);
        let asked_again = server.commands()[before..].iter().any(|command| command.starts_with("MAIL FROM:<>"));
        assert!(!asked_again, "it is remembered: {:?}", server.commands());
        assert!(notices(&user).is_empty(), "{:#?}", user.inbox());
    }
}

#[test]
fn sending_r_2_a_null_sender_that_is_refused_with_the_recipient_is_refused_all_the_same() {
    let server = ScriptedServer::start(&fs::read_to_string("tests/dialogs/smtp-null-sender-at-rcpt.dialog").unwrap());
    let user = User::without_relay(VACATION);
    user.relay(server.port());
    user.deliver(mail(1, "hi"));
    user.until("it was asked for", |rows| rows.iter().all(|row| row["said"].as_str().unwrap().contains("not now")));
    server.finish().unwrap();
}

/// Another server under the same name is asked anew, and so is every server after a month.
#[test]
fn a_null_sender_that_was_refused_is_remembered_of_that_server_for_a_month() {
    let server = SmtpServer::start(SmtpOptions::default().reply("MAIL FROM:<>", NULL));
    let user = User::with_relay(VACATION, &server);
    user.deliver(mail_of("ann"));
    user.until("it is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
    let db = rusqlite::Connection::open(user.sandbox.home().join("state/state.db")).unwrap();
    db.execute("UPDATE fact SET value = '1700000000 ' || substr(value, 12) WHERE name LIKE 'null sender%'", [])
        .unwrap();
    user.deliver(mail_of("bert"));
    user.until("it is sent", |rows| rows.len() == 2 && rows.iter().all(|row| row["state"] == "sent"));
    let nulls = || server.commands().iter().filter(|command| command.starts_with("MAIL FROM:<>")).count();
    assert_eq!(nulls(), 2, "{:?}", server.commands());
    let other = SmtpServer::start(SmtpOptions::default());
    user.relay(other.port());
    user.deliver(mail_of("claire"));
    user.until("it is sent", |rows| rows.len() == 3 && rows.iter().all(|row| row["state"] == "sent"));
    assert_eq!(from(&other.last()), "", "{:?}", other.commands());
}

#[test]
fn sending_r_2_a_report_whose_null_sender_is_refused_is_kept_with_a_notice() {
    let server = SmtpServer::start(SmtpOptions::default().reply("MAIL FROM:<>", NULL));
    let user = User::with_relay(FORWARD, &server);
    user.deliver("Return-Path: <>\nFrom: MAILER-DAEMON@x.example\nTo: me@home.example\nSubject: failure\n\nno\n");
    user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "failed"));
    let inbox = user.inbox();
    assert_eq!((server.count(), inbox.len()), (0, 2), "{inbox:#?}");
    let notices = notices(&user).concat();
    assert!(notices.contains("accepts no mail without a sender") && notices.contains("null_sender: own"), "{notices}");
}

#[test]
fn a_refused_sender_says_as_whom_the_relay_sends_and_what_to_set() {
    let refusal = "553 Mail from must equal authorized user";
    let server = SmtpServer::start(SmtpOptions::default().reply("MAIL", refusal));
    let user = User::without_relay(FORWARD);
    user.deliver(mail(1, "hi"));
    user.settled();
    user.relay(server.port());
    user.queue(&["retry"]);
    let text = notices(&user).concat();
    assert!(text.contains("does not take mail from <me@home.example>") && text.contains(refusal), "{text}");
    assert!(text.contains("the relay `default` sends as me@home.example"), "{text}");

    let foreign = "  - {name: foreign, do: {redirect: {to: you@far.example, envelope_from: original}}}";
    let server = SmtpServer::start(SmtpOptions::default().reply("MAIL FROM:<ann@far", "550 5.7.60 not as this sender"));
    let user = User::without_relay(foreign);
    user.deliver(mail(1, "hi"));
    user.settled();
    user.relay(server.port());
    let output = user.queue(&["retry"]);
    let text = notices(&user).concat();
    let helps = "the relay `default` sends as me@home.example: give ann@far.example a relay of its own";
    assert!(text.contains("from <ann@far.example>") && text.contains(helps), "{text}");
    assert!(output.stderr.contains(helps), "{output}");
}

#[test]
fn a_sender_that_is_refused_with_the_recipient_says_what_to_set() {
    let refusal = "553 5.7.1 <me@home.example>: Sender address rejected: not owned by user me";
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT", refusal));
    let user = User::with_relay(FORWARD, &server);
    user.deliver(mail(1, "hi"));
    user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "failed"));
    let text = notices(&user).concat();
    assert!(text.contains("the relay `default` sends as me@home.example"), "{text}");
}

#[test]
fn what_waits_a_day_because_of_a_refusal_is_one_notice() {
    let rules =
        "  - {name: away, do: {vacation: {text: I am away}}}\n  - {name: forward, do: {redirect: you@far.example}}";
    for reply in [("RCPT", "451 4.7.1 not today"), ("MAIL", "421 4.7.0 not today")] {
        let server = SmtpServer::start(SmtpOptions::default().reply(reply.0, reply.1));
        let user = User::without_relay(rules);
        for sender in ["ann", "bert", "claire"] {
            user.deliver(mail_of(sender));
        }
        user.settled();
        user.relay(server.port());
        user.queue(&["run"]);
        assert!(notices(&user).is_empty(), "{:#?}", user.inbox());
        user.the_time_is_known();
        user.change_rows("at = at - 85000, since = at - 85000, due = 0");
        let db = rusqlite::Connection::open(user.sandbox.home().join("state/state.db")).unwrap();
        db.execute("DELETE FROM rest", []).unwrap();
        user.queue(&["run"]);
        let notices = notices(&user);
        assert_eq!(notices.len(), 1, "{reply:?}: {notices:#?}\n{:#?}", user.rows());
        assert!(notices[0].contains("has waited since") && notices[0].contains("not today"), "{notices:#?}");
    }
}
