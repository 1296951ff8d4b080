//! Originals: what is kept of a message that rules edit, and how to find the message as it was before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::World;
use super::files::name_of;
use crate::decision::Decision;
use crate::error::{Error, Result};
use crate::message::{Message, is_edited_name, lasting_name};
use crate::safeguard::Safeguard;
use crate::state::{JournalEntry, Later, MboxTarget, Original, Target};

/// What has to be kept of a message so that `undo` can give it back. `whole` is its place in the spool. Nothing more is
/// needed if the message is filed as it came or is in the spool anyway.
pub(super) fn to_keep(
    message: &Arc<Message>,
    decision: &Decision,
    targets: &[Target],
    mboxes: &[MboxTarget],
    whole: impl FnOnce() -> PathBuf,
) -> Original {
    let is_edited = match targets.is_empty() {
        true => !mboxes.is_empty() && mboxes.iter().all(|mbox| mbox.version > 0),
        false => targets.iter().all(|target| target.version > 0),
    };
    if !is_edited || !Safeguard::KeepOriginals.is_on() {
        return Original::Filed;
    }
    let has_body = |target: &Target| decision.version(message, target.version).has_body_of(message);
    match !targets.is_empty() && targets.iter().all(has_body) {
        true => Original::Head(message.before_body().to_vec()),
        false => Original::Whole(whole()),
    }
}

/// A message as it was before its rules.
#[derive(Debug)]
pub(crate) struct OriginalMessage {
    pub(crate) message: Message,
    /// Whether this is the kept original, and not the file in a folder.
    pub(crate) is_original: bool,
    /// What differs from the message as it was.
    pub(crate) remark: Option<&'static str>,
}

/// The message of a journal entry before its rules: from its original, else from its files, else from the spool.
pub(crate) fn find(
    world: &World,
    entry: &JournalEntry,
    files: &[PathBuf],
    later: &[Later],
) -> Result<Option<OriginalMessage>> {
    match &entry.before.original {
        Original::Whole(path) if is_there(world, path)? => return from_spool(world, path, true).map(Some),
        Original::Head(head) => {
            if let Some(found) = with_head(world, head, entry.row.size, files, later)? {
                return Ok(Some(found));
            }
        }
        Original::Whole(_) | Original::Filed => {}
    }
    let as_it_came = files.iter().find(|file| is_as_it_came(entry, &name_of(file)));
    if as_it_came.is_none() && versions(entry) > 1 {
        // One part of a split message, or one of several edits, is not the message.
        return Ok(None);
    }
    if let Some(path) = as_it_came.or(files.first()) {
        let is_changed = as_it_came.is_none() && entry.row.outcome.contains(" edited");
        let remark =
            is_changed.then_some("it comes back as the rules had changed it: its original is not kept any more");
        return Ok(Some(OriginalMessage { message: read(world, path)?, is_original: false, remark }));
    }
    match &entry.spooled {
        Some(path) if is_there(world, path)? => from_spool(world, path, false).map(Some),
        _ => Ok(None),
    }
}

/// How many versions of the message were filed.
fn versions(entry: &JournalEntry) -> usize {
    let versions: BTreeSet<_> = entry.targets.iter().map(|target| target.version).collect();
    versions.len()
}

/// Whether a file of the entry is the message without edits, as far as its name shows.
fn is_as_it_came(entry: &JournalEntry, name: &str) -> bool {
    let (edited, plain): (Vec<_>, Vec<_>) = entry.targets.iter().partition(|target| is_edited_name(&target.staged));
    let lasts = |target: &&Target| lasting_name(&target.staged) == lasting_name(name);
    plain.iter().any(|target| target.staged == name) || plain.iter().any(lasts) && !edited.iter().any(lasts)
}

/// The original header with the body, which nobody has changed since, or which was kept when it was changed.
fn with_head(
    world: &World,
    head: &[u8],
    size: u64,
    files: &[PathBuf],
    later: &[Later],
) -> Result<Option<OriginalMessage>> {
    let mut source = files.first();
    if let Some(kept) = later.iter().find_map(|later| later.kept.as_ref())
        && is_there(world, kept)?
    {
        source = Some(kept);
    }
    let Some(source) = source else { return Ok(None) };
    let message = read(world, source)?.behind(head);
    let remark = (message.size() != size).then_some("its text was changed since, and only its header is as it came");
    Ok(Some(OriginalMessage { message, is_original: true, remark }))
}

/// Reads the message from the spool. The file stays there until it expires.
fn from_spool(world: &World, path: &Path, is_original: bool) -> Result<OriginalMessage> {
    let message = read(world, path)?;
    let message = message.behind(message.before_body());
    Ok(OriginalMessage { message, is_original, remark: None })
}

fn read(world: &World, path: &Path) -> Result<Message> {
    world.read(path).map_err(|e| Error::disk(format!("reading {}", path.display()), e))
}

fn is_there(world: &World, path: &Path) -> Result<bool> {
    world.disk.exists(path).map_err(|e| Error::disk(format!("reading {}", path.display()), e))
}
