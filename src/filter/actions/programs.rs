//! `filter` and `execute`: asking a program while deciding. No shell; each argument is one argument whatever it holds.

use std::time::Duration;

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::super::facts::{Answer, Ask};
use super::super::run::Run;
use super::{Boxed, Verb, Word};
use crate::charsets::Charset;
use crate::config::problem::Problems;
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};
use crate::message::{Bytes, Message, to_lf};

/// How long a program may take when nobody says.
pub(in super::super) const TIMEOUT: Duration = Duration::from_secs(30);
/// The most that is read of a program's output, in bytes.
pub(in super::super) const MOST_OUTPUT: usize = 64 * 1024;
/// The longest message that comes back from `filter`, in bytes.
const MOST_MESSAGE: usize = 100 * 1024 * 1024;

/// What the failing of a program means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum OnError {
    /// The message is kept, and the user is told.
    #[default]
    Keep,
    /// Decide later.
    Defer,
    /// Go on as though it had not been there.
    Continue,
}

pub(in super::super) const ON_ERROR: &[&str] = &["keep", "defer", "continue"];

pub(super) static FILTERED: Shape = Shape {
    what: "a filter action",
    keys: &[
        ("run", "The program and its arguments, a list; no shell.", TEXTS),
        ("timeout", "How long it may take. Default: 30s.", Takes::Duration),
        (
            "on_error",
            "When it fails: `keep` the message and tell (default), `defer`, or `continue`. Exit code 75 always defers.",
            Takes::Word(ON_ERROR),
        ),
    ],
};

pub(super) static EXECUTED: Shape = Shape {
    what: "an execute action",
    keys: &[
        ("run", "The program and its arguments, a list; no shell. It reads the message.", TEXTS),
        ("set", "The variable that gets what it writes, without the line end.", Takes::Text),
        ("timeout", "How long it may take. Default: 30s.", Takes::Duration),
        (
            "on_error",
            "When it fails: `keep` the message and tell (default), `defer`, or `continue`.",
            Takes::Word(ON_ERROR),
        ),
    ],
};

const FILTER_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&FILTERED)]);
pub(super) const FILTER: Word = Word::new(
    (
        "filter",
        "Send the message through a program that writes it out again, such as [spamc, -x]; what comes back takes its place.",
        FILTER_TAKES,
    ),
    |node, compiler| read(node, compiler, &FILTERED),
);

const EXECUTE_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&EXECUTED)]);
pub(super) const EXECUTE: Word = Word::new(
    ("execute", "Run a program whose output becomes a variable: {run: [next-ticket], set: ticket}.", EXECUTE_TAKES),
    |node, compiler| read(node, compiler, &EXECUTED),
);

#[derive(Debug)]
struct Program {
    argv: Argv,
    timeout: Duration,
    on_error: OnError,
    /// Of `execute`.
    set: Option<String>,
    filters: bool,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>, shape: &'static Shape) -> Option<Boxed> {
    let filters = std::ptr::eq(shape, &FILTERED);
    if !matches!(node.value, Value::Map(_)) {
        let argv = Argv::read(node, compiler)?;
        return Some(Box::new(Program { argv, timeout: TIMEOUT, on_error: OnError::Keep, set: None, filters }));
    }
    let mut map = MapReader::new(node, shape, &mut compiler.problems);
    let run = map.require("run");
    let timeout = map.read("timeout", reader::duration).unwrap_or(TIMEOUT);
    let on_error = map.read("on_error", on_error).unwrap_or_default();
    let set = match filters {
        true => None,
        false => map.read("set", |n, p| reader::text(n, "the name of a variable", p).map(str::to_owned)),
    };
    let argv = run.and_then(|node| Argv::read(node, compiler));
    if let Some(name) = &set {
        compiler.sets(name);
    }
    Some(Box::new(Program { argv: argv?, timeout, on_error, set, filters }))
}

/// `keep`, `defer` or `continue`.
pub(in super::super) fn on_error(node: &Node, problems: &mut Problems) -> Option<OnError> {
    let words = [("keep", OnError::Keep), ("defer", OnError::Defer), ("continue", OnError::Continue)];
    reader::choice(node, &words, problems)
}

impl Verb for Program {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        match self.ask(run) {
            Err(Break::Failed(cause)) => match self.on_error {
                OnError::Keep => Err(Break::Failed(cause)),
                OnError::Defer => Err(Break::Defer(cause)),
                OnError::Continue => {
                    run.note(format!("went on although {cause}"));
                    self.set.iter().for_each(|name| run.asking.names.set(name, String::new()));
                    Ok(())
                }
            },
            result => result,
        }
    }

    fn changes(&self) -> bool {
        true
    }
}

impl Program {
    fn ask(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let argv = self.argv.expand(&run.asking)?;
        let shown = argv.join(" ");
        let most = if self.filters { MOST_MESSAGE } else { MOST_OUTPUT };
        match ask(&mut run.asking, &argv, self.timeout, most) {
            Answer::Ended { code: 75, .. } => Err(Break::Defer(format!("{shown} ended with 75, try again later"))),
            Answer::Ended { code: 0, out } if self.filters => {
                let message = filtered(out, &run.asking.settings.assumed).ok_or_else(|| {
                    Break::Failed(format!("{shown} gave back no message: what it wrote has no header, or is empty"))
                })?;
                run.did(&format!("filter {shown}"));
                run.replace(message)
            }
            Answer::Ended { code: 0, out } => {
                let value = String::from_utf8_lossy(&out).trim_end_matches(['\n', '\r']).to_owned();
                run.did(&format!("execute {shown}"));
                self.set.iter().for_each(|name| run.asking.names.set(name, value.clone()));
                Ok(())
            }
            Answer::Ended { code, .. } => Err(Break::Failed(format!("{shown} ended with {code}"))),
            Answer::Failed(cause) => Err(Break::Failed(format!("{shown}: {cause}"))),
            Answer::NotAsked => {
                self.set.iter().for_each(|name| run.asking.names.set(name, format!("(output of {shown})")));
                Ok(())
            }
        }
    }
}

/// Asks a program about the present version of the message.
pub(in super::super) fn ask(asking: &mut Asking<'_>, run: &[String], timeout: Duration, most: usize) -> Answer {
    let message = std::sync::Arc::clone(asking.message());
    let environment = asking.environment();
    asking.ask(&Ask { run, input: Some(&message), timeout, most, environment: &environment })
}

/// What a filter program wrote, if it can be a message: procmail's users lost mail to programs that wrote nothing.
pub(in super::super) fn filtered(out: Vec<u8>, assumed: &[Charset]) -> Option<Message> {
    let message = Message::new(Bytes::Memory(to_lf(&out))).assuming(assumed);
    let is_message = !message.fields().is_empty();
    is_message.then_some(message)
}

/// A program and its arguments.
#[derive(Debug)]
pub(in super::super) struct Argv(Vec<Text>);

impl Argv {
    /// A list of texts; a text alone is a program without arguments. The program itself has no variables.
    pub(in super::super) fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        if let Some(text) = node.as_text()
            && text.contains(' ')
        {
            let problem =
                compiler.problems.error(node.span, "a program and its arguments are a list: no shell takes them apart");
            let needs_shell = text.contains(['<', '>', '|', '&', ';', '*', '"', '\'', '`']) || text.contains("$(");
            problem.hint(match needs_shell {
                true => "write the words as a list; for pipes and redirections, a script of your own".to_owned(),
                false => format!("write [{}]", text.split_whitespace().collect::<Vec<_>>().join(", ")),
            });
            return None;
        }
        let argv = compiler.texts(node, "a program and its arguments")?;
        match argv.first() {
            Some(program) if program.names().next().is_none() && !program.is_empty() => Some(Self(argv)),
            _ => {
                compiler.problems.error(node.span, "the program itself cannot come from a message");
                None
            }
        }
    }

    /// The arguments with their values. A value can hold anything and stays one argument; but one that begins with `-`
    /// could be taken for an option, so it may stand only behind `--` or inside a longer text.
    pub(in super::super) fn expand(&self, asking: &Asking<'_>) -> Result<Vec<String>, Break> {
        let mut after_options = false;
        let mut expanded = Vec::with_capacity(self.0.len());
        for text in &self.0 {
            let value = asking.expand(text).replace('\0', "");
            if text.begins_with_variable() && value.starts_with('-') && !after_options {
                let shown = crate::clean::short(&value, 60);
                return Err(Break::Failed(format!(
                    "the value \"{shown}\" would be taken for an option; put `--` before it"
                )));
            }
            after_options |= value == "--";
            expanded.push(value);
        }
        Ok(expanded)
    }
}
