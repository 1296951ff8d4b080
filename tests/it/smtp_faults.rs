//! SMTP servers that refuse, break, lie and fall silent.

use std::time::Duration;

use mailsluice::config::Relay;
use mailsluice::error::Kind;
use mailsluice::outbox::relay::{Connection, Mail, RecipientVerdict, RelayTrouble};
use mailsluice::outbox::smtp::SmtpRelay;

use crate::smtp::{FROM, TEXT, addresses, lmtp, message, outcome, send, smtp, words};
use crate::support::scripted_server::ScriptedServer;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

/// A relay that is the server of `tests/dialogs/NAME.dialog`, which must hear exactly what stands there.
async fn play(name: &str) -> String {
    let server = ScriptedServer::from_file(format!("tests/dialogs/{name}.dialog"));
    let relay = if name.starts_with("lmtp-") { lmtp(server.port()) } else { smtp(server.port()) };
    let outcome = send(&relay, FROM, &["a@x.example", "b@x.example"], "Subject: x\n\n.\n").await;
    let said = format!("{outcome:?}");
    server.finish().unwrap_or_else(|mismatch| panic!("{mismatch}\nThe client: {said}"));
    crate::smtp::outcome(&outcome)
}

#[tokio::test]
async fn exact_dialogs() {
    for (name, expected) in [
        ("smtp-pipelining", "sent never"),
        ("smtp-one-by-one", "sent later"),
        ("smtp-nobody-accepted", "never never"),
        ("smtp-data-refused", "later later"),
        ("smtp-unasked-reply", "relay"),
        ("smtp-helo", "sent sent"),
        ("smtp-reply-cut", "relay"),
        ("smtp-cut-after-dot", "unknown"),
        ("smtp-nonsense-after-dot", "unknown"),
        ("lmtp-one-each", "sent never"),
        ("lmtp-cut-between-replies", "sent later"),
    ] {
        assert_eq!(play(name).await, expected, "{name}");
    }
}

/// What each refusal means, at each place it can come.
#[tokio::test]
async fn refusals() {
    for (command, reply, expected) in [
        ("greeting", "421 too busy", "relay"),
        ("greeting", "554 not you", "relay"),
        ("greeting", "250 hello", "relay"),
        ("EHLO", "451 later", "relay"),
        ("EHLO", "421 later", "relay"),
        ("MAIL", "421 closing", "relay"),
        ("MAIL", "451 later", "mail later"),
        ("MAIL", "550 not for you", "sender"),
        ("MAIL", "530 5.7.0 log in", "relay"),
        ("MAIL", "354 what", "relay"),
        ("RCPT", "421 closing", "relay"),
        ("RCPT", "451 later", "later"),
        ("RCPT", "553 not allowed", "never"),
        ("RCPT", "552 full", "later"),
        ("DATA", "421 closing", "relay"),
        ("DATA", "451 later", "later"),
        ("DATA", "554 no", "never"),
        ("DATA", "250 what", "relay"),
        (".", "421 closing", "relay"),
        (".", "451 later", "later"),
        (".", "554 spam", "never"),
        (".", "354 what", "unknown"),
        ("MAIL", "close", "relay"),
        ("RCPT", "close", "relay"),
        ("DATA", "close", "relay"),
        (".", "close", "unknown"),
    ] {
        for pipelining in [true, false] {
            let options = SmtpOptions::default().reply(command, reply);
            let options = if pipelining { options } else { options.without("PIPELINING") };
            let server = SmtpServer::start(options);
            let outcome = send(&smtp(server.port()), FROM, &["a@x"], TEXT).await;
            assert_eq!(crate::smtp::outcome(&outcome), expected, "{command} {reply}: {outcome:?}");
        }
    }
}

/// Only where the server may have taken it is that unknown.
#[tokio::test]
async fn cut_at_every_reply() {
    for half_a_reply in [false, true] {
        for pipelining in [true, false] {
            for number in 1..=6 {
                let options = SmtpOptions { cut_at_reply: Some(number), half_a_reply, ..SmtpOptions::default() };
                let options = if pipelining { options } else { options.without("PIPELINING") };
                let server = SmtpServer::start(options);
                let outcome = send(&smtp(server.port()), FROM, &["a@x"], TEXT).await;
                let expected = if number == 6 { "unknown" } else { "relay" };
                assert_eq!(crate::smtp::outcome(&outcome), expected, "{number}: {outcome:?}");
                assert_eq!(server.count(), usize::from(number == 6));
                let again = send(&smtp(server.port()), FROM, &["a@x"], TEXT).await;
                assert_eq!(crate::smtp::outcome(&again), "sent", "the next connection is whole");
            }
        }
    }
}

#[tokio::test]
async fn p7_replies() {
    let many = "250-x\r\n".repeat(1000);
    for (command, reply) in [
        ("EHLO", many.as_str()),
        ("EHLO", &"x".repeat(100_000_000)),
        ("EHLO", &format!("250 {}", "x".repeat(1000))),
        ("greeting", "999 hello"),
        ("greeting", "25"),
        ("greeting", "+OK hello"),
        ("MAIL", "250-a\r\n550 b"),
        ("RCPT", "2500 ok"),
        ("DATA", "\0\0\0"),
    ] {
        let server = SmtpServer::start(SmtpOptions::default().reply(command, reply));
        let outcome = send(&smtp(server.port()), FROM, &["a@x"], TEXT).await;
        let Err(RelayTrouble::Relay(error)) = outcome else { panic!("{command}: {outcome:?}") };
        assert_eq!(error.kind(), Kind::Protocol, "{error}");
        assert!(error.to_string().len() < 2000);
    }
    let odd = "550-5.999.x \x1b[2J\u{202e}\r\n550 250 ok <script>";
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT", odd));
    let verdicts = send(&smtp(server.port()), FROM, &["a@x"], TEXT).await.unwrap();
    let RecipientVerdict::Never(error) = &verdicts[0] else { panic!("{verdicts:?}") };
    assert!(error.to_string().ends_with("550 5.999.x \\u{1b}[2J\\u{202e} 250 ok <script>"), "{error}");
}

#[tokio::test]
async fn rset_after_a_refused_mail() {
    let options = SmtpOptions::default().reply("RCPT TO:<no@", "550 no").reply("MAIL FROM:<bad@", "550 no");
    let server = SmtpServer::start(options);
    let mut connection = SmtpRelay::connect(&smtp(server.port())).await.unwrap();
    let text = message(TEXT);
    for (from, to, expected) in [
        (FROM, "no@x", "never"),
        (FROM, "a@x", "sent"),
        ("bad@x", "a@x", "sender"),
        (FROM, "a@x", "sent"),
        (FROM, "a@x", "sent"),
    ] {
        let to = addresses(&[to]);
        let mail = Mail { from, to: &to, message: &text, no_reports: false };
        assert_eq!(outcome(&connection.send(&mail).await), expected);
    }
    assert_eq!((server.count(), server.connections()), (3, 1));
    assert_eq!(server.commands().iter().filter(|command| *command == "RSET").count(), 2);
}

/// The caller connects once more.
#[tokio::test]
async fn an_idle_connection_that_was_closed() {
    let server = SmtpServer::start(SmtpOptions { mails_per_connection: Some(1), ..SmtpOptions::default() });
    let relay = smtp(server.port());
    let mut connection = Connection::connect(&relay).await.unwrap();
    let (text, to) = (message(TEXT), addresses(&["a@x"]));
    let mail = Mail { from: FROM, to: &to, message: &text, no_reports: false };
    assert_eq!(outcome(&connection.send(&mail).await), "sent");
    for _ in 0..2 {
        assert_eq!(outcome(&connection.send(&mail).await), "relay");
    }
    connection.quit().await;
    let mut connection = Connection::connect(&relay).await.unwrap();
    assert_eq!(outcome(&connection.send(&mail).await), "sent");
    assert_eq!((server.count(), server.connections()), (2, 2));
}

/// The clock stands still until the server falls silent, and then runs by itself.
#[test]
fn a_silent_server() {
    for (command, expected, seconds) in
        [("EHLO", "relay", 120), ("MAIL", "relay", 300), ("RCPT", "relay", 300), ("DATA", "relay", 120)]
    {
        assert_eq!(silent_at(command, command), (expected.to_owned(), seconds), "{command}");
    }
    // The message has come when the server falls silent.
    assert_eq!(silent_at(".", "DATA"), ("unknown".to_owned(), 600));
}

fn silent_at(reply: &str, last_command: &'static str) -> (String, u64) {
    let server = SmtpServer::start(SmtpOptions::default().without("PIPELINING").reply(reply, "hang"));
    let (tell, mut silent) = tokio::sync::mpsc::unbounded_channel();
    server.at_command(move |line| {
        if line.starts_with(last_command) {
            tell.send(()).ok();
        }
    });
    let relay = smtp(server.port());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stop_the_clock = async {
            silent.recv().await;
            // Time for 354 and the message.
            tokio::time::sleep(Duration::from_millis(200)).await;
            tokio::time::pause();
            let begun = tokio::time::Instant::now();
            std::future::pending::<()>().await;
            begun
        };
        let begun = std::time::Instant::now();
        let start = tokio::time::Instant::now();
        let outcome = tokio::select! {
            outcome = send(&relay, FROM, &["a@x"], TEXT) => outcome,
            _ = stop_the_clock => unreachable!(),
        };
        assert!(begun.elapsed() < Duration::from_secs(20));
        (crate::smtp::outcome(&outcome), start.elapsed().as_secs() / 10 * 10)
    })
}

#[tokio::test]
async fn a_dropped_send_leaves_no_connection_to_use() {
    let server = SmtpServer::start(SmtpOptions { delay: Duration::from_millis(100), ..SmtpOptions::default() });
    let mut connection = SmtpRelay::connect(&smtp(server.port())).await.unwrap();
    let (text, to) = (message(TEXT), addresses(&["a@x"]));
    let mail = Mail { from: FROM, to: &to, message: &text, no_reports: false };
    assert!(tokio::time::timeout(Duration::from_millis(50), connection.send(&mail)).await.is_err());
    assert_eq!(outcome(&connection.send(&mail).await), "relay");
}

#[tokio::test]
async fn nobody_listens() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay: Relay = smtp(port);
    let Err(error) = SmtpRelay::connect(&relay).await else { panic!() };
    assert!(error.is_transient() && error.kind() == Kind::Network, "{error}");
}

#[tokio::test]
async fn lmtp_421_in_the_middle_keeps_what_was_said() {
    let server = SmtpServer::start(SmtpOptions::lmtp().reply(".2", "421 shutting down"));
    let verdicts = send(&lmtp(server.port()), FROM, &["a@x", "b@x", "c@x"], TEXT).await.unwrap();
    assert_eq!(words(&verdicts), "sent later later");
}

/// Otherwise one mail that is too big would let the whole relay rest, again and again.
#[tokio::test]
async fn a_server_that_refuses_in_the_middle_of_the_message_is_heard() {
    for ending in ["reset", "close"] {
        let dialog = "S: 220 mx\nC: EHLO *\nS: 250 mx\nC: MAIL **\nS: 250 ok\nC: RCPT **\nS: 250 ok\nC: DATA\nS: 354 go\n\
                      C: Subject: x\nS: 552 5.3.4 too big\npause 200ms\n";
        let server = ScriptedServer::start(&format!("{dialog}{ending}\n"));
        let text = format!("Subject: x\n\n{}", "0123456789\n".repeat(1_000_000));
        let outcome = send(&smtp(server.port()), FROM, &["a@x"], text).await;
        let text = format!("{outcome:?}");
        assert!(text.contains("Never") && text.contains("552 5.3.4 too big"), "{ending}: {text}");
        server.finish().unwrap();
    }
}
