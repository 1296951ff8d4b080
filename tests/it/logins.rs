//! How accounts log in: passwords, tokens, and servers that announce what they cannot do.

use mailsluice::error::Kind;
use mailsluice::net::login::classified;

use crate::stage::{Account, complaints, play, play_to};
use crate::support::dovecot::Dovecot;
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::scripted_server::ScriptedServer;
use crate::support::terminal::Terminal;
use crate::support::tls;

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
            "S: * OK [CAPABILITY IMAP4rev1] ready\nC: <tag> LOGIN \"me\" \"open sesame\"\nS: <tag> NO invalid user or password: open sesame\neof\n",
        ),
        (
            "pop3",
            "S: +OK ready\nC: CAPA\nS: -ERR\nC: USER me\nS: +OK\nC: PASS open sesame\nS: -ERR wrong password: open sesame\neof\n",
        ),
    ] {
        let server = ScriptedServer::start(dialog);
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

/// Every mechanism that Dovecot has, chosen by `auth`, over IMAP and POP3; the log says which one it was.
#[test]
fn every_mechanism_of_dovecot() {
    let Some(dovecot) = Dovecot::start_with_every_login() else { return };
    let folder = crate::stage::folder();
    let (ca, client) = (tls::write_ca(folder.path()), tls::write_client(folder.path()));
    for protocol in ["imap", "pop3"] {
        let port = if protocol == "imap" { dovecot.ports.imaps } else { dovecot.ports.pop3s };
        for mechanism in ["", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256", "external"] {
            let before = dovecot.log().len();
            let shown =
                if mechanism == "external" { format!(", client_cert: {}", client.display()) } else { String::new() };
            let server = format!("{protocol}: {{host: localhost, port: {port}, ca_file: {}{shown}}}", ca.display());
            let mut account = Account::on(server).with("user: me");
            account = account.with("password: pass");
            if !mechanism.is_empty() {
                account = account.with(&format!("auth: {mechanism}"));
            }
            account.client().fetch_well();
            let log = dovecot.log().split_off(before);
            let used = match mechanism {
                "" => "SCRAM-SHA-256".to_owned(),
                // USER and PASS, which Dovecot calls so.
                "login" => "PLAIN".to_owned(),
                named => named.to_uppercase(),
            };
            assert!(log.contains(&format!("Login: user=<me>, method={used},")), "{protocol} {mechanism}: {log}");
        }
    }
    let not_offered = format!("imap: {{host: localhost, port: {}, ca_file: {}}}", dovecot.ports.imaps, ca.display());
    let report = Account::on(not_offered).with("user: me").with("password: pass").with("auth: scram-sha-256-plus");
    let report = report.client().fetch();
    assert_eq!(report.exit_code(), 77, "{report:#?}");
    assert!(complaints(&report).contains("does not offer SCRAM-SHA-256-PLUS, which `auth` asks for"), "{report:#?}");
}

/// F14: what servers say, word for word, and what is made of it.
#[test]
fn interop_f14_refusals_are_read_as_they_are_meant() {
    let table = std::fs::read_to_string("tests/replies/refusals.tsv").unwrap();
    let rows: Vec<(&str, &str)> =
        table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split_once('\t').unwrap()).collect();
    let meant = |reply: &str| {
        let error = classified("x", reply);
        match (error.is_transient(), error.kind()) {
            (true, _) => "later",
            (false, Kind::Auth) => "wrong",
            _ if error.to_string().ends_with("(the server does not say why)") => "unclear",
            _ => "final",
        }
    };
    let misread: Vec<String> = rows
        .iter()
        .filter(|(meaning, reply)| meant(reply) != *meaning)
        .map(|(meaning, reply)| format!("{meaning}, not {}: {reply}", meant(reply)))
        .collect();
    assert!(rows.len() > 90 && misread.is_empty(), "{misread:#?}");
}

/// F14: "locked" where a folder is opened, and a greeting that is a refusal for good.
#[test]
fn interop_f14_the_same_words_mean_the_same_wherever_they_stand() {
    let locked = "S: * OK [CAPABILITY IMAP4rev1] ready\nC: <tag> LOGIN *\nS: <tag> OK [CAPABILITY IMAP4rev1] in\n\
                  C: <tag> EXAMINE *\nS: <tag> NO Mailbox locked by another process\nignore\n";
    let for_good = "S: -ERR [SYS/PERM] POP3 is switched off\nignore\n";
    for (dialog, is_imap, code) in [(locked, true, 75), (for_good, false, 69)] {
        let server = ScriptedServer::start(dialog);
        let account = if is_imap { Account::imap(server.port()) } else { Account::pop3(server.port()) };
        let report = account.client().fetch();
        assert_eq!(report.exit_code(), code, "{report:#?}");
    }
}

/// How a server may repeat the password of [`Account`], or its words of the login.
const REPEATED: &str = "open sesame b3BlbiBzZXNhbWU= AG1lAG9wZW4gc2VzYW1l";

#[track_caller]
fn assert_hushed(text: &str, times: usize) {
    for secret in ["open sesame", "b3BlbiBzZXNhbWU", "AG1lAG9wZW4gc2VzYW1l", "9wZW4gc2VzYW1"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.matches("(secret) (secret) (secret)").count() >= times, "{text}");
}

/// Long after the login: in a reply that nobody asked for, in the refusal of another command, in a farewell.
#[test]
fn a_password_that_a_server_repeats_later_is_nowhere_to_be_read() {
    let imap = "S: * OK [CAPABILITY IMAP4rev1] ready\nC: <tag> LOGIN *\nS: <tag> OK [CAPABILITY IMAP4rev1] in\nC: <tag> EXAMINE *\n";
    let imap = imap.replace("LOGIN *", "LOGIN **");
    let pop3 = "S: +OK ready\nC: CAPA\nS: -ERR\nC: USER me\nS: +OK\nC: PASS open sesame\nS: +OK\n";
    for (is_imap, dialog) in [
        (true, format!("{imap}S: * XHELLO {REPEATED}\nS: <tag> NO not for {REPEATED}\nignore\n")),
        (true, format!("{imap}S: * BYE {REPEATED}\nclose\n")),
        (true, format!("{imap}S: * OK {REPEATED}\nS: nonsense {REPEATED}\nignore\n")),
        (true, format!("{imap}S: m77 OK {REPEATED}\nignore\n")),
        (false, format!("{pop3}C: **\nS: -ERR not for {REPEATED}\nC: **\nS: -ERR not for {REPEATED}\nignore\n")),
        (false, format!("{pop3}C: **\nS: nonsense {REPEATED}\nignore\n")),
    ] {
        for flags in [&["fetch"][..], &["fetch", "-vv"]] {
            let server = ScriptedServer::start(&dialog);
            let account = if is_imap { Account::imap(server.port()) } else { Account::pop3(server.port()) };
            let output = account.sandbox().run(flags);
            assert_ne!(output.code, 0, "{output}");
            assert_hushed(&format!("{} {}", output.stdout, output.stderr), 1);
        }
    }
}

/// `netrc` by host and user, the keyring by its own program (one of ours plays it), `env` as ever; none of them is shown.
#[test]
fn a_password_comes_from_where_it_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let mailbox = crate::stage::mailbox();
    mailbox.add("INBOX", "Subject: hello\n\nworld\n");
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    for (kept, is_taken) in [
        ("{netrc: ~/netrc}", true),
        ("{netrc: ~/netrc-of-another}", false),
        ("{keyring: work}", true),
        ("{keyring: unknown}", false),
    ] {
        let account = Account::imap(server.port()).with(&format!("password: {kept}"));
        let mut sandbox = account.sandbox();
        for (name, host) in [("netrc", "127.0.0.1"), ("netrc-of-another", "imap.example.com")] {
            let path = sandbox.write(name, format!("machine {host} login me password \"open sesame\"\n"));
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let lookup =
            "#!/bin/sh\n[ \"$*\" = 'lookup mailsluice work' ] && echo 'open sesame' && exit\necho locked >&2\nexit 1\n";
        sandbox.script("bin/secret-tool", lookup);
        let path = format!("{}/bin:/usr/bin:/bin", sandbox.home().display());
        sandbox.env("PATH", &path);
        let output = sandbox.run(&["-vv", "fetch"]);
        assert_eq!(output.code == 0, is_taken, "{kept}: {output}");
        assert!(!format!("{output}").contains("open sesame"), "{kept}: {output}");
        if !is_taken {
            let next = if kept.contains("netrc") { "machine HOST login USER" } else { "secret-tool store" };
            assert!(output.stderr.contains(next), "{kept}: {output}");
        }
    }
}

/// At a terminal, once for as long as the program runs: two accounts of one user, and nobody to type for cron.
#[test]
fn a_password_is_typed_where_somebody_is() {
    let mailbox = crate::stage::mailbox();
    mailbox.add("INBOX", "Subject: hello\n\nworld\n");
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let sandbox = Account::imap(server.port()).with("password: {prompt: true}").sandbox();
    let cron = sandbox.run(&["fetch"]);
    assert!(cron.code == 78 && cron.stderr.contains("nobody is at a terminal"), "{cron}");
    let mut terminal = Terminal::start(sandbox.command(&["fetch"]));
    terminal.expect("Password of me at 127.0.0.1: ").type_line("open sesame");
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    assert!(terminal.shown().contains("1 new") && !terminal.shown().contains("sesame"), "{}", terminal.shown());
}
