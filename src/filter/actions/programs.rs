//! `filter` and `execute`: run a program during the decision, without a shell. Each argument stays one argument,
//! whatever it contains.

use std::sync::Arc;
use std::time::Duration;

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::super::facts::{Ask, FactAnswer};
use super::super::run::Run;
use super::code::places_of_code;
use super::filtered::{self, FilterInput};
use super::{ActionWord, BoxedAction, Verb};
use crate::config::problem::Problems;
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};
use crate::message::{Message, to_lf};

/// The default time limit of a program.
pub(in super::super) const TIMEOUT: Duration = Duration::from_secs(30);
/// At most this many bytes of a program's output are read.
pub(in super::super) const MOST_OUTPUT: usize = 64 * 1024;
/// The longest message that comes back from `filter`, in bytes.
const MAX_MESSAGE_BYTES: usize = 100 * 1024 * 1024;

/// What happens when a program fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum OnError {
    /// The message is kept, and the user is notified.
    #[default]
    Keep,
    /// The message is decided again later.
    Defer,
    /// Filtering continues as if the program had not been called.
    Continue,
}

pub(in super::super) const LOCK: &str =
    "A name: of all programs with this lock one runs at a time, and the others wait, at most for `timeout`.";
/// The longest name of a lock, in bytes.
const MAX_LOCK: usize = 64;

pub(in super::super) const ON_ERROR: &[&str] = &["keep", "defer", "continue"];

pub(super) static FILTERED: Shape = Shape {
    what: "a filter action",
    keys: &[
        ("run", "The program and its arguments, a list; no shell.", TEXTS),
        (
            "input",
            "What goes through it: `message` (default), or `headers` or `body` alone; the rest stays as it is.",
            Takes::Word(&["message", "headers", "body"]),
        ),
        (
            "may_shrink",
            "`true`: what comes back may be less than half of what went in, which is a failure otherwise.",
            Takes::Flag,
        ),
        ("timeout", "How long it may take. Default: 30s.", Takes::Duration),
        ("lock", LOCK, Takes::Text),
        (
            "on_error",
            "When it fails: `keep` the message and send a notice (default), `defer`, or `continue`. Exit code 75 always defers.",
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
        ("lock", LOCK, Takes::Text),
        (
            "on_error",
            "When it fails: `keep` the message and send a notice (default), `defer`, or `continue`.",
            Takes::Word(ON_ERROR),
        ),
    ],
};

const FILTER_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&FILTERED)]);
pub(super) const FILTER: ActionWord = ActionWord::new(
    ("filter", "Send the message through a program and go on with its output, such as [spamc, -x].", FILTER_TAKES),
    |node, compiler| read(node, compiler, &FILTERED),
);

const EXECUTE_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&EXECUTED)]);
pub(super) const EXECUTE: ActionWord = ActionWord::new(
    ("execute", "Run a program whose output becomes a variable: {run: [next-ticket], set: ticket}.", EXECUTE_TAKES),
    |node, compiler| read(node, compiler, &EXECUTED),
);

#[derive(Debug)]
struct ProgramRun {
    argv: Argv,
    timeout: Duration,
    on_error: OnError,
    lock: Option<String>,
    work: ProgramOutputUse,
}

/// How the output of a program is used.
#[derive(Debug)]
enum ProgramOutputUse {
    /// It replaces the input.
    Filter { input: FilterInput, may_shrink: bool },
    /// It is stored in a variable.
    Execute { set: Option<String> },
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>, shape: &'static Shape) -> Option<BoxedAction> {
    let filters = std::ptr::eq(shape, &FILTERED);
    if !matches!(node.value, Value::Map(_)) {
        let argv = Argv::read(node, compiler)?;
        let work = match filters {
            true => ProgramOutputUse::Filter { input: FilterInput::default(), may_shrink: false },
            false => ProgramOutputUse::Execute { set: None },
        };
        return Some(Box::new(ProgramRun { argv, timeout: TIMEOUT, on_error: OnError::Keep, lock: None, work }));
    }
    let mut map = MapReader::new(node, shape, &mut compiler.problems);
    let run = map.require("run");
    let lock = map.read("lock", lock);
    let timeout = map.read("timeout", reader::duration).unwrap_or(TIMEOUT);
    let on_error = map.read("on_error", on_error).unwrap_or_default();
    let work = match filters {
        true => ProgramOutputUse::Filter {
            input: map.read("input", filtered::input).unwrap_or_default(),
            may_shrink: map.read("may_shrink", reader::flag).unwrap_or(false),
        },
        false => ProgramOutputUse::Execute {
            set: map.read("set", |n, p| reader::text(n, "the name of a variable", p).map(str::to_owned)),
        },
    };
    let argv = run.and_then(|node| Argv::read(node, compiler));
    if let ProgramOutputUse::Execute { set: Some(name) } = &work {
        compiler.sets(name);
    }
    Some(Box::new(ProgramRun { argv: argv?, timeout, on_error, lock, work }))
}

/// Reads the name of a lock, which is used as a file name.
pub(in super::super) fn lock(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = reader::text(node, "the name of a lock", problems)?;
    let is_name = name.len() <= MAX_LOCK && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !is_name {
        let problem = problems.error(node.span, format!("`{}` is no name of a lock", crate::clean::short(name, 60)));
        problem.hint("write letters, digits, `-` and `_`, at most 64: no file is named");
        return None;
    }
    Some(name.to_owned())
}

/// Reads `keep`, `defer` or `continue`.
pub(in super::super) fn on_error(node: &Node, problems: &mut Problems) -> Option<OnError> {
    let words = [("keep", OnError::Keep), ("defer", OnError::Defer), ("continue", OnError::Continue)];
    reader::choice(node, &words, problems)
}

impl Verb for ProgramRun {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        match self.ask(run) {
            Err(Break::Failed(cause)) => match self.on_error {
                OnError::Keep => Err(Break::Failed(cause)),
                OnError::Defer => Err(Break::Defer(cause)),
                OnError::Continue => {
                    run.note(format!("went on although {cause}"));
                    self.leaves(run, String::new());
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

impl ProgramRun {
    fn ask(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let argv = self.argv.expand(&run.asking)?;
        let shown = argv.join(" ");
        let (input, most) = match &self.work {
            ProgramOutputUse::Filter { input, .. } => (input.of(run.asking.message())?, MAX_MESSAGE_BYTES),
            ProgramOutputUse::Execute { .. } => (Arc::clone(run.asking.message()), MOST_OUTPUT),
        };
        let environment = run.asking.environment();
        let lock = self.lock.as_deref();
        let ask = Ask { run: &argv, input: Some(&input), timeout: self.timeout, most, lock, environment: &environment };
        match run.asking.ask(&ask) {
            FactAnswer::Ended { code: 75, .. } => Err(Break::Defer(format!("{shown} ended with 75, try again later"))),
            FactAnswer::Ended { code: 0, out } => self.take(run, &shown, &input, &out),
            FactAnswer::Ended { code, .. } => Err(Break::Failed(format!("{shown} ended with {code}"))),
            FactAnswer::Failed(cause) => Err(Break::Failed(format!("{shown}: {cause}"))),
            FactAnswer::NotAsked => {
                self.leaves(run, format!("(output of {shown})"));
                Ok(())
            }
        }
    }

    /// Uses the output of the program.
    fn take(&self, run: &mut Run<'_>, shown: &str, input: &Message, out: &[u8]) -> Result<(), Break> {
        match &self.work {
            ProgramOutputUse::Filter { input: which, may_shrink } => {
                let came = to_lf(out);
                // A header may legitimately lose most of its fields.
                if !may_shrink && *which != FilterInput::Headers && came.len() as u64 * 2 < input.size() {
                    return Err(Break::Failed(format!(
                        "{shown} gave back {} of {} bytes; where that is meant, write `may_shrink: true`",
                        came.len(),
                        input.size()
                    )));
                }
                let message = which.put_back(run.asking.message(), came, &run.asking.settings.assumed);
                let message = message.map_err(|lack| Break::Failed(format!("{shown} gave back {lack}")))?;
                run.did(&format!("filter {shown}"));
                run.replace(message)
            }
            ProgramOutputUse::Execute { .. } => {
                run.did(&format!("execute {shown}"));
                self.leaves(run, String::from_utf8_lossy(out).trim_end_matches(['\n', '\r']).to_owned());
                Ok(())
            }
        }
    }

    /// Stores a value in the variable.
    fn leaves(&self, run: &mut Run<'_>, value: String) {
        if let ProgramOutputUse::Execute { set: Some(name) } = &self.work {
            run.asking.names.set(name, value);
        }
    }
}

/// Runs a program on the current version of the message.
pub(in super::super) fn ask(asking: &mut Asking<'_>, run: &[String], timeout: Duration, most: usize) -> FactAnswer {
    let message = Arc::clone(asking.message());
    let environment = asking.environment();
    asking.ask(&Ask { run, input: Some(&message), timeout, most, lock: None, environment: &environment })
}

/// A program and its arguments.
#[derive(Debug)]
pub(in super::super) struct Argv(Vec<Text>);

/// The argument, if it is an operator that only a shell understands.
fn of_a_shell(argument: &str) -> Option<&str> {
    const SHELL_WORDS: [&str; 10] = ["|", "||", "&&", "&", ">", ">>", "<", "2>&1", "2>/dev/null", ">/dev/null"];
    SHELL_WORDS.contains(&argument).then_some(argument)
}

impl Argv {
    /// Reads a list of texts. A single text is a program without arguments. The name of the program must not contain
    /// variables.
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
        let places = places_of_code(argv.iter().map(Text::beginning));
        if places.iter().any(|place| argv[*place].names().next().is_some()) {
            let program = argv.first().map(Text::beginning).unwrap_or_default();
            let text = format!("whoever writes a mail would write code here: `{program}` runs what the value holds");
            let problem = compiler.problems.error(node.span, text);
            problem.hint("give the value as an argument of its own: [sh, -c, 'echo \"$1\"', sh, \"${subject}\"]");
            return None;
        }
        let written = if compiler.is_literal() { &[] } else { argv.as_slice() };
        if let Some(word) = written.iter().find_map(|text| of_a_shell(text.as_literal()?)) {
            let problem =
                compiler.problems.error(node.span, format!("no shell reads this `{word}`: it would be an argument"));
            problem.hint("write a script of your own, or [sh, -c, 'one | two']");
            return None;
        }
        match argv.first() {
            Some(program) if program.names().next().is_none() && !program.is_empty() => Some(Self(argv)),
            _ => {
                compiler.problems.error(node.span, "the program itself cannot come from a message");
                None
            }
        }
    }

    /// Expands the arguments. A value stays one argument, whatever it contains. A value that begins with `-` could be
    /// taken for an option, so it is allowed only after `--` or inside a longer text.
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
