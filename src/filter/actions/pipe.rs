//! `pipe`: passes the message to a program through the outbox, which retries until it succeeds.

use std::time::Duration;

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::run::Run;
use super::programs::{Argv, LOCK, lock};
use super::{ActionWord, BoxedAction, Verb};
use crate::config::problem::Problems;
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::yaml::{Node, Value};
use crate::decision::{Pipe as Piped, ProgramInput, Telling, Way};

pub(super) static KEYS: Shape = Shape {
    what: "a pipe action",
    keys: &[
        ("run", "The program and its arguments, a list; no shell.", TEXTS),
        (
            "input",
            "What it reads: `message` (default), `headers`, `body`, `attachments` (one run for each), `nothing`, or the number of a part.",
            Takes::Text,
        ),
        (
            "only",
            "Of `attachments` those that fit one of these by type or by name: `application/pdf`, `\"*.pdf\"`.",
            TEXTS,
        ),
        ("copy", "`true`: the message is also filed here, and filtering goes on.", Takes::Flag),
        ("timeout", "How long it may take. Default: 60s.", Takes::Duration),
        ("lock", LOCK, Takes::Text),
    ],
};

const PIPE_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&KEYS)]);
pub(super) const PIPE: ActionWord = ActionWord::telling(
    (
        "pipe",
        "Give the message to a program, which takes it: a list, or {run:, input:, copy:, timeout:, lock:}. Exit code 75 means: again later. Ends filtering unless copy.",
        PIPE_TAKES,
    ),
    read,
);

pub(in super::super) const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct PipeAction {
    argv: Argv,
    input: ProgramInput,
    only: Vec<String>,
    copy: bool,
    timeout: Duration,
    lock: Option<String>,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    if !matches!(node.value, Value::Map(_)) {
        let argv = Argv::read(node, compiler)?;
        return Some(Box::new(PipeAction {
            argv,
            input: ProgramInput::Message,
            only: Vec::new(),
            copy: false,
            timeout: TIMEOUT,
            lock: None,
        }));
    }
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let run = map.require("run");
    let input = map.read("input", input).unwrap_or_default();
    let only = map.read("only", |n, p| reader::texts(n, "a pattern, or a list of patterns", p)).unwrap_or_default();
    if let (Some(at), false) = (map.key_span("only"), input == ProgramInput::Attachments) {
        map.problems().error(at, "`only` is for `input: attachments`");
        return None;
    }
    let copy = map.read("copy", reader::flag).unwrap_or(false);
    let timeout = map.read("timeout", reader::duration).unwrap_or(TIMEOUT);
    let lock = map.read("lock", lock);
    let argv = run.and_then(|node| Argv::read(node, compiler))?;
    Some(Box::new(PipeAction { argv, input, only, copy, timeout, lock }))
}

fn input(node: &Node, problems: &mut Problems) -> Option<ProgramInput> {
    if let Some(number) = node.as_text().and_then(|text| text.parse().ok()) {
        return Some(ProgramInput::Part(number));
    }
    let words = [
        ("message", ProgramInput::Message),
        ("headers", ProgramInput::Headers),
        ("body", ProgramInput::Body),
        ("attachments", ProgramInput::Attachments),
        ("nothing", ProgramInput::Nothing),
    ];
    reader::choice(node, &words, problems)
}

impl Verb for PipeAction {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        // A program that gets nothing of the message does not deliver it.
        let is_read = |part| Piped::takes_one_of(&self.only, part);
        if self.input == ProgramInput::Attachments && !run.asking.message().parts().iter().any(is_read) {
            run.note("not piped: the message has no such attachment".to_owned());
            return Ok(());
        }
        let way = Way::Pipe(Piped {
            run: self.argv.expand(&run.asking)?,
            input: self.input,
            only: self.only.clone(),
            timeout: self.timeout,
            lock: self.lock.clone(),
        });
        run.tell(Telling { version: run.asking.version(), relay: None, way }, self.copy)
    }

    fn ends(&self) -> bool {
        !self.copy
    }
}
