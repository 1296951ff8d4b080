//! What is of this machine: whether a program is this one, for a relay that is would send to itself for ever, and whether a
//! name is that of a user.

use std::env;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Set for the program of a relay, whatever it starts in turn: mailsluice that finds it is a relay of itself.
pub(crate) const STARTED_AS_RELAY: &str = "MAILSLUICE_RELAY";

/// Whether a program, by its path or its name in PATH, is this one, by whatever links.
pub(crate) fn is_this_program(program: &str) -> bool {
    let same = |path: PathBuf| {
        let (ours, its) = (env::current_exe().and_then(std::fs::metadata), std::fs::metadata(path));
        let number = |of: &Metadata| (of.dev(), of.ino());
        matches!((ours, its), (Ok(ours), Ok(its)) if number(&ours) == number(&its))
    };
    match program.contains('/') {
        true => same(match (program.strip_prefix("~/"), env::var_os("HOME")) {
            (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
            _ => PathBuf::from(program),
        }),
        false => {
            let path = env::var_os("PATH").unwrap_or_default();
            let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
            found.is_some_and(same)
        }
    }
}

/// Whether this process was started, by whatever others, as the program of a relay.
pub(crate) fn is_a_relay() -> bool {
    env::var_os(STARTED_AS_RELAY).is_some()
}

/// The users of this machine that are no network's.
const USERS: &str = "/etc/passwd";

/// Whether a name is a login of this machine: `root`, whoever runs this, or one of the password file.
pub(crate) fn is_login(name: &str) -> bool {
    let is_ours = |variable: &str| env::var(variable).is_ok_and(|ours| ours == name);
    let of_line = |line: &str| line.split_once(':').is_some_and(|(login, _)| login == name);
    let is_user = || std::fs::read_to_string(USERS).is_ok_and(|users| users.lines().any(of_line));
    name.eq_ignore_ascii_case("root") || is_ours("LOGNAME") || is_ours("USER") || is_user()
}
