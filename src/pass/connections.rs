//! Connections: how many a server allows beside the first one, where it refused more. That is remembered over a restart, and forgotten
//! after a day: other devices of the user come and go.

use jiff::SignedDuration;

use super::World;
use crate::error::Result;

/// A server is not asked for one more within this time.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// How many the server of a name space allows, as far as it said so.
pub fn most_connections(world: &World, space: &str) -> Result<Option<usize>> {
    let Some((most, at)) = world.store.most_connections(space)? else { return Ok(None) };
    let is_recent = (SignedDuration::ZERO..REMEMBERED).contains(&world.now().duration_since(at));
    Ok(is_recent.then(|| usize::try_from(most).unwrap_or(usize::MAX)))
}

/// It refused one more.
pub fn remember_most_connections(world: &World, space: &str, most: usize) -> Result<()> {
    world.store.set_most_connections(space, u32::try_from(most).unwrap_or(u32::MAX), world.now())
}
