//! The crash proof: a process may die before and after every step, and again while the next one recovers.
//!
//! A [`world::Story`] is a mailbox, a program and a machine. Everything the program does to its disk, its memory or
//! its server is a numbered step ([`fate`]). A story lets one process die at one step, restarts, perhaps lets the next
//! one die as well, then runs until nothing moves any more and looks: 0 lost, 0 doubled, 0 half files, 0
//! leftovers, the server as it should be. Then the power goes once more, for what was never written down.
//!
//! `cargo test` tries every single crash and as many pairs as a few seconds allow; `MAILSLUICE_CRASH=all` every pair.
//! [`controls`] shows that the suite sees what it is there to see.

// `pub` is said to the modules of this folder.
#![allow(unreachable_pub)]

mod carried;
mod controls;
mod deliver;
mod disk;
mod fate;
mod found;
mod refilter;
mod renumbered;
mod rescue;
mod store;
mod world;

use disk::{Death, Rename};
use mailsluice::config::Protocol;
use world::{Case, Crash, Failure, MESSAGES, Machine, Stage, Story};

/// Lets these processes die, one after the other, and returns the number of steps of the last of them.
fn survive(stage: &Stage, machine: Machine, crashes: &[Crash]) -> Result<usize, Failure> {
    let mut story = Story::begin(stage, machine);
    let mut steps = 0;
    for (dies_before, death) in crashes {
        steps = story.run(Some(*dies_before)).0.len();
        story.die(*death);
    }
    // The run after a crash deletes nothing on the server, the one after it does.
    story.run_undisturbed(2)?;
    story.check()?;
    story.die(Death::PowerCut);
    // What must not be lost is not lost even for a moment.
    story.check_mail()?;
    story.run_undisturbed(1)?;
    story.check()?;
    Ok(steps)
}

/// More steps than any run has.
const NEVER: usize = usize::MAX;

/// A crash at every step of the first run, and after its last one. Returns how many there were.
fn every_crash(stage: &Stage, machine: Machine, death: Death) -> Result<usize, Failure> {
    let counted = |story: usize, outcome: Result<usize, Failure>| {
        outcome.inspect_err(|_| println!("crash: found in story {story}"))
    };
    let steps = counted(1, survive(stage, machine, &[(NEVER, death)]))?;
    for n in 1..=steps {
        counted(n + 1, survive(stage, machine, &[(n, death)]))?;
    }
    Ok(steps)
}

/// Every crash of the first run with every crash of the second, or every `stride`-th of those pairs.
fn every_pair(stage: &Stage, machine: Machine, deaths: [Death; 2], stride: usize) -> Result<usize, Failure> {
    let steps = survive(stage, machine, &[(NEVER, deaths[0])])?;
    let mut pairs = 0;
    for n in 1..=steps {
        let first = (n, deaths[0]);
        let in_recovery = survive(stage, machine, &[first, (NEVER, deaths[1])])?;
        // Another offset each time, so that over all of them every step has its turn.
        for j in (1 + n % stride..=in_recovery).step_by(stride) {
            survive(stage, machine, &[first, (j, deaths[1])])?;
            pairs += 1;
        }
    }
    Ok(pairs)
}

/// Everything that can befall one kind of account: every crash, and every pair of crashes or a part of them.
fn prove(protocol: Protocol, deletes: bool) {
    let stage = Stage::new(Case { protocol, deletes, messages: &MESSAGES, are_big: false });
    let stride = if is_thorough() { 1 } else { 131 };
    let (apart, atomic) = (Machine::honest(Rename::EachSide), Machine::honest(Rename::Atomic).with_reader());
    let count = || {
        let mut crashes = every_crash(&stage, apart, Death::PowerCut)?;
        crashes += every_crash(&stage, apart.with_reader(), Death::PowerCut)?;
        crashes += every_crash(&stage, atomic, Death::PowerCut)?;
        crashes += every_crash(&stage, atomic, Death::Killed)?;
        let mut pairs = every_pair(&stage, apart, [Death::PowerCut; 2], stride)?;
        pairs += every_pair(&stage, atomic, [Death::Killed; 2], stride)?;
        pairs += every_pair(&stage, atomic, [Death::Killed, Death::PowerCut], stride)?;
        Ok((crashes, pairs))
    };
    let (crashes, pairs) = all_survived(count());
    println!("{protocol:?}, deletes: {deletes}: {crashes} crashes and {pairs} pairs");
    assert!(crashes > 400 && pairs > 200, "the steps have gone missing");
}

fn is_thorough() -> bool {
    std::env::var_os("MAILSLUICE_CRASH").is_some_and(|value| value == "all")
}

fn all_survived<T>(outcome: Result<T, Failure>) -> T {
    outcome.unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn imap_that_keeps() {
    prove(Protocol::Imap, false);
}

#[test]
fn imap_that_deletes() {
    prove(Protocol::Imap, true);
}

#[test]
fn pop3_that_keeps() {
    prove(Protocol::Pop3, false);
}

#[test]
fn pop3_that_deletes() {
    prove(Protocol::Pop3, true);
}

/// In every `cargo test`: one message in two folders, and really every pair.
#[test]
fn every_pair_with_one_message() {
    let stage = Stage::new(Case { protocol: Protocol::Pop3, deletes: true, messages: &MESSAGES[..1], are_big: false });
    let apart = Machine::honest(Rename::EachSide);
    let pairs = all_survived(every_pair(&stage, apart, [Death::PowerCut; 2], 1));
    println!("{pairs} pairs");
    assert!(pairs > 1000, "the steps have gone missing");
}

/// A message that goes through the spool, and one that stays there.
#[test]
fn every_crash_with_big_messages() {
    let mut crashes = 0;
    for protocol in [Protocol::Imap, Protocol::Pop3] {
        let stage = Stage::new(Case { protocol, deletes: true, messages: &MESSAGES[..2], are_big: true });
        let machine = Machine::honest(Rename::EachSide);
        let steps = Story::begin(&stage, machine).run(None).0;
        // Their pieces are many and all alike.
        let is_piece = |n: &usize| steps[n - 1].starts_with("write ");
        let points = (1..=steps.len()).filter(|n| !is_piece(n) || n % 500 == 0);
        for n in points.step_by(if is_thorough() { 1 } else { 23 }) {
            let death = if n % 2 == 0 { Death::PowerCut } else { Death::Killed };
            all_survived(survive(&stage, machine, &[(n, death)]));
            crashes += 1;
        }
    }
    assert!(crashes >= 6, "the steps have gone missing: {crashes}");
}
