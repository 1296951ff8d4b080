//! Recognises this program: a relay that runs mailsluice would send to itself for ever.

use std::env;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::user::home;

/// An environment variable for the program of a relay and its children. If mailsluice finds it, it is running as its own relay.
pub(crate) const STARTED_AS_RELAY: &str = "MAILSLUICE_RELAY";

/// Whether a program, by its path or its name in PATH, is this one, even through links.
pub(crate) fn is_this_program(program: &str) -> bool {
    let same = |path: PathBuf| {
        let (ours, its) = (env::current_exe().and_then(std::fs::metadata), std::fs::metadata(path));
        let number = |of: &Metadata| (of.dev(), of.ino());
        matches!((ours, its), (Ok(ours), Ok(its)) if number(&ours) == number(&its))
    };
    match program.contains('/') {
        true => same(match (program.strip_prefix("~/"), home()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(program),
        }),
        false => {
            let path = env::var_os("PATH").unwrap_or_default();
            let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
            found.is_some_and(same)
        }
    }
}

/// Whether this process was started, directly or indirectly, as the program of a relay.
pub(crate) fn is_a_relay() -> bool {
    env::var_os(STARTED_AS_RELAY).is_some()
}
