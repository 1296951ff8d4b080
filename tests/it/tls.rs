//! The T rows: no password, no mail and no trust without the TLS that was asked for. And the deadlines of a
//! connection (F42).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mailsluice::error::Kind;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::{Account, Client, complaints, filled, play_to, run};
use crate::support::faults::{Fault, Faults};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::tls::{self, Certificate};
use crate::support::wire::Security;

/// A client that trusts the test CA and wants TLS of this kind.
fn client(protocol: &str, host: &str, port: u16, kind: &str) -> Client {
    let client = Account::imap(port).client();
    let ca_file = tls::write_ca(client.home.path());
    let server = format!("{protocol}: {{host: {host}, port: {port}, tls: {kind}, ca_file: {}}}", ca_file.display());
    Client { account: Account::on(server), ..client }
}

/// The scripted server of a dialog wants STARTTLS.
fn starttls(account: Account) -> Account {
    let text = account.entry("me");
    let line = text.lines().nth(1).unwrap().trim().to_owned();
    Account::on(line.replace("tls: none", "tls: starttls"))
}

#[test]
fn both_protocols_over_both_kinds_of_tls() {
    let (mailbox, messages) = filled(3);
    for kind in ["implicit", "starttls"] {
        let security = match kind {
            "implicit" => Security::Implicit(Certificate::Valid),
            _ => Security::StartTls(Certificate::Valid),
        };
        let imap = ImapServer::start(&mailbox, ImapOptions::with_security(security));
        let pop3 = Pop3Server::start(&mailbox, Pop3Options::with_security(security));
        for (protocol, port) in [("imap", imap.port()), ("pop3", pop3.port())] {
            for host in ["localhost", "127.0.0.1"] {
                let client = client(protocol, host, port, kind);
                client.fetch_well();
                client.mail().assert_holds(&messages);
            }
        }
    }
}

#[test]
fn t1_starttls_that_is_refused_or_not_offered_gets_no_password() {
    for dialog in ["starttls-refused", "starttls-not-offered", "pop3-stls-not-offered"] {
        let (report, _) = play_to(dialog, starttls);
        assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Tls, 76), "{dialog}: {report:#?}");
        assert!(complaints(&report).contains("which `tls: starttls` requires"), "{dialog}: {report:#?}");
    }
}

#[test]
fn t2_preauth_where_starttls_is_required() {
    let (report, _) = play_to("preauth-instead-of-starttls", starttls);
    assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Tls, 76), "{report:#?}");
    assert!(complaints(&report).contains("PREAUTH"), "{report:#?}");
}

#[test]
fn t2_a_bye_for_a_greeting() {
    let (mailbox, _) = filled(1);
    let faults = Faults::of([Fault::Bye("too many of you".to_owned())]);
    let imap = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let pop3 = Pop3Server::start(&mailbox, Pop3Options::with_faults(&faults));
    for account in [Account::imap(imap.port()), Account::pop3(pop3.port())] {
        let report = account.client().fetch();
        assert_eq!(report.exit_code(), 75, "{report:#?}");
        assert!(complaints(&report).contains("too many of you"), "{report:#?}");
    }
    assert_eq!(faults.commands_seen(), 0);
}

#[test]
fn t3_answers_from_before_the_handshake_are_not_believed() {
    for dialog in ["starttls-injection", "starttls-half-a-line", "pop3-stls-injection"] {
        let (report, _) = play_to(dialog, starttls);
        assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Tls, 76), "{dialog}: {report:#?}");
        assert!(complaints(&report).contains("the server sent data before the TLS handshake"), "{dialog}: {report:#?}");
    }
}

#[test]
fn t3_the_same_from_a_server_that_goes_on_with_tls() {
    let (mailbox, _) = filled(1);
    for injected in
        ["* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n", "m2 OK logged in\r\n", "* OK half", "\r\n", "garbage\r\n"]
    {
        let faults = Faults::of([Fault::StarttlsInjection(injected.to_owned())]);
        let options =
            ImapOptions { security: Security::StartTls(Certificate::Valid), ..ImapOptions::with_faults(&faults) };
        let server = ImapServer::start(&mailbox, options);
        let report = client("imap", "localhost", server.port(), "starttls").fetch();
        assert_eq!((report.new, report.exit_code()), (0, 76), "{injected:?}: {report:#?}");
        let commands = faults.commands().join("\n");
        assert!(!commands.contains("LOGIN") && !commands.contains("AUTHENTICATE"), "{injected:?}: {commands}");
    }
}

#[test]
fn t4_capabilities_from_before_tls_are_forgotten() {
    let with_ca = |account: Account| {
        // The dialog's TLS shows a valid certificate of the test CA.
        let folder = std::env::temp_dir().join(format!("mailsluice-test-ca-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let ca_file = tls::write_ca(&folder);
        let line = starttls(account).entry("me").lines().nth(1).unwrap().trim().to_owned();
        Account::on(line.replace("tls: starttls", &format!("tls: starttls, ca_file: {}", ca_file.display())))
    };
    let (report, _) = play_to("capabilities-before-tls", with_ca);
    assert_eq!(report.exit_code(), 0, "{report:#?}");
}

#[test]
fn t5_a_greeting_that_is_none() {
    let (report, _) = play_to("not-a-greeting", |account| account);
    assert_ne!(report.exit_code(), 0, "{report:#?}");
    let (mailbox, _) = filled(1);
    for greeting in ["HTTP/1.1 400 Bad Request", "* BAD no", "* 3 EXISTS", "+ OK", "", "a1 OK hello"] {
        let faults = Faults::of([Fault::Greeting(greeting.to_owned())]);
        let imap = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
        let pop3 = Pop3Server::start(&mailbox, Pop3Options::with_faults(&faults));
        for account in [Account::imap(imap.port()), Account::pop3(pop3.port())] {
            let report = account.client().fetch();
            assert!(!report.errors.is_empty() && report.new == 0, "{greeting:?}: {report:#?}");
        }
        assert_eq!(faults.commands_seen(), 0, "{greeting:?}: {:?}", faults.commands());
    }
}

#[test]
fn t6_a_certificate_that_does_not_hold_is_refused_with_its_reason() {
    let (mailbox, _) = filled(1);
    let cases = [
        (Certificate::Expired, "localhost", "expired"),
        (Certificate::NotYetValid, "localhost", "not valid yet"),
        (Certificate::WrongName, "localhost", "not valid for name"),
        (Certificate::SelfSigned, "localhost", "nobody this machine trusts has signed its certificate"),
    ];
    for (certificate, host, reason) in cases {
        for kind in ["implicit", "starttls"] {
            let security = match kind {
                "implicit" => Security::Implicit(certificate),
                _ => Security::StartTls(certificate),
            };
            let faults = Faults::none();
            let options = ImapOptions { security, ..ImapOptions::with_faults(&faults) };
            let imap = ImapServer::start(&mailbox, options);
            let pop3 = Pop3Server::start(&mailbox, Pop3Options { security, ..Pop3Options::with_faults(&faults) });
            for (protocol, port) in [("imap", imap.port()), ("pop3", pop3.port())] {
                let report = client(protocol, host, port, kind).fetch();
                assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Tls, 76), "{report:#?}");
                let text = complaints(&report);
                assert!(text.contains(reason), "{certificate:?}: {text}");
            }
            let commands = faults.commands().join("\n");
            assert!(!commands.contains("LOGIN") && !commands.contains("PASS"), "{certificate:?}: {commands}");
        }
    }
}

/// Our CA is not among the system's.
#[test]
fn t6_without_ca_file_the_test_ca_is_nobody() {
    let (mailbox, _) = filled(1);
    let server = ImapServer::start(&mailbox, ImapOptions::with_security(Security::Implicit(Certificate::Valid)));
    let account = Account::on(format!("imap: {{host: localhost, port: {}}}", server.port()));
    let report = account.client().fetch();
    assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Tls, 76), "{report:#?}");
}

#[test]
fn t8_tls_1_0_is_refused() {
    let (report, _) = play_to("tls-1.0", |account| {
        let line = account.entry("me").lines().nth(1).unwrap().trim().to_owned();
        Account::on(line.replace("tls: none", "tls: implicit"))
    });
    assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Tls, 76), "{report:#?}");
}

#[test]
fn t10_plaintext_to_another_host_is_refused_before_any_connection() {
    for (server, is_refused) in [
        ("imap: {host: mail.example.com, tls: none}", true),
        ("pop3: {host: 192.0.2.1, port: 1110, tls: none}", true),
        ("imap: {host: localhost.example.com, tls: none}", true),
        ("imap: {host: 127.1.2.3, tls: none}", false),
        ("imap: {host: mail.example.com, tls: none, allow_plaintext: true}", false),
    ] {
        let sandbox = Account::on(server).sandbox();
        let output = sandbox.run(&["check"]);
        assert_eq!(output.code, if is_refused { 78 } else { 0 }, "{server}: {output}");
        if is_refused {
            assert!(output.stdout.contains("allow_plaintext: true"), "{output}");
            assert_eq!(sandbox.run(&["fetch"]).code, 78);
        }
    }
}

/// Where a server falls silent in the deadline tests.
#[derive(Clone, Copy, Debug)]
enum Silence {
    Handshake,
    Greeting,
    /// After so many commands were answered from the list.
    After(usize),
}

const IMAP: [&str; 6] = [
    "* CAPABILITY IMAP4rev1\r\n<tag> OK\r\n",
    "<tag> OK [CAPABILITY IMAP4rev1] in\r\n",
    "* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 9999] x\r\n<tag> OK open\r\n",
    "* SEARCH 1\r\n<tag> OK\r\n",
    "* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 18)\r\n<tag> OK\r\n",
    "* 1 FETCH (UID 1 BODY[] {18}\r\nSubject: a\r\n",
];
const POP3: [&str; 6] = [
    "-ERR\r\n",
    "+OK\r\n",
    "+OK\r\n",
    "+OK\r\n1 18\r\n.\r\n",
    "+OK\r\n1 one\r\n.\r\n",
    "+OK\r\nSubject: a\r\n\r\na.\r\n",
];

/// Answers until it falls silent, then moves the clock past every deadline until the client has gone.
async fn fall_silent(listener: TcpListener, protocol: &str, silence: Silence) {
    let (mut stream, _) = listener.accept().await.unwrap();
    if let Silence::After(answered) = silence {
        let (greeting, answers) = if protocol == "imap" { ("* OK hi\r\n", IMAP) } else { ("+OK hi\r\n", POP3) };
        stream.write_all(greeting.as_bytes()).await.unwrap();
        for answer in &answers[..answered] {
            let command = read_line(&mut stream).await;
            let tag = command.split(' ').next().unwrap();
            stream.write_all(answer.replace("<tag>", tag).as_bytes()).await.unwrap();
        }
    }
    let mut last = [0; 4096];
    let gone = async { while stream.read(&mut last).await.is_ok_and(|read| read > 0) {} };
    let clock = async {
        loop {
            // Real time first: what was sent has to arrive before the clock jumps.
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(20))).await.unwrap();
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(30)).await;
            tokio::time::resume();
        }
    };
    tokio::select! { () = gone => {}, () = clock => {} }
}

async fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(line).unwrap()
}

async fn beside<T>(work: impl Future<Output = T>, server: impl Future<Output = ()>) -> T {
    tokio::join!(work, server).0
}

#[test]
fn f42_silence_ends_at_a_deadline_wherever_it_falls() {
    let mut cases = vec![("imap", Silence::Handshake), ("pop3", Silence::Handshake)];
    for protocol in ["imap", "pop3"] {
        cases.push((protocol, Silence::Greeting));
        cases.extend((0..=6).map(|answered| (protocol, Silence::After(answered))));
    }
    for (protocol, silence) in cases {
        let report = run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let tls = if matches!(silence, Silence::Handshake) { "implicit" } else { "none" };
            let server = format!("{protocol}: {{host: 127.0.0.1, port: {port}, tls: {tls}}}");
            let client = Arc::new(Account::on(server).client());
            beside(client.pass(), fall_silent(listener, protocol, silence)).await
        });
        assert_eq!((report.new, report.exit_code()), (0, 75), "{protocol} {silence:?}: {report:#?}");
        let text = complaints(&report);
        assert!(text.contains("no answer within") || text.contains("stalled"), "{protocol} {silence:?}: {text}");
    }
}

/// R F16: the usual self-signed certificate, which a bridge on this machine or a server at home has.
#[test]
fn reliability_f16_the_error_gives_the_pin_and_the_pin_holds() {
    let (mailbox, messages) = filled(2);
    for certificate in
        [Certificate::SelfSigned, Certificate::SelfSignedAuthority, Certificate::Expired, Certificate::WrongName]
    {
        for (kind, security) in
            [("implicit", Security::Implicit(certificate)), ("starttls", Security::StartTls(certificate))]
        {
            let server = ImapServer::start(&mailbox, ImapOptions::with_security(security));
            let at = |more: &str| {
                Account::on(format!("imap: {{host: localhost, port: {}, tls: {kind}{more}}}", server.port()))
            };
            let report = at("").client().fetch();
            assert_eq!(report.exit_code(), 76, "{report:#?}");
            let said = complaints(&report);
            let start = said.find("`tls_pin: sha256:").unwrap_or_else(|| panic!("{said}"));
            let pin = said[start + 1..].split('`').next().unwrap();
            let client = at(&format!(", {pin}")).client();
            client.fetch_well();
            client.mail().assert_holds(&messages);
        }
    }
}

#[test]
fn reliability_f16_another_key_than_the_pinned_one_is_refused() {
    let (mailbox, _) = filled(1);
    let server = ImapServer::start(&mailbox, ImapOptions::with_security(Security::Implicit(Certificate::Valid)));
    let pin = "tls_pin: sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let report = Account::on(format!("imap: {{host: localhost, port: {}, {pin}}}", server.port())).client().fetch();
    assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Tls, 76), "{report:#?}");
    let said = complaints(&report);
    assert!(said.contains("none of the pins in `tls_pin`") && said.contains("`tls_pin: sha256:"), "{said}");
}

/// T9: of several pins one must fit, so that the next key can be named before it is used; a certificate may be pinned too.
#[test]
fn t9_one_of_several_pins_must_fit() {
    let (mailbox, messages) = filled(1);
    let server = ImapServer::start(&mailbox, ImapOptions::with_security(Security::Implicit(Certificate::Valid)));
    let at = |pins: &str| Account::on(format!("imap: {{host: localhost, port: {}, tls_pin: {pins}}}", server.port()));
    let other = "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let said = complaints(&at(other).client().fetch());
    let start = said.find("`tls_pin: sha256:").unwrap_or_else(|| panic!("{said}"));
    let pin = said[start + 10..].split('`').next().unwrap();
    let der = CertificateDer::from_pem_slice(tls::pem(Certificate::Valid).certificate.as_bytes()).unwrap();
    let digits: Vec<String> = Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}")).collect();
    let certificate = format!("'cert-sha256:{}'", digits.join(":"));
    for pins in [format!("[{other}, {pin}]"), certificate.clone(), format!("[{certificate}, {other}]")] {
        let client = at(&pins).client();
        client.fetch_well();
        client.mail().assert_holds(&messages);
    }
    let wrong = format!("[{other}, 'cert-sha256:{}']", "00".repeat(32));
    let report = at(&wrong).client().fetch();
    assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Tls, 76), "{report:#?}");
}

/// A tunnel to a server: the certificate has the server's name, and the host is this machine.
#[test]
fn the_certificate_may_have_another_name_than_the_host() {
    let (mailbox, messages) = filled(1);
    let server = ImapServer::start(&mailbox, ImapOptions::with_security(Security::Implicit(Certificate::WrongName)));
    let at = |name: &str| client("imap", "localhost", server.port(), &format!("implicit{name}"));
    let report = at("").fetch();
    assert_eq!((report.errors[0].kind(), report.exit_code()), (Kind::Tls, 76), "{report:#?}");
    assert!(complaints(&report).contains("`host` or `tls_name` must be the name in it"), "{report:#?}");
    let named = at(", tls_name: elsewhere.example");
    named.fetch_well();
    named.mail().assert_holds(&messages);
}
