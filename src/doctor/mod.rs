//! `doctor`: finds out why mail does not come or does not go. It follows the way of a message step by step, and reports
//! each step. The first step that fails is the cause; later steps are not tried.
//!
//! Nothing is fetched, filed or changed, and nothing is sent without `--send`. A refused login is not repeated.

mod account;
mod finding;
mod machine;
mod recognise;
mod relay;
mod send;
mod server;
mod stranger;

pub use finding::{Finding, FindingVerdict};
pub use machine::machine;
pub use stranger::{Stranger, examine_stranger};

use crate::config::{Account, Config, RelayKind};
use finding::Findings;

/// What to examine.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Only the account and the relay with this name; `None`: all.
    pub only: Option<&'a str>,
    /// The recipient that relays are asked about, without sending anything; `None`: the user's own address.
    pub to: Option<&'a str>,
    /// Whether to send a message to oneself and wait for it.
    pub send: bool,
}

/// Examines accounts and relays, and reports each finding as it is made.
pub async fn examine(config: &Config, question: Question<'_>, tell: &mut dyn FnMut(&Finding)) {
    let wanted = |name: &str| question.only.is_none_or(|only| only == name);
    let (mut accounts_well, mut relays_well) = (Vec::new(), Vec::new());
    for account in config.accounts.iter().filter(|account| wanted(&account.name)) {
        let mut findings = Findings::about(&account.name, tell);
        account::examine(account, &config.state, &mut findings).await;
        accounts_well.push(findings.is_well());
    }
    for relay in config.relays.iter().filter(|relay| wanted(&relay.name)) {
        let mut findings = Findings::about(&relay.name, tell);
        relay::examine(relay, config, question.to, &mut findings).await;
        if question.send && findings.is_well() {
            let accounts: Vec<&Account> = config.accounts.iter().collect();
            send::send(relay, config, &accounts, &mut findings).await;
        }
        relays_well.push(findings.is_well());
    }
    if question.only.is_none() {
        recognise::summary(&accounts_well, &relays_well, &mut Findings::about("", tell));
    }
}

/// Whether the config has an account or a relay with this name.
pub fn knows(config: &Config, name: &str) -> bool {
    config.accounts.iter().any(|account| account.name == name) || config.relays.iter().any(|relay| relay.name == name)
}

/// The name of a kind of relay.
fn way_of(kind: &RelayKind) -> &'static str {
    match kind {
        RelayKind::Smtp { .. } => "SMTP",
        RelayKind::Lmtp(_) => "LMTP",
        RelayKind::Sendmail(_) => "a program",
    }
}
