//! `all`, `any`, `none`, `not`: groups of conditions.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::{self, Takes};
use crate::config::yaml::{Node, Value};

const LIST: Takes = Takes::List(&Takes::Rules("a condition"));

pub(super) const ALL: ConditionWord =
    ConditionWord::group(("all", "A list of conditions that must all hold.", LIST), |node, compiler| {
        compiler.conditions(node).map(all)
    });

pub(super) const ANY: ConditionWord =
    ConditionWord::group(("any", "A list of conditions of which one must hold.", LIST), |node, compiler| {
        compiler.branches(node).map(|members| group(GroupKind::Any, members))
    });

pub(super) const NONE: ConditionWord =
    ConditionWord::group(("none", "A list of conditions of which none may hold.", LIST), |node, compiler| {
        refused(compiler, |this| this.conditions(node)).map(|members| group(GroupKind::None, members))
    });

pub(super) const NOT: ConditionWord =
    ConditionWord::group(("not", "A condition that must not hold.", Takes::Rules("a condition")), |node, compiler| {
        not(node, compiler)
    });

fn not(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    if matches!(node.value, Value::Seq(_)) {
        let problem = reader::mismatch(node, "one condition", &mut compiler.problems);
        problem.hint("write `none` for a list of conditions");
        return None;
    }
    refused(compiler, |this| this.condition(node)).map(|member| group(GroupKind::Not, vec![member]))
}

/// Reads conditions that must not hold. Their captures are not available later, and warnings about short forms that
/// accept too much do not apply, because the more they accept, the less the rule does.
fn refused<'d, 's, T>(compiler: &mut Compiler<'d, 's>, read: impl FnOnce(&mut Compiler<'d, 's>) -> T) -> T {
    let wide = compiler.wide.len();
    let read = compiler.in_own_scope(read);
    compiler.wide.truncate(wide);
    read
}

/// A condition that holds if all of these hold.
pub(in super::super) fn all(members: Vec<BoxedCondition>) -> BoxedCondition {
    group(GroupKind::All, members)
}

fn group(word: GroupKind, members: Vec<BoxedCondition>) -> BoxedCondition {
    Box::new(GroupCondition { word, members })
}

#[derive(Clone, Copy, Debug)]
enum GroupKind {
    All,
    Any,
    None,
    Not,
}

#[derive(Debug)]
struct GroupCondition {
    word: GroupKind,
    members: Vec<BoxedCondition>,
}

impl Condition for GroupCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let word = match self.word {
            GroupKind::All => "all",
            GroupKind::Any => "any",
            GroupKind::None => "none",
            GroupKind::Not => "not",
        };
        asking.group(word, |asking| {
            // `all` ends at the first false condition, the other groups at the first true one. A condition that is
            // neither true nor false also ends `all`; in the other groups, it is the result if no condition is true.
            let wanted = !matches!(self.word, GroupKind::All);
            let mut unanswered = None;
            for member in &self.members {
                match member.holds(asking) {
                    Ok(holds) if holds == wanted => return Ok(matches!(self.word, GroupKind::Any)),
                    Ok(_) => {}
                    Err(Break::NoAnswer(why)) if wanted => unanswered = unanswered.or(Some(why)),
                    Err(broken) => return Err(broken),
                }
            }
            unanswered.map_or(Ok(!matches!(self.word, GroupKind::Any)), |why| Err(Break::NoAnswer(why)))
        })
    }
}
