//! `all`, `any`, `none`, `not`: conditions made of conditions.

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::{Boxed, Condition, Word};
use crate::config::reader::{self, Takes};
use crate::config::yaml::{Node, Value};

const LIST: Takes = Takes::List(&Takes::Rules("a condition"));

pub(super) const ALL: Word =
    Word::group(("all", "A list of conditions that must all hold.", LIST), |node, compiler| {
        compiler.conditions(node).map(all)
    });

pub(super) const ANY: Word =
    Word::group(("any", "A list of conditions of which one must hold.", LIST), |node, compiler| {
        compiler.branches(node).map(|members| group(Kind::Any, members))
    });

pub(super) const NONE: Word =
    Word::group(("none", "A list of conditions of which none may hold.", LIST), |node, compiler| {
        refused(compiler, |this| this.conditions(node)).map(|members| group(Kind::None, members))
    });

pub(super) const NOT: Word =
    Word::group(("not", "A condition that must not hold.", Takes::Rules("a condition")), |node, compiler| {
        not(node, compiler)
    });

fn not(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    if matches!(node.value, Value::Seq(_)) {
        let problem = reader::mismatch(node, "one condition", &mut compiler.problems);
        problem.hint("write `none` for a list of conditions");
        return None;
    }
    refused(compiler, |this| this.condition(node)).map(|member| group(Kind::Not, vec![member]))
}

/// What must not hold: it leaves no names, and the more it accepts, the less the rule does.
fn refused<'d, 's, T>(compiler: &mut Compiler<'d, 's>, read: impl FnOnce(&mut Compiler<'d, 's>) -> T) -> T {
    let wide = compiler.wide.len();
    let read = compiler.in_own_scope(read);
    compiler.wide.truncate(wide);
    read
}

/// All of these must hold.
pub(in super::super) fn all(members: Vec<Boxed>) -> Boxed {
    group(Kind::All, members)
}

fn group(word: Kind, members: Vec<Boxed>) -> Boxed {
    Box::new(Group { word, members })
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    All,
    Any,
    None,
    Not,
}

#[derive(Debug)]
struct Group {
    word: Kind,
    members: Vec<Boxed>,
}

impl Condition for Group {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let word = match self.word {
            Kind::All => "all",
            Kind::Any => "any",
            Kind::None => "none",
            Kind::Not => "not",
        };
        asking.group(word, |asking| {
            // `all` ends at the first that does not hold, the others at the first that does. One without an answer ends
            // `all` too; of the others it is the answer where none of them holds.
            let wanted = !matches!(self.word, Kind::All);
            let mut unanswered = None;
            for member in &self.members {
                match member.holds(asking) {
                    Ok(holds) if holds == wanted => return Ok(matches!(self.word, Kind::Any)),
                    Ok(_) => {}
                    Err(Break::NoAnswer(why)) if wanted => unanswered = unanswered.or(Some(why)),
                    Err(broken) => return Err(broken),
                }
            }
            unanswered.map_or(Ok(!matches!(self.word, Kind::Any)), |why| Err(Break::NoAnswer(why)))
        })
    }
}
