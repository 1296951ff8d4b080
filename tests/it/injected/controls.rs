//! Whether the matrix sees what it is there to see.

use std::fs;

use super::judge::{self, Excuse};
use super::mail::Place;
use super::matrix::{CALLS, FAULTS, trial, what};
use super::scenario::{SCENARIOS, Scenario};
use crate::support::injector::{Fault, injector};
use crate::support::maildir::Maildirs;

fn scenario(name: &str) -> &'static Scenario {
    SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap()
}

/// What was done well is judged so; what somebody took away or doubled behind the program's back is not.
#[test]
fn a_loss_a_double_a_half_and_a_leftover_are_seen() {
    let scenario = scenario("fetch, IMAP");
    let prepared = scenario.prepare();
    let done = |change: &dyn Fn(&std::path::Path)| {
        let stage = prepared.copy();
        stage.run_well(&["fetch"], "");
        let (ran, rests) = scenario.rest(&stage, 0);
        assert!(rests, "{ran:#?}");
        change(stage.home());
        let wrong = judge::wrong(stage.home(), &stage.relay.mails(), &scenario.wanted(), Excuse::default());
        wrong.iter().filter_map(|line| line.split(':').next().map(str::to_owned)).collect::<Vec<_>>()
    };
    let file = |home: &std::path::Path, folder: &str| {
        let found = Maildirs::at(home.join("Mail")).in_folder(folder).remove(0);
        home.join("Mail").join(folder).join("new").join(found.name)
    };
    assert!(done(&|_| {}).is_empty());
    assert_eq!(done(&|home| fs::remove_file(file(home, "edited")).unwrap()), ["LOST"]);
    assert_eq!(done(&|home| fs::remove_file(file(home, "lists/a")).unwrap()), ["MISSING"]);
    assert_eq!(done(&|home| fs::remove_file(home.join("Mail/old")).unwrap()), ["LOST", "MISSING"]);
    let doubled = |home: &std::path::Path| {
        let file = file(home, "INBOX");
        fs::copy(&file, file.with_extension("copy")).unwrap();
    };
    assert_eq!(done(&doubled), ["DOUBLED"]);
    let half = |home: &std::path::Path| {
        let file = fs::File::options().write(true).open(file(home, "edited")).unwrap();
        file.set_len(1000).unwrap();
    };
    assert_eq!(done(&half), ["HALF", "LOST"]);
    let left = |home: &std::path::Path| fs::write(home.join("Mail/INBOX/tmp/1"), "x").unwrap();
    assert_eq!(done(&left), ["LEFT OVER"]);
}

/// A run of which a call fails says so; one that is killed is killed.
#[test]
fn what_is_injected_is_hit() {
    if injector().is_none() {
        return;
    }
    let scenario = scenario("first fetch");
    let prepared = scenario.prepare();
    for (name, calls) in CALLS.into_iter().filter(|(name, _)| *name != "link") {
        for fault in FAULTS {
            let stage = prepared.copy();
            let fault = Fault { calls: calls.to_owned(), nth: 1, what: what(fault) };
            let (output, hit) = stage.run_with(&fault, scenario.arguments, "");
            assert!(hit.is_some(), "{name}: {fault:?}: {output}");
            assert_eq!(output.code == 137, fault.what == "kill", "{name}: {output}");
        }
    }
}

/// A message that is taken from the server before it stands here is noticed in that moment.
#[test]
fn what_is_deleted_too_early_is_seen() {
    let stage = scenario("first fetch").prepare();
    stage.mailbox.change_folder("INBOX", |folder| folder.messages.remove(0));
    assert_eq!(stage.too_early(), [8]);
    let stage = scenario("first fetch").prepare();
    stage.run_well(&["fetch"], "");
    assert!(stage.too_early().is_empty() && stage.mailbox.count("INBOX") == 0);
    assert!(judge::standing(stage.home(), &stage.relay.mails()).contains_key(&(Place::Spool, 10)));
}

/// More points than a run has are tried and hit nothing, and nothing is wrong then.
#[test]
fn what_is_not_reached_is_not_counted_as_hit() {
    if injector().is_none() {
        return;
    }
    let scenario = scenario("queue run");
    let fault = Fault { calls: "fsync,fdatasync".to_owned(), nth: 100_000, what: "kill".to_owned() };
    let trial = trial(scenario, &scenario.prepare(), &fault);
    assert!(trial.hit.is_none() && trial.wrong.is_empty(), "{:?}", trial.wrong);
}
