//! Recognises a port that speaks another protocol than the config says, and names the line to write instead. A user who
//! mixed up two lines of a provider's help page would otherwise see only a timeout or a failed handshake.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::{Server, Tls};
use crate::error::{Error, Kind, Result};

/// A server that sends nothing for this long may be waiting for a TLS handshake.
const GREETING_EXPECTED_WITHIN: Duration = Duration::from_millis(1_200);
/// How long a trial handshake may take.
const TRIAL_HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(1_200);
/// The ports on which servers speak first, without TLS: a silent server there is only slow.
const PLAIN_PORTS: [u16; 5] = [24, 25, 110, 143, 587];

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// RFC 3501.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 5321, and RFC 2033.
    Smtp,
    /// RFC 9112: a web server, which answers what it does not understand.
    Http,
    /// RFC 4253.
    Ssh,
}

impl Spoken {
    /// The protocol that a greeting belongs to.
    fn of(greeting: &[u8]) -> Option<Self> {
        let begins = |words: &[&str]| {
            words.iter().any(|word| greeting.get(..word.len()).is_some_and(|g| g.eq_ignore_ascii_case(word.as_bytes())))
        };
        match () {
            () if begins(&["* OK", "* PREAUTH", "* BYE"]) => Some(Self::Imap),
            () if begins(&["+OK", "-ERR"]) => Some(Self::Pop3),
            () if begins(&["HTTP/"]) => Some(Self::Http),
            () if begins(&["SSH-"]) => Some(Self::Ssh),
            () if begins(&["220 ", "220-", "421 ", "554 ", "554-"]) => Some(Self::Smtp),
            () => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
            Self::Smtp => "SMTP",
            Self::Http => "HTTP",
            Self::Ssh => "SSH",
        }
    }

    /// Its key in the config. `None`: it is no protocol of mail.
    fn key(self) -> Option<&'static str> {
        match self {
            Self::Imap => Some("imap"),
            Self::Pop3 => Some("pop3"),
            Self::Smtp => Some("smtp"),
            Self::Http | Self::Ssh => None,
        }
    }

    fn ports(self) -> &'static str {
        match self {
            Self::Http | Self::Ssh => "no port of mail",
            Self::Imap => "993, or 143 with `tls: starttls`",
            Self::Pop3 => "995, or 110 with `tls: starttls`",
            Self::Smtp => "465, or 587 with `tls: starttls`",
        }
    }
}

/// The error if the greeting belongs to another protocol than the wanted one.
pub fn another(greeting: &[u8], wanted: Spoken, server: &Server) -> Option<Error> {
    let spoken = Spoken::of(greeting).filter(|spoken| *spoken != wanted)?;
    let Server { host, port, .. } = server;
    let (name, wants) = (spoken.name(), wanted.name());
    let text = match spoken.key() {
        Some(key) => format!(
            "port {port} of {host} speaks {name} (write `{key}:`) and not {wants}, which uses port {}",
            wanted.ports()
        ),
        None => {
            format!(
                "port {port} of {host} speaks {name}, so it is no mail server; {wants} uses port {}",
                wanted.ports()
            )
        }
    };
    Some(Error::permanent(Kind::Protocol, text))
}

/// The error if the server answered a TLS handshake in plain text.
pub(super) fn without_tls(answer: &[u8], server: &Server) -> Option<Error> {
    if answer.is_empty() || is_record(answer) {
        return None;
    }
    let Server { host, port, .. } = server;
    let text = match Spoken::of(answer) {
        Some(spoken) if spoken.key().is_none() => {
            format!("port {port} of {host} speaks {}, so it is no mail server: correct `host` or `port`", spoken.name())
        }
        spoken => {
            let who = spoken.map_or(String::new(), |spoken| format!("speaks {} and ", spoken.name()));
            format!(
                "port {port} of {host} {who}does not begin with TLS: write `tls: starttls`, or a port that begins with TLS"
            )
        }
    };
    Some(Error::permanent(Kind::Tls, text).said(answer.split(|byte| *byte == b'\n').next().unwrap_or_default()))
}

/// Whether the bytes look like a TLS record (RFC 8446 5.1).
fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=24] | [20..=24, 3, ..])
}

/// Waits for a server that should speak first. If it stays silent, a second connection tries a TLS handshake; if that
/// fails too, the server is only slow.
pub(super) async fn speaks_first(tcp: &TcpStream, server: &Server) -> Result<()> {
    if PLAIN_PORTS.contains(&server.port) || timeout(GREETING_EXPECTED_WITHIN, tcp.readable()).await.is_ok() {
        return Ok(());
    }
    let is_tls =
        async { timeout(TRIAL_HANDSHAKE_TIMEOUT, super::connect::answers_handshake(server)).await.unwrap_or(false) };
    tokio::select! {
        biased;
        _ = tcp.readable() => Ok(()),
        is_tls = is_tls => if is_tls { Err(with_tls(server)) } else { Ok(()) },
    }
}

fn with_tls(server: &Server) -> Error {
    let (port, host) = (server.port, &server.host);
    let instead = if server.tls == Tls::StartTls { "starttls" } else { "none" };
    let text = format!("port {port} of {host} begins with TLS: write `tls: implicit` instead of `tls: {instead}`");
    Error::permanent(Kind::Tls, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Trust;

    #[test]
    fn a_port_without_mail_is_named_as_what_it_is() {
        let server = Server { host: "h".into(), port: 22, tls: Tls::None, trust: Trust::default() };
        let said = another(b"SSH-2.0-OpenSSH_9.2p1", Spoken::Imap, &server).unwrap().to_string();
        let expected =
            "port 22 of h speaks SSH, so it is no mail server; IMAP uses port 993, or 143 with `tls: starttls`";
        assert_eq!(said, expected);
        let said = without_tls(b"HTTP/1.1 400 Bad Request\r\n", &server).unwrap().to_string();
        assert!(said.contains("speaks HTTP, so it is no mail server") && !said.contains("starttls"), "{said}");
    }

    #[test]
    fn greetings_are_told_apart() {
        for (greeting, spoken) in [
            ("* OK [CAPABILITY IMAP4rev1] hi", Some(Spoken::Imap)),
            ("* preauth", Some(Spoken::Imap)),
            ("+OK <1@x>", Some(Spoken::Pop3)),
            ("-ERR busy", Some(Spoken::Pop3)),
            ("220 mx ESMTP", Some(Spoken::Smtp)),
            ("220-mx", Some(Spoken::Smtp)),
            ("HTTP/1.1 400 Bad Request", Some(Spoken::Http)),
            ("SSH-2.0-OpenSSH_9.2p1", Some(Spoken::Ssh)),
            ("hello", None),
            ("", None),
        ] {
            assert_eq!(Spoken::of(greeting.as_bytes()), spoken, "{greeting}");
        }
        assert!(
            is_record(b"\x15\x03\x01\x00\x02") && is_record(b"\x16") && !is_record(b"* OK") && !is_record(b"\x16\x01")
        );
    }
}
