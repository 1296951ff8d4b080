//! The user who runs this program, and the other logins of this machine, according to the password database.

use std::env;
use std::fs::metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};
use rustix::fs::{Access, access};

/// The home folder: `$HOME`, or the one in the password database if the variable is missing or names the home of another
/// user. Debian's cron runs `sendmail` as the user but with root's `HOME`; systemd services often have none.
pub(crate) fn home() -> Option<PathBuf> {
    let named = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    match named {
        Some(home) if !is_of_another(&home) => Some(home),
        named => of_database().or(named),
    }
}

/// Whether a folder cannot be entered, or is the home of another user. A folder that does not exist belongs to nobody.
fn is_of_another(home: &Path) -> bool {
    let entered = metadata(home).and_then(|folder| Ok(access(home, Access::EXEC_OK).map(|()| folder)?));
    let folder = match entered {
        Ok(folder) => folder,
        Err(e) => return e.kind() != ErrorKind::NotFound,
    };
    let owner = Uid::from_raw(folder.uid());
    let is_home_of_owner = || User::from_uid(owner).ok().flatten().is_some_and(|owner| owner.dir == home);
    // Root must not use a config that another user can write.
    owner != geteuid() && (geteuid().is_root() || is_home_of_owner())
}

/// The login name.
pub(crate) fn login() -> Option<String> {
    User::from_uid(geteuid()).ok().flatten().map(|user| user.name)
}

/// The owner of a file that belongs to another user than the one who runs this: the name, or as sudo takes it, `#1000`.
pub(crate) fn other_owner(file: &Path) -> Option<String> {
    let owner = Uid::from_raw(metadata(file).ok()?.uid());
    let name = || User::from_uid(owner).ok().flatten().map_or_else(|| format!("#{owner}"), |user| user.name);
    (owner != geteuid()).then(name)
}

/// This user's home in the password database, if it exists.
fn of_database() -> Option<PathBuf> {
    let user = User::from_uid(geteuid()).ok().flatten()?;
    Some(user.dir).filter(|home| home.is_absolute() && home.is_dir())
}

/// Whether a name is a login of this machine: `root`, the user who runs this, or one in the password database.
pub(crate) fn is_login(name: &str) -> bool {
    let is_ours = |variable: &str| env::var(variable).is_ok_and(|ours| ours == name);
    // No login contains a NUL.
    let is_user = || !name.contains('\0') && User::from_name(name).is_ok_and(|user| user.is_some());
    name.eq_ignore_ascii_case("root") || is_ours("LOGNAME") || is_ours("USER") || is_user()
}
