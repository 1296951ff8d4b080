//! Undo: a message that a rule filed or discarded comes back to where it would have been without rules.

use std::path::Path;
use std::sync::Arc;

use super::commit::Committer;
use super::plan::Decided;
use super::relocate::{self, Relocation};
use super::{Decide, World};
use crate::config::template::{FolderName, Template};
use crate::decision::{Action, Decision, Filing, Place};
use crate::deliver::Letters;
use crate::error::{Error, Kind, Result};
use crate::filter::Engine;
use crate::message::{Bytes, Envelope, Flags, Key, Message, Origin, UNDONE};
use crate::state::{EntryId, JournalEntry};

/// What came back.
#[derive(Debug)]
pub struct Undone {
    /// The Subject, shortened.
    pub subject: String,
    /// The folder where it is now.
    pub folder: String,
    /// What cannot be taken back.
    pub remarks: Vec<String>,
}

/// Where the message of a journal row belongs, from the row's account and folder at its source.
pub type Home<'h> = &'h dyn Fn(&JournalEntry) -> FolderName;

/// Brings the message of a journal row back.
pub fn undo(world: &World, id: EntryId, home: Home<'_>) -> Result<Undone> {
    let owned = relocate::begin(world)?;
    let refuse = |text: String| Err(Error::permanent(Kind::Usage, text));
    let Some(entry) = world.store.entry(id)? else {
        return refuse(format!("there is no entry {id} in the journal; `mailsluice log` shows their numbers"));
    };
    let folder = home(&entry);
    let origin = Arc::new(Origin { account: UNDONE.to_owned(), folder: folder.to_string(), generation: 0 });
    let key = Key::new(&origin, id.to_string());
    if world.store.remembered(&key)?.is_some() {
        return refuse(format!("entry {id} was brought back already"));
    }
    let files = relocate::files_of(world, &entry.targets)?;
    let home_dir = world.folders.maildir(&folder);
    if files.iter().any(|file| file.starts_with(&home_dir) && is_directly_in(file, &home_dir)) {
        return refuse(format!("the message of entry {id} is in {folder} already"));
    }
    let Some(source) = files
        .first()
        .cloned()
        .or_else(|| entry.spooled.clone().filter(|path| world.disk.exists(path).unwrap_or(false)))
    else {
        return refuse(nowhere(id, &entry));
    };
    let (message, flags) = read(world, &source)?;
    let mut remarks = Vec::new();
    if !entry.mboxes.is_empty() {
        remarks.push("what was filed into an mbox stays there".to_owned());
    }
    if entry.row.outcome.contains(" edited") && entry.spooled.is_none() {
        remarks.push("it comes back as the rules had changed it".to_owned());
    }
    let arrived = entry.arrived.unwrap_or(entry.row.at);
    let envelope = Envelope { key: key.clone(), arrived, flags: flags.clone(), announced: 0 };
    let place = Filing { place: Place::Keep, flags, version: 0 };
    let why = vec![format!("undo of entry {id}")];
    let decision = Decision { actions: vec![Action::File(place)], why, ..Decision::default() };
    let name = source.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let base = (!files.is_empty()).then(|| relocate::moved_name(&name, &key, world.now()));
    let subject = entry.row.about.subject.clone();
    let decided = Decided { envelope, message: Arc::new(message), decision, base };
    let engine: Arc<dyn Decide> = Arc::new(Engine::default());
    let mut committer = Committer::new(world, &owned, UNDONE, engine, Template::whole_folder());
    committer.relocate(vec![Relocation { decided, leaves: files }])?;
    Ok(Undone { subject, folder: folder.to_string(), remarks })
}

fn nowhere(id: EntryId, entry: &JournalEntry) -> String {
    match entry.mboxes.first() {
        Some(mbox) => {
            let file = mbox.file.display();
            format!("the message of entry {id} is only in the mbox {file}; take it out of there with your mail reader")
        }
        None => {
            format!("the message of entry {id} is nowhere any more: it was deleted, or discarded more than 30 days ago")
        }
    }
}

/// `maildir/new/x`, not `maildir/sub/new/x`.
fn is_directly_in(file: &Path, maildir: &Path) -> bool {
    file.parent().and_then(Path::parent) == Some(maildir)
}

/// The message and the flags it has by now.
fn read(world: &World, file: &Path) -> Result<(Message, Flags)> {
    let failed = |e| Error::disk(format!("reading {}", file.display()), e);
    let mut bytes = Vec::new();
    world.disk.open(file).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    let maildir = file.parent().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let flags = Letters::read(&*world.disk, &maildir)?.flags(&name);
    Ok((Message::new(Bytes::Memory(bytes)), flags))
}
