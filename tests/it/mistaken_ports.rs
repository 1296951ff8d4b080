//! N 11: a port that speaks something else than the config says is named as what it is, at once, with the line to write.

use std::time::{Duration, Instant};

use mailsluice::config::{Relay, RelayKind, Server, Tls, Trust};
use mailsluice::error::Error;
use mailsluice::outbox::smtp::SmtpRelay;

use crate::smtp::{relay, server};
use crate::stage::{Account, complaints, filled, run};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::smtp_server::{SmtpOptions, SmtpServer};
use crate::support::tls::{self, Certificate};
use crate::support::wire::Security;

/// One server of each kind.
struct Servers {
    imap: ImapServer,
    pop3: Pop3Server,
    smtp: SmtpServer,
}

impl Servers {
    fn start(security: Security) -> Self {
        let (mailbox, _) = filled(1);
        Servers {
            imap: ImapServer::start(&mailbox, ImapOptions::with_security(security)),
            pop3: Pop3Server::start(&mailbox, Pop3Options::with_security(security)),
            smtp: SmtpServer::start(SmtpOptions { security, ..SmtpOptions::default() }),
        }
    }

    fn ports(&self) -> [(&'static str, u16); 3] {
        [("imap", self.imap.port()), ("pop3", self.pop3.port()), ("smtp", self.smtp.port())]
    }
}

/// What is said when a client of this protocol goes to that port, which must be within three seconds and final.
fn said(protocol: &str, port: u16, tls: Tls) -> String {
    let begun = Instant::now();
    let word = match tls {
        Tls::Implicit => "implicit",
        Tls::StartTls => "starttls",
        Tls::None => "none",
    };
    let folder = tempfile::tempdir().unwrap();
    let ca_file = tls::write_ca(folder.path());
    let said = match protocol {
        "smtp" => {
            let server = Server {
                host: "localhost".to_owned(),
                tls,
                trust: Trust { ca_file: Some(ca_file), ..Trust::default() },
                ..server(port)
            };
            let relay: Relay = relay(RelayKind::Smtp { server, login: None });
            let error: Error = run(SmtpRelay::connect(&relay)).unwrap_err();
            assert!(!error.is_transient() && error.exit_code() == 76, "{error}");
            error.to_string()
        }
        _ => {
            let server =
                format!("{protocol}: {{host: localhost, port: {port}, tls: {word}, ca_file: {}}}", ca_file.display());
            let report = Account::on(server).client().fetch();
            assert_eq!(report.exit_code(), 76, "{report:#?}");
            complaints(&report)
        }
    };
    assert!(begun.elapsed() < Duration::from_secs(3), "{protocol} {tls:?}: {:?}", begun.elapsed());
    said
}

#[test]
fn newcomer_11_tls_to_a_port_that_begins_without_it() {
    let servers = Servers::start(Security::Plain);
    for (protocol, port) in servers.ports() {
        let said = said(protocol, port, Tls::Implicit);
        assert!(said.contains("does not begin with TLS") && said.contains("`tls: starttls`"), "{protocol}: {said}");
    }
}

#[test]
fn newcomer_11_plain_to_a_port_that_begins_with_tls() {
    let servers = Servers::start(Security::Implicit(Certificate::Valid));
    for (protocol, port) in servers.ports() {
        for tls in [Tls::StartTls, Tls::None] {
            let said = said(protocol, port, tls);
            assert!(said.contains("begins with TLS") && said.contains("`tls: implicit`"), "{protocol}: {said}");
        }
    }
}

#[test]
fn newcomer_11_another_protocol() {
    for (security, tls) in [(Security::Plain, Tls::None), (Security::Implicit(Certificate::Valid), Tls::Implicit)] {
        let servers = Servers::start(security);
        for (protocol, _) in servers.ports() {
            for (other, port) in servers.ports() {
                if protocol == other {
                    continue;
                }
                let said = said(protocol, port, tls);
                let names = format!("port {port} of localhost speaks {}", other.to_uppercase());
                let helps = format!("`{other}:`");
                assert!(said.contains(&names) && said.contains(&helps), "{protocol} to {other}: {said}");
            }
        }
    }
}

/// TLS to a plain port of another protocol: both are said.
#[test]
fn newcomer_11_another_protocol_without_tls() {
    let servers = Servers::start(Security::Plain);
    let said = said("imap", servers.pop3.port(), Tls::Implicit);
    assert!(said.contains("does not begin with TLS") && said.contains("speaks POP3"), "{said}");
}

#[test]
fn newcomer_11_check_warns_of_a_port_and_a_tls_that_do_not_fit() {
    for (server, warning) in [
        ("imap: {host: mail.example.com, port: 993, tls: starttls}", "port 993 begins with TLS"),
        ("imap: {host: mail.example.com, port: 143, tls: implicit}", "port 143 does not begin with TLS"),
        ("pop3: {host: mail.example.com, port: 110, tls: implicit}", "port 110 does not begin with TLS"),
        ("imap: mail.example.com:995", "port 995 is that of POP3"),
        ("pop3: mail.example.com:993", "port 993 is that of IMAP"),
        ("imap: mail.example.com:143", ""),
        ("imap: mail.example.com:1993", ""),
        ("pop3: mail.example.com", ""),
    ] {
        let output = Account::on(server).sandbox().run(&["check"]);
        assert_eq!(output.code, 0, "{server}: {output}");
        match warning {
            "" => assert!(!output.stdout.contains("warning"), "{server}: {output}"),
            _ => assert!(output.stdout.contains(warning), "{server}: {output}"),
        }
    }
}
