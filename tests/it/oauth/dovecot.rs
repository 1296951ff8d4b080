//! Against a real Dovecot, which asks the provider about each token, and our own server for submission.

use super::{Home, NOWHERE};
use crate::support::dovecot::Dovecot;
use crate::support::oauth_server::{Fault, OauthOptions};
use crate::support::scripted_server::ScriptedServer;
use crate::support::smtp_login::Login;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

const MESSAGE: &str = "From: a@example.com\nSubject: hello\nMessage-ID: <1@example.com>\n\nhello\n";

pub fn imap(dovecot: &Dovecot) -> String {
    format!("imap: {{host: 127.0.0.1, port: {}, tls: none}}", dovecot.ports.imap)
}

pub fn pop3(dovecot: &Dovecot) -> String {
    format!("pop3: {{host: 127.0.0.1, port: {}, tls: none}}", dovecot.ports.pop3)
}

/// A home that is signed in, and a Dovecot that asks its provider.
pub fn with_dovecot(options: OauthOptions, mechanisms: &str) -> Option<(Home, Dovecot)> {
    let home = Home::new(options, NOWHERE).signed_in();
    let dovecot = Dovecot::start_asking(&home.provider.url("introspect"), mechanisms)?;
    home.configure(&imap(&dovecot), "");
    Some((home, dovecot))
}

#[test]
fn mail_comes_over_imap_and_pop3_by_both_mechanisms() {
    for mechanism in ["xoauth2", "oauthbearer"] {
        let Some((home, dovecot)) = with_dovecot(OauthOptions::default(), mechanism) else { return };
        for server in [imap(&dovecot), pop3(&dovecot)] {
            dovecot.add("me", "INBOX", MESSAGE);
            home.configure(&server, "");
            let output = home.run(&["fetch"]);
            assert_eq!(output.code, 0, "{mechanism} {server}: {output}\n{}", dovecot.log());
        }
        let log = dovecot.log();
        let logins = log.matches(&format!("Login: user=<me>, method={}", mechanism.to_uppercase())).count();
        assert_eq!((logins, home.provider.renewals()), (2, 0), "{log}");
    }
}

#[test]
fn the_stronger_name_is_taken_where_both_are_offered() {
    let Some((home, dovecot)) = with_dovecot(OauthOptions::default(), "xoauth2 oauthbearer") else { return };
    assert_eq!(home.run(&["fetch"]).code, 0);
    assert!(dovecot.log().contains("method=OAUTHBEARER"), "{}", dovecot.log());
}

/// It was good by our clock, and the provider has ended it: one login more with a new one, in the same pass.
#[test]
fn a_refused_token_is_made_anew_once() {
    for mechanism in ["xoauth2", "oauthbearer"] {
        let Some((home, dovecot)) = with_dovecot(OauthOptions::default(), mechanism) else { return };
        for (round, server) in [imap(&dovecot), pop3(&dovecot)].into_iter().enumerate() {
            home.configure(&server, "");
            home.provider.end_access();
            home.age(120);
            let output = home.run(&["fetch"]);
            assert_eq!(output.code, 0, "{mechanism} {server}: {output}\n{}", dovecot.log());
            assert_eq!(home.provider.renewals(), round + 1);
        }
    }
}

/// Another person signed in than the mailbox is of: a new token is no better, and the sign-in is not to blame.
#[test]
fn a_token_that_was_just_made_is_not_made_again() {
    let options = OauthOptions { user: "somebody-else".to_owned(), ..OauthOptions::default() };
    let Some((home, _dovecot)) = with_dovecot(options, "xoauth2") else { return };
    let output = home.run(&["fetch"]);
    assert_eq!((output.code, home.provider.renewals()), (77, 0), "{output}");
    // Once it could be too old, it is made anew once, and no more.
    home.age(120);
    let output = home.run(&["fetch"]);
    assert_eq!((output.code, home.provider.renewals()), (77, 1), "{output}");
    assert!(home.provider.takes(&home.kept_text("refresh_token")), "it stays signed in");
    assert!(home.kept()["over"].is_null());
}

/// Microsoft and Google end a session whose token has ended: the pass goes on in a new one.
#[test]
fn a_session_that_ends_with_its_token_goes_on_in_a_new_one() {
    for bye in ["BYE Session invalidated - AccessTokenExpired", "BYE Session expired, please login again."] {
        let server = ScriptedServer::start(&format!(
            "S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] ready\nC: <tag> AUTHENTICATE XOAUTH2 *\n\
             S: <tag> OK [CAPABILITY IMAP4rev1] in\nC: <tag> EXAMINE \"INBOX\"\nS: * {bye}\nclose\n--- connection\n\
             S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] ready\nC: <tag> AUTHENTICATE XOAUTH2 *\n\
             S: <tag> OK [CAPABILITY IMAP4rev1] in\nC: <tag> EXAMINE \"INBOX\"\nS: * 0 EXISTS\nS: * OK [UIDVALIDITY 7] n\n\
             S: * OK [UIDNEXT 9] n\nS: <tag> OK opened\nC: <tag> LOGOUT\nS: * BYE see you\nS: <tag> OK done\neof\n"
        ));
        let place = format!("imap: {{host: 127.0.0.1, port: {}, tls: none}}", server.port());
        let home = Home::new(OauthOptions::default(), &place).signed_in();
        home.age(120);
        let output = home.run(&["fetch"]);
        assert_eq!(output.code, 0, "{bye}: {output}");
        assert_eq!(home.provider.renewals(), 1, "with a new token");
        server.finish().unwrap();
    }
}

#[test]
fn the_number_that_a_server_says_of_a_token_is_shown() {
    let server = ScriptedServer::start(
        "S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] ready\nC: <tag> AUTHENTICATE XOAUTH2 *\n\
         S: + eyJzdGF0dXMiOiI0MDMiLCJzY2hlbWVzIjoiQmVhcmVyIn0=\nC: \nS: <tag> NO AUTHENTICATE failed.\neof\n",
    );
    let place = format!("imap: {{host: 127.0.0.1, port: {}, tls: none}}", server.port());
    let home = Home::new(OauthOptions::default(), &place).signed_in();
    let output = home.run(&["fetch"]);
    assert!(output.code != 0 && output.stderr.contains("status 403 for the access token"), "{output}");
}

/// One sign-in for both ways.
#[test]
fn what_goes_out_has_the_same_token() {
    let home = Home::new(OauthOptions::default(), NOWHERE).signed_in();
    for mechanism in ["XOAUTH2", "OAUTHBEARER"] {
        let token = home.kept_text("access_token");
        let options = SmtpOptions { login: Some(Login::new("me", &token)), ..SmtpOptions::default() };
        let server = SmtpServer::start(options.with(&format!("AUTH {mechanism}")));
        home.configure(NOWHERE, &relay(server.port()));
        let output = home.sandbox.run_with_stdin(&["sendmail", "you@example.com"], MESSAGE);
        assert_eq!(output.code, 0, "{output}");
        // The sender of the first message may still run, with the port of its server.
        let mut said = String::new();
        for _ in 0..50 {
            said = home.run(&["queue", "retry"]).to_string();
            if server.count() > 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        assert_eq!(server.mails().len(), 1, "{mechanism}: {:?} {said}", server.commands());
    }
    assert_eq!(home.provider.renewals(), 0);
}

/// A relay that refuses a token which was good by our clock.
#[test]
fn a_relay_gets_a_new_token_once_too() {
    let home = Home::new(OauthOptions::default(), NOWHERE).signed_in();
    let token = format!("ACCESS-2-{}", "x".repeat(40));
    let options = SmtpOptions { login: Some(Login::new("me", &token)), ..SmtpOptions::default() };
    let server = SmtpServer::start(options.with("AUTH OAUTHBEARER"));
    home.configure(NOWHERE, &relay(server.port()));
    home.age(120);
    home.sandbox.run_with_stdin(&["sendmail", "you@example.com"], MESSAGE);
    home.run(&["queue", "run"]);
    assert_eq!((server.mails().len(), home.provider.renewals()), (1, 1), "{:?}", server.commands());
}

fn relay(port: u16) -> String {
    format!(
        "me: [me@example.com]\nrelays:\n  out: {{smtp: {{host: 127.0.0.1, port: {port}, tls: none}}, user: me, oauth2: OAUTH2}}\n"
    )
}

/// A relay whose sign-in is over keeps what is to go out, and sends it when somebody has signed in again.
#[test]
fn what_is_to_go_out_waits_until_somebody_signs_in() {
    let home = Home::new(OauthOptions::default(), NOWHERE).signed_in();
    // The next tokens are those of the third question: the first one was the sign-in.
    let token = format!("ACCESS-3-{}", "x".repeat(40));
    let options = SmtpOptions { login: Some(Login::new("me", &token)), ..SmtpOptions::default() };
    let server = SmtpServer::start(options.with("AUTH XOAUTH2"));
    home.configure(NOWHERE, &relay(server.port()));
    home.provider.fail(Fault::Denied("google-revoked"));
    home.age(4000);
    home.sandbox.run_with_stdin(&["sendmail", "you@example.com"], MESSAGE);
    home.run(&["queue", "run"]);
    assert_eq!(server.mails().len(), 0);
    let waiting = home.run(&["queue", "list", "--json"]);
    assert!(waiting.stdout.contains("mailsluice login"), "{waiting}");
    let notices = crate::support::maildir::Maildirs::at(home.sandbox.maildir()).messages();
    let told =
        notices.iter().filter(|notice| String::from_utf8_lossy(&notice.bytes).contains("mailsluice login")).count();
    assert_eq!(told, 1, "the relay's user is told once");
    assert_eq!(home.log_in(&["login", "out"]).code, 0);
    home.run(&["queue", "run"]);
    assert_eq!(server.mails().len(), 1, "{:?} {:?}", server.commands(), home.provider.asked());
}

/// Nothing of it is asked of whoever has a password.
#[test]
fn the_accounts_of_others_go_on() {
    let Some((home, dovecot)) = with_dovecot(OauthOptions::default(), "xoauth2") else { return };
    dovecot.add("other", "INBOX", MESSAGE);
    let other = format!("  other:\n    {}\n    user: other\n    password: pass\n", imap(&dovecot));
    home.configure(&imap(&dovecot), &other);
    home.provider.fail_always(Some(Fault::Denied("ms-password")));
    home.age(4000);
    let output = home.run(&["fetch"]);
    assert!(output.code == 77 && output.stdout.contains("other: 1 new"), "{output}");
    assert!(output.stderr.contains("the password was changed after the sign-in"), "{output}");
    let status = home.run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["accounts"][0]["trouble"]["is_refused"], true, "{status}");
    assert!(status["accounts"][1]["trouble"].is_null(), "{status}");
    let page = home.run(&["status"]);
    assert!(page.stdout.contains("`mailsluice login work` signs in"), "{page}");
}
