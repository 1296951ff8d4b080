//! Where things are when nobody says: the config, the state, the mail.

use std::env;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group};
use rustix::fs::{Access, access};

use super::Config;
use super::problem::Problems;
use super::secret;
use super::yaml::{Document, Span, Value};
use crate::error::{Error, Kind, Result};
use crate::user;

/// The config of the whole machine, for root and users without one of their own.
pub(super) const SYSTEM: &str = "/etc/mailsluice/config.yaml";

/// What may stand in it: how mail leaves, and from whom. Whose mail is fetched, and what is done with it, is each user's own.
const OF_SYSTEM: [&str; 4] = ["relays", "me", "domain", "limits"];

impl Config {
    /// Where the config is looked for when nobody says: `$XDG_CONFIG_HOME/mailsluice/config.yaml`, else
    /// `~/.config/mailsluice/config.yaml`, else that of the whole machine, if there is one. Fails when neither variable nor
    /// home folder is known.
    pub fn default_path() -> Result<PathBuf> {
        let system = || Some(PathBuf::from(SYSTEM)).filter(|path| path.exists());
        let folder = absolute_in(&|name| env::var_os(name), "XDG_CONFIG_HOME")
            .or_else(|| user::home().map(|home| home.join(".config")));
        let own = folder.map(|folder| folder.join("mailsluice/config.yaml"));
        match own {
            // One that is there and cannot be reached is not replaced by another one.
            Some(own) if !is_missing(&own) => Ok(own),
            own => system().or(own).ok_or_else(|| {
                Error::permanent(Kind::Config, "looking for the config: $HOME is not an absolute path")
                    .helped_by("nor does the password database name a home folder; give the file with -c")
            }),
        }
    }
}

/// Whether nothing stands there, not even a link that leads nowhere.
fn is_missing(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|e| e.kind() == ErrorKind::NotFound)
}

/// Whether a config is that of the whole machine.
pub(super) fn is_system(path: &Path) -> bool {
    path == Path::new(SYSTEM)
}

/// Where users have a folder of their own whose home is none, or cannot be written, such as www-data.
const WITHOUT_HOME: &str = "/var/lib/mailsluice";

/// Where state and mail of whoever has no config of his own are: mail root and state folder.
pub(super) fn of_user(problems: &mut Problems) -> Option<(PathBuf, PathBuf)> {
    let login = user::login().unwrap_or_default();
    let own = Path::new(WITHOUT_HOME).join(&login);
    if !login.is_empty() && own.is_dir() {
        return Some((own.join("Mail"), own));
    }
    let home = user::home().filter(|home| access(home, Access::WRITE_OK).is_ok());
    if home.is_none() {
        let hint = format!("as root: install -d -o {login} -m 700 {}", own.display());
        problems
            .error_in_file("this user has no home folder that can be written, and no folder for mail that waits")
            .hint(hint);
    }
    home.map(|home| home.join("Mail")).zip(default_state(problems))
}

/// The folder for database, locks and spool.
pub(super) fn default_state(problems: &mut Problems) -> Option<PathBuf> {
    let state = state_folder(&|name| match name {
        "HOME" => user::home().map(OsString::from),
        name => env::var_os(name),
    });
    if state.is_none() {
        let hint = "add `state:` with the folder for the database, locks and spool";
        problems.error_in_file("the state folder is not known: $HOME is not set to an absolute path").hint(hint);
    }
    state
}

/// `$STATE_DIRECTORY` (systemd; the first, if there are several), else the XDG state folder.
fn state_folder(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let systemd = variable("STATE_DIRECTORY").and_then(|all| env::split_paths(&all).next());
    if let Some(folder) = systemd.filter(|folder| folder.is_absolute()) {
        return Some(folder);
    }
    let xdg = absolute_in(variable, "XDG_STATE_HOME");
    let folder = xdg.or_else(|| absolute_in(variable, "HOME").map(|home| home.join(".local/state")))?;
    Some(folder.join("mailsluice"))
}

/// The XDG specification says that relative paths are ignored.
fn absolute_in(variable: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The config of the whole machine has relays alone.
pub(super) fn check_system(path: &Path, document: &Document, problems: &mut Problems) {
    let Value::Map(entries) = &document.root.value else { return };
    for (key, _) in entries.iter().filter(|(key, _)| is_system(path) && !OF_SYSTEM.contains(&key.text.as_str())) {
        let message = format!("`{}` does not belong into the config of the whole machine", key.text);
        let hint = format!(
            "it has {} and nothing else; the rest stands in `~/.config/mailsluice/config.yaml` of each user",
            OF_SYSTEM.map(|key| format!("`{key}`")).join(", ")
        );
        problems.error(key.span, message).hint(hint);
    }
}

/// A password must not be readable by others; that of the whole machine may be by a group. What is no regular file (a pipe)
/// has no mode that matters.
pub(super) fn check_access(path: &Path, metadata: &Metadata, at: Span, problems: &mut Problems) {
    if !metadata.is_file() {
        return;
    }
    if is_system(path) {
        if metadata.uid() != 0 || metadata.mode() & 0o027 != 0 {
            let group = group_of(metadata);
            problems
                .error(at, "a password stands in this file, which has to be root's, and others have access to it")
                .hint(format!(
                    "chown root:{group} {SYSTEM} && chmod 640 {SYSTEM}; whoever is to send is in the group {group}"
                ));
        }
    } else if secret::is_open_to_others(metadata) {
        problems.error(at, "a password stands in this file, and others have access to it").hint(secret::chmod(path));
    }
}

/// Who can read the config of the whole machine, for whoever cannot.
pub(super) fn who_may_read(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok().filter(|_| is_system(path))?;
    let group = group_of(&metadata);
    Some(format!("root and the group `{group}` read it: add the user to that group, or give him a config of his own"))
}

fn group_of(metadata: &Metadata) -> String {
    let group = Group::from_gid(Gid::from_raw(metadata.gid())).ok().flatten();
    group.map_or_else(|| metadata.gid().to_string(), |group| group.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_has_three_sources() {
        let from = |set: &'static [(&'static str, &'static str)]| {
            state_folder(&|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value)))
        };
        assert_eq!(from(&[("STATE_DIRECTORY", "/var/lib/a:/b"), ("HOME", "/h")]), Some("/var/lib/a".into()));
        assert_eq!(from(&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")]), Some("/x/mailsluice".into()));
        assert_eq!(from(&[("XDG_STATE_HOME", "x"), ("HOME", "/h")]), Some("/h/.local/state/mailsluice".into()));
        assert_eq!(from(&[("STATE_DIRECTORY", "")]), None);
    }
}
