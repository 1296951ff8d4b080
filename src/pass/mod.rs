//! The steps of one pass over an account, in the order in which `pipeline.rs` takes them.

mod choose;
mod commit;
mod leftovers;
mod notice;
mod report;
mod settle;
mod world;

pub use choose::{Choice, choose};
pub use commit::Committer;
pub use leftovers::Leftovers;
pub use notice::{Cause, Notice};
pub use report::{FolderCount, Report};
pub use settle::settle;
pub use world::{Silent, Watch, World};
