//! Salvage: what stood in the spool when the state was lost goes into a folder of its own.
//!
//! Nobody knows any more which of these messages waited to be forwarded, were forwarded long ago or had been discarded. So
//! none of them is sent, and none goes into the inbox, where years of rubbish might bury it.

use std::sync::Arc;

use super::undelivered::committer;
use crate::clean;
use crate::config::template::FolderName;
use crate::decision::{Action, Decision, Filing, Place};
use crate::error::{Error, Result};
use crate::message::{Flags, Key, OUTBOX, Origin, RECOVERED};
use crate::pass::leftovers::remove;
use crate::pass::{Cause, Notice, World};
use crate::state::{OutboxState, Owned};

/// The local folder that they go to.
const FOLDER: &str = "Recovered";

/// Files what was set aside when the database was made anew, each message once, and says what an older copy had waiting. Call
/// it under the outbox's lock.
pub(super) fn salvage(world: &World, owned: &Arc<Owned>) -> Result<()> {
    tell_of_held(world, owned)?;
    let folder = world.set_aside();
    let names = world.disk.names(&folder).map_err(|e| Error::disk(format!("reading {}", folder.display()), e))?;
    if names.is_empty() {
        return Ok(());
    }
    let origin = Arc::new(Origin { account: OUTBOX.to_owned(), folder: RECOVERED.to_owned(), generation: 0 });
    let mut committer = committer(world, owned);
    let mut filed = Vec::with_capacity(names.len());
    for name in names {
        let found = Found::of(&name);
        let (key, path) = (Key::new(&origin, name.as_str()), folder.join(&name));
        // Known already: the run that filed it died before it could remove what it had found.
        if world.store.remembered(&key)?.is_none() {
            let message = world.read(&path).map_err(|e| Error::disk(format!("reading {}", path.display()), e))?;
            committer.carry_out(key, message, found.filed())?;
        }
        filed.push((found, path));
    }
    // Before the files go: killed in between, the program would not say it any more.
    for found in [Found::AfterLoss, Found::Nobodys] {
        if filed.iter().any(|(each, _)| *each == found) {
            committer.notify(&found.notice())?;
        }
    }
    filed.iter().try_for_each(|(_, path)| remove(world, path))?;
    committer.finish()
}

/// What the name of a spool file begins with that was set aside because no row names it.
const NOBODYS: &str = "nobodys.";

/// The name under which a spool file is set aside that no row of the state names, and which the state did not lose.
pub(in crate::pass) fn nobodys(name: &str) -> String {
    format!("{NOBODYS}{name}")
}

/// Why a file was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The state that knew it is gone.
    AfterLoss,
    /// No state ever knew it: it was written for a row, and the program died before that stood.
    Nobodys,
}

impl Found {
    fn of(name: &str) -> Self {
        if name.starts_with(NOBODYS) { Self::Nobodys } else { Self::AfterLoss }
    }

    fn filed(self) -> Decision {
        let place = Place::Folder(FolderName::parse_safe(FOLDER, None));
        let filing = Filing { place, flags: Flags::default(), version: 0 };
        let why = match self {
            Self::AfterLoss => "it stood in the spool when the state was lost",
            Self::Nobodys => "it stood in the spool, and the state knew nothing of it",
        };
        Decision { actions: vec![Action::File(filing)], why: vec![why.to_owned()], ..Decision::default() }
    }

    fn notice(self) -> Notice {
        let (cause, text) = match self {
            Self::AfterLoss => (
                Cause::StateLost,
                format!(
                    "The state is not the one that was left: its database was lost, or an older copy was put in its place. \
                     Messages that waited to be sent on, and those that were sent on or discarded within the last 30 days, \
                     are in the folder {FOLDER} now. None of them is sent: look through them, and forward by hand what still \
                     has to go. What waits in an older copy is put aside: see `mailsluice queue list`."
                ),
            ),
            Self::Nobodys => (
                Cause::Nobodys,
                format!(
                    "Files stood in the spool for over a day of which the state knows nothing: the program, or the machine, \
                     went down before it could note what they were for. They are in the folder {FOLDER} now. What was \
                     fetched came once more if its server still had it; none of this is sent: look through it, and forward \
                     by hand what still has to go."
                ),
            ),
        };
        Notice { cause, account: OUTBOX.to_owned(), text }
    }
}

/// Says once what was put aside because the state is an older copy.
fn tell_of_held(world: &World, owned: &Arc<Owned>) -> Result<()> {
    let Some(rebuilt) = world.store.rebuilt().map(|at| at.to_string()) else { return Ok(()) };
    if world.store.fact(HELD_TOLD)?.is_some_and(|told| told == rebuilt) {
        return Ok(());
    }
    let held = world.store.still_to_tell()?.into_iter().filter(|row| row.state == OutboxState::Held).take(MOST_NAMED);
    let held: Vec<String> =
        held.map(|row| format!("{:>5}  {}", row.id, clean::short(&row.telling.to_string(), 100))).collect();
    if !held.is_empty() {
        let text = format!(
            "The state is an older copy of itself: somebody put a backup back. Mail that stands here is recognised and does not \
             come again. What waited to be sent when the copy was made is put aside, for nobody knows whether it went out \
             since:\n\n{}\n\n`mailsluice queue retry NUMBER` sends an entry, `mailsluice queue drop NUMBER` gives it up.",
            held.join("\n")
        );
        let mut committer = committer(world, owned);
        committer.notify(&Notice { cause: Cause::StateOlder, account: OUTBOX.to_owned(), text })?;
        committer.finish()?;
    }
    world.store.set_fact(HELD_TOLD, &rebuilt)
}

/// So many entries a notice names.
const MOST_NAMED: usize = 50;
/// Of which taking up it was said what is put aside.
const HELD_TOLD: &str = "held";
