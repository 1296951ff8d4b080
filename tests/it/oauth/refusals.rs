//! Every refusal that providers are known to send, over the wire: what is said, and that nothing is thrown away.

use super::renewing::token;
use super::{Home, NOWHERE};
use crate::support::oauth_server::{BODIES, Fault, OauthOptions};

#[test]
fn every_refusal_is_said_in_words_and_no_token_is_thrown_away() {
    let home = Home::new(OauthOptions::default(), NOWHERE).signed_in();
    for (name, words, is_over) in [
        ("google-revoked", "no longer accepts the saved sign-in", true),
        ("ms-password", "the password was changed after the sign-in", true),
        ("ms-frequency", "the sign-in is too old", true),
        ("ms-unused", "not used for 90 days", true),
        ("ms-conditional", "conditional access", true),
        ("ms-mfa", "second factor", false),
        ("ms-consent", "administrator", true),
        ("ms-no-secret", "Allow public client flows", false),
        ("ms-public", "remove `client_secret`", false),
        ("ms-secret-old", "the client secret has expired", false),
        ("ms-tenant", "not known in this tenant", false),
        ("ms-no-scope", "a bug in mailsluice", false),
        ("ms-scope", "does not grant the requested scope", false),
        ("unauthorized", "not allowed to request this", false),
        ("denied", "somebody declined", false),
    ] {
        let before = home.kept_text("refresh_token");
        home.age(4000);
        home.provider.fail(Fault::Denied(name));
        let error = token(&home).unwrap_err();
        assert!(error.to_string().contains(words), "{name}: {error}");
        assert!(!error.is_transient() && error.exit_code() == 77, "{name}: {error}");
        assert_eq!(home.kept()["over"].is_object(), is_over, "{name}");
        assert_eq!(home.kept_text("refresh_token"), before, "{name}");
        if is_over {
            home.age_the_end(3601);
        }
        token(&home).unwrap_or_else(|error| panic!("after {name}: {error}"));
    }
    assert_eq!(BODIES.len(), 15, "a refusal is not tried here");
}

/// The notice comes once, however often mail is fetched.
#[test]
fn a_sign_in_that_is_over_is_told_once() {
    let server = crate::support::scripted_server::ScriptedServer::start(
        &"S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] ready\nignore\n--- connection\n".repeat(8),
    );
    let place = format!("imap: {{host: 127.0.0.1, port: {}, tls: none}}", server.port());
    let home = Home::new(OauthOptions::default(), &place).signed_in();
    home.age(4000);
    home.provider.fail_always(Some(Fault::Denied("google-revoked")));
    for _ in 0..5 {
        home.run(&["fetch"]);
    }
    let messages = crate::support::maildir::Maildirs::at(home.sandbox.maildir()).messages();
    assert_eq!(messages.len(), 1);
    let notice = String::from_utf8_lossy(&messages[0].bytes).into_owned();
    assert!(notice.contains("mailsluice login work") && !notice.contains("REFRESH-"), "{notice}");
    assert_eq!(home.provider.renewals(), 1, "the provider is left alone");
    // Somebody signs in, and it is tried at once.
    home.provider.fail_always(None);
    assert_eq!(home.log_in(&["login", "work"]).code, 0);
    let status = home.run(&["status", "--json"]);
    assert!(!status.stdout.contains("is_refused\":true"), "{status}");
}
