//! The number and size of the messages in a folder, read again when something in it has changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::decision::Contents;
use crate::error::{Error, Result};
use crate::state::Disk;

/// A folder is not read again before this many times the duration of the last reading. So a big folder into which mail
/// comes costs a fiftieth of the time.
const REREAD_FACTOR: u32 = 50;

/// When the names in a Maildir changed.
type Changed = [Option<(u64, i128)>; 2];

/// What was read of a Maildir.
#[derive(Debug)]
struct MaildirLook {
    changed: Changed,
    held: Contents,
    again: Instant,
}

/// The contents of each Maildir that was asked for.
#[derive(Debug, Default)]
pub(super) struct FolderContents(Mutex<HashMap<PathBuf, MaildirLook>>);

impl FolderContents {
    /// The contents of an existing Maildir.
    pub(super) fn of(&self, disk: &dyn Disk, maildir: &Path) -> Result<Contents> {
        let failed = |e| Error::disk(format!("reading the folder {}", maildir.display()), e);
        let changed = [disk.stamp(&maildir.join("new")), disk.stamp(&maildir.join("cur"))];
        let changed = <[_; 2]>::try_from(changed.into_iter().collect::<std::io::Result<Vec<_>>>().map_err(failed)?);
        let changed = changed.unwrap_or_default();
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = looks.get(maildir).filter(|look| look.changed == changed || Instant::now() < look.again) {
            return Ok(look.held);
        }
        let start = Instant::now();
        let held = read(disk, maildir).map_err(failed)?;
        let rest: Duration = start.elapsed() * REREAD_FACTOR;
        looks.insert(maildir.to_owned(), MaildirLook { changed, held, again: Instant::now() + rest });
        Ok(held)
    }
}

fn read(disk: &dyn Disk, maildir: &Path) -> std::io::Result<Contents> {
    let mut held = Contents::default();
    for sub in ["new", "cur"] {
        let dir = maildir.join(sub);
        for name in disk.names(&dir)?.iter().filter(|name| !name.starts_with('.')) {
            // A file that a mail reader moves away meanwhile does not count.
            let size = match size_in_name(name) {
                Some(size) => Some(size),
                None => disk.stamp(&dir.join(name))?.map(|(size, _)| size),
            };
            if let Some(size) = size {
                held.messages += 1;
                held.bytes = held.bytes.saturating_add(size);
            }
        }
    }
    Ok(held)
}

/// Dovecot and Courier write the size into the name: `,S=1234`.
fn size_in_name(name: &str) -> Option<u64> {
    let (_, rest) = name.split_once(",S=")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::RealDisk;

    #[test]
    fn what_is_in_a_folder_is_known_after_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let maildir = folder.path();
        for sub in ["new", "cur", "tmp"] {
            std::fs::create_dir(maildir.join(sub)).unwrap();
        }
        let folders = FolderContents::default();
        let held = || folders.of(&RealDisk, maildir).unwrap();
        assert_eq!(held(), Contents::default());
        std::thread::sleep(Duration::from_millis(50));
        std::fs::write(maildir.join("new/1.a"), "12345").unwrap();
        std::fs::write(maildir.join("cur/2.b,S=100,W=104:2,S"), "12345").unwrap();
        std::fs::write(maildir.join("tmp/3.c"), "12345").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(held(), Contents { messages: 2, bytes: 105 });
    }
}
