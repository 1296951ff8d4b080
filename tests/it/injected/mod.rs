//! The real program on a disk that fails once: at every point at which it syncs, renames, links, writes, opens,
//! removes or makes a folder there is an input/output error, a full disk, or its end by kill -9.
//!
//! | file | what |
//! |---|---|
//! | [`mail`] | the messages, and where each belongs |
//! | [`stage`] | a prepared home, and copies of it with servers of their own |
//! | [`scenario`] | what runs over it, and how it comes to rest |
//! | [`judge`] | what stands where, and what is wrong |
//! | [`matrix`] | all trials of a scenario, and their table |
//!
//! `cargo test` tries a part of the points, `MAILSLUICE_CRASH=all` every one. `MAILSLUICE_INJECTED='fsync EIO 17'`
//! tries this one alone and shows what ran. One fault hits one call, in whatever thread or process of the command makes
//! it; which call is the n-th may differ a little from run to run.

// `pub` is said to the modules of this folder.
#![allow(unreachable_pub)]

mod controls;
mod judge;
mod mail;
mod matrix;
mod scenario;
mod stage;

use matrix::{Form, HEAD, matrix};
use scenario::SCENARIOS;

use crate::support::injector::injector;

/// Of the points, `cargo test` takes each so many-th.
const STRIDE: usize = 25;

fn form() -> Form {
    let is_thorough = std::env::var_os("MAILSLUICE_CRASH").is_some_and(|value| value == "all");
    match std::env::var("MAILSLUICE_INJECTED") {
        Ok(point) => Form::One(point),
        Err(_) if is_thorough => Form::Every,
        Err(_) => Form::Some(STRIDE),
    }
}

#[track_caller]
fn survives(name: &str) {
    if injector().is_none() {
        return;
    }
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
    let begun = std::time::Instant::now();
    let matrix = matrix(scenario, &form());
    println!("{HEAD}\n{}{} points in {:?}", matrix.table, matrix.tried, begun.elapsed());
    assert!(matrix.bad.is_empty(), "{} of {} points are bad:\n{}", matrix.bad.len(), matrix.tried, matrix.bad.concat());
}

#[test]
fn fetch_from_imap() {
    survives("fetch, IMAP");
}

#[test]
fn fetch_from_pop3() {
    survives("fetch, POP3");
}

#[test]
fn the_first_fetch() {
    survives("first fetch");
}

#[test]
fn deliver() {
    survives("deliver");
}

#[test]
fn sendmail() {
    survives("sendmail");
}

#[test]
fn refilter() {
    survives("refilter");
}

#[test]
fn undo() {
    survives("undo");
}

#[test]
fn queue_run() {
    survives("queue run");
}
