//! A session from the greeting to SELECT: TLS, login, capabilities, ID.

use std::time::Duration;

use imap_proto::{Response, Status};

use super::codes::capabilities_in;
use super::session::{ImapSession, line_of, not_done};
use crate::config::{Account, Server, Tls};
use crate::error::{Error, Kind, Result};
use crate::net::mistaken::{Spoken, another};
use crate::net::{self, deadline};
use crate::secrets::Secrets;
use crate::source::Offers;

/// The server's offers before the login.
pub(in crate::source) async fn offers(server: &Server) -> Result<Offers> {
    let (mut session, _) = Box::pin(ImapSession::reach(server)).await.map_err(Error::of_the_host)?;
    session.ask_capabilities_unless_known().await?;
    let (capabilities, shown) = (std::mem::take(&mut session.capabilities), session.stream().shown());
    let can_bind = session.stream().exported().is_some();
    session.logout().await;
    Ok(Offers { capabilities, shown, can_bind })
}

impl ImapSession {
    /// Reads the greeting and does TLS, login and ID, up to SELECT. Tries once more if another access token may help.
    pub(super) async fn connect(account: &Account) -> Result<Self> {
        match Box::pin(Self::connect_once(account)).await {
            Err(error) if error.goes_again() => Box::pin(Self::connect_once(account)).await,
            connected => connected,
        }
    }

    async fn connect_once(account: &Account) -> Result<Self> {
        let (mut session, greeting) = Box::pin(Self::reach(&account.server)).await.map_err(Error::of_the_host)?;
        if greeting != Status::PreAuth {
            session.ask_capabilities_unless_known().await?;
            session.login(account).await?;
        }
        session.ask_capabilities_unless_known().await?;
        session.compress_unless_loopback().await?;
        session.identify().await?;
        Ok(session)
    }

    /// Reads the greeting and does TLS: all that does not depend on the account.
    async fn reach(server: &Server) -> Result<(Self, Status)> {
        let stream = net::connect(server).await?;
        let mut session = Self::over(stream, &server.host);
        let greeting = session.greeting(server).await?;
        if server.tls == Tls::StartTls {
            if greeting == Status::PreAuth {
                // STARTTLS is impossible after PREAUTH, and an attacker could have sent the PREAUTH in plain text (T2).
                return Err(Error::permanent(Kind::Tls, "the server greets with PREAUTH, so STARTTLS is impossible"));
            }
            session = session.start_tls(server).await?;
        }
        Ok((session, greeting))
    }

    async fn greeting(&mut self, server: &Server) -> Result<Status> {
        self.replies.stream().expect_within(deadline::GREETING);
        let beginning = self.replies.beginning().await.map_err(|e| Error::network("waiting for the greeting", e))?;
        if let Some(error) = another(beginning, Spoken::Imap, server) {
            return Err(error);
        }
        let host = self.host.clone();
        let (status, capabilities) = self
            .read(deadline::GREETING, |reply| match reply {
                Response::Data { status: Status::Ok, outcome } => Ok((Status::Ok, capabilities_in(outcome))),
                Response::Data { status: Status::PreAuth, outcome } => Ok((Status::PreAuth, capabilities_in(outcome))),
                Response::Data { status, outcome } => Err(not_done(
                    "the server refused the connection".to_owned(),
                    &line_of(status, outcome, &Secrets::default()),
                )),
                _ => Err(Error::permanent(Kind::Protocol, format!("{host} does not greet like an IMAP server"))),
            })
            .await??;
        (self.capabilities, self.is_greeted) = (capabilities.unwrap_or_default(), true);
        Ok(status)
    }

    /// STARTTLS (RFC 3501 6.2.1). Bytes after its OK and before the handshake come from an attacker.
    async fn start_tls(mut self, server: &Server) -> Result<Self> {
        self.run("STARTTLS", |_| Ok(())).await.map_err(|e| {
            Error::permanent(Kind::Tls, "the server refuses STARTTLS, which `tls: starttls` requires").because(e)
        })?;
        // Any reply, even one that the parser rejects. Silence is the only correct behaviour here.
        let spoke = tokio::time::timeout(Duration::from_millis(1), self.replies.next()).await.is_ok();
        let (stream, early) = self.replies.into_parts();
        if spoke || early {
            return Err(Error::permanent(Kind::Tls, "the server sent data before the TLS handshake"));
        }
        // Everything that was said before TLS is forgotten with the old session (T4).
        let mut over = Self::over(net::start_tls(stream, server).await?, &server.host);
        over.is_greeted = true;
        Ok(over)
    }

    async fn ask_capabilities_unless_known(&mut self) -> Result<()> {
        if self.capabilities.is_empty() {
            self.run("CAPABILITY", |_| Ok(())).await?;
        }
        Ok(())
    }

    /// Compression within one machine costs more than it saves.
    async fn compress_unless_loopback(&mut self) -> Result<()> {
        match self.stream().is_loopback() {
            true => Ok(()),
            false => self.compress().await,
        }
    }

    /// Starts COMPRESS=DEFLATE (RFC 4978) if the server offers it. If it refuses, the session goes on uncompressed. Everything
    /// after its OK is compressed.
    pub(super) async fn compress(&mut self) -> Result<()> {
        if !self.can("COMPRESS=DEFLATE") {
            return Ok(());
        }
        let tag = self.send("COMPRESS DEFLATE").await?;
        if self.finish(&tag, |_| Ok(())).await?.is_ok() {
            let early = self.replies.take_early();
            self.stream().deflate(&early);
        }
        Ok(())
    }

    /// Sends ID (RFC 2971). 163.com, 126.com and QQ refuse SELECT ("Unsafe Login") until a client has identified itself.
    /// It is not sent to servers without the capability: some of them break the session.
    async fn identify(&mut self) -> Result<()> {
        if self.can("ID") {
            let id = format!("ID (\"name\" \"mailsluice\" \"version\" \"{}\")", env!("CARGO_PKG_VERSION"));
            let tag = self.send(&id).await?;
            // A refusal changes nothing.
            self.finish(&tag, |_| Ok(())).await?.ok();
        }
        Ok(())
    }
}
