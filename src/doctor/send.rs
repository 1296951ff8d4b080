//! `--send`: sends a real message to oneself, and waits for it.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::account::log_in;
use super::finding::Findings;
use super::relay::own_address;
use crate::clean;
use crate::config::{Account, Config, Protocol, Relay, RelayKind, Select};
use crate::error::Result;
use crate::message::{Bytes, Message};
use crate::outbox::relay::{Mail, RecipientVerdict, RelayTrouble};
use crate::outbox::smtp::SmtpRelay;

/// How long a message may take to arrive.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(60);
/// The time between two searches.
const ARRIVAL_POLL: Duration = Duration::from_secs(3);
/// How many of the newest messages are searched.
const NEWEST_MESSAGES: usize = 50;

/// Sends a message from the user's own address to itself, and searches the inboxes of the accounts for it. It stays there, and is
/// fetched by the next pass.
pub(super) async fn send(relay: &Relay, config: &Config, accounts: &[&Account], findings: &mut Findings<'_>) {
    let (RelayKind::Smtp { .. }, Some(own)) = (&relay.kind, own_address(relay, config)) else { return };
    let id = format!("doctor.{}.{}@mailsluice.invalid", Timestamp::now().as_nanosecond(), std::process::id());
    if let Err(error) = sent(relay, own, &id).await {
        return findings.error("a test", &error, "the relay's answer is above");
    }
    findings.well("a test", format!("was sent to {}", clean::short(own, 80)));
    let until = Instant::now() + ARRIVAL_TIMEOUT;
    let mut last = None;
    loop {
        for account in accounts.iter().filter(|account| account.protocol == Protocol::Imap) {
            match has_arrived(account, &config.state, &id).await {
                Ok(true) => return findings.well("a test", format!("has arrived in {}", account.name)),
                Ok(false) => {}
                Err(error) => last = Some(error),
            }
        }
        if Instant::now() >= until || accounts.iter().all(|account| account.protocol == Protocol::Pop3) {
            break;
        }
        tokio::time::sleep(ARRIVAL_POLL).await;
    }
    match last {
        Some(error) => findings.warning_of("a test", &error, "it was sent, but could not be searched for"),
        None => findings.warning(
            "a test",
            format!("was sent, but is in no inbox after {} s", ARRIVAL_TIMEOUT.as_secs()),
            "it may be late, or in the spam folder; over POP3 the next `mailsluice fetch` shows it",
        ),
    }
}

async fn sent(relay: &Relay, own: &str, id: &str) -> Result<()> {
    let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000");
    let text = format!(
        "From: <{own}>\nTo: <{own}>\nSubject: mailsluice doctor: a test\nDate: {date}\nMessage-ID: <{id}>\nAuto-Submitted: \
         auto-generated\n\nThis was sent by `mailsluice doctor --send`, to see whether it arrives.\n"
    );
    let message = Message::new(Bytes::Memory(text.into_bytes()));
    let to = [own.to_owned()];
    let mut smtp = SmtpRelay::connect(relay).await?;
    let outcome = smtp.send(&Mail { from: own, to: &to, message: &message, no_reports: true }).await;
    smtp.quit().await;
    match outcome {
        Ok(verdicts) => verdicts.into_iter().try_for_each(|verdict| match verdict {
            RecipientVerdict::Sent(_) => Ok(()),
            RecipientVerdict::Later(error) | RecipientVerdict::Never(error) => Err(error),
        }),
        Err(RelayTrouble::Relay(error) | RelayTrouble::Sender(error) | RelayTrouble::Unknown(error)) => Err(error),
        Err(RelayTrouble::Mail(RecipientVerdict::Later(error) | RecipientVerdict::Never(error))) => Err(error),
        Err(RelayTrouble::Mail(RecipientVerdict::Sent(_))) => Ok(()),
    }
}

/// Whether the message is among the newest of the inbox.
async fn has_arrived(account: &Account, state: &Path, id: &str) -> Result<bool> {
    let mut source = log_in(account, state).await?;
    let listing = source.open("INBOX").await?;
    let newest = listing.ids[listing.ids.len().saturating_sub(NEWEST_MESSAGES)..].to_vec();
    let select = Select { search: Some(format!("HEADER Message-ID \"{id}\"")), ..Select::default() };
    let found = source.search(newest, &select, Timestamp::now()).await;
    source.close().await.ok();
    Ok(!found?.is_empty())
}
