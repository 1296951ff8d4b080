//! TLS and logins of relays.

use data_encoding::BASE64;
use mailsluice::config::secret::Password;
use mailsluice::config::{Login as ConfigLogin, Relay, RelayKind, Server, Tls, Trust};
use mailsluice::error::Kind;
use mailsluice::outbox::relay::RelayTrouble;
use mailsluice::outbox::smtp::SmtpRelay;

use crate::smtp::{FROM, TEXT, outcome, relay, send, server};
use crate::support::scripted_server::ScriptedServer;
use crate::support::smtp_login::Login;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};
use crate::support::tls::{self, Certificate};
use crate::support::wire::Security;

const SECRET: &str = "open, sesame=ü";

fn login(secret: &str, token: bool) -> ConfigLogin {
    ConfigLogin { user: "me@example.com".to_owned(), password: Password::Plain(secret.into()), token, auth: None }
}

fn with_login(server: Server, secret: &str, token: bool) -> Relay {
    relay(RelayKind::Smtp { server, login: Some(login(secret, token)) })
}

fn options(auth: &str) -> SmtpOptions {
    let options = SmtpOptions { login: Some(Login::new("me@example.com", SECRET)), ..SmtpOptions::default() };
    options.with(&format!("AUTH {auth}"))
}

#[tokio::test]
async fn every_login() {
    for (offered, used, token) in [
        ("LOGIN PLAIN SCRAM-SHA-256 GSSAPI", "SCRAM-SHA-256", false),
        ("LOGIN PLAIN SCRAM-SHA-1 CRAM-MD5", "SCRAM-SHA-1", false),
        ("LOGIN PLAIN CRAM-MD5", "PLAIN", false),
        ("CRAM-MD5", "CRAM-MD5", false),
        ("LOGIN", "LOGIN", false),
        ("XOAUTH2 PLAIN OAUTHBEARER", "OAUTHBEARER", true),
        ("PLAIN XOAUTH2", "XOAUTH2", true),
    ] {
        let mail_server = SmtpServer::start(options(offered));
        let sent = send(&with_login(server(mail_server.port()), SECRET, token), FROM, &["a@x"], TEXT).await;
        assert_eq!(outcome(&sent), "sent", "{used}: {sent:?}");
        let auth = mail_server.commands().into_iter().filter(|command| command.starts_with("AUTH")).collect::<Vec<_>>();
        assert_eq!((auth.len(), auth[0].split(' ').nth(1)), (1, Some(used)));

        let refused =
            send(&with_login(server(mail_server.port()), "hunter2hunter2", token), FROM, &["a@x"], TEXT).await;
        let Err(RelayTrouble::Relay(error)) = refused else { panic!("{used}: {refused:?}") };
        assert_eq!((error.kind(), error.is_transient()), (Kind::Auth, false), "{used}: {error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("logging in to 127.0.0.1 as me@example.com") && text.contains("535 5.7.8"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyM"), "{text}");
    }
}

/// `auth` names one, and no other is used, whatever the server offers besides.
#[tokio::test]
async fn the_login_that_auth_names() {
    use mailsluice::config::Mechanism;
    let all = "SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN EXTERNAL";
    for (only, offered) in [
        (Mechanism::ScramSha1, all),
        (Mechanism::CramMd5, all),
        (Mechanism::Plain, all),
        (Mechanism::Login, all),
        (Mechanism::External, all),
        (Mechanism::Plain, "LOGIN CRAM-MD5"),
        (Mechanism::ScramSha256Plus, "SCRAM-SHA-256-PLUS SCRAM-SHA-256"),
    ] {
        let mail_server = SmtpServer::start(options(offered));
        let secret = if only == Mechanism::External { Password::Unneeded } else { Password::Plain(SECRET.into()) };
        let login = ConfigLogin { auth: Some(only), password: secret, ..login(SECRET, false) };
        let relay = relay(RelayKind::Smtp { server: server(mail_server.port()), login: Some(login) });
        let sent = send(&relay, FROM, &["a@x"], TEXT).await;
        let auth = mail_server.commands().into_iter().filter(|command| command.starts_with("AUTH")).collect::<Vec<_>>();
        if offered == all {
            assert_eq!(outcome(&sent), "sent", "{only:?}: {sent:?}");
            assert_eq!((auth.len(), auth[0].split(' ').nth(1)), (1, Some(only.name())));
            continue;
        }
        let Err(RelayTrouble::Relay(error)) = sent else { panic!("{only:?}: {sent:?}") };
        assert!(auth.is_empty() && error.kind() == Kind::Auth, "{error}");
        assert!(error.to_string().contains(only.name()) && error.to_string().contains("`auth`"), "{error}");
    }
}

/// RFC 9266: what one connection says is of no use on another. Where the server offers no binding, it is told that we could.
#[tokio::test]
async fn a_login_is_bound_to_its_tls_connection() {
    let folder = crate::stage::folder();
    for (offered, used) in
        [("SCRAM-SHA-256-PLUS SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"), ("SCRAM-SHA-256 PLAIN", "SCRAM-SHA-256")]
    {
        let security = Security::Implicit(Certificate::Valid);
        let mail_server = SmtpServer::start(SmtpOptions { security, ..options(offered) });
        let relay = with_login(tls_server(mail_server.port(), Tls::Implicit, folder.path()), SECRET, false);
        let sent = send(&relay, FROM, &["a@x"], TEXT).await;
        assert_eq!(outcome(&sent), "sent", "{used}: {sent:?}");
        let auth = mail_server.commands().into_iter().find(|command| command.starts_with("AUTH")).unwrap();
        let words: Vec<&str> = auth.split(' ').collect();
        assert_eq!(words[1], used);
        let first = BASE64.decode(words[2].as_bytes()).unwrap();
        let header = if used.ends_with("PLUS") { "p=tls-exporter,," } else { "y,," };
        assert!(first.starts_with(header.as_bytes()), "{}", String::from_utf8_lossy(&first));
    }
}

/// Longer than a command line may be: the words wait for the server's question.
#[tokio::test]
async fn a_long_token() {
    let token = "t".repeat(3000);
    let options = SmtpOptions { login: Some(Login::new("me@example.com", &token)), ..options("XOAUTH2") };
    let mail_server = SmtpServer::start(options);
    let sent = send(&with_login(server(mail_server.port()), &token, true), FROM, &["a@x"], TEXT).await;
    assert_eq!(outcome(&sent), "sent", "{sent:?}");
    assert!(mail_server.commands().contains(&"AUTH XOAUTH2".to_owned()));
}

#[tokio::test]
async fn a_server_that_does_not_know_the_password_is_left() {
    let mut options = options("SCRAM-SHA-256 PLAIN");
    options.login.as_mut().unwrap().is_impostor = true;
    let mail_server = SmtpServer::start(options);
    let refused = SmtpRelay::connect(&with_login(server(mail_server.port()), SECRET, false)).await;
    let Err(error) = refused else { panic!() };
    assert!(error.to_string().contains("has not proved"), "{error}");
    let auth = mail_server.commands().into_iter().filter(|command| command.starts_with("AUTH")).count();
    assert_eq!(auth, 1, "no weaker login is tried");
}

#[tokio::test]
async fn t12_what_is_no_login() {
    for (reply, token) in
        [("334 not base64!", true), ("334-a\r\n334 b", true), ("235 come in", false), ("250 ok", false), ("334", false)]
    {
        let auth = if token { "XOAUTH2" } else { "SCRAM-SHA-256" };
        let mail_server = SmtpServer::start(options(auth).reply("AUTH", reply));
        let outcome = SmtpRelay::connect(&with_login(server(mail_server.port()), SECRET, token)).await;
        assert!(outcome.is_err(), "{reply}");
    }
    for (offered, token) in [("GSSAPI NTLM", false), ("PLAIN", true), ("XOAUTH2", false)] {
        let mail_server = SmtpServer::start(options(offered));
        let outcome = SmtpRelay::connect(&with_login(server(mail_server.port()), SECRET, token)).await;
        let Err(error) = outcome else { panic!("{offered}") };
        assert_eq!(error.kind(), Kind::Auth);
        assert!(mail_server.commands().iter().all(|command| !command.starts_with("AUTH")));
    }
    let later = SmtpServer::start(options("PLAIN").reply("AUTH", "454 4.7.0 later"));
    let outcome = SmtpRelay::connect(&with_login(server(later.port()), SECRET, false)).await;
    assert!(matches!(outcome, Err(error) if error.is_transient()));
}

/// It spoke of app passwords where the config was wrong.
#[tokio::test]
async fn a_server_without_a_login_says_what_to_write() {
    for (options, says) in [
        (SmtpOptions::default(), "remove `user` and `password`"),
        (SmtpOptions::default().with("STARTTLS"), "write `tls: starttls`"),
    ] {
        let mail_server = SmtpServer::start(options);
        let outcome = SmtpRelay::connect(&with_login(server(mail_server.port()), SECRET, false)).await;
        let Err(error) = outcome else { panic!("{says}") };
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_repeated_password_is_not_shown() {
    let mail_server = SmtpServer::start(options("PLAIN").reply("AUTH", "535 wrong: hunter2hunter2"));
    let outcome = SmtpRelay::connect(&with_login(server(mail_server.port()), "hunter2hunter2", false)).await;
    let Err(error) = outcome else { panic!() };
    assert!(
        error.to_string().contains("535 wrong: (secret)") && !format!("{error:?}").contains("hunter2"),
        "{error:?}"
    );
}

fn tls_server(port: u16, tls: Tls, folder: &std::path::Path) -> Server {
    Server {
        host: "localhost".to_owned(),
        tls,
        trust: Trust { ca_file: Some(tls::write_ca(folder)), ..Trust::default() },
        ..server(port)
    }
}

#[tokio::test]
async fn tls_of_both_kinds() {
    let folder = crate::stage::folder();
    for (security, tls) in [
        (Security::Implicit(Certificate::Valid), Tls::Implicit),
        (Security::StartTls(Certificate::Valid), Tls::StartTls),
    ] {
        let mail_server = SmtpServer::start(SmtpOptions { security, ..options("PLAIN") });
        let relay = with_login(tls_server(mail_server.port(), tls, folder.path()), SECRET, false);
        let sent = send(&relay, FROM, &["a@x"], TEXT.repeat(10_000)).await;
        assert_eq!(outcome(&sent), "sent", "{tls:?} {sent:?}");
        let hellos = mail_server.commands().iter().filter(|command| command.starts_with("EHLO")).count();
        assert_eq!(hellos, if tls == Tls::StartTls { 2 } else { 1 }, "capabilities are asked anew");
    }
}

#[tokio::test]
async fn t1_starttls_is_required() {
    let folder = crate::stage::folder();
    let without = SmtpServer::start(options("PLAIN"));
    let security = Security::StartTls(Certificate::Valid);
    let refuses = SmtpServer::start(SmtpOptions { security, ..options("PLAIN") }.reply("STARTTLS", "454 not now"));
    for mail_server in [&without, &refuses] {
        let relay = with_login(tls_server(mail_server.port(), Tls::StartTls, folder.path()), SECRET, false);
        let Err(error) = SmtpRelay::connect(&relay).await else { panic!() };
        assert_eq!(error.kind(), Kind::Tls);
        assert!(error.to_string().contains("`tls: starttls` requires"), "{error}");
        let commands = mail_server.commands();
        assert!(commands.iter().all(|command| !command.starts_with("AUTH") && !command.starts_with("MAIL")));
    }
}

#[tokio::test]
async fn t3_nothing_is_taken_from_before_the_handshake() {
    let folder = crate::stage::folder();
    let security = Security::StartTls(Certificate::Valid);
    let injection = "250-evil\r\n250 AUTH PLAIN\r\n".to_owned();
    let mail_server = SmtpServer::start(SmtpOptions { security, injection, ..options("PLAIN") });
    let relay = with_login(tls_server(mail_server.port(), Tls::StartTls, folder.path()), SECRET, false);
    let Err(error) = SmtpRelay::connect(&relay).await else { panic!() };
    assert!(error.to_string().contains("data before the TLS handshake"), "{error}");
    assert!(mail_server.commands().iter().all(|command| !command.starts_with("AUTH")));
}

#[tokio::test]
async fn t6_certificates_that_do_not_hold() {
    let folder = crate::stage::folder();
    for certificate in [Certificate::Expired, Certificate::WrongName, Certificate::SelfSigned] {
        let mail_server =
            SmtpServer::start(SmtpOptions { security: Security::StartTls(certificate), ..options("PLAIN") });
        let relay = with_login(tls_server(mail_server.port(), Tls::StartTls, folder.path()), SECRET, false);
        let Err(error) = SmtpRelay::connect(&relay).await else { panic!("{certificate:?}") };
        assert_eq!(error.kind(), Kind::Tls, "{certificate:?} {error}");
    }
}

/// Also when the config was made by hand.
#[tokio::test]
async fn t10_no_password_in_the_clear() {
    let mail_server = SmtpServer::start(options("PLAIN"));
    // Loopback, but not by its name.
    let named = Server { host: "0.0.0.0".to_owned(), ..server(mail_server.port()) };
    let Err(error) = SmtpRelay::connect(&with_login(named, SECRET, false)).await else { panic!() };
    assert_eq!(error.kind(), Kind::Config, "{error}");
    assert!(mail_server.commands().iter().all(|command| !command.starts_with("AUTH")));
}

/// In the answer to any command, however it is written.
#[tokio::test]
async fn a_secret_that_a_server_repeats_later_is_nowhere_to_be_read() {
    let login_words = BASE64.encode(format!("\0me@example.com\0{SECRET}").as_bytes());
    let said = format!("{SECRET} {} {login_words}", BASE64.encode(SECRET.as_bytes()));
    let begun = "S: 220 x\nC: EHLO **\nS: 250-x\nS: 250 AUTH PLAIN\nC: AUTH PLAIN **\nS: 235 in\nC: MAIL **\n";
    for dialog in [
        format!("{begun}S: 550-5.7.1 no\nS: 550 5.7.1 {said}\nignore\n"),
        format!("{begun}S: 421 4.7.0 {said}\nclose\n"),
        format!("{begun}S: nonsense {said}\nignore\n"),
        format!(
            "{begun}S: 250 ok\nC: RCPT **\nS: 250 ok\nC: DATA\nS: 354 go\n{}S: 250 queued as {said}\nignore\n",
            "C: **\n".repeat(7)
        ),
    ] {
        let scripted = ScriptedServer::start(&dialog);
        let sent = send(&with_login(server(scripted.port()), SECRET, false), FROM, &["a@x"], TEXT).await;
        let text = format!("{sent:?}");
        for secret in [SECRET, &BASE64.encode(SECRET.as_bytes()), &login_words] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(text.contains("(secret) (secret) (secret)"), "{text}");
    }
}
