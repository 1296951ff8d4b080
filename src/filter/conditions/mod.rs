//! The conditions of `if`. Each word has a file that defines its keys, how it is read and how it is evaluated.

mod account;
mod address;
mod age;
mod anywhere;
mod auth;
mod authres;
mod body;
mod date;
mod duplicate;
mod exists;
mod flag;
mod folders;
mod groups;
mod header;
mod invite;
mod kind;
mod list_id;
mod lua;
mod malformed;
mod occurrences;
mod parts;
mod program;
mod rate;
mod report;
mod score;
mod size;
mod spam;
mod thread;
mod value;
mod variable;

use std::fmt;

use super::asking::{Asking, Break};
use super::compile::Compiler;
use crate::config::reader::{KeyDoc, Shape};
use crate::config::yaml::Node;

pub(super) use auth::results as auth_results;
pub(super) use duplicate::short as short_key;
pub(super) use groups::all;
pub(super) use header::is_text_field;
pub(super) use spam::{score as spam_score, verdict as spam_verdict};

/// A condition, compiled.
pub(super) trait Condition: fmt::Debug + Send + Sync {
    /// Whether it holds for the message being decided.
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break>;
}

/// Any condition.
pub(super) type BoxedCondition = Box<dyn Condition>;

/// How a word is read.
type ReadCondition = fn(&Node, &mut Compiler<'_, '_>) -> Option<BoxedCondition>;

/// A word of the language.
pub(super) struct ConditionWord {
    pub(super) key: KeyDoc,
    pub(super) read: ReadCondition,
    /// Whether it is a group of conditions, which writes its own line in the trace.
    pub(super) is_group: bool,
}

impl ConditionWord {
    const fn new(key: KeyDoc, read: ReadCondition) -> Self {
        Self { key, read, is_group: false }
    }

    const fn group(key: KeyDoc, read: ReadCondition) -> Self {
        Self { key, read, is_group: true }
    }
}

const COUNT: usize = 39;

/// All words, in the order of the reference.
pub(super) const CONDITION_WORDS: [ConditionWord; COUNT] = [
    groups::ALL,
    groups::ANY,
    groups::NONE,
    groups::NOT,
    header::HEADER,
    anywhere::ANYWHERE,
    exists::EXISTS,
    address::ADDRESS,
    address::ENVELOPE,
    body::BODY,
    size::SIZE,
    age::AGE,
    date::DATE,
    date::NOW,
    flag::FLAG,
    parts::ATTACHMENT,
    parts::PART,
    list_id::LIST_ID,
    kind::KIND,
    malformed::MALFORMED,
    report::REPORT,
    invite::INVITE,
    duplicate::DUPLICATE,
    rate::RATE,
    spam::SPAM,
    auth::AUTH,
    account::ACCOUNT,
    account::FOLDER,
    folders::FOLDER_EXISTS,
    folders::FOLDER_SIZE,
    thread::THREAD,
    program::RUN,
    score::SCORE,
    variable::VARIABLE,
    value::VALUE,
    lua::LUA,
    header::SUBJECT,
    address::FROM,
    address::TO,
];

/// The keys of a condition.
pub(super) const KEYS: [KeyDoc; COUNT] = {
    let mut keys = [CONDITION_WORDS[0].key; COUNT];
    let mut i = 1;
    while i < keys.len() {
        keys[i] = CONDITION_WORDS[i].key;
        i += 1;
    }
    keys
};

/// The sections of conditions that have keys.
pub(super) static SECTIONS: [&Shape; 16] = [
    &super::comparison::NUMBERS,
    &size::KEYS,
    &age::KEYS,
    &date::KEYS,
    &parts::KEYS,
    &report::KEYS,
    &invite::KEYS,
    &folders::KEYS,
    &duplicate::KEYS,
    &rate::KEYS,
    &spam::KEYS,
    &auth::KEYS,
    &program::KEYS,
    &score::KEYS,
    &score::WEIGHT,
    &value::KEYS,
];

/// Wraps a condition so that explanations show it as written.
pub(super) fn leaf(text: String, condition: BoxedCondition) -> BoxedCondition {
    Box::new(Leaf { text, condition })
}

#[derive(Debug)]
struct Leaf {
    text: String,
    condition: BoxedCondition,
}

impl Condition for Leaf {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let mark = asking.names.mark();
        let answer = self.condition.holds(asking);
        if let Err(Break::NoAnswer(why)) = &answer {
            asking.saw(false, || format!("{why}, so this holds neither with `not` nor without"));
            asking.answered(&self.text, false);
            asking.names.forget(mark);
        }
        let holds = answer?;
        asking.answered(&self.text, holds);
        if !holds {
            asking.names.forget(mark);
        }
        Ok(holds)
    }
}

/// Formats values for an explanation: at most three, quoted.
fn quoted<'v>(values: impl Iterator<Item = &'v str>) -> String {
    let mut values = values.peekable();
    let mut shown: Vec<String> =
        values.by_ref().take(3).map(|value| format!("\"{}\"", crate::clean::short(value, 60))).collect();
    if values.peek().is_some() {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}
