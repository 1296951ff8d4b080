//! Doubts about addresses and their parts.

use super::super::comparison::AddressPart;
use super::super::short::ComparedKind;
use super::{ComparedText, Habit, HabitDoubt, How};
use crate::clean;

pub(super) const HABITS: &[Habit] = &[null_sender, whole_address, domain, local_part, name_in_an_address];

fn is_about(it: &ComparedText<'_>, part: AddressPart) -> bool {
    it.about == ComparedKind::Addresses && it.part == part
}

/// `<>`: the null sender in SMTP.
fn null_sender(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if is_about(it, AddressPart::All) && it.text == "<>" {
        return HabitDoubt::new("an address has no brackets", "write \"\" for the empty sender of a bounce");
    }
    None
}

fn whole_address(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if !is_about(it, AddressPart::All) || it.how != How::Is || it.has_value() {
        return None;
    }
    let text = clean::short(it.text, 40);
    if let Some(domain) = it.text.strip_prefix('@') {
        let domain = clean::short(domain, 40);
        return HabitDoubt::new("no address begins with @", format!("write {{is: {domain}, part: domain}}"));
    }
    if !it.text.contains('@') && it.text.contains('.') && !it.text.contains(' ') {
        return HabitDoubt::new("a whole address has an @", format!("write {{is: {text}, part: domain}}"));
    }
    None
}

fn domain(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if !is_about(it, AddressPart::Domain) || it.how == How::Regex {
        return None;
    }
    let (_, domain) = it.text.rsplit_once('@')?;
    HabitDoubt::new("the domain is what stands behind the @", format!("write {}", clean::short(domain, 40)))
}

fn local_part(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let is_local = [AddressPart::Local, AddressPart::User, AddressPart::Detail].iter().any(|part| is_about(it, *part));
    if !is_local || it.how == How::Regex {
        return None;
    }
    let (local, _) = it.text.split_once('@')?;
    HabitDoubt::new("this part of an address ends before the @", format!("write {}", clean::short(local, 40)))
}

fn name_in_an_address(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if is_about(it, AddressPart::All) && it.how != How::Regex && it.text.contains(['<', '>', ' ', '"']) {
        return HabitDoubt::new(
            "an address has no name, no blanks and no brackets",
            "write the address alone, or add `part: name` for the person's name",
        );
    }
    None
}
