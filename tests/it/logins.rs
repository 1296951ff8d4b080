//! How accounts log in: passwords, tokens, and servers that announce what they cannot do.

use crate::stage::{Account, complaints, play, play_to};
use crate::support::dovecot::Dovecot;

const TOKEN: &str = "token: {command: [echo, ya29.token]}";

#[test]
fn an_initial_response_that_is_answered_bad_goes_once_more_in_two_steps() {
    let (report, _) = play("initial-response-not-taken");
    assert_eq!(report.exit_code(), 0, "{report:#?}");
}

#[test]
fn a_token_logs_in_over_imap_and_pop3() {
    for name in ["token", "pop3-token"] {
        let (report, _) = play_to(name, |account| account.with(TOKEN));
        assert_eq!(report.exit_code(), 0, "{name}: {report:#?}");
    }
}

#[test]
fn a_refused_token_is_nowhere_to_be_read_and_the_notice_says_what_helps() {
    let (report, client) = play_to("token-refused", |account| account.with(TOKEN));
    assert_eq!(report.exit_code(), 77, "{report:#?}");
    let said = complaints(&report);
    assert!(said.contains("NO [AUTHENTICATIONFAILED] Invalid credentials (secret)"), "{said}");
    let notices = client.notices();
    assert!(notices.len() == 1 && !notices[0].contains("ya29"), "{notices:?}");
}

/// A14: a password that the server repeats.
#[test]
fn a_repeated_password_is_nowhere_to_be_read() {
    for (name, dialog) in [
        (
            "imap",
            "S: * OK [CAPABILITY IMAP4rev1] ready\nC: <tag> LOGIN \"me\" \"open sesame\"\nS: <tag> NO no user has open sesame\neof\n",
        ),
        (
            "pop3",
            "S: +OK ready\nC: CAPA\nS: -ERR\nC: USER me\nS: +OK\nC: PASS open sesame\nS: -ERR open sesame is wrong\neof\n",
        ),
    ] {
        let server = crate::support::scripted_server::ScriptedServer::start(dialog);
        let account = if name == "imap" { Account::imap(server.port()) } else { Account::pop3(server.port()) };
        let client = account.client();
        let report = client.fetch();
        assert_eq!(report.exit_code(), 77, "{report:#?}");
        let said = format!("{} {}", complaints(&report), client.notices().join(" "));
        assert!(said.contains("(secret)") && !said.contains("open sesame"), "{said}");
    }
}

/// SCRAM-SHA-256 with a real server, which is asked what it saw.
#[test]
fn dovecot_is_never_shown_the_password() {
    let Some(dovecot) = Dovecot::start() else { return };
    for protocol in ["imap", "pop3"] {
        let port = if protocol == "imap" { dovecot.ports.imap } else { dovecot.ports.pop3 };
        let server = format!("{protocol}: {{host: 127.0.0.1, port: {port}, tls: none}}");
        let client = Account::on(server).with("user: scram").with("password: pass").client();
        client.fetch_well();
        let wrong = Account::on(format!("{protocol}: {{host: 127.0.0.1, port: {port}, tls: none}}"))
            .with("user: scram")
            .with("password: wrong");
        assert_eq!(wrong.client().fetch().exit_code(), 77, "{protocol}");
    }
    let log = dovecot.log();
    assert_eq!(log.matches("Login: user=<scram>, method=SCRAM-SHA-256").count(), 2, "{log}");
}
