//! When the changed config cannot be used, the user gets a notice that belongs to no account.

use std::time::Duration;

use crate::config::template::Template;
use crate::deliver::recover;
use crate::error::Result;
use crate::pass::{Cause, Filer, Leftovers, Notice, World};

/// The name space of this notice. No account can have this name.
const SPACE: &str = "(config)";
/// The word that the notice shows instead of an account's name.
const ABOUT: &str = "config";
/// How long a daemon waits for another one that is about to end.
const DAEMON_EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Files a notice that says why the config cannot be used, at most once a day.
pub fn tell_of_config(world: &World, why: &str) -> Result<()> {
    let owned = world.own(SPACE, DAEMON_EXIT_TIMEOUT)?;
    let lost = recover(&*world.disk, &*world.store, world.folders.root(), &owned)?.lost;
    lost.iter().try_for_each(|row| world.store.again(&owned, row))?;
    if Leftovers::find(world, &owned)?.remove_all(world)? {
        owned.is_cleared();
    }
    let mut filer = Filer::new(world, &owned, ABOUT, Template::inbox());
    let text = format!(
        "The config was changed and cannot be used:\n\n{}\n\nUntil it is corrected, mailsluice keeps using \
         the previous config. Do not restart it before then.",
        why.trim_end()
    );
    filer.notify(&Notice { cause: Cause::ConfigBroken, account: ABOUT.to_owned(), text })?;
    filer.finish()
}
