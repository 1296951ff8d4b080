//! What a script cannot do: reach files, programs or the network, keep anything for the next message, use more than
//! [`MEMORY`], run longer than [`super::super::Settings::script_time`].
//!
//! One interpreter for each worker thread, whose own tables are read-only; each message gets a fresh environment. After
//! a script ran out of time or memory the interpreter is thrown away.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mlua::{Function, Lua, LuaOptions, StdLib, Table, VmState};

use super::super::actions;
use super::super::asking::Break;
use super::super::comparator;
use super::message::METHODS;

/// The memory a script may use, in bytes.
pub(super) const MEMORY: usize = 64 * 1024 * 1024;
/// The clock is looked at once in so many interrupts: they come with each call and each turn of a loop, and no step
/// between two of them takes longer than going over all memory once.
const LOOK: u64 = 16;
/// The longest text that an expression is looked for in, in bytes: a search is not interrupted. It is linear, but an
/// expression with thousands of repetitions goes over a text ten thousand times slower than a plain one.
const MOST_SEARCHED: usize = 1024 * 1024;
/// So many expressions are kept compiled.
const MAX_EXPRESSIONS: usize = 200;

/// Of the standard library, what is pure. Everything else is gone.
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
/// What would make a script's answer depend on more than the message.
const IMPURE: [(&str, &str); 2] = [("math", "random"), ("math", "randomseed")];

thread_local! {
    static WORKER: RefCell<Option<Sandbox>> = const { RefCell::new(None) };
}

/// Gives the thread's interpreter to `work`; after a failure it is thrown away.
pub(super) fn with<T>(work: impl FnOnce(&Sandbox) -> Result<T, Break>) -> Result<T, Break> {
    // Taken out while it works: a script cannot meet the interpreter it runs in.
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
    clock: Arc<Clock>,
    calls: u32,
}

/// The deadline of the script that runs, and whether it passed.
struct Clock {
    start: Instant,
    /// Nanoseconds after `start`.
    end: AtomicU64,
    /// How long the script was given, in nanoseconds.
    given: AtomicU64,
    passed: AtomicBool,
    interrupts: AtomicU64,
}

impl Clock {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn interrupt(&self, lua: &Lua) -> mlua::Result<VmState> {
        let count = self.interrupts.fetch_add(1, Ordering::Relaxed);
        if self.passed.load(Ordering::Relaxed)
            || (count.is_multiple_of(LOOK) && self.now() > self.end.load(Ordering::Relaxed))
        {
            self.passed.store(true, Ordering::Relaxed);
            let given = Duration::from_nanos(self.given.load(Ordering::Relaxed));
            let place = place_in(lua).unwrap_or_default();
            return Err(mlua::Error::runtime(format!("{place}it ran longer than {} s", given.as_secs_f64())));
        }
        Ok(VmState::Continue)
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
        replace_what_never_ends(&lua)?;
        add_ours(&lua)?;
        let prelude = lua.load(include_str!("prelude.lua")).set_name("=prelude").into_function()?;
        let clock = Arc::new(Clock {
            start: Instant::now(),
            end: AtomicU64::new(u64::MAX),
            given: AtomicU64::new(0),
            passed: AtomicBool::new(false),
            interrupts: AtomicU64::new(0),
        });
        let of_interrupt = Arc::clone(&clock);
        lua.set_interrupt(move |lua| of_interrupt.interrupt(lua));
        lua.sandbox(true)?;
        Ok(Self { lua, prelude, clock, calls: 0 })
    }

    pub(super) fn lua(&self) -> &Lua {
        &self.lua
    }

    /// A table of globals that reads through to the library and keeps what a script writes to itself.
    pub(super) fn environment(&self) -> mlua::Result<Table> {
        let environment = self.lua.create_table()?;
        let behind = self.lua.create_table()?;
        behind.raw_set("__index", self.lua.globals())?;
        behind.raw_set("__metatable", "environment")?;
        environment.set_metatable(Some(behind))?;
        Ok(environment)
    }

    /// `m` and `act` over our three functions.
    pub(super) fn names(&self, field: Function, method: Function, collect: Function) -> mlua::Result<(Table, Table)> {
        let methods: Table = self.lua.named_registry_value("methods")?;
        let words: Table = self.lua.named_registry_value("words")?;
        self.prelude.call((field, method, collect, methods, words))
    }

    /// The time of a script begins.
    pub(super) fn begin(&self, time: Duration) {
        self.clock.given.store(nanoseconds(time), Ordering::Relaxed);
        self.clock.end.store(self.clock.now().saturating_add(nanoseconds(time)), Ordering::Relaxed);
    }

    /// The script waited so long for a program: it gets that time back.
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

    /// Between two messages.
    fn tidy(&mut self) {
        self.calls += 1;
        self.clock.end.store(u64::MAX, Ordering::Relaxed);
        // What a script left behind is collected now when it was much: the next one has its own limit.
        if self.lua.used_memory() > MEMORY / 8 {
            self.lua.gc_collect().ok();
        }
    }
}

/// `script.lua:3: `, where the innermost function of the script is at work.
fn place_in(lua: &Lua) -> Option<String> {
    let at = |level| {
        lua.inspect_stack(level, |frame| Some((frame.source().short_src?.into_owned(), frame.current_line()?)))
            .flatten()
    };
    let (file, line) = (0..8).filter_map(at).find(|(file, _)| file != "library" && file != "prelude")?;
    Some(format!("{file}:{line}: "))
}

fn nanoseconds(time: Duration) -> u64 {
    // Longer than a century is for ever, and nothing that is added to it may overflow.
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

/// Some functions of the library go on for hours without looking at the clock: `library.lua` puts others in their
/// place, with the search for plain text that they need.
fn replace_what_never_ends(lua: &Lua) -> mlua::Result<()> {
    let plain = lua.create_function(|_, (text, what, from): (mlua::LuaString, mlua::LuaString, Option<i64>)| {
        let (text, what) = (text.as_bytes(), what.as_bytes());
        let first = plain_find(&text, &what, from.unwrap_or(1));
        Ok((first, first.map(|first| first + what.len() - 1)))
    })?;
    lua.load(include_str!("library.lua")).set_name("=library").call::<()>(plain)
}

/// Where the text is, as Lua counts: from 1, or from the end with -1.
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

/// Our own few globals: `re`, `path`, `KB`, `MB`.
fn add_ours(lua: &Lua) -> mlua::Result<()> {
    let globals = lua.globals();
    globals.set("KB", 1024)?;
    globals.set("MB", 1024 * 1024)?;
    // A value as one component of a folder name.
    globals.set("path", lua.create_function(|_, text: String| Ok(text.replace(['/', '\0'], "_")))?)?;
    let re = lua.create_table()?;
    re.set("match", lua.create_function(expression_matches)?)?;
    globals.set("re", re)?;
    let set = |names: Vec<&str>| -> mlua::Result<Table> {
        let table = lua.create_table()?;
        names.into_iter().try_for_each(|name| table.raw_set(name, true))?;
        Ok(table)
    };
    lua.set_named_registry_value("methods", set(METHODS.to_vec())?)?;
    let words = actions::WORDS.iter().map(|word| word.key.0).filter(|word| *word != "lua" && *word != "set");
    lua.set_named_registry_value("words", set(words.collect())?)
}

thread_local! {
    static EXPRESSIONS: RefCell<HashMap<String, regex::Regex>> = RefCell::new(HashMap::new());
}

/// `re.match(expression, text)`: the captures by name and number, number 0 the whole; nil when it is not found. Linear
/// time, case does not count, as everywhere.
fn expression_matches(lua: &Lua, (expression, text): (String, mlua::LuaString)) -> mlua::Result<Option<Table>> {
    if text.as_bytes().len() > MOST_SEARCHED {
        return Err(mlua::Error::runtime("re.match searches at most 1 MB of text: shorten it, like m:body(1000000)"));
    }
    EXPRESSIONS.with_borrow_mut(|known| {
        if !known.contains_key(&expression) {
            let regex = comparator::build(&expression)
                .map_err(|e| mlua::Error::runtime(super::super::comparison::last_line(&e.to_string())))?;
            if known.len() >= MAX_EXPRESSIONS {
                known.clear();
            }
            known.insert(expression.clone(), regex);
        }
        let Some(regex) = known.get(&expression) else { return Ok(None) };
        let text = text.to_string_lossy();
        let Some(found) = regex.captures(&text) else { return Ok(None) };
        let table = lua.create_table()?;
        for (number, name) in regex.capture_names().enumerate() {
            let value = found.get(number).map(|group| group.as_str());
            table.raw_set(number, value)?;
            if let Some(name) = name {
                table.raw_set(name, value)?;
            }
        }
        Ok(Some(table))
    })
}

// What scripts try against this is in `tests/it/scripts.rs`.
#[cfg(test)]
mod tests {
    use super::*;

    /// Every global there is, not only those whose names somebody thought of.
    #[test]
    fn s3_there_are_no_other_globals() {
        let names = with(|sandbox| {
            let globals: Table = sandbox.lua().globals();
            // What scripts read through to stands behind the table of this thread.
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
            "_VERSION assert bit32 buffer coroutine error getmetatable ipairs KB math MB next pairs path pcall rawequal rawget \
             rawlen rawset re select setmetatable string table tonumber tostring type typeof unpack utf8"
        );
    }
}
