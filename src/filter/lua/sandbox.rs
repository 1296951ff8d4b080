//! The sandbox. A script cannot reach files, programs or the network, keep data for the next message, use more than
//! [`MEMORY`], or run longer than [`super::super::Settings::script_time`].
//!
//! Each worker thread has one interpreter, whose tables are read-only. Each message gets a new environment. If a script
//! runs out of time or memory, the interpreter is discarded.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mlua::{Function, Lua, LuaOptions, StdLib, Table, VmState};

use super::super::actions;
use super::super::asking::Break;
use super::super::change::{self, Case};
use super::message::METHODS;
use super::{expressions, json, unknown};

/// The memory a script may use, in bytes.
pub(super) const MEMORY: usize = 64 * 1024 * 1024;
/// The clock is checked once in this many interrupts. They come with each call and each turn of a loop, and no step
/// between two of them takes longer than going over all memory once.
const CLOCK_EVERY_INTERRUPTS: u64 = 16;

/// The longest text whose case can be changed, in bytes, because this uses memory outside the limit of the script.
const MAX_CASED_BYTES: usize = 8 * 1024 * 1024;

/// The pure functions of the standard library. All others are removed.
const GLOBALS: [&str; 26] = [
    "_VERSION",
    "assert",
    "bit32",
    "buffer",
    "coroutine",
    "error",
    "getmetatable",
    "ipairs",
    "math",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "select",
    "setmetatable",
    "string",
    "table",
    "tonumber",
    "tostring",
    "type",
    "typeof",
    "unpack",
    "utf8",
];
/// Functions whose results depend on more than the message.
const IMPURE: [(&str, &str); 2] = [("math", "random"), ("math", "randomseed")];

/// `text`: Unicode versions of Lua's byte functions.
fn texts(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, case) in [("lower", Case::Lower), ("upper", Case::Upper), ("title", Case::Title)] {
        let change = move |lua: &Lua, text: mlua::LuaString| {
            if text.as_bytes().len() > MAX_CASED_BYTES {
                return Err(mlua::Error::runtime("this text is longer than 8 MB"));
            }
            lua.create_string(change::in_case(&text.to_string_lossy(), case))
        };
        table.set(name, lua.create_function(change)?)?;
    }
    table.set(
        "trim",
        lua.create_function(|lua, text: mlua::LuaString| lua.create_string(text.to_string_lossy().trim()))?,
    )?;
    table.set("length", lua.create_function(|_, text: mlua::LuaString| Ok(text.to_string_lossy().chars().count()))?)?;
    Ok(table)
}

thread_local! {
    static WORKER: RefCell<Option<Sandbox>> = const { RefCell::new(None) };
}

/// Calls `work` with the interpreter of this thread. After a failure, the interpreter is discarded.
pub(super) fn with<T>(work: impl FnOnce(&Sandbox) -> Result<T, Break>) -> Result<T, Break> {
    // The interpreter is taken out while it is used, so that a script cannot start another script in it.
    let mut sandbox = match WORKER.take() {
        Some(sandbox) => sandbox,
        None => Sandbox::new().map_err(|e| Break::Failed(format!("starting Lua: {e}")))?,
    };
    let result = work(&sandbox);
    if result.is_ok() && !sandbox.is_spoiled() {
        sandbox.tidy();
        WORKER.set(Some(sandbox));
    }
    result
}

/// An interpreter with its limits.
pub(super) struct Sandbox {
    lua: Lua,
    prelude: Function,
    clock: Arc<ScriptDeadline>,
    calls: u32,
}

/// The deadline of the running script.
struct ScriptDeadline {
    start: Instant,
    /// Nanoseconds after `start`.
    end: AtomicU64,
    /// The time limit of the script, in nanoseconds.
    given: AtomicU64,
    passed: AtomicBool,
    interrupts: AtomicU64,
}

impl ScriptDeadline {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn interrupt(&self, lua: &Lua) -> mlua::Result<VmState> {
        let count = self.interrupts.fetch_add(1, Ordering::Relaxed);
        if self.passed.load(Ordering::Relaxed) || count.is_multiple_of(CLOCK_EVERY_INTERRUPTS) {
            self.check(lua)?;
        }
        Ok(VmState::Continue)
    }

    fn check(&self, lua: &Lua) -> mlua::Result<()> {
        if self.passed.load(Ordering::Relaxed) || self.now() > self.end.load(Ordering::Relaxed) {
            self.passed.store(true, Ordering::Relaxed);
            let given = Duration::from_nanos(self.given.load(Ordering::Relaxed));
            let place = place_in(lua).unwrap_or_default();
            return Err(mlua::Error::runtime(format!("{place}it ran longer than {} s", given.as_secs_f64())));
        }
        Ok(())
    }
}

impl Sandbox {
    fn new() -> mlua::Result<Self> {
        let libraries = StdLib::COROUTINE
            | StdLib::TABLE
            | StdLib::STRING
            | StdLib::UTF8
            | StdLib::BIT
            | StdLib::MATH
            | StdLib::BUFFER;
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
        lua.set_memory_limit(MEMORY)?;
        keep_only_what_is_pure(&lua)?;
        add_ours(&lua)?;
        replace_what_never_ends(&lua)?;
        know_the_names(&lua)?;
        let prelude = lua.load(include_str!("prelude.lua")).set_name("=prelude").into_function()?;
        let clock = Arc::new(ScriptDeadline {
            start: Instant::now(),
            end: AtomicU64::new(u64::MAX),
            given: AtomicU64::new(0),
            passed: AtomicBool::new(false),
            interrupts: AtomicU64::new(0),
        });
        let of_interrupt = Arc::clone(&clock);
        lua.set_interrupt(move |lua| of_interrupt.interrupt(lua));
        lua.set_app_data(Arc::clone(&clock));
        lua.sandbox(true)?;
        Ok(Self { lua, prelude, clock, calls: 0 })
    }

    pub(super) fn lua(&self) -> &Lua {
        &self.lua
    }

    /// A new table of globals. It reads from the library, and keeps what the script writes.
    pub(super) fn environment(&self) -> mlua::Result<Table> {
        let environment = self.lua.create_table()?;
        let behind = self.lua.create_table()?;
        behind.raw_set("__index", self.lua.globals())?;
        behind.raw_set("__metatable", "environment")?;
        environment.set_metatable(Some(behind))?;
        Ok(environment)
    }

    /// Makes `m` and `act` of our three functions.
    pub(super) fn names(&self, field: Function, method: Function, collect: Function) -> mlua::Result<(Table, Table)> {
        let methods: Table = self.lua.named_registry_value("methods")?;
        let words: Table = self.lua.named_registry_value("words")?;
        let unknown: Function = self.lua.named_registry_value("unknown")?;
        self.prelude.call((field, method, collect, methods, words, unknown))
    }

    /// Starts the time limit of a script.
    pub(super) fn begin(&self, time: Duration) {
        self.clock.given.store(nanoseconds(time), Ordering::Relaxed);
        self.clock.end.store(self.clock.now().saturating_add(nanoseconds(time)), Ordering::Relaxed);
    }

    /// Extends the time limit by the time that the script waited for a program.
    pub(super) fn give_back(&self, waited: Duration) {
        self.clock.end.fetch_add(nanoseconds(waited), Ordering::Relaxed);
    }

    /// Whether the script ran out of time.
    pub(super) fn is_late(&self) -> bool {
        self.clock.passed.load(Ordering::Relaxed)
    }

    fn is_spoiled(&self) -> bool {
        self.is_late() || self.calls > 10_000
    }

    /// Cleans up between two messages.
    fn tidy(&mut self) {
        self.calls += 1;
        self.clock.end.store(u64::MAX, Ordering::Relaxed);
        // If a script left much garbage, it is collected now, because it would count against the limit of the next
        // script.
        if self.lua.used_memory() > MEMORY / 8 {
            self.lua.gc_collect().ok();
        }
    }
}

/// The position of the innermost running function of the script: `script.lua:3: `.
fn place_in(lua: &Lua) -> Option<String> {
    let at = |level| {
        lua.inspect_stack(level, |frame| Some((frame.source().short_src?.into_owned(), frame.current_line()?)))
            .flatten()
    };
    let (file, line) = (0..8).filter_map(at).find(|(file, _)| !is_ours(file))?;
    Some(format!("{file}:{line}: "))
}

/// Whether a chunk belongs to mailsluice and not to the user.
fn is_ours(chunk: &str) -> bool {
    matches!(chunk, "library" | "prelude" | "strict")
}

fn nanoseconds(time: Duration) -> u64 {
    // More than a century counts as unlimited. Adding to the result must not overflow.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

fn keep_only_what_is_pure(lua: &Lua) -> mlua::Result<()> {
    let globals = lua.globals();
    let names: Vec<String> = globals.pairs::<String, mlua::Value>().filter_map(|pair| Some(pair.ok()?.0)).collect();
    for name in names.iter().filter(|name| !GLOBALS.contains(&name.as_str())) {
        globals.raw_remove(name.as_str())?;
    }
    for (library, name) in IMPURE {
        globals.get::<Table>(library)?.raw_remove(name)?;
    }
    Ok(())
}

/// Replaces library functions that may run for hours without checking the clock. `library.lua` has the new ones; they
/// use a search for plain text.
fn replace_what_never_ends(lua: &Lua) -> mlua::Result<()> {
    let plain = lua.create_function(|_, (text, what, from): (mlua::LuaString, mlua::LuaString, Option<i64>)| {
        let (text, what) = (text.as_bytes(), what.as_bytes());
        let first = plain_find(&text, &what, from.unwrap_or(1));
        Ok((first, first.map(|first| first + what.len() - 1)))
    })?;
    let matches = lua.create_function(expressions::all)?;
    let expand = lua.create_function(expressions::expand)?;
    lua.load(include_str!("library.lua")).set_name("=library").call::<()>((plain, matches, expand))
}

/// Makes mistyped names an error, in all of our tables and among the globals.
fn know_the_names(lua: &Lua) -> mlua::Result<()> {
    let unknown = lua.create_function(|_, (kind, name, others): (String, mlua::Value, Option<Vec<String>>)| {
        Ok(unknown::unknown(&kind, &name, &others.unwrap_or_default()))
    })?;
    lua.set_named_registry_value("unknown", &unknown)?;
    let kinds: Table =
        lua.load(include_str!("strict.lua")).set_name("=strict").call((unknown::kinds(lua)?, unknown))?;
    lua.globals().set_metatable(Some(kinds.raw_get("globals")?))?;
    lua.set_named_registry_value("kinds", kinds)
}

/// Gives a table a kind whose fields are known; see [`unknown`].
pub(super) fn of_kind(lua: &Lua, kind: &str, table: Table) -> mlua::Result<Table> {
    let kinds: Table = lua.named_registry_value("kinds")?;
    table.set_metatable(kinds.raw_get(kind)?)?;
    Ok(table)
}

/// Fails if the time limit of the script is over. For our functions that may run for long.
pub(super) fn look_at_the_clock(lua: &Lua) -> mlua::Result<()> {
    let clock = lua.app_data_ref::<Arc<ScriptDeadline>>().map(|clock| Arc::clone(&clock));
    clock.map_or(Ok(()), |clock| clock.check(lua))
}

/// The globals a script may use.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    GLOBALS.into_iter().chain(["re", "text", "json", "path", "param", "KB", "MB"])
}

/// The position of the text as Lua counts: from 1, or from the end with -1.
fn plain_find(text: &[u8], what: &[u8], from: i64) -> Option<usize> {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let from = match from {
        1.. => from,
        0 => 1,
        back => length.saturating_add(back).saturating_add(1).max(1),
    };
    let start = usize::try_from(from - 1).unwrap_or(usize::MAX);
    Some(start + memchr::memmem::find(text.get(start..)?, what)? + 1)
}

/// Adds our globals: `re`, `text`, `json`, `path`, `KB`, `MB`.
fn add_ours(lua: &Lua) -> mlua::Result<()> {
    let globals = lua.globals();
    globals.set("KB", 1024)?;
    globals.set("MB", 1024 * 1024)?;
    // `path` makes a value one component of a folder name.
    globals.set("path", lua.create_function(|_, text: String| Ok(text.replace(['/', '\0'], "_")))?)?;
    let re = lua.create_table()?;
    re.set("match", lua.create_function(expressions::first)?)?;
    globals.set("re", re)?;
    globals.set("text", texts(lua)?)?;
    let json = lua.create_table()?;
    json.set("decode", lua.create_function(json::decode)?)?;
    json.set("encode", lua.create_function(json::encode)?)?;
    let null = lua.create_table()?;
    null.set_readonly(true);
    lua.set_named_registry_value("json.null", &null)?;
    json.set("null", null)?;
    globals.set("json", json)?;
    let set = |names: Vec<&str>| -> mlua::Result<Table> {
        let table = lua.create_table()?;
        names.into_iter().try_for_each(|name| table.raw_set(name, true))?;
        Ok(table)
    };
    lua.set_named_registry_value("methods", set(METHODS.to_vec())?)?;
    let words = actions::ACTION_WORDS.iter().map(|word| word.key.0).filter(|word| *word != "lua" && *word != "set");
    lua.set_named_registry_value("words", set(words.collect())?)
}

// Attacks by scripts are tested in `tests/it/scripts.rs`.
#[cfg(test)]
mod tests {
    use super::*;

    /// Checks all globals, not only the known ones.
    #[test]
    fn s3_there_are_no_other_globals() {
        let names = with(|sandbox| {
            let globals: Table = sandbox.lua().globals();
            // Scripts read from the table behind the globals of this thread.
            let behind: Table = globals.metatable().and_then(|table| table.get("__index").ok()).unwrap();
            let names =
                |table: &Table| -> Vec<String> { table.pairs::<String, mlua::Value>().map(|p| p.unwrap().0).collect() };
            assert!(behind.is_readonly());
            Ok::<_, Break>([names(&globals), names(&behind)].concat())
        });
        let mut names = names.unwrap();
        names.sort_by_key(|name| name.to_lowercase());
        assert_eq!(
            names.join(" "),
            "_VERSION assert bit32 buffer coroutine error getmetatable ipairs json KB math MB next pairs path pcall rawequal rawget \
             rawlen rawset re select setmetatable string table text tonumber tostring type typeof unpack utf8"
        );
    }
}
