//! Filters in Lua (Luau, sandboxed): the same words as in YAML, with everything a programming language has between them.
//!
//! A script is a function of the message and the actions. Actions are collected and carried out only when it returns; on
//! any error the message is kept. `sandbox.rs` says what a script cannot do, `message.rs` what it sees, `act.rs` what it
//! can ask for. Every action and every condition is read by the same code as in YAML: a table in Lua is a mapping there.

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
