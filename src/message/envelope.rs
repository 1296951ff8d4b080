//! What we know about a message besides its bytes.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use super::Key;

/// Account, folder, identity, arrival and flags of a message at its source.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The identity of the message at its source.
    pub key: Key,
    /// When it arrived there: INTERNALDATE, or now where the source has no such thing.
    pub arrived: Timestamp,
    /// The flags it has on the server.
    pub flags: Flags,
    /// The size in bytes that the server announced; 0 when it said nothing.
    pub announced: u64,
}

/// A flag that a Maildir can hold in a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// `\Draft`, `D`.
    Draft,
    /// `\Flagged`, `F`.
    Flagged,
    /// Forwarded or resent, `P`.
    Passed,
    /// `\Answered`, `R`.
    Replied,
    /// `\Seen`, `S`.
    Seen,
    /// `\Deleted`, `T`.
    Trashed,
}

impl Flag {
    const ALL: [(Self, char, &'static str); 6] = [
        (Self::Draft, 'D', "draft"),
        (Self::Flagged, 'F', "flagged"),
        (Self::Passed, 'P', "passed"),
        (Self::Replied, 'R', "answered"),
        (Self::Seen, 'S', "seen"),
        (Self::Trashed, 'T', "deleted"),
    ];

    /// The words a rule may use.
    pub fn words() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(_, _, word)| *word)
    }

    /// The flag for a rule's word or an IMAP flag (`seen`, `\Seen`, `$Forwarded`); case does not count.
    pub fn from_word(word: &str) -> Option<Self> {
        let bare = word.trim_start_matches(['\\', '$']).to_ascii_lowercase();
        match bare.as_str() {
            "replied" => Some(Self::Replied),
            "forwarded" => Some(Self::Passed),
            "trashed" => Some(Self::Trashed),
            bare => Self::ALL.iter().find(|(_, _, word)| *word == bare).map(|(flag, _, _)| *flag),
        }
    }

    /// The letter in a Maildir file name.
    pub fn letter(self) -> char {
        Self::ALL.iter().find(|(flag, _, _)| *flag == self).map_or('S', |(_, letter, _)| *letter)
    }
}

/// A set of flags, in the order Maildir wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(BTreeSet<Flag>);

impl Flags {
    /// Adds one.
    pub fn add(&mut self, flag: Flag) {
        self.0.insert(flag);
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// Whether the flag is set.
    pub fn has(&self, flag: Flag) -> bool {
        self.0.contains(&flag)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What of the server's flags is carried over: not `\Deleted`, for a copy here is not meant to be deleted.
    pub fn carried_over(mut self) -> Self {
        self.0.remove(&Flag::Trashed);
        self
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        Self(flags.into_iter().collect())
    }
}

/// The letters for a Maildir file name, sorted as the specification asks: `FS`.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|flag| write!(f, "{}", flag.letter()))
    }
}
