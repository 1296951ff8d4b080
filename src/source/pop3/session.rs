//! Greeting, capabilities, STLS, login, and commands, one by one or pipelined.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::wire::{Pop3Reply, greeting_refused};
use crate::config::{Account, Server, Tls};
use crate::error::{Error, Kind, Result};
use crate::net::authenticate::{self, Manner, ServerLine, Speaker};
use crate::net::mistaken::{Spoken, another};
use crate::net::oauth;
use crate::net::sasl::{Credentials, Mechanism, MechanismChoice};
use crate::net::{self, LineStream, apop, deadline};
use crate::source::Offers;

/// How much of a reply `-vv` shows, in characters.
const LONGEST_SHOWN_REPLY: usize = 200;
/// How many commands are in flight at once with PIPELINING (RFC 2449 6.6).
const COMMANDS_IN_FLIGHT: usize = 64;
/// The most lines of a reply to CAPA.
const MAX_CAPABILITY_LINES: usize = 100;

/// A connection with its capabilities.
#[derive(Debug)]
pub(super) struct Pop3Session {
    pub(super) lines: LineStream,
    host: String,
    capabilities: Vec<String>,
    /// The timestamp of the greeting, for APOP. It is forgotten with STLS.
    timestamp: Option<String>,
}

/// How the password is sent.
#[derive(Debug, PartialEq, Eq)]
enum PasswordWay {
    Apop,
    Pass,
    Sasl,
}

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
struct LoginOffer {
    /// The setting `apop`.
    apop: Option<bool>,
    has_timestamp: bool,
    /// The best offered mechanism does not send the password itself.
    hides_password: bool,
    /// The server has USER and PASS, or names no other way.
    has_pass: bool,
    /// The connection is encrypted, or local to this machine.
    is_private: bool,
}

/// Whether a mechanism is better than sending the password. CRAM-MD5 is only better if others can listen.
fn hides_password(mechanism: Mechanism, is_private: bool) -> bool {
    match mechanism {
        Mechanism::ScramSha256Plus | Mechanism::ScramSha256 | Mechanism::ScramSha1 => true,
        Mechanism::CramMd5 => !is_private,
        _ => false,
    }
}

impl LoginOffer {
    /// APOP is chosen if the user asks for it, or if others could hear the password otherwise.
    fn way(self) -> PasswordWay {
        let is_better = !self.is_private && !self.hides_password && self.has_timestamp;
        match self {
            _ if self.apop.unwrap_or(is_better) => PasswordWay::Apop,
            _ if !self.hides_password && self.has_pass => PasswordWay::Pass,
            _ => PasswordWay::Sasl,
        }
    }
}

/// The server's offers before the login.
pub(in crate::source) async fn offers(server: &Server) -> Result<Offers> {
    let mut session = Pop3Session::open(server).await?;
    let (capabilities, shown) = (std::mem::take(&mut session.capabilities), session.lines.stream().shown());
    let can_bind = session.lines.stream().exported().is_some();
    session.command_within("QUIT", deadline::GOODBYE).await.ok();
    Ok(Offers { capabilities, shown, can_bind })
}

impl Pop3Session {
    /// Connects up to the transaction state (RFC 1939 section 5). Tries once more if another access token may help.
    pub(super) async fn connect(account: &Account) -> Result<Self> {
        match Self::connect_once(account).await {
            Err(error) if error.goes_again() => Self::connect_once(account).await,
            connected => connected,
        }
    }

    async fn connect_once(account: &Account) -> Result<Self> {
        let mut session = Self::open(&account.server).await?;
        session.enable_utf8().await?;
        session.login(account).await?;
        Ok(session)
    }

    /// Connects up to the authorization state, inside TLS if the config asks for it.
    async fn open(server: &Server) -> Result<Self> {
        let mut session = Box::pin(Self::reach(server)).await.map_err(Error::of_the_host)?;
        session.ask_capabilities().await?;
        match server.tls {
            Tls::StartTls => session.start_tls(server).await,
            Tls::Implicit | Tls::None => Ok(session),
        }
    }

    /// Connects up to the greeting: all that does not depend on the account.
    async fn reach(server: &Server) -> Result<Self> {
        let lines = LineStream::new(net::connect(server).await?);
        let mut session = Self { lines, host: server.host.clone(), capabilities: Vec::new(), timestamp: None };
        session.greeting(server).await?;
        Ok(session)
    }

    pub(super) fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|line| line.eq_ignore_ascii_case(capability))
    }

    /// Whether a capability has an argument: `SASL PLAIN LOGIN` has `SASL` with `PLAIN`.
    fn can_with(&self, capability: &str, argument: &str) -> bool {
        self.capabilities.iter().any(|line| {
            let mut words = line.split_ascii_whitespace();
            words.next().is_some_and(|w| w.eq_ignore_ascii_case(capability))
                && words.any(|w| w.eq_ignore_ascii_case(argument))
        })
    }

    async fn greeting(&mut self, server: &Server) -> Result<()> {
        if let Some(error) = another(self.lines.beginning(deadline::GREETING).await?, Spoken::Pop3, server) {
            return Err(error);
        }
        let secrets = self.lines.secrets();
        let line = self.lines.line(deadline::GREETING).await?;
        self.timestamp = apop::timestamp(line).map(str::to_owned);
        match Pop3Reply::hushed(line, &secrets)? {
            Pop3Reply::Ok(_) => Ok(()),
            Pop3Reply::Err(line) => Err(greeting_refused(&line)),
            Pop3Reply::Continue(_) => {
                Err(Error::permanent(Kind::Protocol, format!("{} does not greet like a POP3 server", self.host)))
            }
        }
    }

    /// Sends CAPA (RFC 2449). A server without it has none of the extensions.
    async fn ask_capabilities(&mut self) -> Result<()> {
        self.capabilities.clear();
        if !self.command("CAPA").await?.is_ok() {
            return Ok(());
        }
        let mut found = Vec::new();
        let record = |line: &[u8]| {
            found.push(crate::clean::line(line).trim().to_owned());
            Ok(())
        };
        self.multi_line(MAX_CAPABILITY_LINES, record).await?;
        self.capabilities = found;
        Ok(())
    }

    /// Does STLS (RFC 2595). Everything that was said before TLS is forgotten.
    async fn start_tls(mut self, server: &Server) -> Result<Self> {
        self.command("STLS").await?.accepted("STLS").map_err(|e| {
            Error::permanent(Kind::Tls, "the server refuses STLS, which `tls: starttls` requires").because(e)
        })?;
        let stream = net::start_tls(self.lines.into_clean_stream()?, server).await?;
        let lines = LineStream::new(stream);
        let mut session = Self { lines, host: self.host, capabilities: Vec::new(), timestamp: None };
        session.ask_capabilities().await?;
        Ok(session)
    }

    /// Sends UTF8 (RFC 6856) before the login if it is offered. Without it Courier sends a wrapper instead of a message with
    /// UTF-8 headers, and DELE then destroys the message that was never fetched.
    async fn enable_utf8(&mut self) -> Result<()> {
        let offered = self
            .capabilities
            .iter()
            .any(|line| line.split_ascii_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("UTF8")));
        if offered {
            self.command("UTF8").await?;
        }
        Ok(())
    }

    /// Logs in. A token is sent with SASL. For a password the order is SCRAM, then USER and PASS, which every server has, then
    /// PLAIN. APOP is used if the user asks for it, or if nothing else protects the password.
    async fn login(&mut self, account: &Account) -> Result<()> {
        let doing = format!("logging in to {} as {}", self.host, crate::clean::line(account.user.as_bytes()));
        let is_private = self.lines.stream().is_tls() || account.server.is_loopback();
        let exported = self.lines.stream().exported();
        let choice = MechanismChoice { only: account.auth, token: account.token, is_private, exported };
        let offered = choice.among(|name| self.can_with("SASL", name));
        let offer = LoginOffer {
            apop: account.apop,
            has_timestamp: self.timestamp.is_some(),
            hides_password: offered.mechanisms.first().is_some_and(|best| hides_password(*best, is_private)),
            has_pass: self.can("USER") || offered.mechanisms.is_empty(),
            is_private,
        };
        let way = match choice.only {
            Some(Mechanism::Login) => PasswordWay::Pass,
            None if !account.token => offer.way(),
            _ => PasswordWay::Sasl,
        };
        if offered.mechanisms.is_empty() && way == PasswordWay::Sasl {
            let none = Error::permanent(Kind::Auth, format!("{doing}: {}", choice.missing()));
            return Err(net::login::with_advice(none, &self.host, account.token));
        }
        let secret = oauth::secret(&account.password).await?;
        self.lines.keep(&secret);
        let (host, port) = (account.server.host.as_str(), account.server.port);
        let who = Credentials { user: &account.user, secret: &secret, host, port, binding: offered.binding };
        let outcome = match way {
            PasswordWay::Apop => self.apop(&account.user, secret.expose_secret()).await,
            PasswordWay::Pass => self.user_and_pass(&account.user, secret.expose_secret()).await,
            PasswordWay::Sasl => {
                // The initial response of RFC 5034 would save a round trip, but some servers do not accept it.
                let manner = Manner { verb: "AUTH", initial: None, is_private };
                authenticate::log_in(self, manner, &offered.mechanisms, &who).await
            }
        };
        let with_advice = |error: Error| net::login::with_advice(error.while_doing(&doing), host, account.token);
        oauth::after_login(outcome.map_err(with_advice), &account.password, &secret).await
    }

    /// APOP (RFC 1939 section 7).
    async fn apop(&mut self, user: &str, password: &str) -> Result<()> {
        let user = one_word(user)?;
        let Some(timestamp) = &self.timestamp else {
            return Err(Error::permanent(Kind::Auth, "the server offers no APOP"));
        };
        let command = format!("APOP {user} {}", apop::digest(timestamp, password));
        match self.command(&command).await? {
            Pop3Reply::Err(line) => {
                let doing = "APOP was refused; `apop: false` turns it off";
                Err(net::login::classified(doing, &line))
            }
            reply => reply.accepted("APOP").map(drop),
        }
    }

    async fn user_and_pass(&mut self, user: &str, password: &str) -> Result<()> {
        let user = one_word(user)?;
        let mut reply = self.command(&format!("USER {user}")).await?;
        if reply.is_ok() {
            reply = self.command(&format!("PASS {password}")).await?;
        }
        match reply {
            Pop3Reply::Err(line) => Err(net::login::classified("the login was refused", &line)),
            reply => reply.accepted("PASS").map(drop),
        }
    }

    /// Sends one command and reads the first line of its reply.
    pub(super) async fn command(&mut self, command: &str) -> Result<Pop3Reply> {
        self.command_within(command, deadline::REPLY).await
    }

    pub(super) async fn command_within(&mut self, command: &str, limit: Duration) -> Result<Pop3Reply> {
        self.send(&[format!("{command}\r\n")]).await?;
        self.reply(limit).await
    }

    /// The first line of the next reply.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Pop3Reply> {
        let secrets = self.lines.secrets();
        let line = self.lines.line(limit).await?;
        if tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!(host = self.host, "S: {}", shown_in_dialogue(&secrets.hushed(line)));
        }
        Pop3Reply::hushed(line, &secrets)
    }

    /// Sends commands, each with its line end, in one write.
    pub(super) async fn send(&mut self, commands: &[String]) -> Result<()> {
        for command in commands {
            tracing::debug!(host = self.host, "C: {}", hide_secrets(command.trim_end()));
        }
        self.lines.send(commands.concat().as_bytes()).await
    }

    /// Reads the lines of a multi-line reply up to the dot.
    pub(super) async fn multi_line(&mut self, most: usize, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for _ in 0..most {
            let line = self.lines.line(deadline::REPLY).await?;
            if line == b"." {
                return Ok(());
            }
            each(line.strip_prefix(b".").unwrap_or(line))?;
        }
        Err(endless_list())
    }

    /// How many commands may be sent before the first reply is read.
    pub(super) fn window(&self) -> usize {
        if self.can("PIPELINING") { COMMANDS_IN_FLIGHT } else { 1 }
    }

    /// Sends commands with one-line replies, as many ahead as the server allows.
    pub(super) async fn pipeline(
        &mut self,
        commands: &[String],
        mut each: impl FnMut(usize, Pop3Reply) -> Result<()>,
    ) -> Result<()> {
        let window = self.window();
        let mut sent = 0;
        for i in 0..commands.len() {
            if i == sent {
                let until = commands.len().min(sent + window);
                self.send(&commands[sent..until]).await?;
                sent = until;
            }
            let reply = self.reply(deadline::REPLY).await?;
            each(i, reply)?;
        }
        Ok(())
    }
}

impl Speaker for Pop3Session {
    async fn say(&mut self, line: &str) -> Result<ServerLine> {
        Ok(match self.command(line).await? {
            Pop3Reply::Continue(question) => ServerLine::Question(question),
            Pop3Reply::Ok(_) => ServerLine::Accepted,
            Pop3Reply::Err(line) => ServerLine::Refused(net::login::classified("the login was refused", &line)),
        })
    }
}

/// A reply as `-vv` shows it. What a server asks during a login may be made of secrets.
fn shown_in_dialogue(line: &[u8]) -> String {
    match line.starts_with(b"+ ") {
        true => "+ (hidden)".to_owned(),
        false => crate::clean::short(&String::from_utf8_lossy(line), LONGEST_SHOWN_REPLY),
    }
}

/// The error for a list that is too long.
pub(super) fn endless_list() -> Error {
    Error::permanent(Kind::Protocol, "the server's list does not end")
}

/// A command for the log, without secrets. Only commands that are known to be harmless are shown in full.
fn hide_secrets(command: &str) -> String {
    let verb = command.split(' ').next().unwrap_or_default();
    match verb {
        "CAPA" | "STLS" | "UTF8" | "USER" | "LIST" | "UIDL" | "STAT" | "TOP" | "RETR" | "DELE" | "NOOP" | "QUIT" => {
            crate::clean::line(command.as_bytes())
        }
        "PASS" | "AUTH" | "APOP" => verb.to_owned(),
        _ => "(secret)".to_owned(),
    }
}

/// Checks that a user name cannot end the command or begin another.
fn one_word(user: &str) -> Result<&str> {
    let is_word = !user.is_empty() && !user.contains(|c: char| c.is_control());
    is_word
        .then_some(user)
        .ok_or_else(|| Error::permanent(Kind::Config, "the user name cannot be sent to a POP3 server"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apop_is_used_where_nothing_else_hides_the_password() {
        let offer =
            LoginOffer { apop: None, has_timestamp: true, hides_password: false, has_pass: true, is_private: false };
        assert_eq!(offer.way(), PasswordWay::Apop);
        assert_eq!(LoginOffer { hides_password: true, ..offer }.way(), PasswordWay::Sasl);
        assert_eq!(LoginOffer { has_timestamp: false, ..offer }.way(), PasswordWay::Pass);
        assert_eq!(LoginOffer { is_private: true, ..offer }.way(), PasswordWay::Pass);
        assert_eq!(LoginOffer { is_private: true, apop: Some(true), ..offer }.way(), PasswordWay::Apop);
        assert_eq!(LoginOffer { apop: Some(false), ..offer }.way(), PasswordWay::Pass);
        assert_eq!(LoginOffer { has_pass: false, is_private: true, ..offer }.way(), PasswordWay::Sasl);
    }
}
