//! What decisions can ask for beyond folders: edited versions, tellings, keywords, mbox files, facts. The decisions are
//! made by hand here, so that each message has one of its own.

use std::sync::Arc;

use mailsluice::config::Protocol;
use mailsluice::config::template::FolderName;
use mailsluice::decision::{
    Action, AnsweredQuestion, Decision, Deferral, EnvelopeFrom, Fact, Filing, Place, Redirect, RedirectMode, ReplyForm,
    Telling, Vacation, Way, Write,
};
use mailsluice::filter::Facts;
use mailsluice::message::{Bytes, Envelope, Flags, Message};
use mailsluice::pass::Decide;

use super::disk::{Death, Lie, Rename};
use super::rescue::rescue;
use super::world::{Case, Expected, Machine, Stage, Wrong};
use super::{NEVER, all_survived, every_crash, every_pair, is_thorough};

/// The header field that the edited versions begin with.
const EDIT: &str = "X-Edited: yes\n";
const TWO: &str = "Subject: two versions\nMessage-ID: <1@x>\n\nfirst\n";
const TWO_EDITED: &str = "X-Edited: yes\nSubject: two versions\nMessage-ID: <1@x>\n\nfirst\n";
const TOLD: &str = "Subject: told\nMessage-ID: <2@x>\n\nsecond\n";
const TOLD_EDITED: &str = "X-Edited: yes\nSubject: told\nMessage-ID: <2@x>\n\nsecond\n";
const BOXES: &str = "Subject: boxes\nMessage-ID: <3@x>\n\nFrom me\n>From you\n";
const BOXES_EDITED: &str = "X-Edited: yes\nSubject: boxes\nMessage-ID: <3@x>\n\nFrom me\n>From you\n";
const BOX: &str = "Subject: only a box\nMessage-ID: <4@x>\n\nfourth\n";
const KEYWORDS: &str = "Subject: keywords\nMessage-ID: <5@x>\n\nfifth\n";
const TWIN: &str = "Subject: twin\nMessage-ID: <6@x>\n\nsent twice, word for word\n";
const TICKET: &str = "Subject: ticket\nMessage-ID: <8@x>\n\neighth\n";
const DISCARDED: &str = "Subject: answered and discarded\nMessage-ID: <7@x>\n\nseventh\n";

/// What is told, and not kept, stands in the outbox alone.
static MESSAGES: [Expected; 9] = [
    (TWO, &[("lists/a", "", TWO), ("lists/a", "", TWO_EDITED), ("lists/b", "F", TWO_EDITED)]),
    (TOLD, &[]),
    (BOXES, &[("boxes/one", "", BOXES), ("boxes/two", "", BOXES_EDITED), ("lists/a", "", BOXES)]),
    (BOX, &[("boxes/one", "", BOX)]),
    (KEYWORDS, &[("lists/b", "F $finance Work", KEYWORDS)]),
    (TWIN, &[("INBOX", "", TWIN)]),
    (TWIN, &[]),
    (DISCARDED, &[]),
    // A crash that burnt a number would send it elsewhere.
    (TICKET, &[("tickets/1", "", TICKET)]),
];

/// In the spool in the end: the second twin, what was discarded, and two versions of what is told.
const SPOOLED: [&str; 4] = [TOLD, TOLD_EDITED, TWIN, DISCARDED];

#[derive(Debug)]
struct ByHand;

impl Decide for ByHand {
    fn decide(&self, message: &Arc<Message>, _: &Envelope, facts: &dyn Facts) -> Result<Decision, Deferral> {
        let mut decision = Decision::default();
        let mut file = |place: Place, words: &[&str], version| {
            let mut flags = Flags::default();
            words.iter().for_each(|word| flags.parse_word(word).unwrap());
            decision.actions.push(Action::File(Filing { place, flags, version }));
        };
        match message.first("Subject").unwrap() {
            "two versions" => {
                file(folder("lists/a"), &[], 0);
                file(folder("lists/a"), &[], 1);
                file(folder("lists/b"), &["flagged"], 1);
                decision.edited.push(edited(message));
            }
            "told" => {
                decision.actions.extend([redirect(1), redirect(0), vacation()].map(Action::Tell));
                decision.edited.push(edited(message));
            }
            "boxes" => {
                file(mbox("boxes/one"), &[], 0);
                file(folder("lists/a"), &[], 0);
                file(mbox("boxes/two"), &[], 1);
                decision.edited.push(edited(message));
            }
            "only a box" => file(mbox("boxes/one"), &[], 0),
            "keywords" => file(folder("lists/b"), &["$finance", "flagged", "Work"], 0),
            "twin" => {
                let (handle, key) = ("twins".to_owned(), message.first("Message-ID").unwrap().to_owned());
                let fact = Fact::Seen { handle: handle.clone(), key: key.clone() };
                let answer = facts.holds(&fact).unwrap();
                decision.reads.push(AnsweredQuestion { fact, answer });
                if answer {
                    decision.actions.push(Action::Discard);
                } else {
                    decision.actions.extend(Decision::keep("").actions);
                    let until = "2100-01-01T00:00:00Z".parse().unwrap();
                    decision.writes.push(Write::Seen { handle, key, until });
                }
            }
            "ticket" => {
                let (counter, last) = ("tickets".to_owned(), facts.last_number("tickets").unwrap());
                let number = last.map_or(1, |last| last + 1);
                file(folder(&format!("tickets/{number}")), &[], 0);
                let fact = Fact::Numbered { counter: counter.clone(), number };
                decision.reads.push(AnsweredQuestion { fact, answer: false });
                decision.writes.push(Write::Number { counter, number });
            }
            "answered and discarded" => decision.actions.extend([Action::Discard, Action::Tell(vacation())]),
            _ => return Ok(Decision::keep("no hand was laid on it")),
        }
        Ok(decision)
    }
}

fn edited(message: &Message) -> Arc<Message> {
    let bytes = match message.bytes() {
        Bytes::Memory(bytes) => [EDIT.as_bytes(), bytes].concat(),
        other => panic!("{other:?}"),
    };
    Arc::new(Message::new(Bytes::Memory(bytes)))
}

fn folder(name: &str) -> Place {
    Place::Folder(FolderName::parse_safe(name, Some('/')))
}

fn mbox(name: &str) -> Place {
    Place::Mbox(FolderName::parse_safe(name, Some('/')))
}

fn redirect(version: usize) -> Telling {
    let to = vec!["phone@x".to_owned()];
    let way = Way::Redirect(Redirect { to, mode: RedirectMode::Redirect, envelope_from: EnvelopeFrom::Default });
    Telling { version, relay: None, way }
}

fn vacation() -> Telling {
    let way = Way::Vacation(Vacation {
        handle: "away".to_owned(),
        days: 7,
        subject: None,
        text: "away".to_owned(),
        from: None,
        to: "a@x".to_owned(),
        envelope_from: EnvelopeFrom::Null,
        form: ReplyForm::default(),
    });
    Telling { version: 0, relay: None, way }
}

fn stage(deletes: bool) -> Stage {
    let case = Case { protocol: Protocol::Imap, deletes, messages: &MESSAGES, are_big: false };
    let told = vec![("redirect", TOLD_EDITED), ("redirect", TOLD), ("vacation", TOLD), ("vacation", DISCARDED)];
    Stage::new(case).decided_by(Arc::new(ByHand), SPOOLED.to_vec(), told)
}

#[test]
fn everything_that_is_decided_survives_every_crash() {
    let (apart, atomic) = (Machine::honest(Rename::EachSide), Machine::honest(Rename::Atomic).with_reader());
    let mut crashes = all_survived(every_crash(&stage(true), apart, Death::PowerCut));
    crashes += all_survived(every_crash(&stage(false), atomic, Death::Killed));
    println!("{crashes} crashes");
    assert!(crashes > 150, "the steps have gone missing");
}

#[test]
fn everything_that_is_decided_survives_pairs_of_crashes() {
    let stride = if is_thorough() { 1 } else { 67 };
    let apart = Machine::honest(Rename::EachSide);
    let mut pairs = all_survived(every_pair(&stage(true), apart, [Death::PowerCut; 2], stride));
    let atomic = Machine::honest(Rename::Atomic);
    pairs += all_survived(every_pair(&stage(true), atomic, [Death::PowerCut, Death::Killed], stride));
    println!("{pairs} pairs");
    assert!(pairs > 150, "the steps have gone missing");
}

fn found_without(sync: Lie) -> Option<Wrong> {
    let machine = Machine { lie: Some(sync), ..Machine::honest(Rename::EachSide) };
    every_crash(&stage(true), machine, Death::PowerCut).err().map(|failure| failure.what)
}

#[test]
fn without_the_sync_of_the_mboxes_folder_mail_is_lost() {
    // It is made durable when it is created, and only then.
    assert_eq!(found_without(Lie::Directory("boxes")), Some(Wrong::Lost));
}

#[test]
fn without_the_sync_of_the_spool_what_is_told_is_lost() {
    assert_eq!(found_without(Lie::Directory("spool")), Some(Wrong::Spool));
}

#[test]
fn without_the_sync_of_their_file_keywords_mean_nothing() {
    assert_eq!(found_without(Lie::Name("dovecot-keywords")), Some(Wrong::Misplaced));
}

/// As in [`super::rescue`], with edited versions and with what waits for an mbox.
#[test]
fn what_is_rescued_is_the_message_as_it_came() {
    let stage = stage(false);
    let machine = Machine::honest(Rename::Atomic);
    let steps = super::world::Story::begin(&stage, machine).run(None).0.len();
    let stride = if is_thorough() { 1 } else { 7 };
    let mut rescued = 0;
    for n in (1..=steps).step_by(stride) {
        let (contents, steps) = all_survived(rescue(&stage, machine, Death::Killed, [n, NEVER]));
        let found = contents.iter().filter(|(content, _)| !content.starts_with("(notice"));
        rescued += contents.get("(notice: recovered)").copied().unwrap_or(0);
        for (content, _) in found {
            // A process that died while writing leaves a part of it.
            let is_of = |(text, places): &Expected| {
                text.starts_with(content) || places.iter().any(|(_, _, edited)| edited.starts_with(content))
            };
            // Of what is told alone the edited version may be all that was written.
            let is_spooled = SPOOLED.iter().any(|spooled| spooled.starts_with(content));
            assert!(MESSAGES.iter().any(is_of) || is_spooled || content.contains("seventh"), "{n}: {content}");
        }
        for j in (1 + n % 31..=steps).step_by(31) {
            let (interrupted, _) = all_survived(rescue(&stage, machine, Death::Killed, [n, j]));
            assert_eq!(interrupted, contents, "{n}, {j}");
        }
    }
    assert!(rescued > 3, "nothing was ever rescued");
}
