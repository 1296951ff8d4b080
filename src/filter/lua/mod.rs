//! Filters in Lua (Luau, sandboxed). Scripts use the same words as YAML rules, in a full programming language.
//!
//! A script is a function of the message and the actions. Its actions are collected, and carried out only after it
//! returns. On any error, the message is kept. `sandbox.rs` defines what a script cannot do, `message.rs` what it sees,
//! and `act.rs` what it can request. The same code as for YAML reads all actions and conditions: a Lua table is a YAML
//! mapping.

mod act;
mod expressions;
mod json;
mod message;
mod node;
mod sandbox;
mod script;
mod try_out;
mod unknown;

pub(super) use script::Script;
