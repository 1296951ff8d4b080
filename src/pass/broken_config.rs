//! A config that cannot be used is told by a notice of no account.

use std::sync::Arc;
use std::time::Duration;

use super::{Cause, Committer, Decide, Leftovers, Notice, World};
use crate::config::template::Template;
use crate::deliver::recover;
use crate::error::Result;
use crate::filter::Engine;

/// Its name space, which no account can have.
const SPACE: &str = "(config)";
/// What stands in the place of an account's name.
const ABOUT: &str = "config";
/// So long one daemon waits for another that just ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// Files a notice that says why, once a day.
pub fn tell_of_config(world: &World, why: &str) -> Result<()> {
    let owned = world.own(SPACE, PATIENCE)?;
    let lost = recover(&*world.disk, &*world.store, world.folders.root(), &owned)?.lost;
    lost.iter().try_for_each(|row| world.store.again(&owned, row))?;
    if Leftovers::find(world, &owned)?.remove_all(world)? {
        owned.is_cleared();
    }
    let engine: Arc<dyn Decide> = Arc::new(Engine::default());
    let mut committer = Committer::new(world, &owned, ABOUT, engine, Template::inbox());
    let text = format!(
        "The config was changed, and cannot be used as it is now:\n\n{}\n\nUntil it is put right, mailsluice goes on with \
         the one before. It must not be started again before that.",
        why.trim_end()
    );
    committer.notify(&Notice { cause: Cause::ConfigBroken, account: ABOUT.to_owned(), text })?;
    committer.finish()
}
