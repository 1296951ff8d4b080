//! The server of an account: where it is and how the connection is protected.

use std::net::{IpAddr, Ipv6Addr};

use super::problem::Problems;
use super::reader::{self, Base, MapReader, Shape, Takes};
use super::trust::{self, Trust};
use super::yaml::{Node, Span, Value};
use super::{Server, Tls};

/// The long form of `imap`, `pop3`, `smtp` and `lmtp`.
pub(super) static SHAPE: Shape = Shape {
    what: "a server",
    keys: &[
        ("host", "The name or address of the server, also `host:port`.", Takes::Text),
        (
            "port",
            "The TCP port. Default: 993 (IMAP), 995 (POP3), 465 (SMTP), or 143, 110, 587 for `tls: starttls` and `none`; 24 (LMTP).",
            Takes::Number,
        ),
        (
            "tls",
            "`implicit` (default), `starttls` (default on ports 143, 110, 587 and 25; required, never optional) or `none`.",
            Takes::Word(&["implicit", "starttls", "none"]),
        ),
        trust::CA_FILE,
        trust::TLS_PIN,
        trust::TLS_NAME,
        trust::CLIENT_CERT,
        trust::CLIENT_KEY,
        (
            "allow_plaintext",
            "`true` permits `tls: none` to a host other than this one. Passwords and mail can be read on the way.",
            Takes::Flag,
        ),
    ],
};

const TLS_WORDS: &[(&str, Tls)] = &[("implicit", Tls::Implicit), ("starttls", Tls::StartTls), ("none", Tls::None)];

/// What was written, before the defaults.
struct WrittenServer {
    host: String,
    port: Option<u16>,
    tls: Option<Tls>,
    /// Where `tls` was written.
    tls_at: Span,
    trust: Trust,
    allow_plaintext: bool,
}

/// The ports of a protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProtocolPorts {
    implicit: u16,
    /// Also for `starttls`.
    cleartext: u16,
    /// Whether nothing but the port and the place says how the connection is protected.
    is_local: bool,
}

impl ProtocolPorts {
    /// RFC 8314, RFC 3501.
    pub(super) const IMAP: Self = Self { implicit: 993, cleartext: 143, is_local: false };
    /// RFC 8314, RFC 1939.
    pub(super) const POP3: Self = Self { implicit: 995, cleartext: 110, is_local: false };
    /// RFC 8314, RFC 6409.
    pub(super) const SMTP: Self = Self { implicit: 465, cleartext: 587, is_local: false };
    /// RFC 2033 has no port and no TLS of its own: it is spoken between neighbours.
    pub(super) const LMTP: Self = Self { implicit: 24, cleartext: 24, is_local: true };
}

/// Reads a server in its short form (`host`, `host:port`, `[v6]:port`) or its long form.
pub(super) fn read(node: &Node, ports: ProtocolPorts, base: &Base, problems: &mut Problems) -> Option<Server> {
    let written = match &node.value {
        Value::Map(_) => read_long(node, base, problems)?,
        _ => read_short(node, problems)?,
    };
    let default = match ports.is_local {
        true => Tls::None,
        // 25 too: no server speaks TLS there from the first byte.
        false if written.port == Some(ports.cleartext) || written.port == Some(25) => Tls::StartTls,
        false => Tls::Implicit,
    };
    let tls = written.tls.unwrap_or(default);
    if tls == Tls::None && !is_loopback(&written.host) && !written.allow_plaintext {
        let message = format!("without TLS, anybody on the way to {} can read the password and the mail", written.host);
        problems.error(written.tls_at, message).hint("use `implicit` or `starttls`, or add `allow_plaintext: true`");
        return None;
    }
    let default = if tls == Tls::Implicit { ports.implicit } else { ports.cleartext };
    let port = written.port.unwrap_or(default);
    if !ports.is_local && !is_loopback(&written.host) {
        warn_of_port(port, tls, ports, written.tls_at, problems);
    }
    Some(Server { host: written.host, port, tls, trust: written.trust })
}

/// The ports that everybody knows. At this machine they may be those of tunnels.
const KNOWN: [(&str, ProtocolPorts); 3] =
    [("IMAP", ProtocolPorts::IMAP), ("POP3", ProtocolPorts::POP3), ("SMTP", ProtocolPorts::SMTP)];

/// Warns where a port and what is to be spoken there do not fit.
fn warn_of_port(port: u16, tls: Tls, ports: ProtocolPorts, at: Span, problems: &mut Problems) {
    let is_at = |known: &ProtocolPorts| port == known.implicit || port == known.cleartext;
    let other = KNOWN.iter().find(|(_, known)| is_at(known) && known.implicit != ports.implicit);
    if let Some((name, _)) = other {
        let hint = format!("here it is {}, or {} with `tls: starttls`", ports.implicit, ports.cleartext);
        problems.warn(at, format!("port {port} is that of {name}")).hint(hint);
    } else if port == ports.implicit && tls != Tls::Implicit {
        problems.warn(at, format!("port {port} begins with TLS")).hint("write `tls: implicit`");
    } else if (port == ports.cleartext || port == 25) && tls == Tls::Implicit {
        problems.warn(at, format!("port {port} does not begin with TLS")).hint("write `tls: starttls`");
    }
}

fn read_short(node: &Node, problems: &mut Problems) -> Option<WrittenServer> {
    let (host, port) = read_address(node, problems)?;
    Some(WrittenServer { host, port, tls: None, tls_at: node.span, trust: Trust::default(), allow_plaintext: false })
}

fn read_long(node: &Node, base: &Base, problems: &mut Problems) -> Option<WrittenServer> {
    let mut map = MapReader::new(node, &SHAPE, problems);
    let address = map.need("host", read_address);
    let port = map.read("port", |n, p| reader::number(n, 1..=u64::from(u16::MAX), p));
    let port = port.and_then(|port| u16::try_from(port).ok());
    let tls = map.read("tls", |n, p| reader::choice(n, TLS_WORDS, p));
    let trust = trust::read(&mut map, tls == Some(Tls::None), base);
    let allow_plaintext = map.read("allow_plaintext", reader::flag);
    let (host, port_in_host) = address?;
    if let (Some(_), Some(at)) = (port_in_host, map.key_span("port")) {
        map.problems().error(at, "the port is already given in `host`").hint("write it once");
    }
    // What is wrong has been reported; what follows from it must not be reported too.
    let is_wrong = (map.take("tls").is_some() && tls.is_none())
        || (map.take("allow_plaintext").is_some() && allow_plaintext.is_none());
    let tls_at = map.key_span("tls").unwrap_or(node.span);
    let allow_plaintext = allow_plaintext == Some(true);
    let trust = trust.filter(|_| !is_wrong)?;
    Some(WrittenServer { host, port: port.or(port_in_host), tls, tls_at, trust, allow_plaintext })
}

fn read_address(node: &Node, problems: &mut Problems) -> Option<(String, Option<u16>)> {
    let text = reader::text(node, "a host name, like `imap.example.com`", problems)?;
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        problems.error(node.span, "expected a host name, found a URL").hint(format!("write `{host}`"));
        return None;
    }
    let address = split_address(text);
    if address.is_none() {
        reader::mismatch(node, "a host name, `host:port` or `[address]:port`", problems);
    }
    address
}

/// Takes `host`, `host:port`, `[v6]`, `[v6]:port` or `v6` apart.
fn split_address(text: &str) -> Option<(String, Option<u16>)> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some((text.to_owned(), None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        return match after.strip_prefix(':') {
            Some(port) => Some((address.to_owned(), Some(parse_port(port)?))),
            None => after.is_empty().then(|| (address.to_owned(), None)),
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (text, None),
    };
    is_host_name(host).then(|| (host.to_owned(), port))
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0 && text.bytes().all(|b| b.is_ascii_digit()))
}

/// Letters, digits, `-`, `_` and dots, up to 253 bytes. Names in other scripts are written as `xn--…`.
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(is_label)
}

/// Whether a connection to `host` cannot leave this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::problem::{Severity, SourceFile};
    use crate::config::yaml::Document;

    fn server(yaml: &str, ports: ProtocolPorts) -> Result<Server, String> {
        let source = Arc::new(SourceFile::new("t", yaml));
        let mut problems = Problems::new(&source);
        let root = Document::parse(&source, &mut problems).unwrap().root;
        let read = read(&root, ports, &Base::new("/etc", None), &mut problems);
        let errors = problems.into_vec().into_iter().filter(|p| p.severity == Severity::Error);
        let messages: Vec<_> = errors.map(|p| p.message).collect();
        read.filter(|_| messages.is_empty()).ok_or(messages.join("\n"))
    }

    fn reached(yaml: &str, ports: ProtocolPorts) -> (String, u16, Tls) {
        let server = server(yaml, ports).unwrap();
        (server.host, server.port, server.tls)
    }

    #[test]
    fn ports_and_protection_follow_from_each_other() {
        let (imap, pop3) = (ProtocolPorts::IMAP, ProtocolPorts::POP3);
        for (yaml, ports, host, port, tls) in [
            ("imap.example.com", imap, "imap.example.com", 993, Tls::Implicit),
            ("pop.example.com", pop3, "pop.example.com", 995, Tls::Implicit),
            ("mail:143", imap, "mail", 143, Tls::StartTls),
            ("mail:110", pop3, "mail", 110, Tls::StartTls),
            ("mail:110", imap, "mail", 110, Tls::Implicit),
            ("mail:1993", imap, "mail", 1993, Tls::Implicit),
            ("'[2001:db8::1]:143'", imap, "2001:db8::1", 143, Tls::StartTls),
            ("'[::1]'", imap, "::1", 993, Tls::Implicit),
            ("2001:db8::1", imap, "2001:db8::1", 993, Tls::Implicit),
            ("{host: mail, tls: starttls}", pop3, "mail", 110, Tls::StartTls),
            ("{host: mail, port: 143}", imap, "mail", 143, Tls::StartTls),
            ("{host: 'mail:143', tls: implicit}", imap, "mail", 143, Tls::Implicit),
            ("{host: localhost, tls: none}", imap, "localhost", 143, Tls::None),
            ("{host: 127.0.3.4, tls: none, port: 1}", imap, "127.0.3.4", 1, Tls::None),
            ("{host: '::1', tls: none}", pop3, "::1", 110, Tls::None),
            ("{host: mail, tls: none, allow_plaintext: true}", pop3, "mail", 110, Tls::None),
        ] {
            assert_eq!(reached(yaml, ports), (host.to_owned(), port, tls), "{yaml}");
        }
    }

    #[test]
    fn plaintext_needs_an_explicit_word() {
        for host in ["mail", "10.0.0.1", "localhost.example.com", "127.example.com"] {
            let said = server(&format!("{{host: {host}, tls: none}}"), ProtocolPorts::IMAP).unwrap_err();
            assert!(said.contains("can read the password"), "{said}");
        }
    }

    #[test]
    fn a_pin_stands_alone() {
        let pin = "tls_pin: sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert!(server(&format!("{{host: mail, {pin}}}"), ProtocolPorts::IMAP).unwrap().trust.pins.len() == 1);
        for more in ["tls: none, allow_plaintext: true", "ca_file: /x"] {
            assert!(
                server(&format!("{{host: mail, {pin}, {more}}}"), ProtocolPorts::IMAP)
                    .unwrap_err()
                    .contains("no meaning")
            );
        }
        assert!(server("{host: mail, tls_pin: sha256:xyz}", ProtocolPorts::IMAP).is_err());
    }

    #[test]
    fn what_is_no_server() {
        for text in [
            "a b",
            "mail:0",
            "mail:99999",
            "mail:",
            "mail:+1",
            "'[mail]:1'",
            "a..b",
            "-a.b",
            "ü.de",
            "'mail:1:2'",
            "[]",
            "{}",
        ] {
            let result = server(text, ProtocolPorts::IMAP);
            assert!(result.is_err(), "{text} {result:?}");
        }
        assert!(server("imaps://mail/x", ProtocolPorts::IMAP).unwrap_err().contains("URL"));
        assert!(server("{host: 'a:1', port: 2}", ProtocolPorts::IMAP).unwrap_err().contains("already given"));
        assert_eq!(server("{host: mail, tls: nun}", ProtocolPorts::IMAP).unwrap_err().lines().count(), 1);
    }
}
