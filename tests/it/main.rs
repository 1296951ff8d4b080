//! The tests of the whole program: one binary, one harness (`tests/support`).

#[path = "../support/mod.rs"]
mod support;

mod bad_configs;
mod corpus;
mod crash;
mod kill;
