//! Examines the way to a server: its name, its addresses, its TLS.

use std::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};

use super::finding::Findings;
use super::recognise;
use crate::config::{Server, Tls};
use crate::error::{Error, Kind};
use crate::net::probe::{self, ShownTls};
use crate::net::{self};

/// A certificate that expires this soon is a warning.
const CERTIFICATE_WARNING: SignedDuration = SignedDuration::from_hours(14 * 24);

const NO_NAME_ADVICE: &str = "is the name in the config right? If all names fail, this machine has no network or no name server (`/etc/resolv.conf`)";
const NO_CONNECTION_ADVICE: &str =
    "is the port right, and does a firewall block it? Some networks block the mail ports";

/// Checks the name and the addresses. `false`: nothing more can be tried.
pub(super) async fn reach(server: &Server, findings: &mut Findings<'_>) -> bool {
    let addresses = match probe::addresses(&server.host, server.port).await {
        Ok(addresses) => addresses,
        Err(error) => {
            findings.error("name", &error, NO_NAME_ADVICE);
            return false;
        }
    };
    let listed: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let says = format!("{} is {}", server.host, listed.join(", "));
    let is_address = server.host.parse::<std::net::IpAddr>().is_ok();
    match server.host.contains('.') && !is_address && addresses.iter().all(|address| probe::is_private(address.ip())) {
        true => findings.warning("name", says, recognise::PRIVATE_ADDRESS),
        // An address needs no lookup.
        false if is_address => {}
        false => findings.well("name", says),
    }
    connect(&addresses, findings).await
}

/// Checks each address, all at the same time.
async fn connect(addresses: &[SocketAddr], findings: &mut Findings<'_>) -> bool {
    let ended = probe::connect_times(addresses).await;
    let is_any = ended.iter().any(|(_, answered)| answered.is_ok());
    let mut says = Vec::new();
    let mut first_error = None;
    for (address, answered) in ended {
        match answered {
            Ok(time) => says.push(format!("{address} answers in {} ms", time.as_millis())),
            Err(error) => {
                says.push(error.without_help());
                first_error = first_error.or(Some(error));
            }
        }
    }
    match (is_any, first_error) {
        (true, None) => findings.well("connection", says.join("; ")),
        (true, Some(_)) => findings.warning(
            "connection",
            says.join("; "),
            "mailsluice uses the address that answers, after a short delay; the other one does not work from here",
        ),
        (false, Some(error)) if addresses.len() == 1 => findings.error("connection", &error, NO_CONNECTION_ADVICE),
        (false, _) => findings.failed("connection", says.join("; "), NO_CONNECTION_ADVICE),
    }
    is_any
}

/// Checks the TLS handshake, if the connection begins with it. With STARTTLS it is part of the greeting.
pub(super) async fn shake_hands(server: &Server, findings: &mut Findings<'_>) -> bool {
    if server.tls != Tls::Implicit {
        return true;
    }
    match net::connect(server).await {
        Ok(stream) => {
            if let Some(shown) = stream.shown() {
                report_tls(server, &shown, findings);
            }
            true
        }
        Err(error) => {
            failed(&error, findings);
            false
        }
    }
}

/// Reports the result of a TLS handshake.
pub(super) fn report_tls(server: &Server, shown: &ShownTls, findings: &mut Findings<'_>) {
    let by = match (&server.trust.pins[..], &server.trust.ca_file) {
        ([], None) => "the system's authorities",
        ([], Some(_)) => "`ca_file`",
        _ => "`tls_pin`",
    };
    let mut says = format!("TLS {}, trusted by {by}", shown.version);
    let Some(facts) = &shown.certificate else {
        findings.well("TLS", says);
        return;
    };
    let until = facts.until.strftime("%Y-%m-%d");
    says += &format!(
        "; certificate for {}, signed by {}, until {until}, {}",
        facts.names.join(", "),
        facts.issuer,
        facts.pin
    );
    match facts.until.duration_since(Timestamp::now()) < CERTIFICATE_WARNING && server.trust.pins.is_empty() {
        true => findings.warning("TLS", says, "the operator of the server has to renew it soon"),
        false => findings.well("TLS", says),
    }
}

/// Reports a failed greeting or handshake as a failure of its step.
pub(super) fn failed(error: &Error, findings: &mut Findings<'_>) {
    let (step, next) = match error.kind() {
        Kind::Tls => ("TLS", recognise::of_certificate(error)),
        Kind::Network => {
            ("greeting", "the port may belong to something else; `mailsluice doctor HOST:PORT` examines another one")
        }
        _ => ("greeting", ""),
    };
    findings.error(step, error, next);
}
