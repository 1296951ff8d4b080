//! No token, no code and no client secret is anywhere but in the file of the tokens.

use std::fs;
use std::path::Path;

use super::dovecot::{imap, with_dovecot};
use crate::support::oauth_server::{Fault, OauthOptions, OauthServer};
use crate::support::sandbox::Output;
use crate::support::smtp_login::Login;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

const SECRET: &str = "SECRET-of-client";

/// What is nowhere to be read: the beginnings of all secrets, and what of them is the same in base64 whatever stands before.
fn canaries() -> Vec<String> {
    let mut all = Vec::new();
    for mark in OauthServer::MARKS.iter().chain([&SECRET]) {
        all.push((*mark).to_owned());
        for before in ["", "a", "ab"] {
            let form = crate::support::base64::encode(format!("{before}{mark}").as_bytes());
            let (first, end) = ((before.len() * 8).div_ceil(6), (before.len() + mark.len()) * 8 / 6);
            all.push(form[first..end].to_owned());
        }
    }
    all
}

fn shown(text: &str) -> Option<String> {
    canaries().into_iter().find(|canary| text.contains(canary.as_str()))
}

fn assert_silent(what: &str, text: &str) {
    assert_eq!(shown(text), None, "{what}: {text}");
}

#[test]
fn the_canary_sings() {
    let login = crate::support::base64::encode(b"user=me\x01auth=Bearer ACCESS-3-xxxx\x01\x01");
    let bearer = crate::support::base64::encode(b"n,a=me,\x01host=h\x01port=1\x01auth=Bearer ACCESS-3-xxxx\x01\x01");
    for text in ["x REFRESH-1", "code=CODE-7", &login, &bearer, "SECRET-of-client"] {
        assert!(shown(text).is_some(), "{text}");
    }
}

fn assert_quiet(what: &str, output: &Output) {
    assert_silent(what, &format!("{}{}", output.stdout, output.stderr));
}

/// Everything below, but for the tokens and what the user wrote himself.
fn assert_files_silent(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.ends_with("sign-ins") || path.ends_with(".config") {
            continue;
        }
        if path.is_dir() {
            assert_files_silent(&path);
        } else if path.is_file() {
            assert_silent(&path.display().to_string(), &String::from_utf8_lossy(&fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn nothing_secret_is_to_be_read_anywhere() {
    let options = OauthOptions { secret: Some(SECRET.to_owned()), ..OauthOptions::default() };
    let Some((home, dovecot)) = with_dovecot(options, "xoauth2 oauthbearer") else { return };
    let server = imap(&dovecot);
    home.configure(&server, "");
    assert_quiet("login", &home.log_in(&["-vv", "login", "work"]));
    assert_quiet("fetch", &home.run(&["-vv", "fetch"]));
    home.age(4000);
    assert_quiet("fetch with a new token", &home.run(&["-vv", "fetch"]));
    home.provider.end_access();
    home.age(120);
    assert_quiet("fetch with a refused token", &home.run(&["-vv", "fetch"]));
    for fault in [Fault::Cut, Fault::Page, Fault::Denied("ms-scope"), Fault::Denied("google-revoked")] {
        home.age(4000);
        home.provider.fail(fault);
        // A provider may repeat what it was shown.
        assert_quiet("fetch that fails", &home.run(&["-vv", "fetch"]));
    }
    let relay = SmtpServer::start(
        SmtpOptions { login: Some(Login::new("me", "x")), ..SmtpOptions::default() }.with("AUTH XOAUTH2"),
    );
    let more = format!(
        "relays: {{out: {{smtp: {{host: 127.0.0.1, port: {}, tls: none}}, user: me, oauth2: OAUTH2}}}}\n",
        relay.port()
    );
    home.configure(&server, &format!("me: [me@example.com]\n{more}"));
    home.age_the_end(3601);
    home.sandbox.run_with_stdin(&["sendmail", "you@example.com"], "Subject: x\n\nx\n");
    assert_quiet("a relay that refuses", &home.run(&["-vv", "queue", "run"]));
    assert!(relay.commands().iter().any(|command| command.starts_with("AUTH")), "{:?}", relay.commands());
    for command in
        [&["status"][..], &["status", "--json"], &["check"], &["check", "--json"], &["log"], &["queue", "list"]]
    {
        assert_quiet(&command.join(" "), &home.run(command));
    }
    assert_files_silent(home.sandbox.home());
    assert_quiet("login with a code", &home.run(&["-vv", "login", "work", "--device"]));
    assert_quiet("logout", &home.run(&["-vv", "logout", "work"]));
    assert_files_silent(home.sandbox.home());
    let left = fs::read_dir(home.sandbox.home().join(".local/state/mailsluice/sign-ins")).unwrap();
    for entry in left.map(Result::unwrap) {
        assert_silent("what is left", &fs::read_to_string(entry.path()).unwrap());
    }
}
