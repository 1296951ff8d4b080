//! Salvage: files what was in the spool when the state was lost, in a folder of its own.
//!
//! Nothing shows any more which of these messages waited to be forwarded, were forwarded long ago, or were discarded.
//! So none of them is sent, and none goes to the inbox, where years of rubbish might bury new mail.

use std::sync::Arc;

use super::undelivered::filer;
use crate::clean;
use crate::config::template::FolderName;
use crate::decision::{Action, Decision, Filing, Place};
use crate::error::{Error, Result};
use crate::message::{Flags, Key, OUTBOX, Origin, RECOVERED};
use crate::pass::leftovers::remove;
use crate::pass::{Cause, Notice, World};
use crate::state::{OutboxState, Owned};
use crate::upkeep::UNKNOWN_PREFIX;

/// The local folder for these messages.
const RECOVERED_FOLDER: &str = "Recovered";

/// Files what was moved out of the spool when the database was rebuilt, each message once, and tells the user what an
/// older copy of the state had waiting. Call it under the outbox's lock.
pub(super) fn salvage(world: &World, owned: &Arc<Owned>) -> Result<()> {
    tell_of_held(world, owned)?;
    let folder = world.set_aside();
    let names = world.disk.names(&folder).map_err(|e| Error::disk(format!("reading {}", folder.display()), e))?;
    if names.is_empty() {
        return Ok(());
    }
    let origin = Arc::new(Origin { account: OUTBOX.to_owned(), folder: RECOVERED.to_owned(), generation: 0 });
    let mut filer = filer(world, owned);
    let mut filed = Vec::with_capacity(names.len());
    for name in names {
        let found = SetAsideCause::of(&name);
        let (key, path) = (Key::new(&origin, name.as_str()), folder.join(&name));
        // If the key is known already, the run that filed it died before it could remove the file.
        if world.store.remembered(&key)?.is_none() {
            let message = world.read(&path).map_err(|e| Error::disk(format!("reading {}", path.display()), e))?;
            filer.carry_out(key, message, found.filed())?;
        }
        filed.push((found, path));
    }
    // The notices before the files are removed: after a crash in between, the program would not say it again.
    for found in [SetAsideCause::AfterLoss, SetAsideCause::Nobodys] {
        if filed.iter().any(|(each, _)| *each == found) {
            filer.notify(&found.notice())?;
        }
    }
    filed.iter().try_for_each(|(_, path)| remove(world, path))?;
    filer.finish()
}

/// Why a file was moved out of the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SetAsideCause {
    /// The state that knew it is gone.
    AfterLoss,
    /// No state ever knew it: it was written for a row, and the program died before the row was recorded.
    Nobodys,
}

impl SetAsideCause {
    fn of(name: &str) -> Self {
        if name.starts_with(UNKNOWN_PREFIX) { Self::Nobodys } else { Self::AfterLoss }
    }

    fn filed(self) -> Decision {
        let place = Place::Folder(FolderName::parse_safe(RECOVERED_FOLDER, None));
        let filing = Filing { place, flags: Flags::default(), version: 0 };
        let why = match self {
            Self::AfterLoss => "it was in the spool when the state was lost",
            Self::Nobodys => "it was in the spool, and the state knew nothing about it",
        };
        Decision { actions: vec![Action::File(filing)], why: vec![why.to_owned()], ..Decision::default() }
    }

    fn notice(self) -> Notice {
        let (cause, text) = match self {
            Self::AfterLoss => (
                Cause::StateLost,
                format!(
                    "The state is not the one that was last used: its database was lost, or an older copy was restored. \
                     Messages that waited to be sent on, and those that were sent on or discarded within the last 30 days, \
                     are in the folder {RECOVERED_FOLDER} now. None of them is sent: look through them, and forward by hand \
                     what still has to go. The items that wait in an older copy are held: see `mailsluice queue list`."
                ),
            ),
            Self::Nobodys => (
                Cause::Nobodys,
                format!(
                    "Unknown files were in the spool for over a day: the program or the machine stopped before the state \
                     could record what they were for. They are in the folder {RECOVERED_FOLDER} now. A message that was \
                     fetched came again if its server still had it. None of them is sent: look through them, and forward \
                     by hand what still has to go."
                ),
            ),
        };
        Notice { cause, account: OUTBOX.to_owned(), text }
    }
}

/// Tells the user once which items are held because the state is an older copy.
fn tell_of_held(world: &World, owned: &Arc<Owned>) -> Result<()> {
    let Some(rebuilt) = world.store.rebuilt().map(|at| at.to_string()) else { return Ok(()) };
    if world.store.fact(HELD_NOTICE_FILED)?.is_some_and(|told| told == rebuilt) {
        return Ok(());
    }
    let held =
        world.store.still_to_tell()?.into_iter().filter(|row| row.state == OutboxState::Held).take(MAX_ITEMS_NAMED);
    let held: Vec<String> =
        held.map(|row| format!("{:>5}  {}", row.id, clean::short(&row.telling.to_string(), 100))).collect();
    if !held.is_empty() {
        let text = format!(
            "The state is an older copy: somebody restored a backup. Mail that is already filed is recognised and does not \
             come again. What waited to be sent when the copy was made is held, because nobody knows whether it was sent \
             since:\n\n{}\n\n`mailsluice queue retry NUMBER` sends an item, `mailsluice queue drop NUMBER` gives it up.",
            held.join("\n")
        );
        let mut filer = filer(world, owned);
        filer.notify(&Notice { cause: Cause::StateOlder, account: OUTBOX.to_owned(), text })?;
        filer.finish()?;
    }
    world.store.set_fact(HELD_NOTICE_FILED, &rebuilt)
}

/// How many items a notice names.
const MAX_ITEMS_NAMED: usize = 50;
/// The fact that records for which rebuild the user was told about held items.
const HELD_NOTICE_FILED: &str = "held";
