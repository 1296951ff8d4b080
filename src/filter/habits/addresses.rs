//! Doubts about addresses and their parts.

use super::super::comparison::Part;
use super::super::short::About;
use super::{Compared, Doubt, Habit, How};
use crate::clean;

pub(super) const HABITS: &[Habit] = &[null_sender, whole_address, domain, local_part, name_in_an_address];

fn is_about(it: &Compared<'_>, part: Part) -> bool {
    it.about == About::Addresses && it.part == part
}

/// SMTP writes the empty sender so.
fn null_sender(it: &Compared<'_>) -> Option<Doubt> {
    if is_about(it, Part::All) && it.text == "<>" {
        return Doubt::new("an address has no brackets", "write \"\" for the empty sender of a bounce");
    }
    None
}

fn whole_address(it: &Compared<'_>) -> Option<Doubt> {
    if !is_about(it, Part::All) || it.how != How::Is || it.has_value() {
        return None;
    }
    let text = clean::short(it.text, 40);
    if let Some(domain) = it.text.strip_prefix('@') {
        let domain = clean::short(domain, 40);
        return Doubt::new("no address begins with @", format!("write {{is: {domain}, part: domain}}"));
    }
    if !it.text.contains('@') && it.text.contains('.') && !it.text.contains(' ') {
        return Doubt::new("a whole address has an @", format!("write {{is: {text}, part: domain}}"));
    }
    None
}

fn domain(it: &Compared<'_>) -> Option<Doubt> {
    if !is_about(it, Part::Domain) || it.how == How::Regex {
        return None;
    }
    let (_, domain) = it.text.rsplit_once('@')?;
    Doubt::new("the domain is what stands behind the @", format!("write {}", clean::short(domain, 40)))
}

fn local_part(it: &Compared<'_>) -> Option<Doubt> {
    let is_local = [Part::Local, Part::User, Part::Detail].iter().any(|part| is_about(it, *part));
    if !is_local || it.how == How::Regex {
        return None;
    }
    let (local, _) = it.text.split_once('@')?;
    Doubt::new("this part of an address ends before the @", format!("write {}", clean::short(local, 40)))
}

fn name_in_an_address(it: &Compared<'_>) -> Option<Doubt> {
    if is_about(it, Part::All) && it.how != How::Regex && it.text.contains(['<', '>', ' ', '"']) {
        return Doubt::new(
            "an address has no name, no blanks and no brackets",
            "write the address alone, or add `part: name` for the person's name",
        );
    }
    None
}
