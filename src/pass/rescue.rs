//! Handles what a crash left in doubt: messages that were recorded and have no file, and staged files whose messages
//! the server does not list any more.

use std::path::Path;
use std::sync::Arc;

use super::files::files_of;
use super::plan::about;
use super::{Cause, Filer, Leftovers, Notice, World};
use crate::clean;
use crate::config::Protocol;
use crate::error::{Error, Result};
use crate::message::{self, Bytes, Key, Message, Origin, head_hash, head_of};
use crate::source::Listing;
use crate::state::{KeyPurpose, Owned, RememberedKey, Unfinished};

/// Makes messages that were recorded and have no file count as new again, if the server still lists them. The same
/// applies to messages of a folder whose numbers may have changed since, because under a new number they would be
/// recognised as filed.
pub fn fetch_again(
    world: &World,
    owned: &Owned,
    protocol: Protocol,
    listing: &Listing,
    lost: &mut Vec<Unfinished>,
    filer: &mut Filer,
) -> Result<()> {
    let is_listed = |row: &mut Unfinished| row.key.origin == listing.origin && listing.ids.contains(&row.key.id);
    for row in lost.extract_if(.., is_listed) {
        world.store.again(owned, &row)?;
        // Nothing was sent about the message, and nothing will be: it may have been on the server before the first run,
        // which nothing can prove any more.
        if world.store.remembered(&row.key)?.is_none() {
            world.store.mark(owned, &[(row.key, RememberedKey::unread(KeyPurpose::Stood, 0, world.now()))])?;
        }
    }
    let may_be_renumbered = |row: &mut Unfinished| {
        let (origin, listed) = (&row.key.origin, &listing.origin);
        let is_of_folder = origin.account == listed.account && origin.folder == listed.folder;
        is_of_folder && (origin != listed || protocol == Protocol::Pop3)
    };
    // The server may not have these messages any more, so the user gets the notice first.
    tell_of_lost(world, owned, lost.extract_if(.., may_be_renumbered).collect(), filer)
}

/// Files a notice for each message that was recorded, has no file, and is not listed. Nothing more can be done for it.
pub fn tell_of_lost(world: &World, owned: &Owned, lost: Vec<Unfinished>, filer: &mut Filer) -> Result<()> {
    for row in lost {
        let (from, subject) = (clean::short(&row.about.from, 100), clean::short(&row.about.subject, 200));
        let text = format!(
            "The message \"{subject}\" from {from} ({}) was recorded as entry {} of the log, but its file cannot be found, \
             and the server does not list it under that number any more. If the server lists it under another number, it is \
             fetched again. If you deleted it just after it came, all is well; otherwise somebody removed its file from \
             `tmp/` after a crash.",
            row.key, row.id
        );
        filer.notify(&Notice { cause: Cause::NeverPublished, account: filer.report.account.clone(), text })?;
        world.store.again(owned, &row)?;
    }
    Ok(())
}

/// Files staged messages that no folder lists any more: the staged files may be the only copies.
pub fn rescue_unlisted(world: &World, space: &str, leftovers: Leftovers, filer: &mut Filer) -> Result<()> {
    let origin = Arc::new(Origin { account: space.to_owned(), folder: message::RECOVERED.to_owned(), generation: 0 });
    for (name, paths) in leftovers.unlisted(world)? {
        let Some(path) = paths.first() else { continue };
        let key = Key::new(&origin, name.as_str());
        // If the key is known already, the run that filed the message died before it could remove the staged file.
        if world.store.remembered(&key)?.is_none() {
            let bytes = read(world, path)?;
            if came_again(world, space, &bytes)? {
                Leftovers::remove(world, &paths)?;
                continue;
            }
            filer.rescue(key, bytes)?;
        }
        let text = format!(
            "After a crash, a file of the message {} was found, complete or not. The server does not list the message any \
             more. It is in the inbox now.",
            name.as_str()
        );
        let account = filer.report.account.clone();
        filer.notify(&Notice { cause: Cause::Recovered, account, text })?;
        Leftovers::remove(world, &paths)?;
    }
    Ok(())
}

/// Whether the message was fetched again under another number, because the server renumbered its messages. The header
/// as it came shows that, or, if rules edited it, a file that begins with the same bytes.
fn came_again(world: &World, space: &str, bytes: &[u8]) -> Result<bool> {
    if world.store.is_here(space, &head_hash(head_of(bytes)))? {
        return Ok(true);
    }
    let message_id = about(&Message::new(Bytes::Memory(bytes.to_vec()))).message_id;
    if message_id.is_empty() {
        return Ok(false);
    }
    for id in world.store.filed_as(space, &message_id)? {
        let targets = world.store.entry(id)?.map(|entry| entry.targets).unwrap_or_default();
        for path in files_of(world, &targets)? {
            // A file that was half written when its process was killed is the beginning of the message.
            if read(world, &path)?.starts_with(bytes) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn read(world: &World, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = world.disk.open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|e| Error::disk(format!("reading {}", path.display()), e))?;
    Ok(bytes)
}
