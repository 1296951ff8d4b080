//! The rules: compiled before any mail is touched, decided without touching anything.
//!
//! [`Engine::compile`] turns rule files into tests and actions, or into problems with a place and a hint.
//! [`Engine::decide`] walks them for one message and returns a [`Decision`]: what is to be done, and why. No
//! file, socket, clock or database can be reached from here.

mod action;
mod comparator;
mod decision;
mod engine;
mod names;
mod reachable;
mod rule;
mod test;
mod yaml;

pub use decision::{Action, Decision, Filing};
pub use engine::Engine;
pub use yaml::sections;
