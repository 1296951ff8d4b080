//! The desktop session of the user. A program started by cron, by a service or under `su` is outside the session, and
//! has to find its bus.

use std::env;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat, lstat};

use crate::error::{Error, Kind, Result};

/// The variable that holds the address of the session bus.
const BUS_VARIABLE: &str = "DBUS_SESSION_BUS_ADDRESS";
/// The variable that names the folder with the sockets of a session.
const RUNTIME_VARIABLE: &str = "XDG_RUNTIME_DIR";

/// The variables by which a program finds the session bus: from the environment, else from the runtime folder of the
/// session, else from the user's own one.
pub(super) fn session() -> Result<Vec<(&'static str, String)>> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let runtime = set(RUNTIME_VARIABLE).map(PathBuf::from);
    if let Some(bus) = set(BUS_VARIABLE) {
        let runtime = runtime.map(|path| (RUNTIME_VARIABLE, path.display().to_string()));
        return Ok([(BUS_VARIABLE, bus)].into_iter().chain(runtime).collect());
    }
    let uid = rustix::process::geteuid().as_raw();
    let folders: Vec<PathBuf> = runtime.into_iter().chain([PathBuf::from(format!("/run/user/{uid}"))]).collect();
    match folders.iter().find(|folder| is_bus(&folder.join("bus"), uid)) {
        Some(folder) => {
            Ok(vec![(BUS_VARIABLE, address(&folder.join("bus"))), (RUNTIME_VARIABLE, folder.display().to_string())])
        }
        None => {
            let looked: Vec<String> = folders.iter().map(|folder| folder.join("bus").display().to_string()).collect();
            let why = format!(
                "there is no desktop session: {BUS_VARIABLE} is not set, and there is no bus of yours at {}",
                looked.join(" or ")
            );
            Err(Error::permanent(Kind::Config, why))
        }
    }
}

/// Whether a path is a socket of this user. Another user's socket would see the user's mail.
fn is_bus(path: &Path, uid: u32) -> bool {
    let is_socket = |found: &Stat| FileType::from_raw_mode(found.st_mode) == FileType::Socket;
    lstat(path).is_ok_and(|found| is_socket(&found) && found.st_uid == uid)
}

/// The path as the address of a bus. Reserved characters are escaped (D-Bus specification, "Server Addresses").
fn address(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte);
    let bytes = path.as_os_str().as_bytes().iter();
    let escaped = bytes.map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02x}") });
    format!("unix:path={}", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_character_with_a_meaning() {
        assert_eq!(address(Path::new("/run/user/1000/bus")), "unix:path=/run/user/1000/bus");
        assert_eq!(address(Path::new("/tmp/a,b=c d/bus")), "unix:path=/tmp/a%2cb%3dc%20d/bus");
    }
}
