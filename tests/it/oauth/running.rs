//! Sign-ins of a program that stays.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::dovecot::with_dovecot;
use super::{Home, NOWHERE};
use crate::support::oauth_server::{Fault, OauthOptions, Rotation};

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn has_mail(home: &Home, subject: &str) -> bool {
    let messages = crate::support::maildir::Maildirs::at(home.sandbox.maildir()).messages();
    messages.iter().any(|message| String::from_utf8_lossy(&message.bytes).contains(subject))
}

/// The sign-in ends while it runs; somebody signs in, and mail comes without a restart and without waiting for its time.
#[test]
fn mail_comes_again_as_soon_as_somebody_has_signed_in() {
    let Some((home, dovecot)) = with_dovecot(OauthOptions::default(), "xoauth2") else { return };
    home.age(4000);
    home.provider.fail_always(Some(Fault::Denied("google-revoked")));
    let running = home.sandbox.spawn(&["run"]);
    let status = || home.run(&["status", "--json"]).stdout;
    until("the sign-in is over", || status().contains("mailsluice login work"));
    until("a notice tells of it", || has_mail(&home, "mailsluice login work"));
    dovecot.add("me", "INBOX", "Subject: after all\n\nhello\n");
    home.provider.fail_always(None);
    assert_eq!(home.log_in(&["login", "work"]).code, 0);
    until("mail comes", || has_mail(&home, "after all"));
    until("all is well", || !status().contains("mailsluice login work"));
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, 0);
}

#[test]
fn a_program_that_stays_uses_what_nobody_used_for_a_week() {
    let home = Home::new(OauthOptions::default(), NOWHERE).signed_in();
    assert_eq!(home.run(&["pause"]).code, 0);
    home.age(8 * 24 * 3600);
    let running = home.sandbox.spawn(&["run"]);
    until("it is used", || home.provider.renewals() == 1);
    running.signal(Signal::TERM);
    running.wait();
    assert!(home.provider.takes(&home.kept_text("refresh_token")));
}

/// A provider that has given the only token that counts is heard out.
#[test]
fn a_program_that_is_to_stop_keeps_what_a_provider_is_just_giving() {
    let options = OauthOptions { rotation: Rotation::Strict, ..OauthOptions::default() };
    for command in ["fetch", "run"] {
        let Some((home, _dovecot)) = with_dovecot(options.clone(), "xoauth2") else { return };
        home.age(4000);
        home.provider.fail(Fault::Late(700));
        let running = home.sandbox.spawn(&[command]);
        until("it is asked", || home.provider.renewals() == 1);
        running.signal(Signal::TERM);
        running.wait();
        assert!(home.provider.takes(&home.kept_text("refresh_token")), "{command}");
    }
}
