//! Negative controls: a program that left out one step, or took two of them in the wrong order, would not survive.
//!
//! A sync that is left out is a disk on which this sync does nothing. The wrong order is a store that takes the
//! other step first, or later: the types of `mailsluice::state` do not let the pipeline itself do it.

use mailsluice::config::Protocol;

use super::disk::{Death, Lie, Rename};
use super::every_crash;
use super::store::Mistake;
use super::world::{Case, MESSAGES, Machine, Stage, Wrong};

/// What the proof finds first on such a machine.
fn found(protocol: Protocol, machine: Machine, death: Death) -> Option<Wrong> {
    let stage = Stage::new(Case { protocol, deletes: true, messages: &MESSAGES, are_big: false });
    every_crash(&stage, machine, death).err().map(|failure| failure.what)
}

fn found_without(sync: Lie) -> [Option<Wrong>; 2] {
    let machine = Machine { lie: Some(sync), ..Machine::honest(Rename::EachSide) };
    [Protocol::Imap, Protocol::Pop3].map(|protocol| found(protocol, machine, Death::PowerCut))
}

fn found_with(mistake: Mistake) -> [Option<Wrong>; 2] {
    let machine = Machine { mistake: Some(mistake), ..Machine::honest(Rename::Atomic).with_reader() };
    [Protocol::Imap, Protocol::Pop3].map(|protocol| found(protocol, machine, Death::Killed))
}

#[test]
fn without_the_sync_of_new_mail_is_lost() {
    assert_eq!(found_without(Lie::Directory("new")), [Some(Wrong::Lost); 2]);
}

#[test]
fn without_the_sync_of_cur_mail_is_lost() {
    assert_eq!(found_without(Lie::Directory("cur")), [Some(Wrong::Lost); 2]);
}

#[test]
fn without_the_sync_of_tmp_mail_is_lost() {
    assert_eq!(found_without(Lie::Directory("tmp")), [Some(Wrong::Lost); 2]);
}

#[test]
fn without_the_sync_of_parents_mail_is_lost() {
    assert_eq!(found_without(Lie::Parents), [Some(Wrong::Lost); 2]);
}

#[test]
fn without_the_sync_of_the_spool_discarded_mail_is_lost() {
    assert_eq!(found_without(Lie::Directory("spool")), [Some(Wrong::Spool); 2]);
}

#[test]
fn without_the_sync_of_files_mail_is_half() {
    assert_eq!(found_without(Lie::Files), [Some(Wrong::Half); 2]);
}

#[test]
fn published_before_recorded_mail_is_doubled() {
    assert_eq!(found_with(Mistake::PublishBeforeRecord), [Some(Wrong::Doubled); 2]);
}

#[test]
fn recorded_after_settled_mail_is_doubled() {
    assert_eq!(found_with(Mistake::RecordAfterSettle), [Some(Wrong::Doubled); 2]);
}
