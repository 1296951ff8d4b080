//! Tokens without a person, for organisations.

use ring::signature::{KeyPair, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use super::dovecot::imap;
use super::{Home, NOWHERE};
use crate::support::dovecot::Dovecot;
use crate::support::oauth_server::{Fault, OauthOptions};

/// Made for this test, and of no use anywhere else.
const KEY: &str = include_str!("key-of-nobody.pem");

fn of_app() -> OauthOptions {
    OauthOptions { secret: Some("SECRET-of-app".to_owned()), ..OauthOptions::default() }
}

fn configure(home: &Home, server: &str, oauth2: &str) {
    home.sandbox.config(&format!(
        "maildir: ~/Mail\naccounts:\n  work:\n    {server}\n    user: me\n    oauth2: {{flow: app, {oauth2}, token: '{}'}}\n",
        home.provider.url("token")
    ));
}

#[test]
fn a_program_of_an_organisation_needs_nobody() {
    let home = Home::new(of_app(), NOWHERE);
    let Some(dovecot) = Dovecot::start_asking(&home.provider.url("introspect"), "xoauth2") else { return };
    let oauth2 = "scope: mail/.default, client_id: the-app, client_secret: SECRET-of-app";
    configure(&home, &imap(&dovecot), oauth2);
    dovecot.add("me", "INBOX", "Subject: hello\n\nhello\n");
    for _ in 0..2 {
        let output = home.run(&["fetch"]);
        assert_eq!(output.code, 0, "{output}\n{}", dovecot.log());
    }
    let asked = home.provider.asked();
    assert_eq!(asked.len(), 1, "the token is kept for an hour");
    assert_eq!((asked[0]["grant_type"].as_str(), asked[0]["scope"].as_str()), ("client_credentials", "mail/.default"));
    home.age(4000);
    assert_eq!(home.run(&["fetch"]).code, 0);
    assert_eq!(home.provider.asked().len(), 2);
    let output = home.run(&["login", "work"]);
    assert!(output.code == 0 && output.stdout.contains("nobody has to sign in"), "{output}");
    assert!(!home.run(&["check"]).stdout.contains("signed in"));
}

#[test]
fn what_an_administrator_has_to_do_is_said() {
    let home = Home::new(of_app(), NOWHERE);
    configure(&home, NOWHERE, "scope: mail/.default, client_id: the-app, client_secret: SECRET-of-app");
    for (name, words) in [("ms-secret-old", "24 months"), ("google-revoked", "administrator has registered")] {
        home.provider.fail(Fault::Denied(name));
        let output = home.run(&["login", "work"]);
        assert!(output.code == 77 && output.stderr.contains(words), "{name}: {output}");
        assert!(!output.stderr.contains("SECRET"), "{output}");
    }
    // Nothing is over: there is nobody who could sign in again.
    assert_eq!(home.run(&["login", "work"]).code, 0);
}

#[test]
fn a_service_account_signs_for_the_mailbox() {
    let der = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap().public_key().as_ref().to_vec();
    let home = Home::new(OauthOptions { key: Some(key), ..OauthOptions::default() }, NOWHERE);
    let file = serde_json::json!({"type": "service_account", "client_email": "x@y.example", "private_key": KEY, "private_key_id": "1"});
    let path = home.sandbox.write("key.json", file.to_string());
    configure(&home, NOWHERE, "provider: google, key_file: ~/key.json");
    let output = home.run(&["-vv", "login", "work"]);
    assert_eq!(output.code, 0, "{output}");
    let asked = home.provider.asked().pop().unwrap();
    assert!(!asked.contains_key("client_id") && !asked.contains_key("scope"), "{asked:?}");
    assert!(!output.stderr.contains(&asked["assertion"]), "{output}");
    // A key that others may read is nobody's.
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    home.age(4000);
    let output = home.run(&["login", "work"]);
    assert!(output.code == 78 && output.stderr.contains("chmod 600"), "{output}");
    for bad in ["{}", "{\"client_email\":\"x\",\"private_key\":\"hush-hush\"}", "hush-hush"] {
        home.sandbox.write("key.json", bad);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let output = home.run(&["login", "work"]);
        assert!(output.code == 78 && !output.stderr.contains("hush"), "{output}");
    }
}
