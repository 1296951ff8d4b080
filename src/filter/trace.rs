//! The steps of a decision, which `mailsluice explain` shows.

use std::fmt;

use serde_json::{Value, json};

use crate::clean;

/// The steps of one decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The steps in order, each with its depth.
    pub lines: Vec<(usize, TraceLine)>,
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceLine {
    /// A rule was applied.
    Rule {
        /// Its name.
        name: String,
    },
    /// A group of conditions.
    Group {
        /// `all`, `any`, `none` or `not`.
        word: &'static str,
        /// Whether it held.
        holds: bool,
    },
    /// A condition.
    Condition {
        /// The condition as written.
        text: String,
        /// The value it saw.
        saw: String,
        /// Whether it held.
        holds: bool,
    },
    /// A value was captured.
    Captured {
        /// The name in templates.
        name: String,
        /// The value.
        value: String,
    },
    /// An action was taken.
    Action {
        /// The action as a rule file writes it.
        text: String,
    },
    /// Something else that the user should know.
    Note {
        /// What.
        text: String,
    },
}

/// The longest value that is shown, in characters.
const SHOWN_VALUE_CHARS: usize = 70;

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|(depth, line)| writeln!(f, "{:1$}{line}", "", depth * 2))
    }
}

impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |holds: bool| if holds { "yes" } else { "no " };
        match self {
            Self::Rule { name } => write!(f, "rule {}", clean::short(name, SHOWN_VALUE_CHARS)),
            Self::Group { word, holds } => write!(f, "{} {word}", mark(*holds)),
            Self::Condition { text, saw, holds } if saw.is_empty() => {
                write!(f, "{} {}", mark(*holds), clean::short(text, 2 * SHOWN_VALUE_CHARS))
            }
            Self::Condition { text, saw, holds } => {
                write!(
                    f,
                    "{} {}: {}",
                    mark(*holds),
                    clean::short(text, 2 * SHOWN_VALUE_CHARS),
                    clean::short(saw, 2 * SHOWN_VALUE_CHARS)
                )
            }
            Self::Captured { name, value } => {
                write!(f, "${{{name}}} is \"{}\"", clean::short(value, SHOWN_VALUE_CHARS))
            }
            Self::Action { text } => write!(f, "-> {}", clean::line(text.as_bytes())),
            Self::Note { text } => write!(f, "-- {}", clean::line(text.as_bytes())),
        }
    }
}

impl Trace {
    /// For programs.
    pub fn to_json(&self) -> Value {
        self.lines.iter().map(|(depth, line)| as_json(*depth, line)).collect()
    }
}

fn as_json(depth: usize, line: &TraceLine) -> Value {
    match line {
        TraceLine::Rule { name } => json!({"depth": depth, "rule": name}),
        TraceLine::Group { word, holds } => json!({"depth": depth, "group": word, "holds": holds}),
        TraceLine::Condition { text, saw, holds } => {
            json!({"depth": depth, "condition": text, "saw": saw, "holds": holds})
        }
        TraceLine::Captured { name, value } => json!({"depth": depth, "captured": name, "value": value}),
        TraceLine::Action { text } => json!({"depth": depth, "action": text}),
        TraceLine::Note { text } => json!({"depth": depth, "note": text}),
    }
}
