//! Connections: how many a server allows when it has refused one more. The number is remembered across restarts and
//! forgotten after a day, because the user's other devices come and go.

use jiff::SignedDuration;

use super::World;
use crate::error::Result;

/// How long no further connection is tried after a refusal.
const REFUSAL_REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// How many connections the server of a name space allows, if it has refused one.
pub fn most_connections(world: &World, space: &str) -> Result<Option<usize>> {
    let Some((most, at)) = world.store.most_connections(space)? else { return Ok(None) };
    let is_recent = (SignedDuration::ZERO..REFUSAL_REMEMBERED).contains(&world.now().duration_since(at));
    Ok(is_recent.then(|| usize::try_from(most).unwrap_or(usize::MAX)))
}

/// Remembers that the server refused one more connection.
pub fn remember_most_connections(world: &World, space: &str, most: usize) -> Result<()> {
    world.store.set_most_connections(space, u32::try_from(most).unwrap_or(u32::MAX), world.now())
}
