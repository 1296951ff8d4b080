//! From a decision to durable files: stage under `tmp/`, publish by a rename, recover after a crash.

mod contents;
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
pub use orphans::{Orphan, PublishedNames, files_named, find_originals, find_published, find_staged};
pub use publish::publish;
pub use recover::{Held, recover, recover_what_can_be, recover_with};
pub use stage::{Plan, Stager, files_of};
