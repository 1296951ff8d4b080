//! What a script cannot do: reach files, programs or the network, keep anything for the next message, use more than
//! [`MEMORY`], run longer than [`DEADLINE`].
//!
//! One interpreter for each worker thread, whose own tables are read-only; each message gets a fresh environment. After
//! a script ran out of time or memory the interpreter is thrown away.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, VmState};

use super::super::actions;
use super::super::asking::Break;
use super::super::comparator;
use super::message::METHODS;

/// The memory a script may use, in bytes.
pub(super) const MEMORY: usize = 64 * 1024 * 1024;
/// How long it may run; the time in which a program answers it does not count.
const DEADLINE: Duration = Duration::from_secs(2);
/// The clock is looked at once in so many interrupts: at a few per loop, often enough.
const LOOK: u64 = 64;
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
    passed: AtomicBool,
    interrupts: AtomicU64,
}

impl Clock {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn interrupt(&self) -> mlua::Result<VmState> {
        let count = self.interrupts.fetch_add(1, Ordering::Relaxed);
        if self.passed.load(Ordering::Relaxed)
            || (count.is_multiple_of(LOOK) && self.now() > self.end.load(Ordering::Relaxed))
        {
            self.passed.store(true, Ordering::Relaxed);
            return Err(mlua::Error::runtime(format!("it ran longer than {} s", DEADLINE.as_secs())));
        }
        Ok(VmState::Continue)
    }
}

/// While this lives, the script's time stands still.
pub(super) struct Pause<'a> {
    clock: &'a Clock,
    since: u64,
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.clock.end.fetch_add(self.clock.now().saturating_sub(self.since), Ordering::Relaxed);
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
        replace_find(&lua)?;
        add_ours(&lua)?;
        let prelude = lua.load(include_str!("prelude.lua")).set_name("=prelude").into_function()?;
        let clock = Arc::new(Clock {
            start: Instant::now(),
            end: AtomicU64::new(u64::MAX),
            passed: AtomicBool::new(false),
            interrupts: AtomicU64::new(0),
        });
        let of_interrupt = Arc::clone(&clock);
        lua.set_interrupt(move |_| of_interrupt.interrupt());
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
    pub(super) fn begin(&self) {
        let deadline = u64::try_from(DEADLINE.as_nanos()).unwrap_or(u64::MAX);
        self.clock.end.store(self.clock.now().saturating_add(deadline), Ordering::Relaxed);
    }

    /// The script waits for us.
    pub(super) fn pause(&self) -> Pause<'_> {
        Pause { clock: &self.clock, since: self.clock.now() }
    }

    fn is_spoiled(&self) -> bool {
        self.clock.passed.load(Ordering::Relaxed) || self.calls > 10_000
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

/// A search for plain text in linear time: Luau's own is the one function that neither ends nor looks at the clock.
fn replace_find(lua: &Lua) -> mlua::Result<()> {
    let string: Table = lua.globals().get("string")?;
    let original: Function = string.get("find")?;
    let find =
        move |_: &Lua, (text, what, from, plain): (mlua::LuaString, mlua::LuaString, Option<i64>, Option<bool>)| {
            let is_plain = plain.unwrap_or(false) || !what.as_bytes().iter().any(|b| b"^$*+?.([%-".contains(b));
            if !is_plain {
                return original.call::<MultiValue>((text, what, from));
            }
            let bytes = text.as_bytes();
            let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
            let from = match from.unwrap_or(1) {
                from @ 1.. => from,
                0 => 1,
                back => (length + back + 1).max(1),
            };
            let start = usize::try_from(from - 1).unwrap_or(0);
            let found = bytes.get(start..).and_then(|rest| memchr::memmem::find(rest, &what.as_bytes()));
            Ok(match found {
                Some(at) => {
                    let first = start + at + 1;
                    let last = first + what.as_bytes().len() - 1;
                    MultiValue::from_vec(vec![mlua::Value::Number(first as f64), mlua::Value::Number(last as f64)])
                }
                None => MultiValue::from_vec(vec![mlua::Value::Nil]),
            })
        };
    string.set("find", lua.create_function(find)?)
}

/// Our own few globals: `re`, `path`, `KB`, `MB`.
fn add_ours(lua: &Lua) -> mlua::Result<()> {
    let globals = lua.globals();
    globals.set("KB", 1024)?;
    globals.set("MB", 1024 * 1024)?;
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
