//! Which message is being decided. This is stored outside the database and never synced, so it costs nothing.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::message::{Key, Origin};

/// Where the key of the message is stored.
#[derive(Debug)]
pub(super) enum Slots {
    Folder(PathBuf),
    Memory(Mutex<HashMap<String, Vec<u8>>>),
}

impl Slots {
    pub(super) fn set_deciding(&self, space: &str, key: Option<&Key>) -> Result<()> {
        let note = key.map(slot_text).unwrap_or_default();
        match self {
            Self::Memory(slots) => {
                slots.lock().unwrap_or_else(PoisonError::into_inner).insert(space.to_owned(), note);
                Ok(())
            }
            Self::Folder(folder) => {
                let path = folder.join(space);
                let write = || {
                    let mut file = OpenOptions::new();
                    let file = file.write(true).create(true).truncate(false).mode(0o600);
                    let file = file.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32).open(&path)?;
                    file.write_all_at(&[note.as_slice(), b"\n"].concat(), 0)
                };
                write().map_err(|e| Error::state("storing the message that is being decided", e))
            }
        }
    }

    pub(super) fn deciding(&self, space: &str) -> Result<Option<Key>> {
        let note = match self {
            Self::Memory(slots) => {
                slots.lock().unwrap_or_else(PoisonError::into_inner).get(space).cloned().unwrap_or_default()
            }
            Self::Folder(folder) => match std::fs::read(folder.join(space)) {
                Ok(note) => note,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                Err(e) => return Err(Error::state("reading the message that was being decided", e)),
            },
        };
        let line = note.split(|b| *b == b'\n').next().unwrap_or_default();
        Ok(slot_key(line))
    }
}

/// A key as one line of JSON: account, folder, generation, id in hex. Each name space has one file.
fn slot_text(key: &Key) -> Vec<u8> {
    let id = data_encoding::HEXLOWER.encode(&key.id);
    serde_json::json!([key.origin.account, key.origin.folder, key.origin.generation, id]).to_string().into_bytes()
}

/// A torn or empty line means that no message was being decided.
fn slot_key(line: &[u8]) -> Option<Key> {
    let (account, folder, generation, id): (String, String, u32, String) = serde_json::from_slice(line).ok()?;
    let id = data_encoding::HEXLOWER.decode(id.as_bytes()).ok()?;
    Some(Key::new(&Arc::new(Origin { account, folder, generation }), id))
}
