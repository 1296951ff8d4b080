//! The questions that rules ask the state, and what they write into it.

use std::collections::HashSet;

use jiff::Timestamp;

/// The reserved handle for messages that were answered, whatever handle the rule gave. A rule cannot use it, because a
/// name in a rule has no line break.
pub const ANSWERED: &str = "answered\nmessages";
/// The reserved handle for messages that were appended to other accounts, with the places they came from.
pub const APPENDED: &str = "appended\nmessages";

/// A question to the state. Other messages can change its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// Is this key recorded under this handle, and is the record still valid? (`duplicate`)
    Seen {
        /// Keys of different handles have nothing to do with each other.
        handle: String,
        /// The key, as the rule made it.
        key: String,
    },
    /// Is this entry in this database list?
    Listed {
        /// The list's name.
        list: String,
        /// The entry, lower-case.
        entry: String,
    },
    /// Was this sender answered under this handle since then?
    Answered {
        /// The handle of the reply.
        handle: String,
        /// The sender's address in its canonical form.
        sender: String,
        /// Only answers at or after this time count.
        since: Timestamp,
    },
    /// Was this number of this counter already assigned? (`number`)
    Numbered {
        /// The counter's name.
        counter: String,
        /// The number.
        number: u64,
    },
    /// Was exactly this number of other messages counted? (`rate`)
    Counted {
        /// Which messages.
        of: Counted,
        /// How many.
        number: u64,
    },
}

/// Selects messages that were counted under a key and arrived within a period (`rate`). The message that asks does not
/// count itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Counted {
    /// Keys of different handles have nothing to do with each other.
    pub handle: String,
    /// The key, as the rule made it.
    pub key: String,
    /// Identifies the message that asks. All copies of a message have the same mark.
    pub mark: i64,
    /// They arrived after this time, compared in whole seconds.
    pub after: Timestamp,
    /// They arrived at or before this time.
    pub upto: Timestamp,
}

impl Counted {
    /// Whether a message that was counted at this time is selected.
    pub fn holds(&self, handle: &str, key: &str, mark: i64, at: Timestamp) -> bool {
        let within = self.after.as_second() < at.as_second() && at.as_second() <= self.upto.as_second();
        within && self.mark != mark && self.key == key && self.handle == handle
    }
}

/// A question with the answer it got when the message was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredQuestion {
    /// What was asked.
    pub fact: Fact,
    /// What was answered.
    pub answer: bool,
}

/// What a decision writes into the state, in the transaction that records the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Records a key (`duplicate`).
    Seen {
        /// The handle.
        handle: String,
        /// The key.
        key: String,
        /// When the record expires.
        until: Timestamp,
    },
    /// Puts an entry into a database list (`add_to_list`).
    List {
        /// The list's name.
        list: String,
        /// The entry, lower-case.
        entry: String,
        /// Its value. `None` keeps the value that an existing entry has.
        value: Option<String>,
        /// When it expires.
        until: Option<Timestamp>,
    },
    /// Takes an entry out of a database list (`remove_from_list`).
    Unlist {
        /// The list's name.
        list: String,
        /// The entry, lower-case.
        entry: String,
    },
    /// Records that a sender is answered (`vacation`, `reply`).
    Answered {
        /// The handle.
        handle: String,
        /// The sender's address in its canonical form.
        sender: String,
        /// When.
        at: Timestamp,
    },
    /// Assigns a number (`number`).
    Number {
        /// The counter's name.
        counter: String,
        /// The number.
        number: u64,
    },
    /// Counts a message (`rate`).
    Counted {
        /// The handle.
        handle: String,
        /// The key.
        key: String,
        /// Identifies the message.
        mark: i64,
        /// When it arrived.
        at: Timestamp,
        /// When the record expires.
        until: Timestamp,
    },
}

impl Write {
    /// The marks of the messages in these writes that `of` selects.
    pub fn counted<'a>(writes: impl Iterator<Item = &'a Self>, of: &Counted) -> HashSet<i64> {
        let mark = |write: &Self| match write {
            Self::Counted { handle, key, mark, at, .. } => of.holds(handle, key, *mark, *at).then_some(*mark),
            _ => None,
        };
        writes.filter_map(mark).collect()
    }

    /// The highest number of a counter that these writes assign.
    pub fn last_number<'a>(writes: impl Iterator<Item = &'a Self>, counter: &str) -> Option<u64> {
        let given = |write: &Self| match write {
            Self::Number { counter: c, number } if c == counter => Some(*number),
            _ => None,
        };
        writes.filter_map(given).max()
    }

    /// The answer to a question after these writes, given by the last write that affects it.
    pub fn latest<'a>(writes: impl DoubleEndedIterator<Item = &'a Self>, fact: &Fact) -> Option<bool> {
        writes.rev().find_map(|write| write.answers(fact))
    }

    /// The answer to a question after this write; `None` if the write does not affect it. Needed because all messages
    /// in a batch are decided before any of them is recorded.
    pub fn answers(&self, fact: &Fact) -> Option<bool> {
        match (self, fact) {
            (Self::Seen { handle: h, key: k, .. }, Fact::Seen { handle, key }) => {
                (h == handle && k == key).then_some(true)
            }
            (Self::List { list: l, entry: e, .. }, Fact::Listed { list, entry }) => {
                (l == list && e == entry).then_some(true)
            }
            (Self::Unlist { list: l, entry: e }, Fact::Listed { list, entry }) => {
                (l == list && e == entry).then_some(false)
            }
            (Self::Answered { handle: h, sender: s, at }, Fact::Answered { handle, sender, since }) => {
                (h == handle && s == sender && at >= since).then_some(true)
            }
            (Self::Number { counter: c, number: n }, Fact::Numbered { counter, number }) => {
                (c == counter && n >= number).then_some(true)
            }
            _ => None,
        }
    }
}
