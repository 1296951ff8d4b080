//! `check`: every problem in the config and the rules, at once, what they name and is not there, and what servers did not do in the last pass.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::output::{self, Output, count};
use super::outside;
use super::setup::{Setup, drop_repeated};
use crate::clean;
use crate::config::problem::Severity;
use crate::config::{Account, Config, RelayKind, Server};
use crate::error::Result;
use crate::net::oauth::{self, SignInStanding};
use crate::pass::World;
use crate::state;

/// EX_CONFIG.
const EX_CONFIG: u8 = 78;

pub(super) fn run(config: &Path, output: &Output) -> Result<u8> {
    let (setup, mut problems) = match Setup::try_out(config) {
        Ok((setup, warnings)) => (Some(setup), warnings),
        Err(problems) => (None, problems),
    };
    problems.extend(setup.iter().flat_map(outside::warnings));
    drop_repeated(&mut problems);
    output.problems(&problems, true);
    let wrong = problems.iter().any(|p| p.severity == Severity::Error);
    let not_done = setup.as_ref().map_or_else(Vec::new, |setup| not_done(&setup.config));
    for (account, it) in &not_done {
        match output.json {
            true => output.json(json!({"account": account, "not_done": it.text, "since": it.since.to_string()})),
            false => output.data(format_args!("{account}: {} (not done since {})", it.text, day(it.since))),
        }
    }
    if !wrong && !output.quiet {
        setup.iter().flat_map(|setup| by_address(&setup.config)).for_each(|of| show(&of, output));
    }
    let mut seen = Vec::new();
    for it in setup.iter().flat_map(|setup| setup.config.sign_ins()) {
        // Account and relay may share it.
        if seen.contains(&it.key()) {
            continue;
        }
        seen.push(it.key());
        let text = match oauth::standing(it) {
            SignInStanding::Nobody => {
                format!("nobody has signed in at {} yet: `mailsluice login {}`", it.title(), it.name)
            }
            SignInStanding::Over { why, .. } => why,
            // That is a warning of the config.
            SignInStanding::NoClient | SignInStanding::SignedIn { .. } => continue,
        };
        match output.json {
            true => output.json(json!({"account": it.name, "sign_in": text})),
            false => output.data(format_args!("{}: {text}", it.name)),
        }
    }
    for it in setup.iter().flat_map(|setup| oauth::unused(&setup.config).unwrap_or_default()) {
        let (name, user) = (clean::short(&it.name, 80), clean::short(&it.user, 80));
        let text = format!(
            "{} still holds a sign-in as {user} that nothing in the config uses: `mailsluice logout {name}` revokes it",
            it.title
        );
        match output.json {
            true => output.json(json!({"account": name, "unused_sign_in": text})),
            false => output.data(format_args!("{name}: {text}")),
        }
    }
    if !output.json && !output.quiet {
        match &setup {
            Some(_) if problems.is_empty() && !not_done.is_empty() => {
                output.talk("\nthe config is in order; what stands above is not done on the servers");
            }
            Some(setup) if problems.is_empty() => {
                let accounts = output::of(setup.config.accounts.len(), "account");
                let rules = output::of(setup.rules.len(), "rule");
                output.talk(format_args!("{}: in order ({accounts}, {rules})", config.display()));
            }
            _ => output.talk(format_args!("\n{}", count(&problems))),
        }
    }
    Ok(if wrong { EX_CONFIG } else { 0 })
}

/// What follows from the `address` of an account.
struct ByAddress<'c> {
    account: &'c Account,
    /// The relay that it brings along.
    relay: Option<(&'c Server, &'c str)>,
}

fn by_address(config: &Config) -> Vec<ByAddress<'_>> {
    let relay_of = |account: &Account| {
        let relay = config.relays.iter().find(|relay| relay.is_brought && relay.name == account.name)?;
        match &relay.kind {
            RelayKind::Smtp { server, login: Some(login) } => Some((server, login.user.as_str())),
            _ => None,
        }
    };
    let accounts = config.accounts.iter().filter(|account| account.address.is_some());
    accounts.map(|account| ByAddress { account, relay: relay_of(account) }).collect()
}

fn show(of: &ByAddress<'_>, output: &Output) {
    let ByAddress { account, relay } = of;
    let protocol = account.protocol.key();
    if output.json {
        let server = |server: &Server, user: &str| json!({"host": server.host, "port": server.port, "user": user});
        let relay = relay.map(|(smtp, user)| server(smtp, user));
        let mut shown = json!({"account": account.name, "address": account.address, "smtp": relay});
        shown[protocol] = server(&account.server, &account.user);
        return output.data(shown);
    }
    let place =
        |server: &Server, user: &str| format!("{} port {} as {}", server.host, server.port, clean::short(user, 80));
    let out = relay.map_or_else(String::new, |(smtp, user)| format!(", and out by {}", place(smtp, user)));
    output.talk(format_args!("{}: {protocol} at {}{out}", account.name, place(&account.server, &account.user)));
}

/// What is noted of the accounts of the config. A state that cannot be opened is no matter of the config.
fn not_done(config: &Config) -> Vec<(String, state::Standing)> {
    let found = World::look(config).and_then(|world| Ok((world.store.standing()?, world.store.accounts()?)));
    let Ok((standing, accounts)) = found else { return Vec::new() };
    let of_account = |it: state::Standing| {
        let label = accounts.iter().find(|account| account.space == it.space).map(|account| account.label.clone())?;
        config.accounts.iter().any(|account| account.name == label).then_some((label, it))
    };
    standing.into_iter().filter_map(of_account).collect()
}

fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d").to_string()
}
