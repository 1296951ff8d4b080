//! `poll`, `pause`, `resume`, `reload` and `events`: orders to the mailsluice that runs.

use std::path::{Path, PathBuf};

use serde_json::json;

use clap_complete::ArgValueCompleter;

use super::help::complete;
use super::output::Output;
use super::setup::{self, Setup};
use crate::clean;
use crate::config::Config;
use crate::daemon::order::{Answer, Order, give};
use crate::error::{Error, Kind, Result};
use crate::pass::World;

/// Accounts of the config; all where none is named.
#[derive(Debug, clap::Args)]
pub(super) struct Accounts {
    /// The names of accounts in the config; without any, all of them
    #[arg(add = ArgValueCompleter::new(complete::accounts))]
    accounts: Vec<String>,
}

pub(super) fn poll(config: &Path, named: &Accounts, output: &Output) -> Result<u8> {
    let state = state_for(config, &named.accounts)?;
    match give(&state, Order::Poll { accounts: named.accounts.clone() })? {
        Some(answers) => {
            let code = unknown_are_errors(answers)?;
            say(&named.accounts, "looked at now", output);
            Ok(code)
        }
        None => Err(nobody_runs("`mailsluice fetch` fetches once")),
    }
}

/// Works without a daemon, too: it holds for the next one, and for `fetch`.
pub(super) fn pause(config: &Path, named: &Accounts, pauses: bool, output: &Output) -> Result<u8> {
    let state = state_for(config, &named.accounts)?;
    let accounts = named.accounts.clone();
    let order = if pauses { Order::Pause { accounts } } else { Order::Resume { accounts } };
    let done = if pauses { "paused" } else { "resumed" };
    if let Some(answers) = give(&state, order)? {
        let code = unknown_are_errors(answers)?;
        say(&named.accounts, done, output);
        return Ok(code);
    }
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let world = World::open(&setup.config)?;
    if !pauses && !named.accounts.is_empty() && world.store.paused()?.iter().any(|(name, _)| name.is_empty()) {
        let text = "everything is paused; `mailsluice resume` without a name lets all accounts go on";
        return Err(Error::permanent(Kind::Usage, text));
    }
    let names = if named.accounts.is_empty() { vec![String::new()] } else { named.accounts.clone() };
    for name in names {
        if pauses { world.store.pause(&name, world.now())? } else { world.store.resume(&name)? }
    }
    say(&named.accounts, done, output);
    Ok(0)
}

fn say(accounts: &[String], done: &str, output: &Output) {
    if !output.quiet {
        let whom = if accounts.is_empty() { "all accounts".to_owned() } else { accounts.join(", ") };
        output.talk(format_args!("{done}: {whom}"));
    }
}

pub(super) fn reload(config: &Path, output: &Output) -> Result<u8> {
    let state = state_of(config)?;
    let Some(answers) = give(&state, Order::Reload)? else { return Err(nobody_runs("the next one reads it anyway")) };
    for answer in answers {
        let Answer::Reloaded(changes) = answer? else { continue };
        if output.json {
            output.json(json!(changes));
            continue;
        }
        changes.warnings.iter().for_each(|warning| output.warn(warning.trim_end()));
        output.talk(format_args!("the config was read again: {}", changes.in_words()));
    }
    Ok(0)
}

pub(super) fn events(config: &Path, output: &Output) -> Result<u8> {
    let state = state_of(config)?;
    let Some(answers) = give(&state, Order::Events)? else { return Err(nobody_runs("`mailsluice run` begins")) };
    for answer in answers {
        match answer? {
            Answer::Event(event) => output.data(event),
            Answer::Missed(count) => {
                output.talk(format_args!("{count} events were not told: they are read too slowly"))
            }
            _ => {}
        }
        if Output::is_cut() {
            break;
        }
    }
    Ok(0)
}

/// The state of a config that may be broken just now, which is what `reload` is for.
fn state_of(config: &Path) -> Result<PathBuf> {
    let state = Config::examine(config).state;
    state.ok_or_else(|| {
        Error::permanent(Kind::Config, "the config does not say where the state is; `mailsluice check` says why")
    })
}

/// The same, where the names are those of accounts in the config. One that is broken just now has none: the mailsluice that runs
/// works with the one before, and knows its accounts.
fn state_for(config: &Path, accounts: &[String]) -> Result<PathBuf> {
    let Ok((setup, _)) = Setup::check(config) else { return state_of(config) };
    match accounts.iter().find(|name| !setup.jobs.iter().any(|job| job.account.name == **name)) {
        Some(unknown) => Err(setup::unknown_account(unknown, &setup.jobs)),
        None => Ok(setup.config.state),
    }
}

fn unknown_are_errors(answers: impl Iterator<Item = Result<Answer>>) -> Result<u8> {
    for answer in answers {
        if let Answer::Unknown(name) = answer? {
            let text = format!(
                "the running mailsluice does not know `{}` yet; `mailsluice reload` says why",
                clean::short(&name, 60)
            );
            return Err(Error::permanent(Kind::Usage, text));
        }
    }
    Ok(0)
}

fn nobody_runs(help: &str) -> Error {
    Error::permanent(Kind::Usage, "no `mailsluice run` works with this state").helped_by(help)
}
