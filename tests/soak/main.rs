//! The soak: `mailsluice run` for as long as one likes, with twenty accounts whose lines break, while mail comes all the time and
//! the machine stops and has its clock set.
//!
//! | file | what |
//! |---|---|
//! | [`line`] | the line between the program and a server, and how it breaks |
//! | [`scene`] | the accounts, their servers and the config |
//! | [`ledger`] | every message: when it came, when it stood here, what broke meanwhile |
//! | [`process`] | what the program takes: memory, descriptors, threads, children |
//! | [`storm`] | what happens from the beginning to the end |
//!
//! `MAILSLUICE_SOAK=SECONDS` sets the time; from [`LONG_FORM`] on, times and memory are judged as well.

// Test code may stop at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod ledger;
mod line;
mod process;
mod scene;
mod storm;
#[path = "../world/tools.rs"]
mod tools;

use std::time::Duration;

/// The short form takes so long, and a little more until all mail is here.
const SHORT_FORM: Duration = Duration::from_secs(45);
/// In less time memory has not found its level.
const LONG_FORM: Duration = Duration::from_secs(600);

#[test]
fn months_in_minutes() {
    let set = std::env::var("MAILSLUICE_SOAK").ok().and_then(|seconds| seconds.parse().ok());
    let time = set.map_or(SHORT_FORM, Duration::from_secs);
    let story = storm::weather(time, time >= LONG_FORM);
    println!("{story}");
    assert!(story.wrong.is_empty(), "soak:\n  {}", story.wrong.join("\n  "));
}
