//! How many files and connections may be open: as many as the system allows, and programs that are started get what was
//! the custom before.

use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

/// The limit as it was when the program began.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Raises the limit to the hard one. Two hundred accounts at once need more than the 1,024 that most systems begin with.
pub(crate) fn raise() {
    let before = BEFORE.get_or_init(|| getrlimit(Resource::Nofile));
    setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum }).ok();
}

/// Gives a program the limit as it was: some close every number up to it.
#[cfg(target_os = "linux")]
pub(crate) fn give_back(child: Pid) {
    if let Some(before) = BEFORE.get() {
        let before = Rlimit { current: before.current, maximum: before.maximum };
        rustix::process::prlimit(Some(child), Resource::Nofile, before).ok();
    }
}
