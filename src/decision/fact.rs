//! What rules ask the state and write into it.

use std::collections::HashSet;

use jiff::Timestamp;

/// The handle of messages that were answered, under whatever handle the answer went out. No rule can take it: a name in
/// a rule is one line.
pub const ANSWERED: &str = "answered\nmessages";
/// The same for messages that were appended to other accounts, with the places where they were.
pub const APPENDED: &str = "appended\nmessages";

/// A question to the state that other messages can change the answer of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// Was this key noted under this handle, and is the note still valid at that time? (`duplicate`)
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
        /// The beginning of the time that counts.
        since: Timestamp,
    },
    /// Was this number of this counter given? (`number`)
    Numbered {
        /// The counter's name.
        counter: String,
        /// The number.
        number: u64,
    },
    /// Were just so many other messages counted? (`rate`)
    Counted {
        /// Which.
        of: Counted,
        /// How many.
        number: u64,
    },
}

/// Messages that were counted under a key and arrived within a time (`rate`). The one that asks does not count itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Counted {
    /// Keys of different handles have nothing to do with each other.
    pub handle: String,
    /// The key, as the rule made it.
    pub key: String,
    /// What tells the message that asks from others: copies of one have the same.
    pub mark: i64,
    /// They arrived after this, by the second.
    pub after: Timestamp,
    /// And no later than this.
    pub upto: Timestamp,
}

impl Counted {
    /// Whether a message that was counted at this time is one of them.
    pub fn holds(&self, handle: &str, key: &str, mark: i64, at: Timestamp) -> bool {
        let within = self.after.as_second() < at.as_second() && at.as_second() <= self.upto.as_second();
        within && self.mark != mark && self.key == key && self.handle == handle
    }
}

/// A question with the answer it got while deciding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredQuestion {
    /// What was asked.
    pub fact: Fact,
    /// What was answered.
    pub answer: bool,
}

/// What a decision writes into the state: in the transaction that records it, never before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Notes a key (`duplicate`).
    Seen {
        /// The handle.
        handle: String,
        /// The key.
        key: String,
        /// When the note stops being valid.
        until: Timestamp,
    },
    /// Puts an entry into a database list (`add_to_list`).
    List {
        /// The list's name.
        list: String,
        /// The entry, lower-case.
        entry: String,
        /// What stands beside it; without one, that of an entry which is there already stays.
        value: Option<String>,
        /// When it stops counting.
        until: Option<Timestamp>,
    },
    /// Takes an entry out of a database list (`remove_from_list`).
    Unlist {
        /// The list's name.
        list: String,
        /// The entry, lower-case.
        entry: String,
    },
    /// Notes that a sender is answered (`vacation`, `reply`).
    Answered {
        /// The handle.
        handle: String,
        /// The sender's address in its canonical form.
        sender: String,
        /// When.
        at: Timestamp,
    },
    /// Gives a number (`number`).
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
        /// What tells it from others.
        mark: i64,
        /// When it arrived.
        at: Timestamp,
        /// When that is forgotten.
        until: Timestamp,
    },
}

impl Write {
    /// The marks of the messages among these that a question is about.
    pub fn counted<'a>(writes: impl Iterator<Item = &'a Self>, of: &Counted) -> HashSet<i64> {
        let mark = |write: &Self| match write {
            Self::Counted { handle, key, mark, at, .. } => of.holds(handle, key, *mark, *at).then_some(*mark),
            _ => None,
        };
        writes.filter_map(mark).collect()
    }

    /// The last number that these writes give of a counter.
    pub fn last_number<'a>(writes: impl Iterator<Item = &'a Self>, counter: &str) -> Option<u64> {
        let given = |write: &Self| match write {
            Self::Number { counter: c, number } if c == counter => Some(*number),
            _ => None,
        };
        writes.filter_map(given).max()
    }

    /// What the last of these writes that has to do with a question makes its answer.
    pub fn latest<'a>(writes: impl DoubleEndedIterator<Item = &'a Self>, fact: &Fact) -> Option<bool> {
        writes.rev().find_map(|write| write.answers(fact))
    }

    /// Whether this changes the answer to a question, and to what. For the messages of one batch, which are decided
    /// before any of them is recorded.
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
