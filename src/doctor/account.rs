//! Examines an account: why its mail does not come.

use std::path::Path;
use std::sync::Arc;

use super::finding::Findings;
use super::{recognise, server};
use crate::clean;
use crate::config::{Account, Needs, Protocol, Retention};
use crate::error::{Error, Kind, Result};
use crate::net::oauth;
use crate::net::sasl::MechanismChoice;
use crate::providers::MailProtocol;
use crate::source::{Details, Listing, Offers, Source, Spool};
use crate::state::{RealDisk, Stamp};

/// How many folders are opened.
const MOST_FOLDERS: usize = 50;

const MAY_PASS: &str = "it may be temporary; `mailsluice status` shows when the next attempt is";

pub(super) async fn examine(account: &Account, state: &Path, findings: &mut Findings<'_>) {
    if !secret(account, findings).await || !server::reach(&account.server, findings).await {
        return;
    }
    if !server::shake_hands(&account.server, findings).await || !greeting(account, findings).await {
        return;
    }
    let mut source = match log_in(account, state).await {
        Ok(source) => source,
        Err(error) => {
            let mail = if account.protocol == Protocol::Imap { MailProtocol::Imap } else { MailProtocol::Pop3 };
            let form = recognise::advice_on_user_name(&account.server.host, &account.user, mail);
            return findings.login_error(&error, form, MAY_PASS);
        }
    };
    findings.well("login", format!("as {}", clean::short(&account.user, 80)));
    if let Err(error) = mailbox(account, &mut source, findings).await {
        findings.error("folders", &error, MAY_PASS);
    }
    // The session settled nothing, so its result does not matter.
    source.close().await.ok();
}

/// Logs in for a look. Nothing is fetched.
pub(super) async fn log_in(account: &Account, state: &Path) -> Result<Source> {
    let spool = Spool::new(Arc::new(RealDisk), state.join("spool"), Stamp::default());
    Source::connect(account, &account.name, spool).await
}

/// Checks that the password or token can be obtained. Neither it nor its length is shown.
async fn secret(account: &Account, findings: &mut Findings<'_>) -> bool {
    if account.auth.is_some_and(|auth| auth.needs() == Needs::Certificate) {
        return true;
    }
    let (name, is_well) = (if account.token { "token" } else { "password" }, oauth::secret(&account.password).await);
    match is_well {
        Ok(_) => findings.well(name, account.password.place()),
        Err(error) => findings.error(name, &error, ""),
    }
    findings.is_well()
}

/// Checks what the server offers before the login.
async fn greeting(account: &Account, findings: &mut Findings<'_>) -> bool {
    match Offers::of(account.protocol, &account.server).await {
        Ok(offers) => {
            if let Some(shown) = offers.shown.as_ref().filter(|_| account.server.tls == crate::config::Tls::StartTls) {
                server::report_tls(&account.server, shown, findings);
            }
            report_offers(account.protocol, &offers, findings);
            findings.well("mechanisms", login_methods(account, &offers));
            true
        }
        Err(error) => {
            server::failed(&error, findings);
            false
        }
    }
}

pub(super) fn report_offers(protocol: Protocol, offers: &Offers, findings: &mut Findings<'_>) {
    let name = if protocol == Protocol::Imap { "IMAP" } else { "POP3" };
    let listed = match offers.capabilities.is_empty() {
        true => "it does not announce its capabilities".to_owned(),
        false => clean::short(&offers.capabilities.join(" "), 600),
    };
    findings.well("greeting", format!("{name}: {listed}"));
}

/// The login methods that would be used with this server.
fn login_methods(account: &Account, offers: &Offers) -> String {
    let is_private = offers.shown.is_some() || account.server.is_loopback();
    let choice = MechanismChoice {
        only: account.auth,
        token: account.token,
        is_private,
        exported: offers.can_bind.then_some([0; 32]),
    };
    let offered = choice.among(|name| offers.offers_login(name));
    let names: Vec<&str> = offered.mechanisms.iter().map(|mechanism| mechanism.name()).collect();
    match names.is_empty() {
        true if choice.has_login_command() => "user name and password".to_owned(),
        true => choice.missing(),
        false => names.join(", then "),
    }
}

/// Checks the folders, the rights in the first of them, and one header.
async fn mailbox(account: &Account, source: &mut Source, findings: &mut Findings<'_>) -> Result<()> {
    let chosen = source.folders().await?;
    for error in &chosen.errors {
        findings.error("folders", error, "use the folder names of the server, with `/` between the levels");
    }
    if chosen.folders.is_empty() {
        findings.failed("folders", "none of the folders in `folders` exists", "`folders: all` fetches all folders");
        return Ok(());
    }
    let mut first = None;
    // All are opened, because a missing folder makes every fetch fail.
    for folder in chosen.folders.iter().take(MOST_FOLDERS) {
        match source.open(folder).await {
            Ok(listing) if first.is_none() => first = Some((folder, listing)),
            Ok(_) => {}
            Err(error) if error.kind() == Kind::Refused => {
                findings.error("folders", &error, "is that its name on the server? `folders: all` fetches all folders");
            }
            Err(error) => return Err(error),
        }
    }
    let Some((folder, listing)) = first else { return Ok(()) };
    let shown = clean::short(folder, 60);
    let others = chosen.folders.len() - 1;
    let others = if others > 0 { format!(", and {others} more folders") } else { String::new() };
    findings.well("folders", format!("{shown} with {} messages{others}", listing.ids.len()));
    if let Some(odd) = listing.odd.as_ref().filter(|_| account.retention != Retention::Keep) {
        findings.warning(
            "rights",
            format!("nothing is deleted or moved in {shown}: {odd}"),
            "`retention: keep` needs no such rights",
        );
    }
    if chosen.folders.len() > 1 {
        source.open(folder).await?;
    }
    header(source, &listing, findings).await
}

/// Reads the header of the newest message: some servers list messages that they cannot send.
async fn header(source: &mut Source, listing: &Listing, findings: &mut Findings<'_>) -> Result<()> {
    let Some(newest) = listing.ids.last() else { return Ok(()) };
    let described = source.describe(std::slice::from_ref(newest), Details { date: true, head: true }).await?;
    match described.first() {
        Some(listed) => findings.well("a message", format!("the newest can be read ({} bytes)", listed.size())),
        None => {
            let error = Error::transient(Kind::Refused, "the server lists a message but sends nothing for it");
            findings.warning_of(
                "a message",
                &error,
                "each fetch tries it again, and you are told if it does not change",
            );
        }
    }
    Ok(())
}
