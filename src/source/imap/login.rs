//! The login: AUTHENTICATE (RFC 3501 6.2.2), or LOGIN if the server offers nothing else for a password.

use std::sync::Arc;

use imap_proto::RequestId;
use secrecy::ExposeSecret;

use super::names::quoted;
use super::session::{ImapSession, Reached, TaggedRefusal};
use crate::clean;
use crate::config::Account;
use crate::error::{Error, Kind, Result};
use crate::net;
use crate::net::authenticate::{self, Manner, ServerLine, Speaker};
use crate::net::oauth;
use crate::net::sasl::{Credentials, Mechanism, MechanismChoice};
use crate::secrets::Secrets;

/// The longest line with an initial response: servers accept 8,192 octets (RFC 7162 4), and a token has thousands.
const LONGEST_LINE_BYTES: usize = 8_000;

impl ImapSession {
    /// Logs in. Afterwards the capabilities are unknown and must be asked for again.
    pub(super) async fn login(&mut self, account: &Account) -> Result<()> {
        let doing = format!("logging in to {} as {}", self.host, clean::line(account.user.as_bytes()));
        let is_private = self.stream().is_tls() || account.server.is_loopback();
        let exported = self.stream().exported();
        let choice = MechanismChoice { only: account.auth, token: account.token, is_private, exported };
        let offered = choice.among(|name| self.can(&format!("AUTH={name}")));
        // Every server knows the LOGIN command, but only some the mechanism of that name.
        let has_login = choice.has_login_command() && !self.can("LOGINDISABLED");
        let with_login = has_login
            && match offered.mechanisms.first() {
                None | Some(Mechanism::Login) => true,
                Some(Mechanism::CramMd5) => is_private,
                Some(_) => false,
            };
        if offered.mechanisms.is_empty() && !has_login {
            let kind = if account.token || account.auth.is_some() { Kind::Auth } else { Kind::Refused };
            let none = Error::permanent(kind, format!("{doing}: {}", choice.missing()));
            return Err(net::login::with_advice(none, &self.host, account.token));
        }
        let secret = oauth::secret(&account.password).await?;
        self.secrets = Arc::new(Secrets::of(&secret));
        let host = account.server.host.as_str();
        let port = account.server.port;
        let who = Credentials { user: &account.user, secret: &secret, host, port, binding: offered.binding };
        let initial = self.can("SASL-IR").then_some(LONGEST_LINE_BYTES);
        // The capabilities change with the login; a server that does not announce the new ones is asked.
        self.capabilities.clear();
        let outcome = match with_login {
            true => self.log_in(&account.user, secret.expose_secret()).await,
            false => {
                let manner = Manner { verb: "AUTHENTICATE", initial, is_private };
                let mut speaker = Authenticating { session: self, tag: None };
                authenticate::log_in(&mut speaker, manner, &offered.mechanisms, &who).await
            }
        };
        let with_advice = |error: Error| net::login::with_advice(error.while_doing(&doing), host, account.token);
        oauth::after_login(outcome.map_err(with_advice), &account.password, &secret).await
    }

    /// The LOGIN command (RFC 3501 6.2.3); anything but plain ASCII is sent as literals.
    async fn log_in(&mut self, user: &str, password: &str) -> Result<()> {
        let tag = match (quoted(user), quoted(password)) {
            (Some(user), Some(password)) => self.send(&format!("LOGIN {user} {password}")).await?,
            _ => {
                let tag = self.send(&format!("LOGIN {{{}}}", user.len())).await?;
                for line in [format!("{user} {{{}}}\r\n", password.len()), format!("{password}\r\n")] {
                    if let Some(refusal) = self.wait_continuation(&tag).await? {
                        return Err(refused(&refusal));
                    }
                    self.write(line.as_bytes()).await?;
                }
                tag
            }
        };
        self.finish(&tag, |_| Ok(())).await?.map(drop).map_err(|refusal| refused(&refusal))
    }
}

/// A running AUTHENTICATE. It has a tag once it was sent.
struct Authenticating<'a> {
    session: &'a mut ImapSession,
    tag: Option<RequestId>,
}

impl Speaker for Authenticating<'_> {
    async fn say(&mut self, line: &str) -> Result<ServerLine> {
        let tag = match self.tag.take() {
            Some(tag) => {
                self.session.write(format!("{line}\r\n").as_bytes()).await?;
                tag
            }
            None => self.session.send(line).await?,
        };
        Ok(match self.session.read_to_continuation(&tag).await? {
            Reached::Question(question) => {
                self.tag = Some(tag);
                ServerLine::Question(question)
            }
            Reached::Done(Ok(_)) => ServerLine::Accepted,
            Reached::Done(Err(refusal)) if refusal.line.starts_with("BAD") => {
                ServerLine::NotUnderstood(refused(&refusal))
            }
            Reached::Done(Err(refusal)) => ServerLine::Refused(refused(&refusal)),
        })
    }
}

fn refused(refusal: &TaggedRefusal) -> Error {
    net::login::classified("the login was refused", &refusal.line)
}
