//! The files that `init` writes, each whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use secrecy::ExposeSecret;

use super::answers::{InitAnswers, SecretSource};
use super::compose::secret_file;
use crate::cli::setup;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::user;

/// The unit as the examples have it, with the place of a program that cargo installed.
const UNIT: &str = include_str!("../../../examples/systemd/mailsluice.service");
const CARGO: &str = "%h/.cargo/bin/mailsluice";

/// Whether there is a config where one is to be, and none where none is to be.
pub(super) fn check_place(config: &Path, adds: bool) -> Result<()> {
    let shown = config.display();
    match (config.exists(), adds) {
        (true, false) => Err(Error::permanent(Kind::Usage, format!("there is a config already: {shown}"))
            .helped_by("`mailsluice init --add` adds an account to it, `mailsluice check` reads it")),
        (false, true) => Err(Error::permanent(Kind::Usage, format!("there is no config yet: {shown}"))
            .helped_by("`mailsluice init` without `--add` makes one")),
        _ => Ok(()),
    }
}

pub(super) fn read(config: &Path) -> Result<String> {
    let doing = || format!("reading {}", config.display());
    fs::read_to_string(config).map_err(|error| Error::permanent(Kind::Config, doing()).because(error))
}

/// Writes the secret, where one was typed, and then the config. `known`: what the config was when it was read.
pub(super) fn write(config: &Path, text: &str, known: Option<&str>, answers: &InitAnswers) -> Result<()> {
    // From here on Ctrl-C waits: half of it would be left.
    setup::outlive_signals(&[Signal::INT, Signal::TERM]);
    // A link is written through.
    let config = fs::canonicalize(config).unwrap_or_else(|_| config.to_path_buf());
    let folder = config.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    if known.is_some_and(|known| fs::read_to_string(&config).is_ok_and(|now| now != known)) {
        let text = format!("{} was changed meanwhile, and stays as it is", config.display());
        return Err(Error::permanent(Kind::Config, text).helped_by("run `mailsluice init --add` again"));
    }
    let secret = match &answers.secret {
        SecretSource::Typed(typed) => {
            let path = folder.join(secret_file(&answers.name));
            let line = secrecy::zeroize::Zeroizing::new(format!("{}\n", typed.expose_secret()));
            create(&path, line.as_bytes(), 0o600).map_err(|error| failed(&path, error))?;
            Some(path)
        }
        SecretSource::File(_) | SecretSource::Command(_) | SecretSource::ClientId(_) => None,
    };
    let written = replace(&config, text, known.is_some()).map_err(|error| failed(&config, error));
    if let (Err(_), Some(secret)) = (&written, &secret) {
        fs::remove_file(secret).ok();
    }
    written
}

fn failed(path: &Path, error: io::Error) -> Error {
    let error_kind = error.kind();
    let failed = Error::disk(format!("writing {}", path.display()), error);
    match error_kind {
        io::ErrorKind::AlreadyExists => {
            failed.helped_by("another file of that name is there: move it away, or give `--name`")
        }
        _ => failed,
    }
}

/// A new file of one's own, durable.
fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        fs::remove_file(path).ok();
    }
    written
}

/// A config in the place of another one, or of none. The mode stays.
fn replace(config: &Path, text: &str, is_there: bool) -> io::Result<()> {
    if !is_there {
        return create(config, text.as_bytes(), 0o600).and_then(|()| sync_folder(config));
    }
    let mode = fs::metadata(config)?.permissions().mode() & 0o777;
    let mut name = config.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = config.with_file_name(name);
    create(&new, text.as_bytes(), 0o600)?;
    let replaced = fs::set_permissions(&new, Permissions::from_mode(mode)).and_then(|()| fs::rename(&new, config));
    if replaced.is_err() {
        fs::remove_file(&new).ok();
    }
    replaced.and_then(|()| sync_folder(config))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The unit for the user's own systemd. One that is there stays.
pub(super) fn write_unit(config: &Path) -> Result<PathBuf> {
    let home = user::home().ok_or_else(|| Error::permanent(Kind::Config, "there is no home folder for a unit"))?;
    let path = home.join(".config/systemd/user/mailsluice.service");
    if path.exists() {
        return Ok(path);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    // A `%` means something in a unit.
    let text = UNIT.replace(CARGO, &command(config)?.replace('%', "%%"));
    fs::create_dir_all(folder)
        .and_then(|()| create(&path, text.as_bytes(), 0o644))
        .map_err(|error| failed(&path, error))?;
    Ok(path)
}

/// This program, as others start it, with the config where it is not the one that is looked for.
pub(super) fn command(config: &Path) -> Result<String> {
    let program = std::env::current_exe().map_err(|error| Error::disk("looking for this program", error))?;
    Ok(quoted(&program) + &option(config))
}

/// `-c FILE` where the config is not the one that is looked for.
pub(super) fn option(config: &Path) -> String {
    let config = std::path::absolute(config).unwrap_or_else(|_| config.to_path_buf());
    match Config::default_path() {
        Ok(usual) if usual == config => String::new(),
        _ => format!(" -c {}", quoted(&config)),
    }
}

/// A path for a shell or a unit: in double quotes where it is not plain.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@".contains(c));
    match is_plain {
        true => text,
        false => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('`', "\\`"))
        }
    }
}
