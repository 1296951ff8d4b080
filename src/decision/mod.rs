//! What the rules decided about a message: pure data, nothing has happened yet.
//!
//! [`Decision`] is made by `filter` and carried out by the steps below it: a [`Filing`] becomes a file, a [`Telling`] an
//! entry of the outbox, a [`Write`] a row of the state, all in the transaction that records the decision. What the
//! rules read from the state is in [`Decision::reads`]: that transaction asks again, and where another message changed
//! an answer meanwhile, the message is decided anew.

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

/// Which bytes an action takes: 0 for the message as it came, higher numbers for edited ones.
pub type Version = usize;

/// The ordered result of all rules for one message.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// What is to be done.
    pub actions: Vec<Action>,
    /// The names of the rules whose actions were taken, in order.
    pub rules: Vec<String>,
    /// The conditions that were true in them, with the value that made them so.
    pub why: Vec<String>,
    /// The edited messages: version 1 is the first of these.
    pub edited: Vec<Arc<Message>>,
    /// What was read from the state.
    pub reads: Vec<AnsweredQuestion>,
    /// What is to be written into the state.
    pub writes: Vec<Write>,
    /// What rules asked to be logged, and what the user should know although all is well: a suppressed reply.
    pub notes: Vec<String>,
    /// What went wrong in a rule. Then the message is kept, and nothing else is done.
    pub failures: Vec<Failure>,
}

/// One thing to be done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put it into a local folder.
    File(Filing),
    /// Put it nowhere; the bytes stay in the spool for 30 days.
    Discard,
    /// Tell somebody outside, through the outbox.
    Tell(Telling),
}

/// A message in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filing {
    /// Where.
    pub place: Place,
    /// The flags and keywords it gets there.
    pub flags: Flags,
    /// Which bytes.
    pub version: Version,
}

/// A local place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Wherever the account's `into` says.
    Keep,
    /// The inbox, because a folder could not take the message.
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
    /// What happened: with file and line for a script, with exit code and output for a program.
    pub cause: String,
}

/// No decision yet: the message is asked about again later, and stays where it is until then.
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

    /// The same action for other bytes.
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
    /// Whether it neither files nor discards the message nor hands it to anybody: a mistake of whoever made it.
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

    /// Files the message in a folder, read already, and says why.
    pub fn copy(folder: FolderName, why: impl Into<String>) -> Self {
        let mut flags = Flags::default();
        flags.add(Flag::Seen);
        let filing = Action::File(Filing { place: Place::Folder(folder), flags, version: 0 });
        Self { actions: vec![filing], why: vec![why.into()], ..Self::default() }
    }

    /// The places the message goes to.
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

    /// Takes out what would be told. What is discarded because somebody else is to have it is not discarded then.
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

/// The actions in the words of a rule file: `fileinto lists/rust, keep [FS]`.
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
