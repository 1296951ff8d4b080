//! `report`: what a delivery report says about a recipient.

use std::sync::Arc;

use super::super::asking::{Asking, Break};
use super::super::comparator::Comparator;
use super::super::comparison::{Allowed, COMPARED};
use super::super::compile::Compiler;
use super::super::short::ComparedKind;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::yaml::{Node, Value};
use crate::message::Reported;

pub(super) static KEYS: Shape = Shape {
    what: "a report condition",
    keys: &[
        ("action", "`failed`, `delayed`, `delivered`, `relayed` or `expanded`.", COMPARED),
        ("status", "The status, like `5.1.1`, with a comparison: {matches: \"5.*\"}.", COMPARED),
        ("recipient", "The address at which it ended.", COMPARED),
        ("original_to", "The address to which the message was sent.", COMPARED),
    ],
};

const REPORT_TAKES: Takes = Takes::Either(&[Takes::Flag, Takes::Section(&KEYS)]);
pub(super) const REPORT: ConditionWord = ConditionWord::new(
    (
        "report",
        "A delivery report (RFC 3464) that says so of one recipient: {action: failed, status: {matches: \"5.*\"}}, or just `true`.",
        REPORT_TAKES,
    ),
    read,
);

#[derive(Debug)]
struct ReportCondition {
    /// The negated form, `report: false`.
    none: bool,
    checks: Vec<(ReportField, Comparator)>,
}

type ReportField = fn(&Reported) -> &str;

const FIELDS: [(&str, ReportField, ComparedKind<'static>); 4] = [
    ("action", |it| &it.action, ComparedKind::Value),
    ("status", |it| &it.status, ComparedKind::Value),
    ("recipient", |it| &it.recipient, ComparedKind::Addresses),
    ("original_to", |it| &it.original_to, ComparedKind::Addresses),
];

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    if let Value::Scalar { .. } = &node.value {
        let none = !reader::flag(node, &mut compiler.problems)?;
        return Some(Box::new(ReportCondition { none, checks: Vec::new() }));
    }
    let map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let given: Vec<_> =
        FIELDS.iter().filter_map(|(key, field, about)| Some((map.take(key)?, *field, *about))).collect();
    if !map.is_map() {
        return None;
    }
    let checks = given.into_iter().map(|(node, field, about)| {
        let comparison = compiler.comparison(node, Allowed::only(about))?;
        Some((field, comparison.comparator))
    });
    let checks = checks.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
    Some(Box::new(ReportCondition { none: false, checks }))
}

impl Condition for ReportCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let reported = Arc::clone(asking.message()).reported();
        let mut found = None;
        for it in &reported {
            let mark = asking.names.mark();
            if self.accepts(it, asking)? {
                found = Some(it);
                break;
            }
            asking.names.forget(mark);
        }
        let holds = found.is_some() != self.none;
        asking.saw(holds, || match found.or(reported.first()) {
            Some(it) => format!("{} {} for {}", it.action, it.status, it.recipient),
            None => "it is no delivery report".to_owned(),
        });
        Ok(holds)
    }
}

impl ReportCondition {
    fn accepts(&self, it: &Reported, asking: &mut Asking<'_>) -> Result<bool, Break> {
        for (field, comparator) in &self.checks {
            let value = field(it);
            if value.is_empty() || !comparator.accepts(value, asking)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
