//! The `tests:` of a rule file: a message, the answers of the world, and the expected decision. `mailsluice test` runs
//! them, and the tests of the shipped filters use them too.

mod checked;
mod expect;
mod message;
mod one;
mod told;

pub use told::ToldFacts;

use std::io;
use std::path::Path;
use std::sync::Arc;

use self::checked::{check_lists, only_of_files};
use self::one::Trial;
use super::engine::Engine;
use super::trace::Trace;
use crate::config::problem::{Problem, Problems, Severity, SourceFile};
use crate::config::reader::{self, Base, MapReader, Shape, TEXTS, Takes};
use crate::config::yaml::{Node, Span, Value};
use crate::config::{FilterSource, Settings, filters};

/// One test.
pub(super) static TEST: Shape = Shape {
    what: "a test",
    keys: &[
        ("name", "What it shows.", Takes::Text),
        ("with", "The values of the filter's parameters.", Takes::Named(&Takes::Anything)),
        (
            "message",
            "Header fields with their values, and `body`, `html`, `attachments` (file names).",
            Takes::Named(&TEXTS),
        ),
        ("raw", "Instead: the whole message as text.", Takes::Text),
        ("file", "Instead: a file with the message, `.eml`.", Takes::Text),
        ("size", "Make the message so large, by lines at its end: `11M`.", Takes::Size),
        ("now", "What time it is: `2026-12-24 18:00`, local. Default: noon of 2026-11-23.", Takes::Text),
        ("arrived", "When the message arrived. Default: now.", Takes::Text),
        ("account", "The account. Default: `test`.", Takes::Text),
        ("folder", "The folder on the server. Default: INBOX.", Takes::Text),
        ("flags", "The flags it has there.", TEXTS),
        (
            "programs",
            "What programs answer: {bogofilter: {code: 1}, next-ticket: {out: \"17\"}}.",
            Takes::Named(&Takes::Section(&told::ANSWER)),
        ),
        (
            "lists",
            "What is in database lists: {muted: [a@b.example]}, or with values {map: {a@b.example: people/a}}.",
            Takes::Named(&Takes::Either(&[TEXTS, Takes::Named(&Takes::Text)])),
        ),
        (
            "numbers",
            "The last numbers of counters: {support: 41}; of one that counts `per` key, {\"support KEY\": 41}.",
            Takes::Named(&Takes::Number),
        ),
        (
            "came",
            "How many other messages `rate` counted under a key within its time: {ann@x.example: 20}.",
            Takes::Named(&Takes::Number),
        ),
        (
            "folders",
            "The local folders that are there: [Junk], or with what is in them {Junk: {messages: 3, size: 1M}}.",
            Takes::Either(&[TEXTS, Takes::Named(&Takes::Section(&told::HELD))]),
        ),
        ("seen", "Keys that `duplicate` saw before.", TEXTS),
        ("answered", "Senders that were answered already.", TEXTS),
        ("me", "Your own addresses, instead of those of the config.", TEXTS),
        ("trust", "The servers whose Authentication-Results are believed, instead of those of the config.", TEXTS),
        ("expect", "What the rules should decide.", Takes::Section(&expect::EXPECT)),
    ],
};

/// The sections of tests.
pub(super) static SECTIONS: [&Shape; 3] = [&told::ANSWER, &told::HELD, &expect::EXPECT];

/// Reads a file that a test names.
pub type TestFileReader<'o> = &'o dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// The result of one test.
#[derive(Debug)]
pub struct TestVerdict {
    /// The name of the test.
    pub name: String,
    /// Its file.
    pub source: Arc<SourceFile>,
    /// Its line in it.
    pub line: usize,
    /// What is missing or unexpected: lines with `-` and `+`. Empty if the test passed.
    pub difference: Vec<String>,
    /// How the rules decided.
    pub trace: Trace,
}

impl TestVerdict {
    /// Whether the result was as expected.
    pub fn passed(&self) -> bool {
        self.difference.is_empty()
    }
}

/// Checks what can be checked without running the tests.
pub(super) fn check(tests: &Node, problems: &mut Problems) {
    for node in reader::list(tests, "a list of tests", problems).unwrap_or_default() {
        let mut map = MapReader::new(node, &TEST, problems);
        map.need("name", |n, p| reader::text(n, "a name", p).map(str::to_owned));
        if let Some(expect) = map.require("expect") {
            MapReader::new(expect, &expect::EXPECT, problems);
        }
    }
}

/// Runs the tests of one filter. `Err`: the filter or a test cannot be read.
pub fn run(
    filter: &FilterSource,
    settings: &Settings,
    open: TestFileReader<'_>,
) -> Result<Vec<TestVerdict>, Vec<Problem>> {
    let FilterSource::Yaml(file) = filter else { return Ok(Vec::new()) };
    let tests = file.document.root.get("tests");
    run_with(&file.document.source, tests, &file.base, open, &|test, problems| {
        let rules = filters::with_parameters(&file.written, test.get("with"), &file.base, problems);
        compile(FilterSource::Yaml(rules), &told_to(settings, test, problems), problems)
    })
}

/// Runs the tests of a script, which are in the file `NAME.tests.yaml`.
pub fn run_script(
    script: &FilterSource,
    beside: &FilterSource,
    settings: &Settings,
    open: TestFileReader<'_>,
) -> Result<Vec<TestVerdict>, Vec<Problem>> {
    let (FilterSource::Lua(script), FilterSource::Yaml(file)) = (script, beside) else { return Ok(Vec::new()) };
    let mut settings = settings.clone();
    settings.lists.extend(file.lists.clone());
    run_with(&file.document.source, file.document.root.get("tests"), &file.base, open, &|test, problems| {
        let script = filters::script_with(script, test.get("with"), problems)?;
        compile(FilterSource::Lua(script), &told_to(&settings, test, problems), problems)
    })
}

/// Checks a script without tests, with default parameters.
pub fn check_script(script: &FilterSource, settings: &Settings) -> Result<(), Vec<Problem>> {
    let FilterSource::Lua(script) = script else { return Ok(()) };
    let mut problems = Problems::new(&script.source);
    if let Some(script) = filters::script_with(script, None, &mut problems) {
        compile(FilterSource::Lua(script), settings, &mut problems);
    }
    if problems.has_errors() { Err(problems.into_vec()) } else { Ok(()) }
}

/// The settings of one test.
fn told_to(settings: &Settings, test: &Node, problems: &mut Problems) -> Settings {
    let mut settings = settings.clone();
    for (key, values) in [("me", &mut settings.me), ("trust", &mut settings.trust)] {
        if let Some(node) = test.get(key) {
            let texts = reader::texts(node, "a text, or a list of texts", problems).unwrap_or_default();
            *values = texts.iter().map(|text| text.to_lowercase()).collect();
        }
    }
    settings
}

/// Runs tests against the rules that `engine` makes for each.
fn run_with(
    source: &Arc<SourceFile>,
    tests: Option<&Node>,
    base: &Base,
    open: TestFileReader<'_>,
    engine: &dyn Fn(&Node, &mut Problems) -> Option<Engine>,
) -> Result<Vec<TestVerdict>, Vec<Problem>> {
    let mut problems = Problems::new(source);
    let items = tests.and_then(|node| reader::list(node, "a list of tests", &mut problems)).unwrap_or_default();
    let mut verdicts = Vec::new();
    if items.is_empty() {
        // Rules without tests are compiled too, because they may have errors.
        engine(&Node { value: Value::Null, span: Span::START }, &mut problems);
    }
    for node in items {
        // Errors in the rules are reported only once.
        let Some(engine) = engine(node, &mut problems) else { break };
        check_lists(node, &engine, &mut problems);
        if let Some(trial) = Trial::read(node, base, open, &mut problems) {
            verdicts.push(trial.run(&engine, source));
        }
    }
    if problems.has_errors() { Err(problems.into_vec()) } else { Ok(verdicts) }
}

/// Runs the tests of a config. `engine` finds the rules of an account, or with `None` the rules for accounts without
/// rules.
pub fn run_config<'e>(
    config: &crate::config::Config,
    open: TestFileReader<'_>,
    engine: &dyn Fn(&str) -> Option<&'e Engine>,
) -> Result<Vec<TestVerdict>, Vec<Problem>> {
    let source = &config.tests.source;
    let mut problems = Problems::new(source);
    let tests = config.tests.root.get("tests");
    if let Some(tests) = tests {
        check(tests, &mut problems);
    }
    let base = Base::of_file(&config.path).unwrap_or_else(|_| Base::new("/", None));
    let items = tests.and_then(|node| reader::list(node, "a list of tests", &mut problems)).unwrap_or_default();
    let mut verdicts = Vec::new();
    for node in items {
        only_of_files(node, &mut problems);
        let Some(trial) = Trial::read(node, &base, open, &mut problems) else { continue };
        if let Some(engine) = engine(&trial.envelope.key.origin.account) {
            check_lists(node, engine, &mut problems);
            verdicts.push(trial.run(engine, source));
        }
    }
    if problems.has_errors() { Err(problems.into_vec()) } else { Ok(verdicts) }
}

fn compile(source: FilterSource, settings: &Settings, problems: &mut Problems) -> Option<Engine> {
    match Engine::compile(&[source], settings) {
        Ok((engine, _)) => Some(engine),
        Err(found) => {
            found.into_iter().filter(|p| p.severity == Severity::Error).for_each(|problem| problems.add(problem));
            None
        }
    }
}

/// Reads a mapping from user-defined names to values of one type.
fn named<'n>(node: &'n Node, expected: &str, problems: &mut Problems) -> &'n [(crate::config::yaml::YamlKey, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => {
            reader::mismatch(node, expected, problems);
            &[]
        }
    }
}
