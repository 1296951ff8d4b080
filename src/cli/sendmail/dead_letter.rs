//! `~/dead.letter`: where a message goes that can neither be sent nor filed, because there is no config that says where.
//! Programs that send mail have put it there for forty years.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use jiff::Zoned;
use rustix::fs::OFlags;

use crate::user;

/// Puts a message at its end, as an mbox has it. The result is the file.
pub(super) fn append(message: &[u8]) -> io::Result<PathBuf> {
    let home = user::home().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no home folder"))?;
    let path = home.join("dead.letter");
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(&path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no file", path.display())));
    }
    file.lock()?;
    write(&mut file, message)?;
    Ok(path)
}

fn write(file: &mut File, message: &[u8]) -> io::Result<()> {
    let mut text = Zoned::now().strftime("From MAILER-DAEMON %a %b %e %H:%M:%S %Y\n").to_string().into_bytes();
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let quotes = line.iter().take_while(|byte| **byte == b'>').count();
        if line[quotes..].starts_with(b"From ") {
            text.push(b'>');
        }
        text.extend_from_slice(line);
    }
    text.extend_from_slice(if message.ends_with(b"\n") { b"\n" } else { b"\n\n" });
    file.write_all(&text)?;
    file.sync_all()
}
