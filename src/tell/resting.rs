//! The items that wait for a relay or an account that rests, for a user who wants to know why nothing is sent.

use jiff::tz::TimeZone;

use crate::clean;
use crate::decision::Way;
use crate::error::Result;
use crate::outbox::Relays;
use crate::pass::World;
use crate::state::{OutboxRow, OutboxState};

/// A sentence for each relay and account that rests and has items waiting.
pub fn resting(world: &World, relays: &Relays) -> Result<Vec<String>> {
    let now = world.now();
    let mut rests = world.store.rests()?;
    rests.retain(|rest| rest.is_at(now));
    if rests.is_empty() {
        return Ok(Vec::new());
    }
    let waiting: Vec<OutboxRow> = world.store.still_to_tell()?;
    let sentence = |rest: crate::state::Rest| {
        let is_its = |row: &&OutboxRow| row.state == OutboxState::Waiting && carrier(row, relays) == rest.relay;
        let count = waiting.iter().filter(is_its).count();
        let until = rest.until.to_zoned(TimeZone::system()).strftime("%H:%M");
        let cause = clean::line(rest.cause.as_bytes());
        (count > 0).then(|| {
            format!(
                "{count} waiting: {} rests until {until}: {} (`mailsluice queue retry` tries it now)",
                rest.relay,
                cause.trim_end_matches('.')
            )
        })
    };
    Ok(rests.into_iter().filter_map(sentence).collect())
}

/// The name under which the relay or account of an item rests.
fn carrier(row: &OutboxRow, relays: &Relays) -> String {
    match &row.telling.way {
        Way::Imap(append) => format!("imap:{}", append.account),
        _ => {
            let named = relays.relay_named(&row.telling, &row.account);
            relays.relay(named).map(|relay| relay.name.clone()).unwrap_or_default()
        }
    }
}
