//! The actions of `do`: one file a word or a family of words, with their keys, how they are read and what they do.
//!
//! Doing means: noting in the decision. Nothing happens here.

pub(super) mod code;
mod defer;
mod discard;
pub(super) mod fileinto;
pub(super) mod filtered;
mod flags;
mod headers;
mod keep;
pub(super) mod lists;
mod log;
mod lua;
mod notify;
pub(super) mod number;
pub(super) mod pipe;
pub(super) mod programs;
pub(super) mod redirect;
mod relayed;
mod reply;
mod set;
mod split;
mod stop;

use std::fmt;

use super::asking::Break;
use super::compile::Compiler;
use super::run::Run;
use crate::config::problem::Problems;
use crate::config::reader::{KeyDoc, Shape};
use crate::config::yaml::{Node, Span};

/// An action, compiled.
pub(super) trait Verb: fmt::Debug + Send + Sync {
    /// Notes what is to be done.
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break>;

    /// Whether filtering ends with the rule in which this stands. What files, discards or delivers ends, as in procmail
    /// and fdm; what only marks or answers goes on.
    fn ends(&self) -> bool {
        false
    }

    /// Whether its reader does not see the message any more.
    fn takes_away(&self) -> bool {
        false
    }

    /// Whether a condition may hold after it that did not hold before: another header, another flag, a variable.
    fn changes(&self) -> bool {
        false
    }

    /// Whether not even the rest of the rule is done.
    fn stops(&self) -> bool {
        false
    }
}

/// Any action.
pub(super) type BoxedAction = Box<dyn Verb>;

type ReadAction = fn(&Node, &mut Compiler<'_, '_>) -> Option<BoxedAction>;

/// A word of the language.
pub(super) struct ActionWord {
    pub(super) key: KeyDoc,
    /// How its value is read.
    pub(super) read: ReadAction,
    /// What it means without a value, `- keep`.
    pub(super) bare: Option<fn() -> BoxedAction>,
    /// Whether it tells somebody something: another program, another person, another server.
    pub(super) tells: bool,
}

impl ActionWord {
    const fn new(key: KeyDoc, read: ReadAction) -> Self {
        Self { key, read, bare: None, tells: false }
    }

    const fn telling(key: KeyDoc, read: ReadAction) -> Self {
        Self { tells: true, ..Self::new(key, read) }
    }

    const fn bare(key: KeyDoc, bare: fn() -> BoxedAction, read: ReadAction) -> Self {
        Self { bare: Some(bare), ..Self::new(key, read) }
    }
}

pub(super) use number::MOST_NUMBER;

const COUNT: usize = 27;

/// All words, in the order of the reference.
pub(super) const ACTION_WORDS: [ActionWord; COUNT] = [
    fileinto::FILEINTO,
    split::SPLIT,
    keep::KEEP,
    discard::DISCARD,
    stop::STOP,
    defer::DEFER,
    flags::ADDFLAG,
    flags::REMOVEFLAG,
    headers::ADDHEADER,
    headers::SETHEADER,
    headers::DELETEHEADER,
    programs::FILTER,
    programs::EXECUTE,
    set::SET,
    number::NUMBER,
    lists::ADD_TO_LIST,
    lists::REMOVE_FROM_LIST,
    log::LOG,
    lua::LUA,
    redirect::REDIRECT,
    reply::VACATION,
    reply::REPLY,
    reply::REJECT,
    pipe::PIPE,
    notify::NOTIFY,
    relayed::IMAP,
    relayed::LMTP,
];

/// The keys of an action.
pub(super) const KEYS: [KeyDoc; COUNT] = {
    let mut keys = [ACTION_WORDS[0].key; COUNT];
    let mut i = 1;
    while i < keys.len() {
        keys[i] = ACTION_WORDS[i].key;
        i += 1;
    }
    keys
};

/// The sections of actions that have keys of their own.
pub(super) static SECTIONS: [&Shape; 20] = [
    &fileinto::KEYS,
    &split::KEYS,
    &keep::KEYS,
    &headers::ADDED,
    &headers::DELETED,
    &programs::FILTERED,
    &programs::EXECUTED,
    &set::KEYS,
    &super::change::REPLACED,
    &super::change::SPLIT,
    &super::change::MATCHES,
    &number::KEYS,
    &lists::KEYS,
    &redirect::KEYS,
    &reply::VACATION_KEYS,
    &reply::REPLY_KEYS,
    &pipe::KEYS,
    &notify::KEYS,
    &relayed::IMAP_KEYS,
    &relayed::LMTP_KEYS,
];

/// Refuses a value behind a word that takes none.
fn no_value(word: &str, node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    let problem = compiler.problems.error(node.span, format!("`{word}` takes no value"));
    problem.hint(format!("write just `- {word}`"));
    None
}

/// Refuses a word that tells somebody something, where nobody is told anything.
pub(super) fn refuse_telling(word: &ActionWord, at: Span, problems: &mut Problems) {
    let text = format!("maintenance tells nobody anything: `{}` is for mail that comes in", word.key.0);
    let hint = "put it into `rules:`, or use `fileinto` or another action that stays here";
    problems.error(at, text).hint(hint);
}
