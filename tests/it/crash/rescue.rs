//! Staged mail that the server does not list any more when the program comes back: it may be the only copy.

use std::collections::BTreeMap;

use mailsluice::config::Protocol;

use super::disk::{Death, Rename};
use super::world::{Case, Failure, MESSAGES, Machine, Stage, Story, Wrong};
use super::{NEVER, all_survived, is_thorough};

const RECOVERED: &str = "(notice: recovered)";

/// After the first crash another client empties the mailbox. What there is in the end, and the steps of the run that
/// crashed last.
pub fn rescue(
    stage: &Stage,
    machine: Machine,
    death: Death,
    crashes: [usize; 2],
) -> Result<(BTreeMap<String, usize>, usize), Failure> {
    let mut story = Story::begin(stage, machine);
    story.run(Some(crashes[0]));
    story.die(death);
    story.empty_the_server();
    let (steps, _) = story.run(Some(crashes[1]));
    story.die(death);
    story.run_undisturbed(1)?;
    story.check_nothing_is_left_over()?;
    let before = story.contents();
    story.die(Death::PowerCut);
    story.run_undisturbed(1)?;
    if story.contents() != before {
        return Err(story.failure(Wrong::Doubled, &format!("{before:?} became {:?}", story.contents())));
    }
    Ok((before, steps.len()))
}

/// What is rescued does not depend on where the rescue is interrupted.
#[test]
fn what_is_rescued_is_rescued_once() {
    let stage = Stage::new(Case { protocol: Protocol::Imap, deletes: false, messages: &MESSAGES[..2], are_big: false });
    let stride = if is_thorough() { 1 } else { 9 };
    let mut rescued = 0;
    for (rename, death) in [(Rename::EachSide, Death::PowerCut), (Rename::Atomic, Death::Killed)] {
        let machine = Machine::honest(rename);
        let mut story = Story::begin(&stage, machine);
        let first_run = story.run(None).0.len();
        for n in 1..=first_run {
            let (undisturbed, steps) = all_survived(rescue(&stage, machine, death, [n, NEVER]));
            rescued += undisturbed.get(RECOVERED).copied().unwrap_or(0);
            for j in (1 + n % stride..=steps).step_by(stride) {
                let (interrupted, _) = all_survived(rescue(&stage, machine, death, [n, j]));
                assert_eq!(interrupted, undisturbed, "{machine:?}, {death:?}, {n}, {j}");
            }
        }
    }
    assert!(rescued > 10, "nothing was ever rescued");
}

/// A leftover is removed because its message is fetched again. Were it back after a power cut, with the message deleted
/// on the server and filed elsewhere by new rules, it would look like an only copy.
#[test]
fn a_removed_leftover_does_not_come_back_as_mail() {
    let stage = Stage::new(Case { protocol: Protocol::Pop3, deletes: true, messages: &MESSAGES[..2], are_big: false });
    let mut story = Story::begin(&stage, Machine::honest(Rename::EachSide));
    let steps = Story::begin(&stage, Machine::honest(Rename::EachSide)).run(None).0;
    let record = steps.iter().position(|step| step == "store: record").unwrap();
    story.run(Some(record + 1));
    story.die(Death::PowerCut);
    // POP3 tells no date, so the file gets another name in another second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    story.change_rules("rules: [{if: {header: {Subject: {contains: two}}}, do: [{fileinto: elsewhere}]}]\n");
    all_survived(story.run_undisturbed(2));
    let before = story.contents();
    story.die(Death::PowerCut);
    all_survived(story.run_undisturbed(1));
    assert_eq!(story.contents(), before);
    assert_eq!(before.values().sum::<usize>(), 2);
}
