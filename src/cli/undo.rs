//! `undo`: what a rule filed or discarded comes back.

use std::path::Path;

use serde_json::json;

use super::output::Output;
use super::setup::Setup;
use crate::clean;
use crate::config::template::FolderName;
use crate::error::Result;
use crate::message::REFILTERED;
use crate::pass::{self, World};
use crate::state::JournalEntry;

pub(super) fn run(config: &Path, ids: &[i64], output: &Output) -> Result<u8> {
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let world = World::open(&setup.config)?;
    let home = |entry: &JournalEntry| home_of(entry, &setup);
    for id in ids {
        let undone = pass::undo(&world, *id, &home)?;
        if output.json {
            output
                .data(json!({"id": id, "folder": undone.folder, "subject": undone.subject, "remarks": undone.remarks}));
            continue;
        }
        output.data(format_args!("{id} is in {} again: {}", undone.folder, clean::short(&undone.subject, 80)));
        undone.remarks.iter().for_each(|remark| output.talk(format_args!("{id}: {remark}")));
    }
    Ok(0)
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
