//! A password as it is fetched from variables, files and credentials.

use std::env;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tokio::fs::OpenOptions;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::is_credential_name;
use crate::error::{Error, Kind, Result};

/// How much is read to find the first line, in bytes.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// The command that takes a file away from everybody but its owner, ready to be pasted.
pub(in crate::config) fn chmod(path: &Path) -> String {
    let shown = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@' | ',' | ':');
    if shown.chars().all(is_plain) && !shown.starts_with('-') {
        return format!("chmod 600 {shown}");
    }
    format!("chmod 600 -- '{}'", shown.replace('\'', r"'\''"))
}

/// Whether anybody but the owner has access.
pub(in crate::config) fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o077 != 0
}

/// The same for a file with nothing but a secret. Root's may be read by its group: root says who is in it.
fn is_open_to_strangers(metadata: &Metadata) -> bool {
    is_open_to_others(metadata) && (metadata.uid() != 0 || metadata.permissions().mode() & 0o027 != 0)
}

/// Refuses a file with a secret that others may read, before it is read by a library.
pub(crate) fn check_file(path: &Path, doing: &str) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|error| wrong(doing).because(error))?;
    check_is_ones_own(path, &metadata, &path.display().to_string())
}

/// Refuses a file with a secret that others may read, and says how to take it from them.
fn check_is_ones_own(path: &Path, metadata: &Metadata, what: &str) -> Result<()> {
    if !is_open_to_strangers(metadata) {
        return Ok(());
    }
    let remedy = match metadata.uid() {
        0 if path.starts_with("/etc") => {
            format!("chmod 640 {} and let whoever sends be in its group", path.display())
        }
        _ => chmod(path),
    };
    Err(wrong(format!("{what} is open to others: {remedy}")))
}

pub(super) fn wrong(doing: impl Into<String>) -> Error {
    Error::permanent(Kind::Config, doing)
}

/// A password out of bytes: a text of one line that is not empty.
pub(super) fn checked(bytes: &[u8], from: &str) -> Result<SecretString> {
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(format!("{from} is not UTF-8")))?;
    if text.is_empty() {
        return Err(wrong(format!("{from} is empty")));
    }
    if text.contains(['\0', '\r', '\n']) {
        return Err(wrong(format!("{from} holds a NUL or a line end")));
    }
    Ok(SecretString::from(text))
}

/// The first line without its end. More than [`MAX_BYTES`] without a line end is refused.
pub(super) fn first_line(bytes: &[u8], from: &str) -> Result<SecretString> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.len() >= MAX_BYTES {
        return Err(wrong(format!("{from} is longer than {MAX_BYTES} bytes")));
    }
    checked(line.strip_suffix(b"\r").unwrap_or(line), from)
}

pub(super) fn from_env(name: &str) -> Result<SecretString> {
    match env::var(name) {
        Ok(value) => checked(Zeroizing::new(value).as_bytes(), &format!("the password in ${name}")),
        Err(env::VarError::NotPresent) => Err(wrong(format!("reading the password: ${name} is not set"))),
        Err(env::VarError::NotUnicode(_)) => Err(wrong(format!("the password in ${name} is not UTF-8"))),
    }
}

/// A whole file that nobody but its owner may read.
pub async fn private_file(path: &Path, from: &str) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = opened(path, from, true).await?;
    match bytes.len() < MAX_BYTES {
        true => Ok(bytes),
        false => Err(wrong(format!("{from} is longer than {MAX_BYTES} bytes"))),
    }
}

pub(super) async fn from_file(path: &Path, from: &str, owner_only: bool) -> Result<SecretString> {
    first_line(&opened(path, from, owner_only).await?, from)
}

async fn opened(path: &Path, from: &str, owner_only: bool) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |error: io::Error| wrong(format!("reading {from}")).because(error);
    // O_NONBLOCK, so that a FIFO is refused below and does not hold us up here.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).await.map_err(failed)?;
    let metadata = file.metadata().await.map_err(failed)?;
    if !metadata.is_file() {
        return Err(wrong(format!("{from} is not a regular file")));
    }
    if owner_only {
        check_is_ones_own(path, &metadata, from)?;
    }
    read_up_to(MAX_BYTES, &mut file).await.map_err(failed)
}

/// systemd gives access by an ACL, which shows up as group access: the mode is not looked at.
pub(super) async fn from_credential(name: &str, directory: Option<PathBuf>) -> Result<SecretString> {
    if !is_credential_name(name) {
        return Err(wrong(format!("`{name}` cannot be the name of a credential")));
    }
    let Some(directory) = directory else {
        let hint = "run as a systemd service with LoadCredential= or LoadCredentialEncrypted=";
        return Err(wrong(format!("reading the credential {name}: $CREDENTIALS_DIRECTORY is not set; {hint}")));
    };
    from_file(&directory.join(name), &format!("the credential {name}"), false).await
}

/// Up to `most` bytes; what follows is left unread.
async fn read_up_to(most: usize, from: impl AsyncRead + Unpin) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    from.take(most as u64).read_to_end(&mut bytes).await?;
    Ok(bytes)
}
