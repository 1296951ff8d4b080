//! The verbs of `do`, as compiled.

use crate::config::template::Template;
use crate::message::Flags;

/// One action of a rule.
#[derive(Debug)]
pub(super) enum Verb {
    /// `fileinto`: into these folders; with `copy` filtering goes on.
    FileInto { folders: Vec<Template>, flags: Flags, copy: bool },
    /// `keep`: wherever the account's `into` says, and end.
    Keep { flags: Flags },
    /// `discard`: nowhere, and end.
    Discard,
    /// `addflag`: on every filing of this rule and of later ones.
    AddFlag(Flags),
    /// `stop`: end here and now.
    Stop,
}

impl Verb {
    /// Whether filtering ends with the rule in which this stands. What files or discards ends, as in procmail and
    /// fdm; what only marks goes on.
    pub(super) fn ends(&self) -> bool {
        match self {
            Self::FileInto { copy, .. } => !copy,
            Self::Keep { .. } | Self::Discard | Self::Stop => true,
            Self::AddFlag(_) => false,
        }
    }
}
