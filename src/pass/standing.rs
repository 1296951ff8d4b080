//! What an account is asked for and its server does not do: each pass says it, it stands in the state until it is done, and a
//! notice tells it once. What may pass by itself is told when it has not done so for a day.

use std::collections::HashSet;

use jiff::SignedDuration;

use super::{Cause, Committer, Notice, World};
use crate::clean;
use crate::error::{Error, Result};
use crate::source::Chosen;
use crate::state::{Owned, Standing};

/// So long what may pass is not told by a notice.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// So many things about one folder are kept; the others are much the same.
const MOST: usize = 5;
/// What concerns no folder alone.
const FOLDERS: &str = "(folders)";

/// What the config asks for and the server has not, among its folders; and what stood about those that are fetched no more
/// stands no longer.
pub fn stand_for_folders(world: &World, owned: &Owned, chosen: &Chosen, committer: &mut Committer) -> Result<()> {
    let fetched: HashSet<String> = chosen.folders.iter().map(|folder| clean::line(folder.as_bytes())).collect();
    for it in world.store.standing()?.into_iter().filter(|it| it.space == owned.space()) {
        if it.about != FOLDERS && !fetched.contains(&it.about) {
            world.store.end_standing(owned, &it.about)?;
        }
    }
    stand(world, owned, FOLDERS, &chosen.errors, committer)
}

/// Notes what is not done about a folder, or that it is done; `errors` are for the report.
pub fn stand(world: &World, owned: &Owned, about: &str, errors: &[Error], committer: &mut Committer) -> Result<()> {
    let (space, about) = (owned.space(), clean::line(about.as_bytes()));
    let before = world.store.standing()?.into_iter().find(|it| it.space == space && it.about == about);
    if errors.is_empty() {
        return before.map_or(Ok(()), |_| world.store.end_standing(owned, &about));
    }
    let now = world.now();
    let (since, was_told) = before.as_ref().map_or((now, false), |it| (it.since, it.is_told));
    let text = errors.iter().take(MOST).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let text = clean::line(text.as_bytes());
    let is_lasting = errors.iter().any(|error| !error.is_transient()) || now.duration_since(since) >= PATIENCE;
    if is_lasting && !was_told {
        let text = format!(
            "{}.\n\nUntil this is done, each pass over the account says so with an exit code that is not 0, and `mailsluice \
             check` shows it, with whatever else is not done.",
            text.trim_end_matches('.')
        );
        let account = committer.report.account.clone();
        committer.notify(&Notice { cause: Cause::NotDone, account, text })?;
    }
    let it = Standing { space: space.to_owned(), about, text, since, is_told: was_told || is_lasting };
    if before.as_ref() == Some(&it) { Ok(()) } else { world.store.set_standing(owned, &it) }
}
