//! The world: the real binary among servers, programs and disks that misbehave, from a seed.
//!
//! | file | what |
//! |---|---|
//! | [`plan`] | what happens in a world, drawn from its seed |
//! | [`scene`] | its servers, its config, its home |
//! | [`changes`], [`acts`], [`reader`], [`cleaner`] | what others do, what runs, what a mail reader and a clean-up do meanwhile |
//! | [`rest`] | the world is made whole, and the program runs until nothing changes |
//! | [`ledger`], [`sight`], [`verdict`] | what is known of every message, where it stands, and what is wrong |
//! | [`undone`] | what `undo` gives back |
//! | [`world`] | one world from its seed to its verdict |
//!
//! `tests/README.md` says how to run it and what to do with a seed that fails.

// Test code may stop at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod acts;
mod changes;
mod cleaner;
mod clock;
mod ledger;
mod mail;
mod plan;
mod program;
mod reader;
mod rest;
mod scene;
mod seed;
mod sight;
mod tools;
mod undone;
mod verdict;
mod world;

use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use world::Counts;

fn set<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// So many seconds takes the short form.
const SHORT_FORM: u64 = 60;

/// Seeds one after the other, until the time is spent or one of them fails.
#[test]
fn no_mail_is_lost_or_doubled_in_any_world() {
    if let Some(seed) = set("MAILSLUICE_WORLD_SEED") {
        let world = world::live(seed);
        println!("{}", world.story);
        assert!(world.wrong.is_empty(), "seed {seed}:\n  {}", world.wrong.join("\n  "));
        return;
    }
    let begun = Instant::now();
    let budget = Duration::from_secs(set("MAILSLUICE_WORLD").unwrap_or(SHORT_FORM));
    let most: u64 = set("MAILSLUICE_WORLD_SEEDS").unwrap_or(u64::MAX);
    let goes_on = set::<u8>("MAILSLUICE_WORLD_GO_ON").is_some();
    let first: u64 = set("MAILSLUICE_WORLD_FROM").unwrap_or(1);
    let next = AtomicU64::new(first);
    let (counts, failed) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while begun.elapsed() < budget && (goes_on || failed.lock().unwrap().is_empty()) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed - first >= most {
                        break;
                    }
                    let world = world::live(seed);
                    counts.lock().unwrap().add(&world.counts);
                    if !world.wrong.is_empty() {
                        println!("{}\nseed {seed}:\n  {}\n", world.story, world.wrong.join("\n  "));
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("world: from seed {first}: {}", counts.into_inner().unwrap());
    assert!(failed.is_empty(), "world: seeds that failed: {failed:?}");
}
