//! From a decision to durable files: stage under `tmp/`, publish by rename, recover after a crash.

mod dotlock;
mod folders;
mod keywords;
mod mbox;
mod orphans;
mod publish;
mod recover;
mod stage;

pub use folders::{Folders, host_part};
pub use keywords::Letters;
pub use orphans::{Orphan, find_orphans, find_published};
pub use publish::publish;
pub use recover::recover;
pub use stage::{Plan, Stager};
