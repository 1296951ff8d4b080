//! What must not be sent again: actions for mail that arrived before the state was rebuilt or restored, and for mail
//! that was recorded once, acted upon, and then not found. Nobody knows what was sent, so the message is filed and the
//! log says why.

use jiff::Timestamp;

use super::World;
use crate::decision::{ANSWERED, APPENDED, Action, Decision, Filing, Place, Write};
use crate::error::Result;
use crate::message::{DELIVERED, Envelope, Message};
use crate::safeguard::Safeguard;
use crate::source::arrival_of;
use crate::state::KeyPurpose;

/// Why nothing may be sent about a message, or `None` if it may.
fn why(world: &World, envelope: &Envelope, message: &Message) -> Result<Option<String>> {
    if world.store.remembered(&envelope.key)?.is_some_and(|known| known.mark == KeyPurpose::Again) {
        return Ok(Some("it was sent when the message was first recorded".to_owned()));
    }
    let Some(rebuilt) = world.store.rebuilt() else { return Ok(None) };
    Ok((arrived(envelope, message) <= rebuilt)
        .then(|| format!("it arrived before {}, when the state was rebuilt or restored", seconds(rebuilt))))
}

/// A message that is delivered may be old. Then its own fields show when it arrived.
fn arrived(envelope: &Envelope, message: &Message) -> Timestamp {
    match envelope.key.origin.account == DELIVERED && Safeguard::GivenAgainIsNotNew.is_on() {
        true => arrival_of(message, envelope.arrived).unwrap_or(envelope.arrived),
        false => envelope.arrived,
    }
}

fn seconds(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// The decision without what it must not send. A message that would then be nowhere is kept.
pub(super) fn untold(
    world: &World,
    mut decision: Decision,
    envelope: &Envelope,
    message: &Message,
) -> Result<Decision> {
    let told: Vec<String> = decision.tellings().map(ToString::to_string).collect();
    if told.is_empty() {
        return Ok(decision);
    }
    let Some(why) = why(world, envelope, message)? else { return Ok(decision) };
    decision.notes.push(format!("not sent ({}): {why}", told.join(", ")));
    decision.tell_nobody();
    decision.writes.retain(|write| match write {
        Write::Answered { .. } => false,
        Write::Seen { handle, .. } => handle != ANSWERED && handle != APPENDED,
        _ => true,
    });
    if decision.actions.is_empty() {
        let keep = Filing { place: Place::Keep, flags: envelope.flags.clone().carried_over(), version: 0 };
        decision.actions.push(Action::File(keep));
    }
    Ok(decision)
}
