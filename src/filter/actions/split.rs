//! `split`: all rules decide about each message within the message, as if it had arrived alone.

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::run::Run;
use super::{ActionWord, BoxedAction, Verb};
use crate::config::problem::Problems;
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::yaml::{Node, Value};
use crate::message::Within;

const SPLIT_KINDS: &[&str] = &["digest", "attached"];

pub(super) static KEYS: Shape = Shape {
    what: "a split action",
    keys: &[
        (
            "messages",
            "`digest`: those of a digest, made of parts or of one text (RFC 1153); `attached`: every attached message.",
            Takes::Word(SPLIT_KINDS),
        ),
        ("copy", "`true`: the message itself is decided further, and filtering goes on.", Takes::Flag),
    ],
};

const SPLIT_TAKES: Takes = Takes::Either(&[Takes::Word(SPLIT_KINDS), Takes::Section(&KEYS)]);

pub(super) const SPLIT: ActionWord = ActionWord::new(
    (
        "split",
        "Take the message apart: `digest`, `attached`, or {messages:, copy:}. Each message within it is decided by all rules, from the first on; what is told of it is filed too, and none is answered. Ends filtering unless copy. A message that holds anything besides is taken apart with copy alone.",
        SPLIT_TAKES,
    ),
    read,
);

#[derive(Debug)]
struct Split {
    messages: Within,
    copy: bool,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    let is_maintenance = compiler.shared.is_silent;
    let problems = &mut compiler.problems;
    if !matches!(node.value, Value::Map(_)) {
        return Some(Box::new(Split { messages: messages(node, problems)?, copy: false }));
    }
    let mut map = MapReader::new(node, &KEYS, problems);
    let copy = map.read("copy", reader::flag).unwrap_or(false);
    if let (true, Some(at)) = (copy, map.key_span("copy"))
        && is_maintenance
    {
        let problem =
            map.problems().error(at, "`copy` takes nothing out of filed mail: its messages would come again each time");
        problem.hint("leave `copy` out, or split the mail as it comes");
        return None;
    }
    let messages = map.need("messages", messages)?;
    Some(Box::new(Split { messages, copy }))
}

fn messages(node: &Node, problems: &mut Problems) -> Option<Within> {
    reader::choice(node, &[("digest", Within::Digest), ("attached", Within::Attached)], problems)
}

impl Verb for Split {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let within = run.asking.message().within(self.messages);
        let within = within.map_err(|why| Break::Failed(format!("the message is not split: {why}")))?;
        run.split(within, self.copy)
    }
}
