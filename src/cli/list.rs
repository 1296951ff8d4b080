//! `list`: what is in a list, and changing one that is in the database.

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::output::Output;
use super::setup::Setup;
use crate::clean;
use crate::config::entries::ListedEntry;
use crate::config::lists::{ConfigList, ListKind};
use crate::config::{FilterSource, Settings};
use crate::decision::Write;
use crate::error::{Error, Kind, Result};
use crate::filter::{Facts, KnownList};
use crate::pass::{World, facts_of};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The name of the list, as the config or a rule file has it
    name: String,
    #[command(subcommand)]
    what: Option<ListOrder>,
}

#[derive(Debug, Subcommand)]
enum ListOrder {
    /// Print the entries, one a line (the default)
    Show,
    /// Put entries into a list of the database
    Add {
        /// The entries
        #[arg(required = true)]
        entries: Vec<String>,
        /// What stands beside each of them, for `${list.value}`
        #[arg(long)]
        value: Option<String>,
    },
    /// Take entries out of a list of the database
    Remove {
        /// The entries
        #[arg(required = true)]
        entries: Vec<String>,
    },
}

pub(super) fn run(config: &Path, arguments: &Arguments, allow_root: bool, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let own = setup.config.accounts.iter().filter_map(|account| account.filters.as_ref());
    let sources = own.chain([&setup.config.filters]).flatten();
    let list = find(&arguments.name, &setup.config.settings, sources)?;
    match &arguments.what {
        None | Some(ListOrder::Show) => show(&setup, &list, allow_root, output),
        Some(ListOrder::Add { entries, value }) => {
            let ListKind::Database(keep_for) = list.kind else { return Err(not_here(&list)) };
            let world = World::open(&setup.config)?;
            let until = keep_for.and_then(|keep_for| world.now().checked_add(keep_for).ok());
            let add = |entry| Write::List { list: list.name.clone(), entry, value: value.clone(), until };
            change(&world, entries, add, output)
        }
        Some(ListOrder::Remove { entries }) => {
            let ListKind::Database(_) = list.kind else { return Err(not_here(&list)) };
            let world = World::open(&setup.config)?;
            change(&world, entries, |entry| Write::Unlist { list: list.name.clone(), entry }, output)
        }
    }
}

/// The list of that name in the config, or in a rule file that it names.
fn find<'c>(name: &str, settings: &Settings, sources: impl Iterator<Item = &'c FilterSource>) -> Result<ConfigList> {
    let of_source = |source: &'c FilterSource| match source {
        FilterSource::Yaml(file) => file.lists.iter(),
        FilterSource::Lua(script) => script.lists.iter(),
    };
    let known: Vec<ConfigList> = settings.lists.iter().cloned().chain(sources.flat_map(of_source).cloned()).collect();
    if let Some(list) = known.iter().find(|list| list.name == name) {
        return Ok(list.clone());
    }
    let names: Vec<&str> = known.iter().map(|list| list.name.as_str()).collect();
    let there =
        if names.is_empty() { "the config has none".to_owned() } else { format!("there is: {}", names.join(", ")) };
    Err(Error::permanent(Kind::Usage, format!("there is no list {}; {there}", clean::short(name, 60))))
}

fn not_here(list: &ConfigList) -> Error {
    let text = format!("the list {} is not in the database: change it where it is written", list.name);
    Error::permanent(Kind::Usage, text)
}

fn change(world: &World, entries: &[String], write: impl Fn(String) -> Write, output: &Output) -> Result<u8> {
    let entries: Vec<String> = entries.iter().map(|entry| entry.trim().to_lowercase()).collect();
    if entries.iter().any(|entry| entry.is_empty() || entry.contains(['\n', '\r', '\0'])) {
        return Err(Error::permanent(Kind::Usage, "an entry is a text of one line"));
    }
    let count = entries.len();
    let writes: Vec<Write> = entries.into_iter().map(write).collect();
    world.store.change_lists(&writes, world.now())?;
    output.talk(format_args!("{count} {}", if count == 1 { "entry" } else { "entries" }));
    Ok(0)
}

fn show(setup: &Setup, list: &ConfigList, allow_root: bool, output: &Output) -> Result<u8> {
    let origin = match &list.kind {
        ListKind::Inline(entries) => return print(entries.iter(), output),
        ListKind::Database(_) => {
            let world = World::look(&setup.config)?;
            return print(world.store.list_entries(&list.name, world.now())?.iter(), output);
        }
        ListKind::File(origin, _) | ListKind::Command(origin) => origin,
    };
    let world = World { allow_root, ..World::look(&setup.config)? };
    match facts_of(&world).list(origin) {
        KnownList::Entries(entries) => print(entries.iter(), output),
        KnownList::NotAsked => Ok(0),
        KnownList::Failed(cause) => Err(Error::permanent(Kind::Config, format!("the list {}: {cause}", list.name))),
    }
}

fn print<'e>(entries: impl Iterator<Item = &'e ListedEntry>, output: &Output) -> Result<u8> {
    for ListedEntry { text, value } in entries {
        match value {
            _ if output.json => output.json(json!({"entry": text, "value": value})),
            Some(value) => {
                output.data(format_args!("{} -> {}", clean::line(text.as_bytes()), clean::line(value.as_bytes())))
            }
            None => output.data(clean::line(text.as_bytes())),
        }
    }
    Ok(0)
}
