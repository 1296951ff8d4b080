//! Why mail does not go.

use std::path::Path;

use super::finding::Findings;
use super::{recognise, server, way_of};
use crate::clean;
use crate::config::{Config, LmtpPlace, Login, Needs, Relay, RelayKind, Server, Tls};
use crate::net::oauth;
use crate::outbox::smtp::{Hello, SmtpRelay};
use crate::program;
use crate::providers::Mail;

const LATER: &str = "it may pass by itself; the outbox tries again, and `mailsluice queue` shows what waits";

pub(super) async fn examine(relay: &Relay, config: &Config, to: Option<&str>, findings: &mut Findings<'_>) {
    match &relay.kind {
        RelayKind::Sendmail(run) => return program_is_there(run, findings),
        RelayKind::Lmtp(LmtpPlace::Socket(path)) => return socket(relay, path, findings).await,
        RelayKind::Lmtp(LmtpPlace::Server(server)) => {
            if !server::reach(server, findings).await || !server::shake_hands(server, findings).await {
                return;
            }
        }
        RelayKind::Smtp { server, login } => {
            if !secret(login.as_ref(), findings).await || !server::reach(server, findings).await {
                return;
            }
            if !server::shake_hands(server, findings).await || !hello(relay, server, findings).await {
                return;
            }
        }
    }
    let mut smtp = match SmtpRelay::connect(relay).await {
        Ok(smtp) => smtp,
        Err(error) => {
            let form = match &relay.kind {
                RelayKind::Smtp { server, login: Some(login) } => {
                    recognise::another_form(&server.host, &login.user, Mail::Smtp)
                }
                _ => None,
            };
            return findings.login_error(&error, form, LATER);
        }
    };
    match &relay.kind {
        RelayKind::Smtp { login: Some(login), .. } => {
            findings.well("login", format!("as {}", clean::short(&login.user, 80)))
        }
        _ => findings.well("login", "none is asked for"),
    }
    if matches!(relay.kind, RelayKind::Smtp { .. }) {
        envelope(relay, config, to, &mut smtp, findings).await;
    }
    smtp.quit().await;
}

async fn secret(login: Option<&Login>, findings: &mut Findings<'_>) -> bool {
    let Some(login) = login.filter(|login| login.auth.is_none_or(|auth| auth.needs() != Needs::Certificate)) else {
        return true;
    };
    let name = if login.token { "token" } else { "password" };
    match oauth::secret(&login.password).await {
        Ok(_) => findings.well(name, login.password.place()),
        Err(error) => findings.error(name, &error, ""),
    }
    findings.is_well()
}

/// The server without a login.
async fn hello(relay: &Relay, server: &Server, findings: &mut Findings<'_>) -> bool {
    let kind = RelayKind::Smtp { server: server.clone(), login: None };
    let smtp = match SmtpRelay::connect(&Relay { kind, ..relay.clone() }).await {
        Ok(smtp) => smtp,
        Err(error) => {
            server::failed(&error, findings);
            return false;
        }
    };
    greeted(relay, server, &smtp.hello(), findings);
    smtp.quit().await;
    true
}

/// What a server says about itself.
pub(super) fn greeted(relay: &Relay, server: &Server, hello: &Hello, findings: &mut Findings<'_>) {
    if let Some(shown) = hello.shown.as_ref().filter(|_| server.tls == Tls::StartTls) {
        server::told(server, shown, findings);
    }
    let logins = match hello.logins.is_empty() {
        true => "no login".to_owned(),
        false => clean::short(&hello.logins.join(" "), 200),
    };
    let largest = hello.largest.map(|bytes| format!(", messages up to {} MB", bytes / 1_000_000)).unwrap_or_default();
    findings.well("greeting", format!("{}: offers {logins}{largest}", way_of(&relay.kind)));
}

/// The user's own address on a relay.
pub(super) fn own_address<'c>(relay: &'c Relay, config: &'c Config) -> Option<&'c str> {
    relay.from.as_deref().or_else(|| config.settings.me.first().map(String::as_str))
}

/// From the user's own address, and from nobody, as answers go out.
async fn envelope(relay: &Relay, config: &Config, to: Option<&str>, smtp: &mut SmtpRelay, findings: &mut Findings<'_>) {
    let Some(own) = own_address(relay, config) else {
        let next = "give the relay `from`, or the config `me`";
        return findings.warning("sender", "nobody says which address is yours, so nothing was asked", next);
    };
    let to = to.unwrap_or(own);
    match smtp.would_take(own, Some(to)).await {
        Ok(()) => findings.well("sender", format!("{} may send, to {}", clean::short(own, 80), clean::short(to, 80))),
        Err(error) => {
            let next = "many relays let an account send from its own address alone: `from` of the relay names it";
            return findings.error("sender", &error, next);
        }
    }
    if relay.null_sender
        && let Err(error) = smtp.would_take("", Some(to)).await
    {
        let next = "answers then go out from your own address, by themselves; `null_sender: own` saves the attempt";
        findings.warning_of("null sender", &error, next);
    }
}

async fn socket(relay: &Relay, path: &Path, findings: &mut Findings<'_>) {
    match SmtpRelay::connect(relay).await {
        Ok(smtp) => {
            findings.well("greeting", format!("LMTP at {}", path.display()));
            smtp.quit().await;
        }
        Err(error) => findings.error("greeting", &error, "is the server running that listens there?"),
    }
}

fn program_is_there(run: &[String], findings: &mut Findings<'_>) {
    let name = run.first().map_or("", String::as_str);
    match program::is_there(name) {
        true => findings.well("program", clean::short(name, 200)),
        false => {
            let says = format!("{} is not there, or may not be started", clean::short(name, 200));
            findings.failed("program", says, "install a mail server, or use a relay with `smtp`");
        }
    }
}
