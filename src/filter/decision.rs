//! What the rules decided: pure data, nothing has happened yet.

use std::fmt;

use crate::config::template::FolderName;
use crate::message::Flags;

/// The ordered result of all rules for one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done.
    pub actions: Vec<Action>,
    /// The names of the rules whose actions were taken, in order.
    pub rules: Vec<String>,
    /// The conditions that were true in them, with the value that made them so.
    pub why: Vec<String>,
}

/// One thing to be done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put it into a local folder.
    File(Filing),
    /// Put it nowhere; the bytes stay in the spool for 30 days.
    Discard,
}

/// A message in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filing {
    /// The folder, or `None` for wherever the account's `into` says: that is `keep`.
    pub folder: Option<FolderName>,
    /// The flags it gets there.
    pub flags: Flags,
}

impl Decision {
    /// Keeps the message unfiltered, and says why.
    pub fn keep(why: impl Into<String>) -> Self {
        let keep = Action::File(Filing { folder: None, flags: Flags::default() });
        Self { actions: vec![keep], rules: Vec::new(), why: vec![why.into()] }
    }

    /// The folders the message goes to.
    pub fn filings(&self) -> impl Iterator<Item = &Filing> {
        self.actions.iter().filter_map(|action| match action {
            Action::File(filing) => Some(filing),
            Action::Discard => None,
        })
    }

    /// The deciding rules in one line, for the journal.
    pub fn rule(&self) -> String {
        if self.rules.is_empty() { "(no rule)".to_owned() } else { self.rules.join(", ") }
    }
}

/// The actions in the words of a rule file: `fileinto lists/rust, keep [FS]`.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, action) in self.actions.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            match action {
                Action::File(Filing { folder: None, flags }) => write!(f, "{comma}keep{}", in_brackets(flags))?,
                Action::File(Filing { folder: Some(folder), flags }) => {
                    write!(f, "{comma}fileinto {folder}{}", in_brackets(flags))?;
                }
                Action::Discard => write!(f, "{comma}discard")?,
            }
        }
        Ok(())
    }
}

fn in_brackets(flags: &Flags) -> String {
    if flags.is_empty() { String::new() } else { format!(" [{flags}]") }
}
