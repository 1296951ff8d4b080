//! Greeting, EHLO, STARTTLS and login, and commands and replies one by one.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use tokio::time::timeout;

use super::wire::{self, Capabilities, Gathering, SmtpReply};
use crate::clean;
use crate::config::{Login, Server, Tls};
use crate::error::{Error, Kind, Result};
use crate::net::authenticate::{self, Manner, ServerLine, Speaker};
use crate::net::mistaken::{Spoken, another};
use crate::net::oauth;
use crate::net::probe::ShownTls;
use crate::net::sasl::{Credentials, MechanismChoice};
use crate::net::{self, LineStream, deadline};

/// The code for "the service is closing the connection" (RFC 5321 3.8), which may come at any time.
const CLOSING: u16 = 421;
/// The longest command line with its CRLF (RFC 5321 4.5.3.1.4). A longer initial response is sent after the server's challenge
/// (RFC 4954 4).
const LONGEST_COMMAND_BYTES: usize = 512;

/// The protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// RFC 5321.
    Smtp,
    /// RFC 2033.
    Lmtp,
}

/// A connection with its server's capabilities.
#[derive(Debug)]
pub(super) struct SmtpSession {
    lines: LineStream,
    /// The server's name, for messages.
    place: String,
    pub(super) dialect: Dialect,
    pub(super) can: Capabilities,
}

impl SmtpSession {
    /// Connects up to the point where mail can be sent. Tries once more if another access token may help.
    pub(super) async fn open(dialect: Dialect, server: &Server, login: Option<&Login>) -> Result<Self> {
        match Self::open_once(dialect, server, login).await {
            Err(error) if error.goes_again() => Self::open_once(dialect, server, login).await,
            opened => opened,
        }
    }

    async fn open_once(dialect: Dialect, server: &Server, login: Option<&Login>) -> Result<Self> {
        let mut lines = LineStream::new(net::connect(server).await?);
        if let Some(error) = another(lines.beginning(deadline::SMTP_GREETING).await?, Spoken::Smtp, server) {
            return Err(error);
        }
        let mut session = Self::greeted(lines, server.host.clone(), dialect).await?;
        if server.tls == Tls::StartTls {
            session = session.start_tls(server).await?;
        }
        if let Some(login) = login {
            session.log_in(server, login).await?;
        }
        Ok(session)
    }

    /// The same over a Unix socket: LMTP, without a login.
    pub(super) async fn open_socket(path: &Path) -> Result<Self> {
        let stream = net::connect_unix(path).await?;
        Self::greeted(LineStream::new(stream), path.display().to_string(), Dialect::Lmtp).await
    }

    async fn greeted(lines: LineStream, place: String, dialect: Dialect) -> Result<Self> {
        let mut session = Self { lines, place, dialect, can: Capabilities::default() };
        let reply = session.reply(deadline::SMTP_GREETING).await?;
        match reply.code {
            220 => session.hello().await?,
            400.. => return Err(reply.refusal(&format!("the connection to {}", session.place))),
            _ => return Err(reply.out_of_place(&format!("the greeting of {}", session.place))),
        }
        Ok(session)
    }

    /// Sends EHLO, or HELO if the server does not know EHLO (RFC 5321 3.2). LHLO has no older form (RFC 2033 4.1).
    async fn hello(&mut self) -> Result<()> {
        self.can = Capabilities::default();
        let name = own_name(self.lines.stream().local_address());
        let verb = if self.dialect == Dialect::Lmtp { "LHLO" } else { "EHLO" };
        let mut reply = self.command(&format!("{verb} {name}"), deadline::REPLY).await?;
        if reply.is_ok() {
            self.can = Capabilities::of(&reply);
        } else if reply.is_permanent() && self.dialect == Dialect::Smtp {
            reply = self.command(&format!("HELO {name}"), deadline::REPLY).await?;
        }
        if reply.is_ok() { Ok(()) } else { Err(reply.refusal(&format!("{verb} to {}", self.place))) }
    }

    /// Does STARTTLS (RFC 3207). Everything that was said before TLS is forgotten (`reliability.md` T1, T3, T4).
    async fn start_tls(mut self, server: &Server) -> Result<Self> {
        let without = "the server does not support STARTTLS, which `tls: starttls` requires";
        if !self.can.starttls {
            return Err(Error::permanent(Kind::Tls, without));
        }
        let reply = self.command("STARTTLS", deadline::REPLY).await?;
        if reply.code != 220 {
            return Err(Error::permanent(Kind::Tls, without).said(reply.text()));
        }
        let stream = net::start_tls(self.lines.into_clean_stream()?, server).await?;
        let mut session = Self { lines: LineStream::new(stream), can: Capabilities::default(), ..self };
        session.hello().await?;
        Ok(session)
    }

    /// Logs in with AUTH (RFC 4954).
    async fn log_in(&mut self, server: &Server, login: &Login) -> Result<()> {
        let doing = format!("logging in to {} as {}", self.place, clean::short(&login.user, 80));
        if !self.lines.stream().is_tls() && !server.is_loopback() {
            return Err(Error::permanent(Kind::Config, format!("{doing}: the password would be sent unencrypted")));
        }
        let is_private = self.lines.stream().is_tls() || server.is_loopback();
        let exported = self.lines.stream().exported();
        let choice = MechanismChoice { only: login.auth, token: login.token, is_private, exported };
        let offered = choice.among(|name| self.can.offers_login(name));
        if offered.mechanisms.is_empty() {
            let none = Error::permanent(Kind::Auth, format!("{doing}: {}", choice.missing()));
            if self.can.auth.is_empty() {
                return Err(none.helped_by(match self.can.starttls && !self.lines.stream().is_tls() {
                    true => "it may offer one inside TLS: write `tls: starttls`",
                    false => "it may need none: remove `user` and `password`",
                }));
            }
            let none = none.said(format!("AUTH {}", self.can.auth.join(" ")));
            return Err(net::login::with_advice(none, &server.host, login.token));
        }
        let secret = oauth::secret(&login.password).await?;
        self.lines.keep(&secret);
        let (host, port, binding) = (server.host.as_str(), server.port, offered.binding);
        let who = Credentials { user: &login.user, secret: &secret, host, port, binding };
        let manner = Manner { verb: "AUTH", initial: Some(LONGEST_COMMAND_BYTES), is_private };
        let outcome = authenticate::log_in(self, manner, &offered.mechanisms, &who).await;
        let with_advice = |error: Error| net::login::with_advice(error.while_doing(&doing), &server.host, login.token);
        oauth::after_login(outcome.map_err(with_advice), &login.password, &secret).await
    }

    /// Sends one command and reads its reply.
    pub(super) async fn command(&mut self, command: &str, limit: Duration) -> Result<SmtpReply> {
        self.send(&format!("{command}\r\n")).await?;
        self.reply(limit).await
    }

    /// The same for a command with a secret. Neither it nor its reply, which may repeat it, is logged.
    async fn secret_command(&mut self, command: &str) -> Result<SmtpReply> {
        self.lines.send(Zeroizing::new(format!("{command}\r\n")).as_bytes()).await?;
        let reply = self.read(deadline::REPLY).await?;
        tracing::debug!(host = self.place, "C: (login) S: {}", reply.code);
        self.is_closing(&reply).map_or(Ok(reply), Err)
    }

    /// Sends commands, each with its CRLF, in one write.
    pub(super) async fn send(&mut self, commands: &str) -> Result<()> {
        for command in commands.lines() {
            tracing::debug!(host = self.place, "C: {}", clean::line(command.as_bytes()));
        }
        self.lines.send(commands.as_bytes()).await
    }

    /// Sends a piece of a message.
    pub(super) async fn send_piece(&mut self, bytes: &[u8]) -> Result<()> {
        self.lines.send_within(bytes, deadline::SMTP_BLOCK, "sending a message").await
    }

    /// The next reply. 421 is an error, because it ends the connection.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<SmtpReply> {
        let reply = self.any_reply(limit).await?;
        self.is_closing(&reply).map_or(Ok(reply), Err)
    }

    /// The next reply, even if it is 421.
    pub(super) async fn any_reply(&mut self, limit: Duration) -> Result<SmtpReply> {
        let reply = self.read(limit).await?;
        tracing::debug!(host = self.place, "S: {}", reply.text());
        Ok(reply)
    }

    /// Reads a reply, which must be complete within `limit`.
    async fn read(&mut self, limit: Duration) -> Result<SmtpReply> {
        let late = |_| Error::transient(Kind::Network, format!("{}: no complete reply within {limit:?}", self.place));
        timeout(limit, read_reply(&mut self.lines, limit)).await.map_err(late)?
    }

    /// The error if the reply says that the connection ends.
    pub(super) fn is_closing(&self, reply: &SmtpReply) -> Option<Error> {
        let closing = || Error::transient(Kind::Refused, format!("{} closes the connection", self.place));
        (reply.code == CLOSING).then(|| closing().said(reply.text()))
    }

    /// What its TLS handshake showed.
    pub(super) fn shown(&self) -> Option<ShownTls> {
        self.lines.stream().shown()
    }

    /// Whether the server has sent something unasked.
    pub(super) fn has_unread(&self) -> bool {
        self.lines.has_unread()
    }
}

impl Speaker for SmtpSession {
    async fn say(&mut self, line: &str) -> Result<ServerLine> {
        let reply = self.secret_command(line).await?;
        Ok(match reply.code {
            334 => match reply.lines.as_slice() {
                [question] => ServerLine::Question(question.clone()),
                _ => return Err(reply.out_of_place("the login")),
            },
            200..300 => ServerLine::Accepted,
            500.. => ServerLine::Refused(net::login::classified("the login was refused", &reply.text())),
            400.. => ServerLine::Refused(reply.refusal("the login")),
            _ => return Err(reply.out_of_place("the login")),
        })
    }
}

async fn read_reply(lines: &mut LineStream, limit: Duration) -> Result<SmtpReply> {
    let (mut gathering, secrets) = (Gathering::default(), lines.secrets());
    loop {
        if let Some(reply) = gathering.add_line(lines.line_up_to(wire::MAX_LINE_BYTES, limit).await?, &secrets)? {
            return Ok(reply);
        }
    }
}

/// Our name in EHLO: a full host name, or an address literal (RFC 5321 4.1.3, 4.1.4).
fn own_name(address: Option<IpAddr>) -> String {
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match address {
        _ if is_full_name(&node) => node,
        Some(IpAddr::V4(address)) => format!("[{address}]"),
        Some(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        None => "localhost".to_owned(),
    }
}

fn is_full_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.len() < 64 && !label.starts_with('-') && label.bytes().all(is_fine)
    };
    name.len() < 254 && name.contains('.') && name.split('.').all(is_label) && name.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_name() {
        assert!(is_full_name("box.example.com"));
        for name in ["box", "box.", "a b.c", "10.0.0.1", "", "-a.b", "a..b", "(none)"] {
            assert!(!is_full_name(name), "{name}");
        }
    }
}
