//! Examines a relay: why mail does not go.

use std::path::Path;

use super::finding::Findings;
use super::{recognise, server, way_of};
use crate::clean;
use crate::config::{Config, LmtpPlace, Login, Needs, Relay, RelayKind, Server, Tls};
use crate::net::oauth;
use crate::outbox::smtp::{Hello, SmtpRelay};
use crate::program;
use crate::providers::MailProtocol;

const MAY_PASS: &str = "it may be temporary; the outbox tries again, and `mailsluice queue` shows what is waiting";

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
                    recognise::advice_on_user_name(&server.host, &login.user, MailProtocol::Smtp)
                }
                _ => None,
            };
            return findings.login_error(&error, form, MAY_PASS);
        }
    };
    match &relay.kind {
        RelayKind::Smtp { login: Some(login), .. } => {
            findings.well("login", format!("as {}", clean::short(&login.user, 80)))
        }
        _ => findings.well("login", "none is configured"),
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

/// Checks the server without a login.
async fn hello(relay: &Relay, server: &Server, findings: &mut Findings<'_>) -> bool {
    let kind = RelayKind::Smtp { server: server.clone(), login: None };
    let smtp = match SmtpRelay::connect(&Relay { kind, ..relay.clone() }).await {
        Ok(smtp) => smtp,
        Err(error) => {
            server::failed(&error, findings);
            return false;
        }
    };
    report_hello(relay, server, &smtp.hello(), findings);
    smtp.quit().await;
    true
}

/// Reports what the server announces.
pub(super) fn report_hello(relay: &Relay, server: &Server, hello: &Hello, findings: &mut Findings<'_>) {
    if let Some(shown) = hello.shown.as_ref().filter(|_| server.tls == Tls::StartTls) {
        server::report_tls(server, shown, findings);
    }
    let logins = match hello.logins.is_empty() {
        true => "no login".to_owned(),
        false => clean::short(&hello.logins.join(" "), 200),
    };
    let largest = hello.largest.map(|bytes| format!(", messages up to {} MB", bytes / 1_000_000)).unwrap_or_default();
    findings.well("greeting", format!("{}: offers {logins}{largest}", way_of(&relay.kind)));
}

/// The address that mail from this relay is sent from.
pub(super) fn own_address<'c>(relay: &'c Relay, config: &'c Config) -> Option<&'c str> {
    relay.from.as_deref().or_else(|| config.settings.me.first().map(String::as_str))
}

/// Checks sending from the user's own address, and from the null sender, which answers use.
async fn envelope(relay: &Relay, config: &Config, to: Option<&str>, smtp: &mut SmtpRelay, findings: &mut Findings<'_>) {
    let Some(own) = own_address(relay, config) else {
        let next = "set `from` at the relay, or `me` in the config";
        return findings.warning(
            "sender",
            "the config does not say which address is yours, so this was not checked",
            next,
        );
    };
    let to = to.unwrap_or(own);
    match smtp.would_take(own, Some(to)).await {
        Ok(()) => findings.well("sender", format!("{} may send, to {}", clean::short(own, 80), clean::short(to, 80))),
        Err(error) => {
            let next = "many relays let an account send only from its own address: set it as `from` of the relay";
            return findings.error("sender", &error, next);
        }
    }
    if relay.null_sender
        && let Err(error) = smtp.would_take("", Some(to)).await
    {
        let next = "answers are then sent from your own address automatically; `null_sender: own` saves the attempt";
        findings.warning_of("null sender", &error, next);
    }
}

async fn socket(relay: &Relay, path: &Path, findings: &mut Findings<'_>) {
    match SmtpRelay::connect(relay).await {
        Ok(smtp) => {
            findings.well("greeting", format!("LMTP at {}", path.display()));
            smtp.quit().await;
        }
        Err(error) => findings.error("greeting", &error, "is the server that listens there running?"),
    }
}

fn program_is_there(run: &[String], findings: &mut Findings<'_>) {
    let name = run.first().map_or("", String::as_str);
    match program::is_there(name) {
        true => findings.well("program", clean::short(name, 200)),
        false => {
            let says = format!("{} does not exist, or may not be executed", clean::short(name, 200));
            findings.failed("program", says, "install a mail server, or use a relay with `smtp`");
        }
    }
}
