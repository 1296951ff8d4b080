//! `run`: a program answers by its exit code or its output.

use std::time::Duration;

use super::super::actions::programs::{self, Argv, OnError};
use super::super::asking::{Asking, Break};
use super::super::comparator::{Comparator, Range};
use super::super::comparison::{self, Allowed, COMPARED, NUMBER};
use super::super::compile::Compiler;
use super::super::facts::{Ask, FactAnswer};
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::yaml::{Node, Value};

pub(super) static KEYS: Shape = Shape {
    what: "a program as a condition",
    keys: &[
        ("run", "The program and its arguments, a list; no shell. It reads the message.", TEXTS),
        ("code", "The exit code, or its bounds. Default: 0.", NUMBER),
        ("output", "What it writes, with a comparison.", COMPARED),
        ("timeout", "How long it may take. Default: 30s.", Takes::Duration),
        ("lock", programs::LOCK, Takes::Text),
        (
            "on_error",
            "When it cannot be run or takes too long: `keep` the message and send a notice (default), `defer`, or `continue`: then the condition does not hold.",
            Takes::Word(programs::ON_ERROR),
        ),
    ],
};

const RUN_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&KEYS)]);
pub(super) const RUN: ConditionWord = ConditionWord::new(
    (
        "run",
        "A program reads the message and says yes by exit code 0: [bogofilter, -u], or {run: […], code: 1}. If it cannot run, the message is kept. Exit code 75, unless it is asked for, means: later. Several conditions with the same program run it once.",
        RUN_TAKES,
    ),
    read,
);

#[derive(Debug)]
struct ProgramCondition {
    argv: Argv,
    code: Range,
    output: Option<Comparator>,
    timeout: Duration,
    lock: Option<String>,
    on_error: OnError,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let zero = Range::exactly(0.0);
    if !matches!(node.value, Value::Map(_)) {
        let argv = Argv::read(node, compiler)?;
        let (timeout, on_error) = (programs::TIMEOUT, OnError::default());
        return Some(Box::new(ProgramCondition { argv, code: zero, output: None, timeout, lock: None, on_error }));
    }
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let run = map.require("run");
    let code = map.read("code", comparison::range);
    let timeout = map.read("timeout", reader::duration).unwrap_or(programs::TIMEOUT);
    let on_error = map.read("on_error", programs::on_error).unwrap_or_default();
    let lock = map.read("lock", programs::lock);
    let output = map.take("output");
    let argv = run.and_then(|node| Argv::read(node, compiler));
    let output = match output {
        Some(node) => Some(compiler.comparison(node, Allowed::default())?.comparator),
        None => None,
    };
    // With `output`, any exit code is accepted unless one is named.
    let code = code.unwrap_or(if output.is_some() { Range::default() } else { zero });
    Some(Box::new(ProgramCondition { argv: argv?, code, output, timeout, lock, on_error }))
}

impl Condition for ProgramCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let run = self.argv.expand(asking)?;
        let message = std::sync::Arc::clone(asking.message());
        let environment = asking.environment();
        let ask = Ask {
            run: &run,
            input: Some(&message),
            timeout: self.timeout,
            most: programs::MOST_OUTPUT,
            lock: self.lock.as_deref(),
            environment: &environment,
        };
        match asking.ask_once(&ask) {
            FactAnswer::Ended { code: 75, .. } if self.output.is_none() && !self.code.holds(75.0) => {
                Err(Break::Defer(format!("{} ended with 75, try again later", run.join(" "))))
            }
            FactAnswer::Ended { code, out } => {
                let out = String::from_utf8_lossy(&out).into_owned();
                let said = match &self.output {
                    Some(output) => output.accepts(out.trim_end(), asking)?,
                    None => true,
                };
                let holds = self.code.holds(f64::from(code)) && said;
                asking.saw(holds, || format!("{} ended with {code}", run.join(" ")));
                Ok(holds)
            }
            FactAnswer::Failed(cause) => {
                let cause = format!("{}: {cause}", run.join(" "));
                match self.on_error {
                    OnError::Keep => Err(Break::Failed(cause)),
                    OnError::Defer => Err(Break::Defer(cause)),
                    OnError::Continue => {
                        asking.saw(false, || cause);
                        Ok(false)
                    }
                }
            }
            FactAnswer::NotAsked => {
                asking.saw(false, || format!("would run {}", run.join(" ")));
                Ok(false)
            }
        }
    }
}
