//! Upkeep: what happens apart from any pass over an account. Mail that is already filed moves (`refilter`,
//! `maintain`) or comes back (`undo`), and what the program keeps is pruned, finished after a crash, or rebuilt.

mod broken_config;
mod coming;
mod maintain;
mod moving;
mod prune;
mod rebuild;
mod refilter;
mod relocate;
mod resume;
mod stuck;
mod undo;
mod when;

pub use broken_config::tell_of_config;
pub use coming::Coming;
pub use maintain::{Maintained, Upkeep, maintain, maintain_due};
pub(crate) use prune::UNKNOWN_PREFIX;
pub use prune::prune;
pub use rebuild::{RebuildDoubt, doubts, rebuild};
pub use refilter::{Move, Refilter, RefilterLine, RefilterSummary};
pub(crate) use resume::resume_others;
pub(crate) use undo::given_up_key;
pub use undo::{Home, Undoing, Undone, undo};
