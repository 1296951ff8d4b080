//! The actions of `do`. Each word, or family of words, has a file that defines its keys, how it is read and what it
//! does.
//!
//! An action only records in the decision what is to be done. Nothing is done here.

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
    /// Records what is to be done.
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break>;

    /// Whether filtering ends after the rule with this action. Actions that file, discard or deliver end it, as in
    /// procmail and fdm; actions that only mark or answer do not.
    fn ends(&self) -> bool {
        false
    }

    /// Whether it hides the message from its reader.
    fn takes_away(&self) -> bool {
        false
    }

    /// Whether a condition that was false may be true after it, because it changes the header, a flag or a variable.
    fn changes(&self) -> bool {
        false
    }

    /// Whether the rest of the rule is skipped too.
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
    /// The action of the word without a value, as in `- keep`.
    pub(super) bare: Option<fn() -> BoxedAction>,
    /// Whether it sends something to another program, person or server.
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

/// The sections of actions that have keys.
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

/// Refuses a value after a word that takes none.
fn no_value(word: &str, node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    let problem = compiler.problems.error(node.span, format!("`{word}` takes no value"));
    problem.hint(format!("write just `- {word}`"));
    None
}

/// Refuses a word that sends something, in filters that may not send anything.
pub(super) fn refuse_telling(word: &ActionWord, at: Span, problems: &mut Problems) {
    let text = format!("maintenance tells nobody anything: `{}` is for mail that comes in", word.key.0);
    let hint = "put it into `rules:`, or use `fileinto` or another action that stays here";
    problems.error(at, text).hint(hint);
}
