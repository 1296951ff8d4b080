//! What the rules decided about a message. This is pure data: nothing has been done yet.
//!
//! `filter` makes a [`Decision`] and later steps carry it out. A [`Filing`] becomes a file, a [`Telling`] becomes an
//! outbox item, and a [`Write`] becomes a row of the state, all in the transaction that records the decision.
//! [`Decision::reads`] holds what the rules read from the state. The transaction asks these questions again. If another
//! message has changed an answer in the meantime, the message is decided again.

mod fact;
mod telling;

pub use fact::{ANSWERED, APPENDED, AnsweredQuestion, Counted, Fact, Write};
pub use telling::{
    Append, EnvelopeFrom, Importance, Lmtp, Notify, Per, Pipe, ProgramInput, Redirect, RedirectMode, Reject, Reply,
    ReplyForm, Telling, Vacation, Way, host_of,
};

use std::fmt;
use std::sync::Arc;

use crate::config::template::FolderName;
use crate::message::{Flag, Flags, Message};

/// Which version of the message an action uses: 0 is the message as it arrived, higher numbers are edited versions.
pub type Version = usize;

/// The ordered result of all rules for one message.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// What to do with the message.
    pub actions: Vec<Action>,
    /// The names of the rules whose actions were taken, in order.
    pub rules: Vec<String>,
    /// The conditions of those rules that were true, each with the value that matched.
    pub why: Vec<String>,
    /// The edited versions of the message. The first one is version 1.
    pub edited: Vec<Arc<Message>>,
    /// What was read from the state.
    pub reads: Vec<AnsweredQuestion>,
    /// What to write into the state.
    pub writes: Vec<Write>,
    /// What rules asked to log, and what the user should know although nothing failed, such as a suppressed reply.
    pub notes: Vec<String>,
    /// The rules that failed. If there are any, the message is kept and nothing else is done with it.
    pub failures: Vec<Failure>,
}

/// One thing to be done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put it into a local folder.
    File(Filing),
    /// Do not file it. The bytes stay in the spool for 30 days.
    Discard,
    /// Send something to somebody through the outbox.
    Tell(Telling),
}

/// A message in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filing {
    /// Where it is filed.
    pub place: Place,
    /// The flags and keywords of the filed message.
    pub flags: Flags,
    /// Which version of the message is filed.
    pub version: Version,
}

/// A local place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Wherever the account's `into` says.
    Keep,
    /// The inbox, because the message could not be filed in its folder.
    Inbox,
    /// A Maildir.
    Folder(FolderName),
    /// An mbox file of that name below the mail root.
    Mbox(FolderName),
}

/// What is in a local folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many messages.
    pub messages: u64,
    /// How many bytes they have together.
    pub bytes: u64,
}

/// A rule that failed on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The rule's name.
    pub rule: String,
    /// What happened: file and line for a script, exit code and output for a program.
    pub cause: String,
}

/// There is no decision yet. The message stays where it is and is decided again later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferral {
    /// The rule that asked for it.
    pub rule: String,
    /// Why.
    pub cause: String,
}

impl Action {
    /// What it puts into the outbox, if anything.
    pub fn telling(&self) -> Option<&Telling> {
        match self {
            Self::Tell(telling) => Some(telling),
            Self::File(_) | Self::Discard => None,
        }
    }

    /// The same action for another version of the message.
    #[must_use]
    pub fn with_version(self, other: impl FnOnce(Version) -> Version) -> Self {
        match self {
            Self::File(filing) => Self::File(Filing { version: other(filing.version), ..filing }),
            Self::Tell(telling) => Self::Tell(Telling { version: other(telling.version), ..telling }),
            Self::Discard => Self::Discard,
        }
    }
}

impl Decision {
    /// Whether it does not file, discard or deliver the message. Such a decision is a bug of the code that made it.
    pub fn goes_nowhere(&self) -> bool {
        let goes = |action: &Action| match action {
            Action::File(_) | Action::Discard => true,
            Action::Tell(telling) => telling.way.delivers(),
        };
        !self.actions.iter().any(goes)
    }

    /// Keeps the message unfiltered, and says why.
    pub fn keep(why: impl Into<String>) -> Self {
        let keep = Action::File(Filing { place: Place::Keep, flags: Flags::default(), version: 0 });
        Self { actions: vec![keep], why: vec![why.into()], ..Self::default() }
    }

    /// Files the message in a folder, marked as read, and says why.
    pub fn copy(folder: FolderName, why: impl Into<String>) -> Self {
        let mut flags = Flags::default();
        flags.add(Flag::Seen);
        let filing = Action::File(Filing { place: Place::Folder(folder), flags, version: 0 });
        Self { actions: vec![filing], why: vec![why.into()], ..Self::default() }
    }

    /// The places where the message is filed.
    pub fn filings(&self) -> impl Iterator<Item = &Filing> {
        self.actions.iter().filter_map(|action| match action {
            Action::File(filing) => Some(filing),
            _ => None,
        })
    }

    /// What goes to the outbox.
    pub fn tellings(&self) -> impl Iterator<Item = &Telling> {
        self.actions.iter().filter_map(Action::telling)
    }

    /// Removes everything that would be sent out. If a removed action would have delivered the message, `discard` is
    /// removed too, so that the message is not lost.
    pub fn tell_nobody(&mut self) {
        let would_deliver = self.tellings().any(|telling| telling.way.delivers());
        self.actions.retain(|action| match action {
            Action::Tell(_) => false,
            Action::Discard => !would_deliver,
            Action::File(_) => true,
        });
    }

    /// The bytes of a version; `original` is version 0.
    pub fn version<'a>(&'a self, original: &'a Arc<Message>, version: Version) -> &'a Arc<Message> {
        version.checked_sub(1).and_then(|i| self.edited.get(i)).unwrap_or(original)
    }

    /// The deciding rules in one line, for the journal.
    pub fn rule(&self) -> String {
        if self.rules.is_empty() { "(no rule)".to_owned() } else { self.rules.join(", ") }
    }
}

/// The actions as a rule file writes them: `fileinto lists/rust, keep [FS]`.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, action) in self.actions.iter().enumerate() {
            write!(f, "{}{action}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(filing) => filing.fmt(f),
            Self::Discard => f.write_str("discard"),
            Self::Tell(telling) => telling.fmt(f),
        }
    }
}

impl fmt::Display for Filing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Keep | Place::Inbox => f.write_str("keep")?,
            Place::Folder(folder) => write!(f, "fileinto {folder}")?,
            Place::Mbox(folder) => write!(f, "fileinto mbox {folder}")?,
        }
        if self.version > 0 {
            f.write_str(" edited")?;
        }
        if self.flags.is_empty() { Ok(()) } else { write!(f, " [{}]", self.flags) }
    }
}
