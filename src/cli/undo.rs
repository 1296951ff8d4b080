//! `undo`: what a rule filed, changed or discarded comes back.

use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::json;

use super::fetch;
use super::output::Output;
use super::setup::Setup;
use crate::clean;
use crate::config::template::FolderName;
use crate::error::{Error, Kind, Result};
use crate::message::REFILTERED;
use crate::pass::World;
use crate::state::JournalEntry;
use crate::upkeep::{Undoing, Undone};

/// More in one range are rather a typing error.
const MOST_IN_RANGE: usize = 10_000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The numbers that `log` shows, each alone or as a range: 7 40-42
    #[arg(required_unless_present = "run", value_name = "NUMBER", value_parser = numbers)]
    ids: Vec<RangeInclusive<i64>>,
    /// Everything that a run of `refilter` or `maintain` did, the newest first; `log` shows the numbers of runs
    #[arg(long, value_name = "RUN", conflicts_with = "ids")]
    run: Option<u64>,
}

/// A number, or the first and the last of several.
fn numbers(text: &str) -> Result<RangeInclusive<i64>> {
    let wrong = |what: String| Error::permanent(Kind::Usage, what);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        let number = text.trim().parse::<u32>().map(i64::from);
        number.map_err(|_| wrong("write a number of the log, like 40, or a range, like 40-42".to_owned()))
    };
    let range = number(first)?..=number(last)?;
    match range.clone().count() {
        0 => Err(wrong("the first number of a range is the smaller one".to_owned())),
        1..=MOST_IN_RANGE => Ok(range),
        _ => Err(wrong(format!("a range has at most {MOST_IN_RANGE} numbers"))),
    }
}

/// One that cannot be done stops none of the others.
pub(super) fn run(config: &Path, arguments: &Arguments, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let world = World::open(&setup.config)?;
    let home = |entry: &JournalEntry| home_of(entry, &setup);
    let mut undoing = Undoing::begin(&world, &home)?;
    let ids = match arguments.run {
        Some(run) => undoing.of_run(run)?,
        // The newest of a range first: it may have built on what came before.
        None => arguments.ids.iter().flat_map(|range| range.clone().rev()).collect(),
    };
    if ids.is_empty() && !output.json {
        output.talk("everything of that run was brought back already");
    }
    undoing.remarks().iter().for_each(|remark| note(remark, output));
    let mut code = 0;
    for id in ids {
        match undoing.undo(id) {
            Ok(undone) => {
                show(id, &undone, output);
                code = fetch::worse(code, if undone.is_left { 75 } else { 0 });
            }
            Err(error) => {
                show_error(id, &error, output);
                code = fetch::worse(code, error.exit_code());
            }
        }
    }
    Ok(code)
}

fn show(id: i64, undone: &Undone, output: &Output) {
    if output.json {
        output.json(json!({"id": id, "folder": undone.folder, "subject": undone.subject, "remarks": undone.remarks}));
        return;
    }
    output.data(format_args!("{id} is in {} again: {}", undone.folder, clean::short(&undone.subject, 80)));
    undone.remarks.iter().for_each(|remark| output.talk(format_args!("{id}: {remark}")));
}

fn note(remark: &str, output: &Output) {
    match output.json {
        true => output.json(json!({"remark": remark})),
        false => output.talk(remark),
    }
}

fn show_error(id: i64, error: &Error, output: &Output) {
    match output.json {
        true => output.json(json!({"id": id, "error": error.to_string(), "transient": error.is_transient()})),
        false => output.talk(format_args!("{id}: {error}")),
    }
}

/// Where the message would be without rules: for refiltered mail the folder it was in, else what the account's `into`
/// says.
fn home_of(entry: &JournalEntry, setup: &Setup) -> FolderName {
    let (account, folder) = (&entry.row.account, FolderName::parse_safe(&entry.row.folder, Some('/')));
    if account == REFILTERED {
        return folder;
    }
    let found = setup.config.accounts.iter().find(|known| known.name == *account);
    found.map_or_else(FolderName::inbox, |known| known.into.expand_into(account, &folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_alone_or_as_a_range() {
        assert_eq!(numbers("40").ok(), Some(40..=40));
        assert_eq!(numbers("40-42").ok(), Some(40..=42));
        for wrong in ["", "a", "-3", "40-", "42-40", "1-4000000000", "1-2-3"] {
            assert!(numbers(wrong).is_err(), "{wrong}");
        }
    }
}
