//! Completions of a shell. The shell asks the program itself, so they know the accounts, relays and filters of the user. The config is
//! read, and no server; a config that cannot be read completes nothing, and says nothing in the middle of a line.

use std::ffi::OsStr;

use clap::ValueEnum;
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;

use super::command;
use crate::cli::output::Output;
use crate::cli::setup;
use crate::config::Config;
use crate::config::library::SHIPPED;
use crate::deliver::Folders;
use crate::error::{Error, Kind, Result};
use crate::state::RealDisk;

/// The variable by which a shell asks.
const ASKED_BY: &str = "MAILSLUICE_COMPLETE";

/// The shells that can be helped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints what a shell reads to ask the program.
pub(in crate::cli) fn run(shell: Shell, output: &Output) -> Result<u8> {
    output.data(script(shell)?.trim_end());
    Ok(0)
}

/// The script that ties the program to a shell.
fn script(shell: Shell) -> Result<String> {
    use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
    let completer: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    completer
        .write_registration(ASKED_BY, "mailsluice", "mailsluice", "mailsluice", &mut script)
        .map_err(|e| Error::permanent(Kind::Usage, "writing the completions").because(e))?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// Answers a shell that asks, and ends the program; else does nothing.
pub(in crate::cli) fn answer() {
    CompleteEnv::with_factory(command).var(ASKED_BY).complete();
}

fn config() -> Option<Config> {
    let path = setup::config_path(None).ok()?;
    Config::load(&path).ok().map(|(config, _)| config)
}

fn candidates(names: impl Iterator<Item = String>, typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    names.filter(|name| name.starts_with(typed.as_ref())).map(CompletionCandidate::new).collect()
}

/// The accounts of the config.
pub(in crate::cli) fn accounts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = config().into_iter().flat_map(|config| config.accounts.into_iter().map(|account| account.name));
    candidates(names, typed)
}

/// The accounts and relays of the config.
pub(in crate::cli) fn accounts_and_relays(typed: &OsStr) -> Vec<CompletionCandidate> {
    let of = |config: Config| {
        let accounts: Vec<String> = config.accounts.into_iter().map(|account| account.name).collect();
        accounts.into_iter().chain(config.relays.into_iter().map(|relay| relay.name))
    };
    candidates(config().into_iter().flat_map(of), typed)
}

/// The accounts and relays that somebody signs in for.
pub(in crate::cli) fn sign_ins(typed: &OsStr) -> Vec<CompletionCandidate> {
    let of = |config: Config| config.sign_ins().map(|it| it.name.clone()).collect::<Vec<_>>();
    candidates(config().into_iter().flat_map(of), typed)
}

/// The filters that come with the program.
pub(in crate::cli) fn filters(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(SHIPPED.iter().map(|shipped| shipped.name.to_owned()), typed)
}

/// The folders of the mail root.
pub(in crate::cli) fn folders(typed: &OsStr) -> Vec<CompletionCandidate> {
    let of = |config: Config| Folders::new(config.maildir).all(&RealDisk).unwrap_or_default();
    candidates(config().into_iter().flat_map(of), typed)
}

/// The pages of `help`.
pub(in crate::cli) fn pages(typed: &OsStr) -> Vec<CompletionCandidate> {
    let commands: Vec<String> = command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    candidates(commands.into_iter().chain(super::TOPICS.iter().map(|topic| topic.name.to_owned())), typed)
}
