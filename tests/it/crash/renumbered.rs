//! All numbers of a mailbox change, and the program dies while it recognises what it has.

use std::collections::BTreeMap;

use mailsluice::config::Protocol;

use super::all_survived;
use super::disk::{Death, Rename};
use super::world::{Case, Failure, MESSAGES, Machine, Stage, Story};

/// The mail that is here in the end, and the steps of the run that died.
fn renumber(
    stage: &Stage,
    protocol: Protocol,
    dies_before: usize,
) -> Result<(BTreeMap<String, usize>, usize), Failure> {
    let mut story = Story::begin(stage, Machine::honest(Rename::Atomic));
    story.run_undisturbed(1)?;
    match protocol {
        Protocol::Imap => story.mailbox.set_uidvalidity("INBOX", 77, true),
        Protocol::Pop3 => (1..).zip(MESSAGES).for_each(|(uid, _)| {
            story.mailbox.set_uidl("INBOX", uid, &format!("moved-{uid}"));
        }),
    }
    let steps = story.run(Some(dies_before)).0.len();
    story.die(Death::Killed);
    story.run_undisturbed(2)?;
    let mut contents = story.contents();
    contents.retain(|content, _| !content.starts_with("(notice"));
    Ok((contents, steps))
}

#[test]
fn what_is_recognised_under_new_numbers_does_not_come_again_whatever_crashes() {
    for protocol in [Protocol::Imap, Protocol::Pop3] {
        let stage = Stage::new(Case { protocol, deletes: false, messages: &MESSAGES, are_big: false });
        let (undisturbed, steps) = all_survived(renumber(&stage, protocol, usize::MAX));
        assert!(steps > 10, "the steps have gone missing");
        for n in 1..=steps {
            let (contents, _) = all_survived(renumber(&stage, protocol, n));
            assert_eq!(contents, undisturbed, "{protocol:?}, before step {n}");
        }
    }
}
