//! What could not be sent: files the message in the inbox with a notice that says why.

use std::sync::Arc;

use super::SharedByLanes;
use crate::clean;
use crate::config::template::Template;
use crate::deliver::recover;
use crate::error::{Error, Result};
use crate::message::{Message, OUTBOX};
use crate::pass::{Cause, Filer, Leftovers, Notice, World};
use crate::state::{OutboxRow, Owned};
use crate::upkeep::{given_up_key, resume_others};

/// An item that was given up for these recipients.
pub(super) struct GivenUpRow<'a> {
    pub(super) item: &'a OutboxRow,
    pub(super) to: Vec<String>,
    /// How many recipients it still had, including these.
    pub(super) left: usize,
    pub(super) cause: &'a str,
}

/// Files the message once, unless its decision filed it already, and a notice beside it. No bounce is sent, because it
/// would reach the wrong person.
pub(super) fn file(shared: &SharedByLanes, given_up: &GivenUpRow<'_>, original: &Message) -> Result<()> {
    let GivenUpRow { item, to, left, cause } = given_up;
    let _alone = shared.filing();
    let world = &shared.world;
    let mut filer = filer(world, &shared.owned);
    let key = given_up_key(item.entry);
    let was_filed = was_filed(world, item)?;
    let is_back = world.store.was_brought_back(item.entry)?;
    // An older state that was restored does not remember it.
    let stands = world.store.rebuilt().is_some() && world.walk.is_spooled_published(world, &item.bytes)?;
    if !was_filed && !is_back && !stands && world.store.remembered(&key)?.is_none() {
        // The same bytes in another file: the item needs its own file until it is closed.
        filer.keep_spooled(key, original.edited(&[]), &item.bytes, &format!("could not be sent: {cause}"))?;
    }
    let subject = clean::short(original.first("Subject").unwrap_or("(none)"), 200);
    let whom = if to.is_empty() { String::new() } else { format!(" to {}", clean::line(to.join(", ").as_bytes())) };
    let place = match (was_filed, is_back) {
        (true, _) => format!("It was filed when it came (entry {} of `mailsluice log`)", item.entry),
        (false, true) => "`mailsluice undo` has already brought it back".to_owned(),
        (false, false) => "It is in the inbox".to_owned(),
    };
    let text = format!(
        "The message \"{subject}\" could not be sent ({}{whom}): {cause}.\n\n{place}. Nobody else was informed; \
         `mailsluice queue show {}` has the history.",
        item.telling.way.word(),
        item.id
    );
    filer.notify(&Notice { cause: Cause::Undelivered(item.id, *left), account: OUTBOX.to_owned(), text })?;
    filer.finish()
}

/// Whether the decision behind the item also filed the message.
fn was_filed(world: &World, row: &OutboxRow) -> Result<bool> {
    let entry = world.store.entry(row.entry)?;
    Ok(entry.is_some_and(|entry| !entry.targets.is_empty() || !entry.mboxes.is_empty()))
}

/// Files a notice about an item whose message cannot be read any more, so that there is nothing to file.
pub(super) fn tell_of_loss(shared: &SharedByLanes, row: &OutboxRow) -> Result<()> {
    let text = format!(
        "Outbox item {} ({}) could not be sent: {}.\n\n`mailsluice log` shows which message it was (entry {}).",
        row.id,
        clean::line(row.telling.to_string().as_bytes()),
        row.said,
        row.entry
    );
    notify(shared, Cause::Undelivered(row.id, 0), text)
}

/// Files a notice that more is to be sent than `limits` allows, once a day: because of a loop, or more mail than
/// expected.
pub(super) fn tell_of_limit(shared: &SharedByLanes, text: &str) -> Result<()> {
    let text = format!("There are {text}.\n\n`mailsluice queue list` shows what waits, and whether it is a loop.");
    notify(shared, Cause::LimitReached, text)
}

/// Files a notice about a relay that only the user can help, once a day. `from` is the one sender that the relay
/// refuses.
pub(super) fn tell_of_relay(shared: &SharedByLanes, relay: &str, from: Option<&str>, error: &Error) -> Result<()> {
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

/// Files a notice about items that have waited for a day, or were given up after it: one a day for each relay, program
/// or account.
pub(super) fn tell_of_wait(shared: &SharedByLanes, whose: &str, row: &OutboxRow) -> Result<()> {
    let text = format!(
        "Outbox item {} ({}) has waited since {}: {}.\n\nOther items that wait for the same reason are not named here: \
         `mailsluice queue list` shows them. `mailsluice queue retry` tries them again at once.",
        row.id,
        clean::line(row.telling.to_string().as_bytes()),
        row.since.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M"),
        row.said.trim_end_matches('.'),
    );
    notify(shared, Cause::Waits(whose.to_owned()), text)
}

/// Files a notice with a notification that no desktop showed, once a day.
pub(super) fn tell_of_desktop(shared: &SharedByLanes, title: &str, text: &str, cause: &str) -> Result<()> {
    let (title, said) = (clean::short(title, 200), clean::short(text, 500));
    let cause = cause.trim_end_matches('.');
    let text = format!(
        "A notification could not be shown on the desktop: {cause}.\n\n{title}: {said}\n\nOther notifications of today are not \
         named here. `notify: {{mail:}}`, `{{run:}}` and `{{webhook:}}` need no desktop."
    );
    notify(shared, Cause::NoDesktop, text)
}

/// Files a notice without a message beside it.
fn notify(shared: &SharedByLanes, cause: Cause, text: String) -> Result<()> {
    let _alone = shared.filing();
    let mut filer = filer(&shared.world, &shared.owned);
    filer.notify(&Notice { cause, account: OUTBOX.to_owned(), text })?;
    filer.finish()
}

/// A filer for what the outbox files. The name space is the outbox's own, and its lock is the outbox's lock.
pub(super) fn filer(world: &World, owned: &Arc<Owned>) -> Filer {
    Filer::new(world, owned, OUTBOX, Template::inbox())
}

/// Finishes what an interrupted process was filing, before anything is sent. Returns what to say about what cannot be
/// finished yet.
pub(super) fn resume(world: &World, owned: &Arc<Owned>) -> Result<Vec<String>> {
    let recovered = recover(&*world.disk, &*world.store, world.folders.root(), owned)?;
    // A message that was recorded and has no file, or was staged and not recorded, is filed again from its outbox item.
    recovered.lost.iter().try_for_each(|row| world.store.again(owned, row))?;
    if Leftovers::find(world, owned)?.remove_all(world)? {
        owned.is_cleared();
    }
    let stuck = resume_others(world)?;
    stuck.notify(&mut filer(world, owned))?;
    Ok(stuck.remarks())
}
