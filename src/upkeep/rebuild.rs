//! Rebuild: accepts what cannot be proven, because the user says so: a mail root that moved or was emptied on purpose,
//! or a database that is damaged.

use crate::error::{Kind, Result};
use crate::pass::{Mounted, World, accept_all, mounted};

/// What the user has to accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RebuildDoubt {
    /// The mail root is not the one that the state knows, and why.
    Root(String),
}

/// What the state and the mail root disagree about.
pub fn doubts(world: &World) -> Result<Vec<RebuildDoubt>> {
    match mounted(world) {
        Ok(_) => Ok(Vec::new()),
        Err(error) if error.kind() == Kind::Disk => Ok(vec![RebuildDoubt::Root(error.to_string())]),
        Err(error) => Err(error),
    }
}

/// Accepts the mail root as it is now. No other process may be working meanwhile.
pub fn rebuild(world: &World) -> Result<Mounted> {
    accept_all(world)
}
