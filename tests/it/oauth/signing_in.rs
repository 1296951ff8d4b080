//! `login` and `logout`.

use std::os::unix::fs::PermissionsExt;

use super::{Home, Login, NOWHERE};
use crate::support::oauth_server::{Fault, OauthOptions, get};

#[test]
fn a_person_signs_in_by_a_browser() {
    let home = Home::new(OauthOptions::default(), NOWHERE);
    let output = home.log_in(&["login", "work"]);
    assert_eq!(output.code, 0, "{output}");
    assert!(output.stdout.contains("signed in at 127.0.0.1 as me, for work"), "{output}");
    let asked = home.provider.asked();
    assert!(asked.len() == 1 && !asked[0].contains_key("client_secret"), "{asked:?}");
    assert!(home.provider.takes(&home.kept_text("refresh_token")));
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&home.file()), mode(home.file().parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_client_with_a_secret_shows_it() {
    let options = OauthOptions { secret: Some("SECRET-of-client".into()), ..OauthOptions::default() };
    let home = Home::new(options, NOWHERE).signed_in();
    assert_eq!(home.provider.asked()[0]["client_secret"], "SECRET-of-client");
}

#[test]
fn an_answer_of_another_question_is_not_taken_and_the_right_one_is_still_waited_for() {
    let home = Home::new(OauthOptions::default(), NOWHERE);
    let mut login = Login::begin(&home.sandbox, &["login", "work"]);
    let address = login.address();
    let right = home.provider.browse(&address);
    let port = right.split(':').nth(2).unwrap().split('/').next().unwrap();
    for wrong in ["/?code=CODE-9&state=mine", "/?code=CODE-9", "/favicon.ico"] {
        let answer = get(&format!("http://127.0.0.1:{port}{wrong}"));
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
    assert!(get(&right).starts_with("HTTP/1.1 200"));
    assert_eq!(login.end().code, 0);
}

#[test]
fn the_browser_may_come_over_ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("SKIPPED: this machine has no ::1");
        return;
    }
    let home = Home::new(OauthOptions::default(), NOWHERE);
    let mut login = Login::begin(&home.sandbox, &["login", "work"]);
    let back = home.provider.browse(&login.address());
    assert!(get(&back.replace("127.0.0.1", "[::1]")).starts_with("HTTP/1.1 200"));
    assert_eq!(login.end().code, 0);
}

/// RFC 9207: the answer of another server.
#[test]
fn the_issuer_is_looked_at_where_it_is_said() {
    let home = Home::new(OauthOptions { iss: Some("https://evil.example".into()), ..OauthOptions::default() }, NOWHERE);
    let output = home.log_in(&["login", "work"]);
    assert!(output.code != 0 && output.stderr.contains("another server asks for the code"), "{output}");
    assert!(home.provider.asked().is_empty(), "the code was not shown to anybody");
}

#[test]
fn no_is_an_answer() {
    let home = Home::new(OauthOptions::default(), NOWHERE);
    let mut login = Login::begin(&home.sandbox, &["login", "work"]);
    let back = home.provider.browse(&login.address());
    let (place, query) = back.split_once('?').unwrap();
    let state = query.split('&').find(|field| field.starts_with("state=")).unwrap();
    get(&format!("{place}?error=access_denied&{state}"));
    let output = login.end();
    assert!(output.code == 77 && output.stderr.contains("somebody declined"), "{output}");
}

#[test]
fn an_address_is_pasted_where_the_browser_is_elsewhere() {
    let home = Home::new(OauthOptions::default(), NOWHERE);
    let mut login = Login::begin(&home.sandbox, &["login", "work", "--paste"]);
    let back = home.provider.browse(&login.address());
    login.paste("http://127.0.0.1:1/?code=CODE-9&state=mine");
    login.paste(&format!("  {back} "));
    let output = login.end();
    assert_eq!(output.code, 0, "{output}");
    assert!(output.stderr.contains("not the address that belongs"), "{output}");
}

#[test]
fn over_ssh_the_way_for_the_browser_is_named() {
    let mut home = Home::new(OauthOptions::default(), NOWHERE);
    home.sandbox.env("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22");
    let mut login = Login::begin(&home.sandbox, &["login", "work"]);
    let back = home.provider.browse(&login.address());
    get(&back);
    let output = login.end();
    let port = back.split(':').nth(2).unwrap().split('/').next().unwrap();
    assert!(output.stderr.contains(&format!("ssh -L {port}:localhost:{port} 192.0.2.1")), "{output}");
}

#[test]
fn a_code_is_typed_on_another_device() {
    let home = Home::new(OauthOptions { device: vec!["authorization_pending"], ..OauthOptions::default() }, NOWHERE);
    let output = home.run(&["login", "work", "--device"]);
    assert_eq!(output.code, 0, "{output}");
    assert!(output.stdout.contains("/enter on any device and type the code ABCD-EFGH"), "{output}");
    assert_eq!(home.provider.asked().len(), 2);
    assert!(home.provider.takes(&home.kept_text("refresh_token")));
}

#[test]
fn a_device_that_is_told_no_or_nothing_ends_the_wait() {
    for (answer, words) in [
        ("authorization_declined", "somebody declined"),
        ("access_denied", "somebody declined"),
        ("expired_token", "in time"),
    ] {
        let home = Home::new(OauthOptions { device: vec![answer], ..OauthOptions::default() }, NOWHERE);
        let output = home.run(&["login", "work", "--device"]);
        assert!(output.code != 0 && output.stderr.contains(words), "{answer}: {output}");
    }
}

/// Google's allows no access to mail, so it is not even asked.
#[test]
fn a_provider_without_codes_for_devices_says_so() {
    let home = Home::new(OauthOptions::default(), NOWHERE);
    home.sandbox.config(&format!(
        "maildir: ~/Mail\naccounts:\n  work:\n    {NOWHERE}\n    user: me\n    oauth2: {{provider: google, client_id: x}}\n"
    ));
    let output = home.run(&["login", "work", "--device"]);
    assert!(output.code == 64 && output.stderr.contains("--paste"), "{output}");
}

#[test]
fn without_a_client_id_the_recipe_is_printed() {
    for (provider, words) in
        [("google", "Desktop app"), ("microsoft", "Allow public client flows"), ("yandex", "verification_code")]
    {
        let home = Home::new(OauthOptions::default(), NOWHERE);
        home.sandbox.config(&format!(
            "maildir: ~/Mail\naccounts:\n  work:\n    {NOWHERE}\n    user: me\n    oauth2: {provider}\n"
        ));
        let output = home.run(&["login", "work"]);
        assert!(output.code == 78 && output.stdout.contains(words), "{output}");
        assert_eq!(output.stdout.contains("app password"), provider != "microsoft", "{output}");
        let checked = home.run(&["check"]);
        assert!(checked.stdout.contains("`mailsluice login work` says how to get one"), "{checked}");
    }
}

#[test]
fn a_client_id_may_come_from_a_file_of_clients() {
    let home = Home::new(OauthOptions::default(), NOWHERE);
    home.sandbox.config(&format!(
        "maildir: ~/Mail\naccounts:\n  work:\n    {NOWHERE}\n    user: me\n    oauth2: {{provider: fastmail, authorize: '{}', token: '{}'}}\n",
        home.provider.url("authorize"),
        home.provider.url("token")
    ));
    let path = home.sandbox.write(".config/mailsluice/clients.yaml", "fastmail: {client_id: the-app}\n");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = home.log_in(&["login", "work"]);
    assert_eq!(output.code, 0, "{output}");
}

/// Google's habit: the second consent gives none, unless it is asked for.
#[test]
fn consent_is_asked_for_only_where_no_refresh_token_came() {
    let home = Home::new(OauthOptions { codes_without_refresh: 1, ..OauthOptions::default() }, NOWHERE);
    let urls = format!("authorize: '{}', token: '{}'", home.provider.url("authorize"), home.provider.url("token"));
    home.sandbox.config(&format!(
        "maildir: ~/Mail\naccounts:\n  work:\n    {NOWHERE}\n    user: me\n    oauth2: {{provider: google, client_id: the-app, {urls}}}\n"
    ));
    let mut login = Login::begin(&home.sandbox, &["login", "work"]);
    let first = login.address();
    get(&home.provider.browse(&first));
    let second = login.address();
    get(&home.provider.browse(&second));
    assert_eq!(login.end().code, 0);
    assert!(!first.contains("prompt=") && second.contains("prompt=consent"), "{first} {second}");
}

#[test]
fn a_sign_in_that_does_not_last_is_none() {
    let home = Home::new(OauthOptions { codes_without_refresh: 9, ..OauthOptions::default() }, NOWHERE);
    let output = home.log_in(&["login", "work"]);
    assert!(output.code == 69 && output.stderr.contains("no refresh token"), "{output}");
}

/// Google's, of a client that is in "Testing".
#[test]
fn a_sign_in_whose_end_is_known_is_said_to_end() {
    let home = Home::new(OauthOptions { ends_in: Some(604_799), ..OauthOptions::default() }, NOWHERE);
    let output = home.log_in(&["login", "work"]);
    assert!(output.code == 0 && output.stderr.contains("says that this sign-in ends on 2"), "{output}");
}

#[test]
fn a_provider_that_is_away_while_somebody_signs_in_is_no_refusal() {
    let home = Home::new(OauthOptions::default(), NOWHERE);
    home.provider.fail(Fault::Status(503));
    let output = home.log_in(&["login", "work"]);
    assert!(output.code == 75, "{output}");
}

#[test]
fn signing_out_takes_it_back_at_the_provider() {
    let home = Home::new(OauthOptions::default(), NOWHERE).signed_in();
    let token = home.kept_text("refresh_token");
    let output = home.run(&["logout", "work"]);
    assert_eq!(output.code, 0, "{output}");
    assert_eq!(home.provider.revoked()[0]["token"], token);
    assert!(!home.provider.takes(&token));
    assert_eq!(home.run(&["logout", "work"]).stdout.trim(), "nobody was signed in at 127.0.0.1 as me");
    let checked = home.run(&["check"]);
    assert!(checked.stdout.contains("nobody has signed in"), "{checked}");
}

#[test]
fn whoever_signs_out_is_out_here_whatever_the_provider_says() {
    let home = Home::new(OauthOptions::default(), NOWHERE).signed_in();
    home.provider.fail(Fault::Status(503));
    let output = home.run(&["logout", "work"]);
    assert!(output.code == 75 && output.stderr.contains("has forgotten the sign-in, but"), "{output}");
    assert!(home.run(&["check"]).stdout.contains("nobody has signed in"));
    // One that the provider does not know any more is gone, too.
    let home = home.signed_in();
    home.provider.forget(&home.kept_text("refresh_token"));
    assert_eq!(home.run(&["logout", "work"]).code, 0);
    // A file that is damaged goes as well.
    let home = home.signed_in();
    std::fs::write(home.file(), "{").unwrap();
    let output = home.run(&["logout", "work"]);
    assert!(output.code == 0 && output.stdout.contains("signed out"), "{output}");
}

/// A refresh token opens the mailbox for as long as the provider lets it, whatever the config says.
#[test]
fn signing_out_finds_a_sign_in_that_the_config_no_longer_uses() {
    let home = Home::new(OauthOptions::default(), NOWHERE).signed_in();
    let token = home.kept_text("refresh_token");
    let config = home.sandbox.home().join(".config/mailsluice/config.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    // Another client, and then no account of that name at all.
    for (now, checked) in [(text.replace("client_id: ", "client_id: x"), 1), ("maildir: ~/Mail\n".to_owned(), 1)] {
        std::fs::write(&config, now).unwrap();
        let said = home.run(&["check"]).stdout;
        assert_eq!(said.matches("`mailsluice logout work` revokes it").count(), checked, "{said}");
    }
    let output = home.run(&["logout", "work"]);
    assert!(output.code == 0 && output.stdout.contains("which the config no longer uses"), "{output}");
    assert_eq!(home.provider.revoked()[0]["token"], token);
    assert!(!home.provider.takes(&token));
    assert!(!home.run(&["check"]).stdout.contains("revokes it"));
    assert_eq!(home.run(&["logout", "work"]).code, 64);
}

#[test]
fn names_that_are_wrong_are_told_what_is_there() {
    let relay = "relays:\n  out: {smtp: {host: 127.0.0.1, port: 1, tls: none}}\n";
    let home = Home::with(OauthOptions::default(), NOWHERE, relay);
    let unknown = home.run(&["login", "wrok"]);
    assert!(unknown.code == 64 && unknown.stderr.contains("with `oauth2` there are work"), "{unknown}");
    let without = home.run(&["login", "out"]);
    assert!(without.code == 64 && without.stderr.contains("`out` has no `oauth2`"), "{without}");
}
