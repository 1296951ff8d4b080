//! The rules: compiled before any mail is touched, decided without touching anything.
//!
//! [`Engine::compile`] turns rule files into tests and actions, or into problems with a place and a hint.
//! [`Engine::decide`] walks them for one message and returns a [`Decision`]: what is to be done, and why. No
//! file, socket, clock or database can be reached from here.

mod action;
mod comparator;
mod engine;
mod facts;
mod names;
mod reachable;
mod rule;
mod test;
mod yaml;

pub use engine::Engine;
pub use facts::{Answer, Ask, Facts, Unanswered};
pub use yaml::sections;
