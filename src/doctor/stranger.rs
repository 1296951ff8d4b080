//! Examines a server that is in no config: what it is, and what it offers.

use std::net::Ipv6Addr;

use super::finding::{Finding, Findings};
use super::{account, server};
use crate::config::{Protocol, Relay, RelayKind, Server, Tls, Trust};
use crate::outbox::smtp::SmtpRelay;
use crate::source::Offers;

/// The protocols of the well-known ports (RFC 8314).
const PORTS: [(u16, StrangerProtocol, Tls); 7] = [
    (993, StrangerProtocol::Source(Protocol::Imap), Tls::Implicit),
    (143, StrangerProtocol::Source(Protocol::Imap), Tls::StartTls),
    (995, StrangerProtocol::Source(Protocol::Pop3), Tls::Implicit),
    (110, StrangerProtocol::Source(Protocol::Pop3), Tls::StartTls),
    (465, StrangerProtocol::Smtp, Tls::Implicit),
    (587, StrangerProtocol::Smtp, Tls::StartTls),
    (25, StrangerProtocol::Smtp, Tls::StartTls),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StrangerProtocol {
    Source(Protocol),
    Smtp,
}

/// A server by its name and port, as on a command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Stranger {
    server: Server,
    /// The protocol, if the port implies it.
    spoken: Option<StrangerProtocol>,
}

impl Stranger {
    /// Parses `host:port`, `[address]:port`, or a host whose name implies the port (`imap.`, `pop.`, `smtp.`).
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.starts_with('[') => (host, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if host.is_empty() || !(is_name && host.contains(['.', 'l']) || host.parse::<Ipv6Addr>().is_ok()) {
            return None;
        }
        let port = port.or_else(|| port_for_name(host))?;
        let known = PORTS.iter().find(|(known, ..)| *known == port);
        let tls = known.map_or(Tls::Implicit, |(.., tls)| *tls);
        let server = Server { host: host.to_owned(), port, tls, trust: Trust::default() };
        Some(Self { server, spoken: known.map(|(_, spoken, _)| *spoken) })
    }

    /// Its name in findings.
    fn name(&self) -> String {
        format!("{}:{}", self.server.host, self.server.port)
    }
}

fn port_for_name(host: &str) -> Option<u16> {
    let first = host.split('.').next()?.to_ascii_lowercase();
    match () {
        () if first.contains("imap") => Some(993),
        () if first.contains("pop") => Some(995),
        () if first.contains("smtp") => Some(465),
        () => None,
    }
}

/// Examines the server without a login.
pub async fn examine_stranger(stranger: &Stranger, tell: &mut dyn FnMut(&Finding)) {
    let name = stranger.name();
    let mut findings = Findings::about(&name, tell);
    let server = &stranger.server;
    if !server::reach(server, &mut findings).await || !server::shake_hands(server, &mut findings).await {
        return;
    }
    let candidates = match stranger.spoken {
        Some(spoken) => vec![spoken],
        // All are tried; a wrong one fails at the greeting.
        None => vec![
            StrangerProtocol::Source(Protocol::Imap),
            StrangerProtocol::Source(Protocol::Pop3),
            StrangerProtocol::Smtp,
        ],
    };
    let mut last = None;
    for spoken in candidates {
        let greeted = match spoken {
            StrangerProtocol::Source(protocol) => Offers::of(protocol, server).await.map(|offers| {
                if let Some(shown) = offers.shown.as_ref().filter(|_| server.tls == Tls::StartTls) {
                    server::report_tls(server, shown, &mut findings);
                }
                account::report_offers(protocol, &offers, &mut findings);
            }),
            StrangerProtocol::Smtp => smtp(server, &mut findings).await,
        };
        match greeted {
            Ok(()) => return,
            Err(error) => last = Some(error),
        }
    }
    if let Some(error) = last {
        server::failed(&error, &mut findings);
    }
}

async fn smtp(server: &Server, findings: &mut Findings<'_>) -> crate::error::Result<()> {
    let kind = RelayKind::Smtp { server: server.clone(), login: None };
    let relay = Relay { name: String::new(), kind, from: None, null_sender: true, connections: 1, is_brought: false };
    let smtp = SmtpRelay::connect(&relay).await?;
    super::relay::report_hello(&relay, server, &smtp.hello(), findings);
    smtp.quit().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_by_its_name_and_port() {
        let parsed = |text: &str| Stranger::parse(text).map(|it| (it.server.host, it.server.port, it.server.tls));
        assert_eq!(parsed("imap.example.com:993"), Some(("imap.example.com".into(), 993, Tls::Implicit)));
        assert_eq!(parsed("imap.example.com"), Some(("imap.example.com".into(), 993, Tls::Implicit)));
        assert_eq!(parsed("smtp.example.com:587"), Some(("smtp.example.com".into(), 587, Tls::StartTls)));
        assert_eq!(parsed("[::1]:143"), Some(("::1".into(), 143, Tls::StartTls)));
        assert_eq!(parsed("localhost:10143"), Some(("localhost".into(), 10_143, Tls::Implicit)));
        for text in ["work", "mail.example.com", "a b.c:1", "x.example:y", "x.example:99999", ":993", ""] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
