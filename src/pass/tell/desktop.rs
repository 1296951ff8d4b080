//! The desktop of the user: a program from cron, from a service or behind `su` is outside of his session, and has to look for
//! its bus.

use std::env;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat, lstat};

use crate::error::{Error, Kind, Result};

/// Where the address of the bus stands.
const BUS: &str = "DBUS_SESSION_BUS_ADDRESS";
/// Where the sockets of a session are.
const RUNTIME: &str = "XDG_RUNTIME_DIR";

/// The variables by which a program finds the session's bus: as they are here, else by what lies in the runtime folder of the
/// session, else in the user's own one.
pub(super) fn session() -> Result<Vec<(&'static str, String)>> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let runtime = set(RUNTIME).map(PathBuf::from);
    if let Some(bus) = set(BUS) {
        let runtime = runtime.map(|path| (RUNTIME, path.display().to_string()));
        return Ok([(BUS, bus)].into_iter().chain(runtime).collect());
    }
    let uid = rustix::process::geteuid().as_raw();
    let folders: Vec<PathBuf> = runtime.into_iter().chain([PathBuf::from(format!("/run/user/{uid}"))]).collect();
    match folders.iter().find(|folder| is_bus(&folder.join("bus"), uid)) {
        Some(folder) => Ok(vec![(BUS, address(&folder.join("bus"))), (RUNTIME, folder.display().to_string())]),
        None => {
            let looked: Vec<String> = folders.iter().map(|folder| folder.join("bus").display().to_string()).collect();
            let why = format!(
                "no desktop is there: {BUS} is not set, and there is no bus of yours at {}",
                looked.join(" or ")
            );
            Err(Error::permanent(Kind::Config, why))
        }
    }
}

/// A socket of the user's own: another one's would read his mail.
fn is_bus(path: &Path, uid: u32) -> bool {
    let is_socket = |found: &Stat| FileType::from_raw_mode(found.st_mode) == FileType::Socket;
    lstat(path).is_ok_and(|found| is_socket(&found) && found.st_uid == uid)
}

/// The path as the address of a bus: what has a meaning there stands as its number (D-Bus specification, "Server Addresses").
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
