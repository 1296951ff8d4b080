//! `doctor`: why mail does not come, and why it does not go. It walks the way that a message would take, one step after the
//! other, and says of each what it saw. The first step that fails is the cause; what comes after it is not tried.
//!
//! Nothing is fetched, filed or changed, nothing is sent unless `--send` asks for it, and a login that is refused is not tried again.

mod account;
mod finding;
mod machine;
mod recognise;
mod relay;
mod send;
mod server;
mod stranger;

pub use finding::{Finding, Verdict};
pub use machine::machine;
pub use stranger::{Stranger, examine_stranger};

use crate::config::{Account, Config, RelayKind};
use finding::Findings;

/// What is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Only the account and the relay of that name; `None`: all.
    pub only: Option<&'a str>,
    /// Whom a relay is asked about, without anything being sent; `None`: the user's own address.
    pub to: Option<&'a str>,
    /// Whether a message is sent to oneself, and looked for.
    pub send: bool,
}

/// Examines accounts and relays, and tells each finding when it is found.
pub async fn examine(config: &Config, question: Question<'_>, tell: &mut dyn FnMut(&Finding)) {
    let wanted = |name: &str| question.only.is_none_or(|only| only == name);
    let (mut comes, mut goes) = (Vec::new(), Vec::new());
    for account in config.accounts.iter().filter(|account| wanted(&account.name)) {
        let mut findings = Findings::about(&account.name, tell);
        account::examine(account, &config.state, &mut findings).await;
        comes.push(findings.is_well());
    }
    for relay in config.relays.iter().filter(|relay| wanted(&relay.name)) {
        let mut findings = Findings::about(&relay.name, tell);
        relay::examine(relay, config, question.to, &mut findings).await;
        if question.send && findings.is_well() {
            let accounts: Vec<&Account> = config.accounts.iter().collect();
            send::send(relay, config, &accounts, &mut findings).await;
        }
        goes.push(findings.is_well());
    }
    if question.only.is_none() {
        recognise::the_whole(&comes, &goes, &mut Findings::about("", tell));
    }
}

/// Whether that is an account or a relay of the config.
pub fn knows(config: &Config, name: &str) -> bool {
    config.accounts.iter().any(|account| account.name == name) || config.relays.iter().any(|relay| relay.name == name)
}

/// How a relay is called in a sentence.
fn way_of(kind: &RelayKind) -> &'static str {
    match kind {
        RelayKind::Smtp { .. } => "SMTP",
        RelayKind::Lmtp(_) => "LMTP",
        RelayKind::Sendmail(_) => "a program",
    }
}
