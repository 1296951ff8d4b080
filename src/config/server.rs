//! The server of an account: where it is and how the connection is protected.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use super::problem::Problems;
use super::reader::{self, Base, MapReader, Shape, Takes};
use super::yaml::{Node, Span, Value};
use super::{Protocol, Server, Tls};

/// The long form of `imap` and `pop3`.
pub(super) static SHAPE: Shape = Shape {
    what: "a server",
    keys: &[
        ("host", "The name or address of the server, also `host:port`.", Takes::Text),
        (
            "port",
            "The TCP port. Default: 993 (IMAP) and 995 (POP3), or 143 and 110 for `tls: starttls` and `none`.",
            Takes::Number,
        ),
        (
            "tls",
            "`implicit` (default), `starttls` (default on ports 143 and 110; required, never optional) or `none`.",
            Takes::Word(&["implicit", "starttls", "none"]),
        ),
        ("ca_file", "A PEM file with the only authorities to trust, instead of the system's.", Takes::Text),
        (
            "allow_plaintext",
            "`true` permits `tls: none` to a host other than this one. Passwords and mail can be read on the way.",
            Takes::Flag,
        ),
    ],
};

const TLS_WORDS: &[(&str, Tls)] = &[("implicit", Tls::Implicit), ("starttls", Tls::StartTls), ("none", Tls::None)];

/// What was written, before the defaults.
struct Written {
    host: String,
    port: Option<u16>,
    tls: Option<Tls>,
    /// Where `tls` was written.
    tls_at: Span,
    ca_file: Option<PathBuf>,
    allow_plaintext: bool,
}

/// Reads a server in its short form (`host`, `host:port`, `[v6]:port`) or its long form.
pub(super) fn read(node: &Node, protocol: Protocol, base: &Base, problems: &mut Problems) -> Option<Server> {
    let written = match &node.value {
        Value::Map(_) => read_long(node, base, problems)?,
        _ => read_short(node, problems)?,
    };
    let cleartext_port = written.port == Some(default_port(protocol, Tls::StartTls));
    let tls = written.tls.unwrap_or(if cleartext_port { Tls::StartTls } else { Tls::Implicit });
    if tls == Tls::None && !is_loopback(&written.host) && !written.allow_plaintext {
        let message = format!("without TLS, anybody on the way to {} can read the password and the mail", written.host);
        problems.error(written.tls_at, message).hint("use `implicit` or `starttls`, or add `allow_plaintext: true`");
        return None;
    }
    let port = written.port.unwrap_or_else(|| default_port(protocol, tls));
    Some(Server { protocol, host: written.host, port, tls, ca_file: written.ca_file })
}

fn default_port(protocol: Protocol, tls: Tls) -> u16 {
    match (protocol, tls) {
        (Protocol::Imap, Tls::Implicit) => 993,
        (Protocol::Imap, Tls::StartTls | Tls::None) => 143,
        (Protocol::Pop3, Tls::Implicit) => 995,
        (Protocol::Pop3, Tls::StartTls | Tls::None) => 110,
    }
}

fn read_short(node: &Node, problems: &mut Problems) -> Option<Written> {
    let (host, port) = read_address(node, problems)?;
    Some(Written { host, port, tls: None, tls_at: node.span, ca_file: None, allow_plaintext: false })
}

fn read_long(node: &Node, base: &Base, problems: &mut Problems) -> Option<Written> {
    let mut map = MapReader::new(node, &SHAPE, problems);
    let address = map.need("host", read_address);
    let port = map.read("port", |n, p| reader::number(n, 1..=u64::from(u16::MAX), p));
    let port = port.and_then(|port| u16::try_from(port).ok());
    let tls = map.read("tls", |n, p| reader::choice(n, TLS_WORDS, p));
    let ca_file = map.read("ca_file", |n, p| reader::path(n, base, p));
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
    (!is_wrong).then_some(Written { host, port: port.or(port_in_host), tls, tls_at, ca_file, allow_plaintext })
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
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(is_label)
}

/// Whether a connection to `host` cannot leave this machine.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::problem::Source;
    use crate::config::yaml::Document;

    fn server(yaml: &str, protocol: Protocol) -> Result<Server, String> {
        let source = Arc::new(Source::new("t", yaml));
        let mut problems = Problems::new(&source);
        let root = Document::parse(&source, &mut problems).unwrap().root;
        let read = read(&root, protocol, &Base::new("/etc", None), &mut problems);
        let messages: Vec<_> = problems.into_vec().into_iter().map(|p| p.message).collect();
        read.filter(|_| messages.is_empty()).ok_or(messages.join("\n"))
    }

    fn reached(yaml: &str, protocol: Protocol) -> (String, u16, Tls) {
        let server = server(yaml, protocol).unwrap();
        (server.host, server.port, server.tls)
    }

    #[test]
    fn ports_and_protection_follow_from_each_other() {
        use Protocol::{Imap, Pop3};
        for (yaml, protocol, host, port, tls) in [
            ("imap.example.com", Imap, "imap.example.com", 993, Tls::Implicit),
            ("pop.example.com", Pop3, "pop.example.com", 995, Tls::Implicit),
            ("mail:143", Imap, "mail", 143, Tls::StartTls),
            ("mail:110", Pop3, "mail", 110, Tls::StartTls),
            ("mail:110", Imap, "mail", 110, Tls::Implicit),
            ("mail:1993", Imap, "mail", 1993, Tls::Implicit),
            ("'[2001:db8::1]:143'", Imap, "2001:db8::1", 143, Tls::StartTls),
            ("'[::1]'", Imap, "::1", 993, Tls::Implicit),
            ("2001:db8::1", Imap, "2001:db8::1", 993, Tls::Implicit),
            ("{host: mail, tls: starttls}", Pop3, "mail", 110, Tls::StartTls),
            ("{host: mail, port: 143}", Imap, "mail", 143, Tls::StartTls),
            ("{host: 'mail:143', tls: implicit}", Imap, "mail", 143, Tls::Implicit),
            ("{host: localhost, tls: none}", Imap, "localhost", 143, Tls::None),
            ("{host: 127.0.3.4, tls: none, port: 1}", Imap, "127.0.3.4", 1, Tls::None),
            ("{host: '::1', tls: none}", Pop3, "::1", 110, Tls::None),
            ("{host: mail, tls: none, allow_plaintext: true}", Pop3, "mail", 110, Tls::None),
        ] {
            assert_eq!(reached(yaml, protocol), (host.to_owned(), port, tls), "{yaml}");
        }
    }

    #[test]
    fn plaintext_needs_an_explicit_word() {
        for host in ["mail", "10.0.0.1", "localhost.example.com", "127.example.com"] {
            let said = server(&format!("{{host: {host}, tls: none}}"), Protocol::Imap).unwrap_err();
            assert!(said.contains("can read the password"), "{said}");
        }
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
            let result = server(text, Protocol::Imap);
            assert!(result.is_err(), "{text} {result:?}");
        }
        assert!(server("imaps://mail/x", Protocol::Imap).unwrap_err().contains("URL"));
        assert!(server("{host: 'a:1', port: 2}", Protocol::Imap).unwrap_err().contains("already given"));
        assert_eq!(server("{host: mail, tls: nun}", Protocol::Imap).unwrap_err().lines().count(), 1);
    }
}
