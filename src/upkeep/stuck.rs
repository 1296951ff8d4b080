//! Mail that moved and cannot be removed from its old folder, or cannot be seen in its new one. It alone waits, the
//! user gets one notice a folder and day, and everything else goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::clean;
use crate::error::{Error, Result};
use crate::message::REFILTERED;
use crate::pass::{Cause, Filer, Notice};
use crate::state::{EntryId, Leaving};

/// A row that stays unfinished until a folder can be used.
#[derive(Debug)]
struct Waiting {
    row: Option<EntryId>,
    /// The files that its message leaves.
    leaves: Vec<Leaving>,
    folder: PathBuf,
    cause: String,
}

/// The messages that wait.
#[derive(Debug, Default)]
pub(crate) struct Stuck(Vec<Waiting>);

impl Stuck {
    /// Adds a row that an error of one folder holds up. Any other error is returned.
    pub(super) fn add_error(&mut self, row: Option<EntryId>, leaves: &[Leaving], error: Error) -> Result<()> {
        match error.target() {
            Some(folder) => self.add(row, leaves, folder, &error),
            None => return Err(error),
        }
        Ok(())
    }

    /// Adds a row that this folder holds up.
    pub(super) fn add(&mut self, row: Option<EntryId>, leaves: &[Leaving], folder: &Path, error: &Error) {
        let cause = clean::line(error.to_string().as_bytes());
        self.0.push(Waiting { row, leaves: leaves.to_vec(), folder: folder.to_owned(), cause });
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether this row waits.
    pub(super) fn has(&self, id: EntryId) -> bool {
        self.0.iter().any(|waiting| waiting.row == Some(id))
    }

    /// Why one of these files is still there although its message has moved. If it moved again, it would be filed
    /// twice.
    pub(super) fn holds(&self, leaves: &[Leaving]) -> Option<String> {
        let is_same = |one: &Leaving, other: &Leaving| match (one.number, other.number) {
            (Some(one), Some(other)) => one == other,
            _ => one.path == other.path,
        };
        let holds =
            |waiting: &&Waiting| waiting.leaves.iter().any(|one| leaves.iter().any(|other| is_same(one, other)));
        let waiting = self.0.iter().find(holds)?;
        Some(format!("it moved already, and its old file waits to be removed: {}", waiting.cause))
    }

    /// The folders, each with the cause and how many messages wait for it.
    fn by_folder(&self) -> BTreeMap<&Path, (&str, usize)> {
        let mut folders = BTreeMap::new();
        for waiting in &self.0 {
            folders.entry(&*waiting.folder).or_insert((&*waiting.cause, 0)).1 += 1;
        }
        folders
    }

    /// What is shown to a person who runs the command.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let remark = |(folder, (cause, count)): (&Path, (&str, usize))| {
            let (messages, they, folder) = (messages(count), they(count), shown(folder));
            format!(
                "{messages} moved and cannot be finished: {cause}; {they} in both folders until {folder} can be written"
            )
        };
        self.by_folder().into_iter().map(remark).collect()
    }

    /// Files a notice for each folder, if the inbox takes mail.
    pub(crate) fn notify(&self, filer: &mut Filer) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        for (folder, (cause, count)) in self.by_folder() {
            match filer.notify(&notice(folder, cause, count)) {
                Err(e) if e.target().is_some() => {
                    tracing::warn!("the notice about {} cannot be filed: {e}", shown(folder))
                }
                told => told?,
            }
        }
        filer.finish()
    }
}

fn notice(folder: &Path, cause: &str, count: usize) -> Notice {
    let text = format!(
        "{} moved and cannot be finished: {cause}.\n\nUntil then {} in both folders. Let your user read and write {} and the \
         folders in it, for example with `chmod -R u+rwX`; then the next `mailsluice run`, `fetch` or `queue run` removes the old files. Nothing \
         else is held up by it.",
        messages(count),
        they(count),
        shown(folder)
    );
    Notice { cause: Cause::CannotLeave(folder.to_string_lossy().into_owned()), account: REFILTERED.to_owned(), text }
}

fn messages(count: usize) -> String {
    if count == 1 { "A message".to_owned() } else { format!("{count} messages") }
}

fn they(count: usize) -> &'static str {
    if count == 1 { "it may be" } else { "they may be" }
}

fn shown(folder: &Path) -> String {
    clean::line(folder.as_os_str().as_encoded_bytes())
}
