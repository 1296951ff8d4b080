//! Targets that cannot take a message: the message is kept in the inbox (RFC 5228 2.10.6), and everything else goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::plan::{Decided, Planner};
use super::{Cause, Notice};
use crate::clean;
use crate::decision::{Action, Filing, Place};
use crate::error::Error;

/// The targets that refused a batch, each with the cause and how many messages are kept because of it.
#[derive(Debug, Default)]
pub(super) struct Refused(BTreeMap<PathBuf, (String, usize)>);

impl Refused {
    /// Records an error of one target that is not the inbox and is not recorded yet. Any other error is returned: it
    /// concerns the disk, or the inbox, without which nothing can go on.
    pub(super) fn record(&mut self, error: Error, planner: &Planner<'_>) -> Result<(), Error> {
        let Some(target) = error.target().map(Path::to_path_buf) else { return Err(error) };
        if planner.is_inbox(&target) || self.0.contains_key(&target) {
            return Err(error);
        }
        self.0.insert(target, (clean::line(error.to_string().as_bytes()), 0));
        Ok(())
    }

    /// Replaces every target that refused by the inbox.
    pub(super) fn redirect(&mut self, decided: &mut [Decided], planner: &Planner<'_>) {
        if self.0.is_empty() {
            return;
        }
        self.0.values_mut().for_each(|(_, count)| *count = 0);
        for Decided { envelope, decision, .. } in decided {
            let mut kept = false;
            for action in &mut decision.actions {
                let Action::File(filing) = action else { continue };
                let Some(target) = planner.target(filing, envelope) else { continue };
                let Some((cause, count)) = self.0.get_mut(&target) else { continue };
                *count += 1;
                decision.notes.push(format!("kept in the inbox: {cause}"));
                let (flags, version) = (filing.flags.clone(), filing.version);
                *action = Action::File(Filing { place: Place::Inbox, flags, version });
                kept = true;
            }
            if kept {
                // The inbox needs one copy of each version. The versions of a message that was split are several
                // messages.
                let mut seen = BTreeSet::new();
                decision.actions.retain(|action| match action {
                    Action::File(filing) if filing.place == Place::Inbox => seen.insert(filing.version),
                    _ => true,
                });
            }
        }
    }

    /// What the user has to know: one notice a target and day.
    pub(super) fn notices(self, account: &str) -> Vec<Notice> {
        let notice = |(target, (cause, count)): (PathBuf, (String, usize))| {
            let messages = if count == 1 { "A message" } else { "Messages" };
            let text = format!(
                "{messages} could not be filed in {}: {cause}.\n\n{count} so far are in the inbox instead. Nothing else is \
                 held up by it.",
                clean::line(target.as_os_str().as_encoded_bytes())
            );
            Notice {
                cause: Cause::TargetRefuses(target.to_string_lossy().into_owned()),
                account: account.to_owned(),
                text,
            }
        };
        self.0.into_iter().map(notice).collect()
    }
}
