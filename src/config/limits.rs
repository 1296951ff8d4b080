//! `limits:`: how much goes out at most.

use super::problem::Problems;
use super::reader::{self, MapReader, Shape, Takes};
use super::yaml::Node;

/// The section.
pub(super) static SHAPE: Shape = Shape {
    what: "the limits",
    keys: &[
        (
            "forwards_per_message",
            "The most addresses that one message is forwarded to, 1 to 100; a forward to more is not made, and the message is kept. Default: 4.",
            Takes::Number,
        ),
        (
            "answers_per_hour",
            "The most answers that are sent in an hour, 1 to 1000; the others wait. Default: 50.",
            Takes::Number,
        ),
        (
            "forwards_per_day",
            "The most forwards that are sent in a day, 1 to 100000; the others wait. Default: 1000.",
            Takes::Number,
        ),
    ],
};

/// A loop that nobody saw ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// More is a mistake or a trap (RFC 5228 10).
    pub forwards_per_message: u64,
    /// Whoever they are for (RFC 5436 5 has the idea).
    pub answers_per_hour: u64,
    /// A loop would otherwise fill somebody's mailbox.
    pub forwards_per_day: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { forwards_per_message: 4, answers_per_hour: 50, forwards_per_day: 1000 }
    }
}

/// Reads the section.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Limits> {
    let mut map = MapReader::new(node, &SHAPE, problems);
    let defaults = Limits::default();
    let mut limit = |key, most, default| map.read(key, |n, p| reader::number(n, 1..=most, p)).unwrap_or(default);
    Some(Limits {
        forwards_per_message: limit("forwards_per_message", 100, defaults.forwards_per_message),
        answers_per_hour: limit("answers_per_hour", 1000, defaults.answers_per_hour),
        forwards_per_day: limit("forwards_per_day", 100_000, defaults.forwards_per_day),
    })
}
