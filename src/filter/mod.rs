//! The rules. They are compiled before any mail is processed, and a decision has no side effects.
//!
//! [`Engine::compile`] turns rule files into conditions and actions, or into problems with a place and a hint.
//! [`Engine::decide`] applies them to one message and returns a [`crate::decision::Decision`]: what to do, and why.
//! This module reaches files, sockets, the clock and the database only through [`Facts`].
//!
//! Each word of the language has a file: conditions are in `conditions/`, actions in `actions/`. The file defines the
//! keys of the word, how it is read, and what it does. `lua` offers the same words to scripts.

mod actions;
mod asking;
mod captures;
mod change;
mod comparator;
mod comparison;
mod compile;
mod conditions;
mod engine;
mod facts;
mod fields;
mod fingerprint;
mod fold;
mod for_each;
mod guard;
mod habits;
mod keywords;
mod listed;
mod lua;
mod matches;
mod names;
mod old;
mod reachable;
mod relay;
mod returned;
mod rule;
mod run;
mod scope;
mod shared;
mod short;
mod trace;
pub mod trial;
mod valued;
mod width;
mod within;

pub use compile::sections;
pub use engine::Engine;
pub use facts::{Ask, FactAnswer, Facts, KnownList, Unanswered};
pub use guard::Refusal;
pub use trace::{Trace, TraceLine};
