//! `invite`: an invitation to an event, and its content.

use std::sync::Arc;

use jiff::Zoned;

use super::super::asking::{Asking, Break};
use super::super::comparator::Comparator;
use super::super::comparison::{Allowed, COMPARED};
use super::super::compile::Compiler;
use super::super::short::ComparedKind;
use super::date::{self, DateComparison};
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::yaml::{Node, Value};
use crate::message::Invite;

pub(super) static KEYS: Shape = Shape {
    what: "an invite condition",
    keys: &[
        ("method", "`REQUEST`, `REPLY`, `CANCEL`, with a comparison.", COMPARED),
        (
            "start",
            "When the event begins: {from: 2026-12-24}, {days: [sat, sun]}, {hours: 18-24}.",
            Takes::Section(&date::KEYS),
        ),
        ("organizer", "The address of its organizer.", COMPARED),
        ("summary", "What it is about.", COMPARED),
    ],
};

const INVITE_TAKES: Takes = Takes::Either(&[Takes::Flag, Takes::Section(&KEYS)]);
pub(super) const INVITE: ConditionWord = ConditionWord::new(
    (
        "invite",
        "An invitation to an event (a calendar in the message): {method: REQUEST, organizer: work.example}, or just `true`.",
        INVITE_TAKES,
    ),
    read,
);

#[derive(Debug, Default)]
struct Invited {
    /// The negated form, `invite: false`.
    none: bool,
    method: Option<Comparator>,
    start: Option<DateComparison>,
    organizer: Option<Comparator>,
    summary: Option<Comparator>,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    if let Value::Scalar { .. } = &node.value {
        let none = !reader::flag(node, &mut compiler.problems)?;
        return Some(Box::new(Invited { none, ..Invited::default() }));
    }
    let map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let [method, start, organizer, summary] = ["method", "start", "organizer", "summary"].map(|key| map.take(key));
    if !map.is_map() {
        return None;
    }
    let mut compared = |node: Option<&Node>, about| match node {
        None => Some(None),
        Some(node) => {
            let comparison = compiler.comparison(node, Allowed::only(about))?;
            Some(Some(comparison.of_text(about == ComparedKind::Text).comparator))
        }
    };
    let method = compared(method, ComparedKind::Value);
    let organizer = compared(organizer, ComparedKind::Addresses);
    let summary = compared(summary, ComparedKind::Text);
    let start = match start {
        None => None,
        Some(node) => Some(date::of_event(node, compiler)?),
    };
    Some(Box::new(Invited { none: false, method: method?, start, organizer: organizer?, summary: summary? }))
}

impl Condition for Invited {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let zone = asking.now().time_zone().clone();
        let invite = Arc::clone(asking.message()).invite(&zone);
        let accepted = match &invite {
            Some(invite) => self.accepts(invite, asking)?,
            None => false,
        };
        let holds = accepted != self.none;
        asking.saw(holds, || match &invite {
            Some(invite) => in_words(invite),
            None => "there is no calendar".to_owned(),
        });
        Ok(holds)
    }
}

impl Invited {
    fn accepts(&self, invite: &Invite, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let checks =
            [(&self.method, &invite.method), (&self.organizer, &invite.organizer), (&self.summary, &invite.summary)];
        for (comparator, value) in checks {
            let Some(comparator) = comparator else { continue };
            let Some(value) = value else { return Ok(false) };
            if !comparator.accepts(value, asking)? {
                return Ok(false);
            }
        }
        Ok(match (&self.start, &invite.start) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(when), Some(start)) => when.fits_in(start, asking),
        })
    }
}

fn in_words(invite: &Invite) -> String {
    let start = |at: &Zoned| at.strftime("%a %Y-%m-%d %H:%M %z").to_string();
    let said = [invite.method.clone(), invite.start.as_ref().map(start), invite.organizer.clone()];
    let said: Vec<String> = said.into_iter().flatten().collect();
    format!("the invitation is {}", said.join(", "))
}
