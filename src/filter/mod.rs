//! The rules: compiled before any mail is touched, decided without touching anything.
//!
//! [`Engine::compile`] turns rule files into conditions and actions, or into problems with a place and a hint.
//! [`Engine::decide`] walks them for one message and returns a [`crate::decision::Decision`]: what is to be done, and
//! why. No file, socket, clock or database can be reached from here but through [`Facts`].
//!
//! The words of the language are files: each condition stands in `conditions/`, each action in `actions/`, with the keys
//! it has, how it is read, and what it does. `lua` offers the same to scripts.

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
