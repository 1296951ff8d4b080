//! The tests of the whole program: one binary, one harness (`tests/support`).

// Test code may stop at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod bad_configs;
mod corpus;
mod crash;
mod docs;
mod kill;
