//! What could not be told: the message goes to the inbox, and a notice says why.

use std::sync::Arc;

use super::Shared;
use crate::clean;
use crate::config::template::Template;
use crate::deliver::recover;
use crate::error::{Error, Result};
use crate::filter::Engine;
use crate::message::{Key, Message, OUTBOX, Origin};
use crate::pass::resume::resume_others;
use crate::pass::{Cause, Committer, Decide, Leftovers, Notice, World};
use crate::state::{EntryId, OutboxRow, Owned};

/// A row that was given up, for these recipients.
pub(super) struct GivenUp<'a> {
    pub(super) item: &'a OutboxRow,
    pub(super) to: Vec<String>,
    /// How many it was still for, these included.
    pub(super) left: usize,
    pub(super) cause: &'a str,
}

/// Files the message once, unless its decision filed it already, and a notice beside it. Nobody outside is told: a bounce to
/// whoever wrote it would hit the wrong one.
pub(super) fn file(shared: &Shared, given_up: &GivenUp<'_>, original: &Message) -> Result<()> {
    let GivenUp { item, to, left, cause } = given_up;
    let _alone = shared.filing();
    let world = &shared.world;
    let mut committer = committer(world, &shared.owned);
    let key = given_up_key(item.entry);
    let was_filed = was_filed(world, item)?;
    let is_back = world.store.was_brought_back(item.entry)?;
    // An older state that was put back does not remember it.
    let stands = world.store.rebuilt().is_some() && world.walk.is_spooled_published(world, &item.bytes)?;
    if !was_filed && !is_back && !stands && world.store.remembered(&key)?.is_none() {
        // The same bytes, but not the file of the row, which is needed until the row is closed.
        committer.keep_spooled(key, original.edited(&[]), &item.bytes, &format!("could not be told: {cause}"))?;
    }
    let subject = clean::short(original.first("Subject").unwrap_or("(none)"), 200);
    let whom = if to.is_empty() { String::new() } else { format!(" to {}", clean::line(to.join(", ").as_bytes())) };
    let place = match (was_filed, is_back) {
        (true, _) => format!("It was filed when it came (entry {} of `mailsluice log`)", item.entry),
        (false, true) => "`mailsluice undo` brought it back before".to_owned(),
        (false, false) => "It is in the inbox".to_owned(),
    };
    let text = format!(
        "The message \"{subject}\" could not be told ({}{whom}): {cause}.\n\n{place}. Nobody else was told; \
         `mailsluice queue show {}` has the history.",
        item.telling.way.word(),
        item.id
    );
    committer.notify(&Notice { cause: Cause::Undelivered(item.id, *left), account: OUTBOX.to_owned(), text })?;
    committer.finish()
}

/// The key of a message that is filed because it could not be told. Not by the attempt: after a crash there is one more, and
/// its copy stands in the inbox already. Nor by the row of the outbox: another one of the same message may have been given up
/// before.
pub(in crate::pass) fn given_up_key(entry: EntryId) -> Key {
    let origin = Origin { account: OUTBOX.to_owned(), folder: "INBOX".to_owned(), generation: 0 };
    Key::new(&Arc::new(origin), format!("entry {entry}"))
}

/// Whether the decision that the row comes from filed the message as well.
fn was_filed(world: &World, row: &OutboxRow) -> Result<bool> {
    let entry = world.store.entry(row.entry)?;
    Ok(entry.is_some_and(|entry| !entry.targets.is_empty() || !entry.mboxes.is_empty()))
}

/// The message of a row cannot be read any more, so there is nothing to file.
pub(super) fn tell_of_loss(shared: &Shared, row: &OutboxRow) -> Result<()> {
    let text = format!(
        "Number {} of the outbox ({}) could not be told: {}.\n\n`mailsluice log` shows which message it was (entry {}).",
        row.id,
        clean::line(row.telling.to_string().as_bytes()),
        row.said,
        row.entry
    );
    notify(shared, Cause::Undelivered(row.id, 0), text)
}

/// More goes out than `limits` allows, once a day: a loop, or more mail than was expected.
pub(super) fn tell_of_limit(shared: &Shared, text: &str) -> Result<()> {
    let text = format!("There are {text}.\n\n`mailsluice queue list` shows what waits, and whether it is a loop.");
    notify(shared, Cause::LimitReached, text)
}

/// A relay that only the user can help, once a day.
/// `from`: the one sender from whom it does not take any.
pub(super) fn tell_of_relay(shared: &Shared, relay: &str, from: Option<&str>, error: &Error) -> Result<()> {
    if error.is_transient() {
        return Ok(());
    }
    let cause = clean::line(error.to_string().as_bytes());
    let cause = cause.trim_end_matches('.');
    let from = from.map(|from| format!(" from <{}>", clean::short(from, 100))).unwrap_or_default();
    let text =
        format!("The relay `{relay}` does not take mail{from}: {cause}.\n\nWhat is to be sent waits until it does.");
    notify(shared, Cause::RelayRefuses(relay.to_owned()), text)
}

/// What has waited for a day or is given up after it, one notice a day for each relay, program or account.
pub(super) fn tell_of_wait(shared: &Shared, whose: &str, row: &OutboxRow) -> Result<()> {
    let text = format!(
        "Number {} of the outbox ({}) has waited since {}: {}.\n\nWhatever else waits for the same reason is not named \
         here: `mailsluice queue list` shows it. `mailsluice queue retry` tries it again at once.",
        row.id,
        clean::line(row.telling.to_string().as_bytes()),
        row.since.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M"),
        row.said.trim_end_matches('.'),
    );
    notify(shared, Cause::Waits(whose.to_owned()), text)
}

/// A notification that no desktop showed, once a day.
pub(super) fn tell_of_desktop(shared: &Shared, title: &str, text: &str, cause: &str) -> Result<()> {
    let (title, said) = (clean::short(title, 200), clean::short(text, 500));
    let cause = cause.trim_end_matches('.');
    let text = format!(
        "A notification could not be shown on the desktop: {cause}.\n\n{title}: {said}\n\nOther notifications of today are not \
         named here. `notify: {{mail:}}`, `{{run:}}` and `{{webhook:}}` need no desktop."
    );
    notify(shared, Cause::NoDesktop, text)
}

/// A notice with no message beside it.
fn notify(shared: &Shared, cause: Cause, text: String) -> Result<()> {
    let _alone = shared.filing();
    let mut committer = committer(&shared.world, &shared.owned);
    committer.notify(&Notice { cause, account: OUTBOX.to_owned(), text })?;
    committer.finish()
}

/// What is filed from here has an account of its own: the lock on the outbox is its lock.
pub(super) fn committer(world: &World, owned: &Arc<Owned>) -> Committer {
    let engine: Arc<dyn Decide> = Arc::new(Engine::default());
    Committer::new(world, owned, OUTBOX, engine, Template::inbox())
}

/// What an interrupted process was filing is finished before anything is sent. Returns what is to be said about what cannot
/// be finished yet.
pub(super) fn resume(world: &World, owned: &Arc<Owned>) -> Result<Vec<String>> {
    let recovered = recover(&*world.disk, &*world.store, world.folders.root(), owned)?;
    // What was recorded and stands nowhere, or was staged and not recorded, is filed again from the row that it is about.
    recovered.lost.iter().try_for_each(|row| world.store.again(owned, row))?;
    if Leftovers::find(world, owned)?.remove_all(world)? {
        owned.is_cleared();
    }
    let stuck = resume_others(world)?;
    stuck.tell(&mut committer(world, owned))?;
    Ok(stuck.remarks())
}
