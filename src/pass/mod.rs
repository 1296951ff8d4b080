//! The steps of one pass over an account, in the order in which `pipeline.rs` takes them.

mod choose;
mod commit;
mod decide;
mod explain;
mod facts;
mod leftovers;
mod lists;
mod notice;
mod plan;
mod prune;
mod refilter;
mod relocate;
mod report;
mod settle;
mod undo;
mod world;

pub use choose::{Choice, choose, missing};
pub use commit::Committer;
pub use decide::{DIED, Decide};
pub use explain::{Explanation, explain};
pub use leftovers::Leftovers;
pub use lists::ListFiles;
pub use notice::{Cause, Notice};
pub use prune::prune;
pub use refilter::{Looked, Move, Refilter, refilter};
pub use report::{FolderCount, Report};
pub use settle::{Settling, remember_settled};
pub use undo::{Home, Undone, undo};
pub use world::{Silent, Watch, World};
