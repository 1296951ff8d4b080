//! What an account asks for and its server does not do. Each pass reports it, it stays in the state until it is done,
//! and one notice tells the user. A problem that may pass by itself gets its notice after a day.

use std::collections::HashSet;

use jiff::SignedDuration;

use super::{Cause, Filer, Notice, World};
use crate::clean;
use crate::error::{Error, Result};
use crate::source::Chosen;
use crate::state::{Owned, Standing};

/// How long a problem that may pass by itself gets no notice.
const NOTICE_DELAY: SignedDuration = SignedDuration::from_hours(24);
/// How many problems of one folder are kept. The others are much the same.
const MAX_ERRORS_KEPT: usize = 5;
/// The subject of problems that concern no single folder.
const ALL_FOLDERS: &str = "(folders)";

/// Records the folders that the config asks for and the server does not have, and ends the problems of folders that are
/// no longer fetched.
pub fn stand_for_folders(world: &World, owned: &Owned, chosen: &Chosen, filer: &mut Filer) -> Result<()> {
    let fetched: HashSet<String> = chosen.folders.iter().map(|folder| clean::line(folder.as_bytes())).collect();
    for it in world.store.standing()?.into_iter().filter(|it| it.space == owned.space()) {
        if it.about != ALL_FOLDERS && !fetched.contains(&it.about) {
            world.store.end_standing(owned, &it.about)?;
        }
    }
    stand(world, owned, ALL_FOLDERS, &chosen.errors, filer)
}

/// Records what is not done about a folder, or that everything is done. The caller reports `errors`.
pub fn stand(world: &World, owned: &Owned, about: &str, errors: &[Error], filer: &mut Filer) -> Result<()> {
    let (space, about) = (owned.space(), clean::line(about.as_bytes()));
    let before = world.store.standing()?.into_iter().find(|it| it.space == space && it.about == about);
    if errors.is_empty() {
        return before.map_or(Ok(()), |_| world.store.end_standing(owned, &about));
    }
    let now = world.now();
    let (since, was_told) = before.as_ref().map_or((now, false), |it| (it.since, it.is_told));
    let text = errors.iter().take(MAX_ERRORS_KEPT).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let text = clean::line(text.as_bytes());
    let is_lasting = errors.iter().any(|error| !error.is_transient()) || now.duration_since(since) >= NOTICE_DELAY;
    if is_lasting && !was_told {
        let text = format!(
            "{}.\n\nUntil this is solved, each pass over the account reports it and exits with a code other than 0. \
             `mailsluice check` shows it, with all other open problems.",
            text.trim_end_matches('.')
        );
        let account = filer.report.account.clone();
        filer.notify(&Notice { cause: Cause::NotDone, account, text })?;
    }
    let it = Standing { space: space.to_owned(), about, text, since, is_told: was_told || is_lasting };
    if before.as_ref() == Some(&it) { Ok(()) } else { world.store.set_standing(owned, &it) }
}
