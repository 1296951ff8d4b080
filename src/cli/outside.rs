//! What the config names and is not there: `check` warns of it. Fetching does not look: what is missing now may be there when
//! it is needed.

use std::path::Path;

use super::setup::Setup;
use crate::clean;
use crate::config::Config;
use crate::config::outside::{Reference, programs_of};
use crate::config::problem::{Problem, Problems};
use crate::config::template::FolderName;
use crate::deliver::Folders;
use crate::program;

/// The warnings, in the order of the files.
pub(super) fn warnings(setup: &Setup) -> Vec<Problem> {
    let config = &setup.config;
    let accounts = config.accounts.iter().filter_map(|account| account.filters.as_ref()).flatten();
    let rules = config.filters.iter().chain(accounts).flat_map(programs_of);
    let missing = config.programs.iter().cloned().chain(rules).filter(|named| !program::is_there(&named.name));
    missing.flat_map(|named| no_program(&named)).chain(mail_root(config)).collect()
}

fn no_program(named: &Reference) -> Vec<Problem> {
    let name = clean::short(&named.name, 80);
    let (message, hint) = match named.name.contains('/') {
        true => (format!("there is no program {name}"), "correct the path, or make the file executable".to_owned()),
        false => (
            format!("there is no program `{name}` in PATH"),
            "install it, or name it by its whole path: under cron and systemd PATH is short".to_owned(),
        ),
    };
    warning(named, message, hint)
}

fn mail_root(config: &Config) -> Vec<Problem> {
    let Some(named) = &config.maildir_named else { return Vec::new() };
    let root = &config.maildir.path;
    let inbox = Folders::new(config.maildir.clone()).maildir(&FolderName::inbox());
    let shown = |path: &Path| clean::line(path.as_os_str().as_encoded_bytes());
    if inbox.is_file() {
        let message = format!("{} is a file, and mail is filed in Maildirs, which are folders", shown(&inbox));
        return warning(named, message, "move the file away (it may be an mbox with mail), or name another mail root");
    }
    match root.parent().filter(|parent| !root.exists() && !parent.exists()) {
        Some(parent) => {
            let message = format!("neither the mail root is there nor {}, where it is to be made", shown(parent));
            warning(
                named,
                message,
                "mount the disk that it is on, or correct the path; else the first fetch makes both",
            )
        }
        None => Vec::new(),
    }
}

fn warning(named: &Reference, message: String, hint: impl Into<String>) -> Vec<Problem> {
    let mut problems = Problems::new(&named.source);
    problems.warn(named.span, message).hint(hint);
    problems.into_vec()
}
