//! The limit of open files and connections: we raise it as far as the system allows, and restore it for the programs that
//! we start.

use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

/// The limit at the start of the program.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Raises the limit to the hard limit. Two hundred accounts need more than the 1,024 that is the default on most systems.
pub(crate) fn raise() {
    let before = BEFORE.get_or_init(|| getrlimit(Resource::Nofile));
    setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum }).ok();
}

/// Restores the original limit for a program, because some programs close every descriptor up to the limit.
#[cfg(target_os = "linux")]
pub(crate) fn give_back(child: Pid) {
    if let Some(before) = BEFORE.get() {
        let before = Rlimit { current: before.current, maximum: before.maximum };
        rustix::process::prlimit(Some(child), Resource::Nofile, before).ok();
    }
}
