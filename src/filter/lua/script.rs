//! A compiled script, and one call of it in a fresh environment.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mlua::{MultiValue, Table, Value as LuaValue};

use super::super::actions;
use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::super::rule::RuleList;
use super::super::run::Run;
use super::sandbox::{self, Sandbox};
use crate::config::Settings;
use crate::config::problem::{Problems, SourceFile};
use crate::config::reader::{self, Base};
use crate::config::yaml::{Document, Node, Span, Value};
use crate::config::{FilterSource, LuaFilter as Written, RuleFile};

/// A compiled script.
pub(in crate::filter) struct Script {
    /// The file's name, or the place of the text in its rule file.
    pub(in crate::filter) name: String,
    bytecode: Vec<u8>,
    /// A text in a rule file. It uses `m` and `act` directly instead of returning a function.
    is_inline: bool,
    /// The text of the script, without the rule file around it.
    text: String,
    param: Vec<(String, Node)>,
    lists: BTreeMap<String, RuleList>,
    file: RuleFile,
    /// How often it ran out of time.
    late: AtomicU32,
}

/// A script that ran out of time this often gets a tenth of the time from then on: otherwise, a sender who knows how to
/// make it slow could delay an account for as long as he sends mail.
const MAX_SLOW_RUNS: u32 = 10;

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Script {
    /// Compiles a file.
    pub(in crate::filter) fn compile(
        script: &Written,
        lists: &BTreeMap<String, RuleList>,
        settings: &Settings,
        problems: &mut Problems,
    ) -> Option<Self> {
        let name = short_name(&script.source);
        match bytecode(&script.source.text) {
            Ok(bytecode) => {
                let text = script.source.text.clone();
                let script = Self::new(name, bytecode, text, false, script.param.clone(), lists, &script.source);
                script.try_out(settings, None, problems);
                Some(script)
            }
            Err(error) => {
                let (line, message) = place_of(&error);
                let span = Span { line, column: 1, length: 1 };
                problems.error(span, format!("Lua: {message}"));
                None
            }
        }
    }

    /// Compiles the value of `lua`: an included file, or a text.
    pub(in crate::filter) fn of_node(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        if let Value::File(file) = &node.value
            && let FilterSource::Lua(script) = &**file
        {
            let mut problems = Problems::new(&script.source);
            let settings = compiler.shared.settings;
            let compiled = Self::compile(script, &compiler.shared.lists, settings, &mut problems);
            compiler.problems.merge(problems);
            return compiled;
        }
        if compiler.is_literal() {
            compiler.problems.error(node.span, "a script cannot hold another script");
            return None;
        }
        let Some(text) = node.as_text() else {
            reader::mismatch(node, "a script in Lua (a text)", &mut compiler.problems);
            return None;
        };
        // An expression is returned; otherwise, the text consists of statements.
        let compiled = bytecode(&format!("return {text}")).or_else(|_| bytecode(text));
        match compiled {
            Ok(bytecode) => {
                let name = compiler.place(node.span);
                let source = compiler.source();
                let lists = &compiler.shared.lists;
                let script = Self::new(name, bytecode, text.to_owned(), true, Vec::new(), lists, &source);
                script.try_out(compiler.shared.settings, Some(node.span), &mut compiler.problems);
                Some(script)
            }
            Err(error) => {
                let (line, message) = place_of(&error);
                let line = if line > 1 { format!(" in line {line} of the text") } else { String::new() };
                compiler.problems.error(node.span, format!("Lua: {message}{line}"));
                None
            }
        }
    }

    fn new(
        name: String,
        bytecode: Vec<u8>,
        text: String,
        is_inline: bool,
        param: Vec<(String, Node)>,
        lists: &BTreeMap<String, RuleList>,
        source: &Arc<SourceFile>,
    ) -> Self {
        let root = Node { value: Value::Null, span: Span::START };
        let document = Document { source: Arc::clone(source), root };
        let file = RuleFile::plain(document, &Base::new("/", None));
        Self { name, bytecode, text, is_inline, param, lists: lists.clone(), file, late: AtomicU32::new(0) }
    }

    /// Runs it as a condition: whether it returns a true value.
    pub(in crate::filter) fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let (returned, actions) = self.call(asking, true)?;
        if !actions.is_empty() {
            return Err(Break::Failed(format!("{}: a condition cannot act", self.name)));
        }
        Ok(returned)
    }

    /// Runs it as a filter, then carries out its actions.
    pub(in crate::filter) fn filter(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let (_, actions) = self.call(&mut run.asking, false)?;
        for action in &actions {
            action.act(run).map_err(|broken| self.by_us(broken))?;
            if action.stops() {
                run.stop();
            } else if action.ends() {
                run.end();
            }
        }
        Ok(())
    }

    /// Runs it in a new environment. Returns whether its result is true, and the collected actions.
    pub(super) fn call(
        &self,
        asking: &mut Asking<'_>,
        is_condition: bool,
    ) -> Result<(bool, Vec<Box<dyn actions::Verb>>), Break> {
        sandbox::with(|sandbox| {
            let collected = RefCell::new(Vec::new());
            let broken = RefCell::new(None);
            let shared = RefCell::new(asking);
            let result = self.run(sandbox, &shared, &collected, &broken, is_condition);
            self.late.fetch_add(u32::from(sandbox.is_late()), Ordering::Relaxed);
            // If a fact could not be answered, the script is not at fault, even if it caught the error.
            if let Some(broken) = broken.into_inner() {
                return Err(self.by_us(broken));
            }
            match result {
                Ok(returned) => Ok((returned, collected.into_inner())),
                Err(error) => Err(Break::Failed(in_words(&error, &self.name))),
            }
        })
    }

    /// Adds the name of the script to a failure.
    fn by_us(&self, broken: Break) -> Break {
        match broken {
            Break::Failed(cause) if !cause.contains(&self.name) => Break::Failed(format!("{}: {cause}", self.name)),
            other => other,
        }
    }

    fn run(
        &self,
        sandbox: &Sandbox,
        asking: &RefCell<&mut Asking<'_>>,
        collected: &RefCell<Vec<Box<dyn actions::Verb>>>,
        broken: &RefCell<Option<Break>>,
        is_condition: bool,
    ) -> mlua::Result<bool> {
        let lua = sandbox.lua();
        lua.scope(|scope| {
            let field = scope.create_function(|lua, name: String| {
                let asking = asking.try_borrow().map_err(mlua::Error::external)?;
                super::message::field(lua, &asking, &name)
            })?;
            let method = scope.create_function(|lua, (name, arguments): (String, MultiValue)| {
                let mut asking = asking.try_borrow_mut().map_err(mlua::Error::external)?;
                let before = asking.waited;
                let value = note(broken, super::message::method(lua, self, &mut asking, &name, &arguments));
                sandbox.give_back(asking.waited.saturating_sub(before));
                value
            })?;
            let collect = scope.create_function(|lua, (word, arguments): (String, MultiValue)| {
                let mut asking = asking.try_borrow_mut().map_err(mlua::Error::external)?;
                let mut collected = collected.try_borrow_mut().map_err(mlua::Error::external)?;
                let before = asking.waited;
                let value =
                    note(broken, super::act::collect(lua, self, &mut asking, &word, &arguments, &mut collected));
                sandbox.give_back(asking.waited.saturating_sub(before));
                value
            })?;
            let (m, act): (Table, Table) = sandbox.names(field, method, collect)?;
            let environment = sandbox.environment()?;
            environment.raw_set("param", self.parameters(lua)?)?;
            if self.is_inline {
                environment.raw_set("m", &m)?;
                environment.raw_set("act", &act)?;
            }
            let time = asking.try_borrow().map_err(mlua::Error::external)?.settings.script_time;
            sandbox.begin(if self.late.load(Ordering::Relaxed) < MAX_SLOW_RUNS { time } else { time / 10 });
            let chunk = lua.load(&self.bytecode[..]).set_name(format!("={}", self.name));
            let chunk = chunk.set_mode(mlua::chunk::ChunkMode::Binary).set_environment(environment).into_function()?;
            let returned: LuaValue = chunk.call(())?;
            match returned {
                LuaValue::Function(function) if !self.is_inline => match function.call::<LuaValue>((m, act))? {
                    LuaValue::String(text) if !is_condition => Err(mlua::Error::runtime(format!(
                        "a filter returns nothing: to file into {0}, call act.fileinto(\"{0}\")",
                        crate::clean::short(&text.to_string_lossy(), 40)
                    ))),
                    value => truth(&value),
                },
                _ if !self.is_inline => {
                    Err(mlua::Error::runtime("a filter returns a function: return function(m, act) … end"))
                }
                value => truth(&value),
            }
        })
    }

    fn parameters(&self, lua: &mlua::Lua) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        for (name, value) in &self.param {
            table.raw_set(name.as_str(), super::node::to_lua(lua, value)?)?;
        }
        sandbox::of_kind(lua, "param", table)
    }

    /// Calls `read` with a compiler that reads nodes as the rule file around the script would.
    pub(super) fn with_compiler<T>(
        &self,
        settings: &Settings,
        read: impl FnOnce(&mut Compiler<'_, '_>) -> Option<T>,
    ) -> mlua::Result<T> {
        let mut shared = super::super::shared::SharedByFiles::of_script(Cow::Borrowed(&self.lists), settings);
        let mut compiler = Compiler::literal(&self.file, &mut shared);
        let value = read(&mut compiler);
        let problems = compiler.problems.into_vec();
        match (value, problems.first()) {
            (Some(value), None) => Ok(value),
            (Some(value), Some(p)) if p.severity == crate::config::problem::Severity::Warning => Ok(value),
            (_, Some(problem)) => Err(mlua::Error::runtime(match &problem.hint {
                Some(hint) => format!("{}; {hint}", problem.message),
                None => problem.message.clone(),
            })),
            (None, None) => Err(mlua::Error::runtime("this cannot be read")),
        }
    }

    /// Whether the user wrote this word into the script or its parameters: an address that did not come from a message.
    pub(super) fn says(&self, word: &str) -> bool {
        stands_in(&self.text, word) || self.is_parameter(word)
    }

    /// Whether the user wrote this text into the script or its parameters: a program, or an option.
    pub(super) fn has_text(&self, text: &str) -> bool {
        is_quoted_in(&self.text, text) || self.is_parameter(text)
    }

    /// Whether the user gave it to the script.
    pub(super) fn is_parameter(&self, word: &str) -> bool {
        self.param.iter().any(|(_, value)| stands_below(value, word))
    }
}

/// Whether a text contains an address or option as a whole, and not only as a part of a longer one.
fn stands_in(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || ".-_+@%=~&!#$*/?^".contains(c);
    !word.is_empty()
        && text
            .match_indices(word)
            .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part))
}

fn stands_below(node: &Node, word: &str) -> bool {
    match &node.value {
        Value::Scalar { text, .. } => stands_in(text, word),
        Value::Seq(items) => items.iter().any(|item| stands_below(item, word)),
        Value::Map(entries) => entries.iter().any(|(_, node)| stands_below(node, word)),
        Value::Null | Value::File(_) => false,
    }
}

/// Whether a script contains this as a literal in quotes or brackets. A variable of that name does not count.
fn is_quoted_in(script: &str, text: &str) -> bool {
    let quotes = [("\"", "\""), ("'", "'"), ("[[", "]]")];
    let is_quoted =
        |before: &str, behind: &str| quotes.iter().any(|(a, b)| before.ends_with(a) && behind.starts_with(b));
    script.match_indices(text).any(|(at, _)| is_quoted(&script[..at], &script[at + text.len()..]))
}

fn truth(value: &LuaValue) -> mlua::Result<bool> {
    Ok(!matches!(value, LuaValue::Nil | LuaValue::Boolean(false)))
}

/// Why a call from a script fails: an error in Lua, or the end of the walk over the rules.
pub(super) enum Failed {
    Lua(mlua::Error),
    Break(Break),
}

impl From<mlua::Error> for Failed {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

impl From<Break> for Failed {
    fn from(broken: Break) -> Self {
        Self::Break(broken)
    }
}

fn note<T>(broken: &RefCell<Option<Break>>, result: Result<T, Failed>) -> mlua::Result<T> {
    result.map_err(|failed| match failed {
        Failed::Lua(error) => error,
        Failed::Break(cause) => {
            *broken.borrow_mut() = Some(cause);
            mlua::Error::runtime("no answer")
        }
    })
}

fn bytecode(text: &str) -> Result<Vec<u8>, mlua::Error> {
    mlua::chunk::Compiler::new().compile(text)
}

fn short_name(source: &SourceFile) -> String {
    let name = source.name.file_name().unwrap_or(source.name.as_os_str());
    crate::clean::line(name.as_encoded_bytes())
}

/// Line and message of a syntax error: `3: Expected identifier`.
fn place_of(error: &mlua::Error) -> (usize, String) {
    let text = match error {
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        error => error.to_string(),
    };
    let text = text.lines().next().unwrap_or_default();
    // The line number is between two colons. The text before it depends on how the script was compiled.
    let mut rest = text;
    while let Some((number, message)) = rest.split_once(':') {
        if let Ok(line) = number.trim().parse::<usize>() {
            return (line.max(1), message.trim().to_owned());
        }
        rest = message;
    }
    (1, text.trim_start_matches("syntax error: ").to_owned())
}

/// An error of a running script in one line, with file and line if Lua names them.
fn in_words(error: &mlua::Error, name: &str) -> String {
    let text = match error {
        mlua::Error::CallbackError { cause, traceback } => {
            let place = traceback.lines().map(str::trim).find(|line| line.starts_with(name));
            let place = place.and_then(|line| line.split_whitespace().next()).unwrap_or_default();
            format!("{}{}{}", place.trim_end_matches(':'), if place.is_empty() { "" } else { ": " }, root_of(cause))
        }
        error => root_of(error),
    };
    let line = crate::clean::short(text.lines().next().unwrap_or_default(), 300);
    if line.contains(name) { line } else { format!("{name}: {line}") }
}

fn root_of(error: &mlua::Error) -> String {
    match error {
        mlua::Error::CallbackError { cause, .. } => root_of(cause),
        mlua::Error::RuntimeError(text) => text.clone(),
        mlua::Error::MemoryError(_) => format!("it used more than {} MiB of memory", sandbox::MEMORY / 1024 / 1024),
        error => error.to_string(),
    }
}

/// The actions that a script asked for.
pub(super) type Collected = Vec<Box<dyn actions::Verb>>;
