//! `~/dead.letter`: where a message goes that can neither be sent nor filed, for instance because there is no config that says
//! where. Programs that send mail have put it there for forty years.

use std::io;
use std::path::PathBuf;

use jiff::Zoned;

use crate::state::{Disk, RealDisk};
use crate::user;

/// Puts a message at its end, as an mbox has it. The result is the file.
pub(super) fn append(message: &[u8]) -> io::Result<PathBuf> {
    let home = user::home().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no home folder"))?;
    let path = home.join("dead.letter");
    if path.is_symlink() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is a link", path.display())));
    }
    let mut file = RealDisk.open_shared(&path)?;
    let length = file.length()?;
    let mut last = [0];
    let is_torn = length > 0 && (file.read_at(&mut last, length - 1)? == 0 || last != *b"\n");
    let written = file.append(&letter(message, is_torn)).and_then(|()| file.sync());
    // Half a letter would swallow the next one.
    written.inspect_err(|_| _ = file.truncate(length))?;
    Ok(path)
}

fn letter(message: &[u8], is_torn: bool) -> Vec<u8> {
    let mut text = if is_torn { b"\n\n".to_vec() } else { Vec::new() };
    text.extend(Zoned::now().strftime("From MAILER-DAEMON %a %b %e %H:%M:%S %Y\n").to_string().into_bytes());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let quotes = line.iter().take_while(|byte| **byte == b'>').count();
        if line[quotes..].starts_with(b"From ") {
            text.push(b'>');
        }
        text.extend_from_slice(line);
    }
    text.extend_from_slice(if message.ends_with(b"\n") { b"\n" } else { b"\n\n" });
    text
}
