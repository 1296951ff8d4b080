//! Scripts that mean harm: none hangs, crashes, keeps anything for the next message, or reaches a file or a program.
//! The message is kept each time, and the failure names the line.

use std::time::{Duration, Instant};

use mailsluice::config::Settings;
use mailsluice::decision::Decision;
use mailsluice::filter::Engine;

use crate::engine::{decided, failure, lua_with, settings, shown, yaml};

const MESSAGE: &str = "From: ann@x.example\nTo: me@example.com\nSubject: hello\n\nx\n";

/// Scripts get so little here; every one has to be over long before this bound, which is against hangs alone.
const TIME: Duration = Duration::from_millis(200);
const BOUND: Duration = Duration::from_secs(30);
/// Those that meet another bound first get more, also on a busy machine.
const AMPLE: Duration = Duration::from_secs(20);

fn engine(text: &str) -> Engine {
    engine_with(text, TIME)
}

fn engine_with(text: &str, script_time: Duration) -> Engine {
    let settings = Settings { script_time, ..settings() };
    lua_with(text, &settings).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

fn body(text: &str) -> Engine {
    engine(&format!("return function(m, act)\n{text}\nend"))
}

/// The script fails, and says this.
#[track_caller]
fn fails(text: &str, says: &str) {
    let time = if says.is_empty() { TIME } else { AMPLE };
    let start = Instant::now();
    let decision = decided(&engine_with(&format!("return function(m, act)\n{text}\nend"), time), MESSAGE);
    assert!(start.elapsed() < BOUND, "{text} took {:?}", start.elapsed());
    let failure = failure(&decision);
    assert!(failure.contains(says), "{text}\n  {failure}");
    assert!(failure.starts_with("script.lua:"), "{text}\n  {failure}");
}

/// The script may do what it wants, if it is over soon and the message is kept.
#[track_caller]
fn ends(text: &str) -> Decision {
    let start = Instant::now();
    let decision = decided(&body(text), MESSAGE);
    println!("{:?} {text}", start.elapsed());
    assert!(start.elapsed() < BOUND, "{text} took {:?}", start.elapsed());
    assert_eq!(decision.to_string(), "keep", "{text}\n{decision:?}");
    decision
}

#[test]
fn s1_loops_end_at_the_deadline() {
    for text in [
        "while true do end",
        "for i = 1, math.huge do end",
        "local function f() return f() end f()",
        "while true do pcall(function() while true do end end) end",
        "local function f() pcall(f) pcall(f) end f()",
        "local function f() while true do pcall(f) end end pcall(f) while true do end",
        "while true do xpcall = pcall xpcall(error) end",
        "coroutine.wrap(function() while true do end end)()",
        "while true do coroutine.wrap(function() coroutine.yield() end)() end",
        "local co = coroutine.create(function() while true do coroutine.yield() end end) while true do coroutine.resume(co) end",
        "local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function(a, b) while true do end end)",
        "('x'):gsub('x', function() while true do end end)",
        "('x'):rep(1e6):gsub('.', function() ('x'):rep(1e6):gsub('.', function() end) end)",
        "local t = setmetatable({}, {__index = function(t, k) while true do end end}) return t.x",
        "local t = setmetatable({}, {__lt = function() while true do end end}) return t < t",
        "for _ in ('x'):rep(1e7):gmatch('.-') do while true do end end",
        "setmetatable({}, {__gc = function() while true do end end}) while true do local t = {} end",
        "while true do m:matches{subject = {regex = '(a{1,100}){1,20}'}} end",
        "while true do m:header('Subject') end",
        "while true do m:parts() end",
        "while true do re.match('(.*)x', m:body()) end",
        "while true do local t = m.nowhere end",
    ] {
        let start = Instant::now();
        let decision = decided(&body(text), MESSAGE);
        assert!(start.elapsed() < BOUND, "{text} took {:?}", start.elapsed());
        let failure = failure(&decision);
        let is_over = failure.contains("it ran longer than 0.2 s")
            || failure.contains("stack overflow")
            || failure.contains("a message has no nowhere");
        assert!(is_over && failure.starts_with("script.lua:2: "), "{text}\n  {failure}");
    }
}

#[test]
fn s1_patterns_that_explode_end() {
    for text in [
        "('a'):rep(200):find(('a-'):rep(30) .. 'b')",
        "('a'):rep(40):find(('a*'):rep(40) .. 'b')",
        "('a'):rep(100):gsub(('.-'):rep(10) .. 'b', '')",
        "('a'):rep(1e5):match(('.-'):rep(4) .. 'b')",
        "for _ in ('a'):rep(1e5):gmatch(('.-'):rep(4) .. 'b') do end",
        "('('):rep(1e6):find('%b()x')",
        "('a'):rep(1e6):find('%f[b]' .. ('.-'):rep(4) .. 'b')",
    ] {
        ends(text);
    }
    for text in [
        "('b'):rep(1e7):find('[' .. ('a'):rep(1e7) .. 'b]*')",
        "('b'):rep(1e7):match('[' .. ('a'):rep(1e7) .. 'b]*')",
        "('b'):rep(1e7):gsub('[' .. ('a'):rep(1e7) .. 'b]*', '')",
        "for _ in ('b'):rep(1e7):gmatch('[' .. ('a'):rep(1e7) .. 'b]*') do end",
    ] {
        fails(text, "the text is too long for so long a pattern");
    }
}

#[test]
fn s1_library_functions_that_took_hours_end() {
    for text in [
        "('a'):rep(8e6):find(('a'):rep(4e6) .. 'b', 1, true)",
        "('a'):rep(8e6):find(('a'):rep(4e6) .. 'b')",
        "('a'):rep(2e7):split(('a'):rep(1e7) .. 'b')",
        "local a, b = ('a'):rep(8e6), ('a'):rep(8e6) .. 'b' local t = {} for i = 1, 1e5 do t[i] = i % 2 == 0 and a or b end table.sort(t)",
        "table.move({}, 1, 2 ^ 30, 1, {})",
        "table.move({}, 1, 1e15, 1)",
        "string.rep('', 1e10)",
        "table.concat({}, '', 1, 2 ^ 30)",
        "table.unpack({}, 1, 1e8)",
        "select('#', table.unpack({}, 1, 1e7))",
        "('x'):byte(1, -1) ('x'):rep(1e7):byte(1, -1)",
        "string.char(table.unpack(table.create(1e6, 65)))",
        "utf8.codepoint(('x'):rep(1e7), 1, -1)",
        "string.format('%99999999d', 1)",
        "string.format(('%s'):rep(1e6))",
        "string.pack(('i16'):rep(1e5), 1)",
        "string.pack('i17', 1)",
        "table.create(1e5, 1) table.insert({}, 2 ^ 31, 1)",
        "local t = {} for i = 1, 2e4 do table.insert(t, 1, i) end while #t > 0 do table.remove(t, 1) end",
        "re.match('(x+x+)+y', ('x'):rep(1e6))",
        "re.match('(?s)(.*)*(.*)*(.*)*z', ('x'):rep(1e6))",
        "re.match('[ab]*a[ab]{12}c', ('ab'):rep(5e5))",
        "re.match('a', ('x'):rep(2e6))",
        "re.match('(a{1000}){1000}', 'a')",
        "local parts = {} for i = 1, 1e5 do parts[i] = 'x' .. i end re.match(table.concat(parts, '|'), 'x')",
    ] {
        ends(text);
    }
}

#[test]
fn s2_memory_is_bounded() {
    let error = "it used more than 64 MiB of memory";
    // Time enough to come to the end of the memory.
    let fails = |text: &str, says: &str| {
        let engine = engine_with(&format!("return function(m, act) {text} end"), BOUND);
        let decision = decided(&engine, MESSAGE);
        assert!(failure(&decision).contains(says), "{text}\n  {}", failure(&decision));
    };
    fails("local t = {} for i = 1, 1e9 do t[i] = i end", error);
    fails("local t = {} for i = 1, 1e9 do t[i] = {} end", error);
    fails("local s = 'x' while true do s = s .. s end", error);
    fails("local s = ('x'):rep(2^25) local t = {} while true do t[#t + 1] = s:upper() .. #t end", error);
    fails("table.create(2^26, 1)", error);
    fails("buffer.create(2^28)", error);
    fails("local t = {} while true do t[#t + 1] = buffer.create(2^20) end", error);
    fails("local t = {} while true do t[#t + 1] = coroutine.create(function() end) end", error);
    fails("('x'):rep(1e6):gsub('x', ('y'):rep(1e6))", error);
    fails("table.concat(table.create(1e4, ('x'):rep(1e4)))", error);
    ends("string.rep('a', 2^31)");
    fails("string.rep('a', 2^30)", error);
    fails("buffer.create(2^40)", "");
    fails("string.pack('s8', ('x'):rep(6e7))", error);
    fails("local function f(n) return 1 + f(n + 1) end f(1)", "stack overflow");
    fails("local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x", "");
    fails(
        "local t = {} for i = 1, 300 do t = setmetatable({}, {__index = t}) end local x = t.x error('ok' .. tostring(x))",
        "",
    );
    ends("pcall(function() local t = {} for i = 1, 1e9 do t[i] = i end end)");
    ends("return ('('):rep(1e5)");
}

/// What came later: all matches, JSON, texts, lists of fields.
#[test]
fn s1_and_s2_hold_for_the_functions_of_our_own() {
    let late = "it ran longer than 0.2 s";
    for text in [
        "while true do for _ in re.gmatch('.', 'abc') do end end",
        "while true do re.gsub('.', 'abc', function() while true do end end) end",
        "re.gsub('a', 'aaa', function() while true do end end)",
        "re.gsub('a*b|a', ('a'):rep(1e6), 'b')",
        "re.gmatch('(a|b)*c|.', ('ab'):rep(5e5))",
        "re.gmatch('[ab]*a[ab]{12}c|.', ('ab'):rep(5e5))",
        "while true do json.decode('[[[[1]]]]') end",
        "while true do json.encode({1, {2}}) end",
        "while true do text.lower(('Ä'):rep(1e5)) end",
        "while true do for _ in m:fields() do end end",
        "while true do m:header_names() end",
    ] {
        let start = Instant::now();
        let decision = decided(&body(text), MESSAGE);
        assert!(start.elapsed() < BOUND, "{text} took {:?}", start.elapsed());
        assert!(failure(&decision).contains(late), "{text}\n  {}", failure(&decision));
    }
    fails("re.gmatch('', ('x'):rep(20000))", "more than 10000 matches");
    fails("re.find('x', ('x'):rep(2e6))", "at most 1 MB of text");
    fails("re.gsub('x', ('x'):rep(9999), ('y'):rep(1e5))", "it used more than 64 MiB of memory");
    fails("re.gsub('x', 'x', setmetatable({}, {__index = function() error('mine') end}))", "mine");
    fails("re.gsub('x', 'x', 1)", "re.gsub puts in a text");
    fails("re.gsub('x', 'x', function() return {} end)", "");
    ends("re.gsub('x', 'xx', function() re.gsub('y', 'yy', function() re.match('z', 'z') end) end)");
    fails("json.decode(('['):rep(1e5))", "nested too deep");
    fails("json.decode(('{\"a\":'):rep(40) .. '1')", "nested too deep");
    fails("json.decode(' ' .. ('x'):rep(2e6))", "at most 1 MB");
    fails("json.decode('[' .. ('1,'):rep(2e5) .. '1]')", "too many values");
    fails("json.decode('{\"a\":\"' .. ('x'):rep(100) .. '\"')", "no JSON");
    fails("json.decode('[1] x')", "no JSON");
    fails("local t = {} t[1] = t json.encode(t)", "nested too deep");
    fails("local t = {} t.t = t json.encode(t)", "nested too deep");
    fails("json.encode({('x'):rep(2e6)})", "at most 1 MB");
    fails("local s, t = ('x'):rep(1e5), {} for i = 1, 100 do t[i] = s end json.encode(t)", "at most 1 MB");
    fails("json.encode({[1.5] = 1})", "cannot be a key");
    fails("json.encode(print)", "there is no print here");
    fails("json.encode(pairs)", "a function cannot stand in JSON");
    fails("json.encode(0/0)", "JSON has no number");
    fails("text.upper(('x'):rep(9e6))", "longer than 8 MB");
    fails("while true do local t = {} for i = 1, 1e6 do t[i] = text.upper('ß' .. i) end end", "");
}

#[test]
fn s2_what_leaves_the_script_is_bounded_too() {
    fails("act.log(('x'):rep(1e7))", "this is too much for one call");
    fails(
        "local s, t = ('x'):rep(1e6), {} for i = 1, 9999 do t[i] = s end act.fileinto(t)",
        "this is too much for one call",
    );
    fails("local t = {} for i = 1, 20000 do t[i] = 'x' end act.addflag(t)", "this is too much for one call");
    fails("act.fileinto{[('x'):rep(1e7)] = 1}", "this is too much for one call");
    fails("local t = {} for i = 1, 100 do t = {t} end act.fileinto(t)", "nested too deep");
    fails("local t = {} t[1] = t act.fileinto(t)", "nested too deep");
    fails("for i = 1, 1e6 do act.log(i) end", "more than 100 actions");
    fails("for i = 1, 1e6 do act.addheader('X-' .. i, 'x') end", "more than 100 actions");
    fails("for i = 1, 99 do act.addheader('X-' .. i, 'x') end", "edited more than 32 times");
    fails("for i = 1, 1e6 do m:duplicate{key = 'k' .. i} end", "more than 1000 questions to the state");
    fails("for i = 1, 1e6 do m:matches{duplicate = {key = 'k' .. i}} end", "more than 1000 questions to the state");
    for one in
        ["m:matches{rate = {per = 'k' .. i, within = '1h', over = 1}}", "act.number{counter = 'x', per = 'k' .. i}"]
    {
        fails(&format!("for i = 1, 1e6 do {one} end"), "more than 1");
    }
    let why = ends("for i = 1, 1000 do m:matches{subject = {contains = 'hello'}} end").why;
    assert!(why.len() <= 100, "{}", why.len());
    let programs = ends("local r for i = 1, 1000 do r = act.execute{run = {'true'}} end act.log(r.failed)");
    assert_eq!(programs.notes, ["more than 100 programs for one message"]);
}

/// What Lua, Luau and their hosts have had as globals; `src::filter::lua` lists what there really is.
const GLOBALS: &str = "_G _VERSION _ENV arg assert bit32 buffer collectgarbage coroutine debug dofile error gcinfo getfenv \
    getmetatable integer io ipairs json KB load loadfile loadstring math MB module newproxy next os package pairs path pcall \
    print rawequal rawget rawlen rawset re require select setfenv setmetatable string table text tonumber tostring type \
    typeof unpack utf8 vector warn xpcall param";

#[test]
fn s3_the_globals_are_exactly_these() {
    // A function finds its globals by name alone, so each is written out.
    let written: String = GLOBALS
        .split_whitespace()
        .map(|name| format!("if pcall(function() return {name} end) then names[#names + 1] = '{name}' end "))
        .collect();
    let decision = ends(&format!("local names = {{}} {written} act.log(table.concat(names, ' '))"));
    assert_eq!(
        decision.notes,
        [
            "_VERSION assert bit32 buffer coroutine error getmetatable ipairs json KB math MB next pairs path pcall rawequal \
          rawget rawlen rawset re select setmetatable string table text tonumber tostring type typeof unpack utf8 param"
        ]
    );
    let members = "local names = {} for name in pairs(LIB) do names[#names + 1] = name end table.sort(names) act.log(table.concat(names, ' '))";
    let of = |library: &str| ends(&members.replace("LIB", library)).notes.join(" ");
    assert!(!of("string").contains("dump"), "{}", of("string"));
    assert!(!of("math").contains("random"), "{}", of("math"));
    assert_eq!(of("re"), "find gmatch gsub match");
    assert_eq!(of("text"), "length lower title trim upper");
    assert_eq!(of("json"), "decode encode null");
    assert_eq!(of("coroutine"), "close create isyieldable resume running status wrap yield");
}

#[test]
fn s3_no_way_around_the_whitelist() {
    for text in [
        "getfenv(1).x = 1",
        "setfenv(1, {})",
        "debug.getinfo(1)",
        "_G.x = 1",
        "loadstring('return 1')()",
        "load(('').dump(function() end))()",
        "require('os').execute('true')",
        "io.open('/etc/passwd')",
        "os.exit(1)",
        "string.x = 1",
        "string.rep = function() end",
        "table.sort = nil",
        "math.x = 1",
        "re.match = nil",
        "json.null.x = 1",
        "text.lower = nil",
        "setmetatable(m.from, {})",
        "setmetatable(param, {})",
        "getmetatable(m.from).__index = nil",
        "getmetatable('').__index = {}",
        "getmetatable('').__index.rep = function() end",
        "rawset(string, 'rep', nil)",
        "setmetatable(string, {})",
        "setmetatable('', {})",
        "setmetatable(m, {})",
        "setmetatable(act, {})",
        "table.clear(string)",
        "table.insert(string, 1)",
        "coroutine.yield(1)",
        "newproxy(true)",
        "getmetatable(act).__index = function() end",
    ] {
        fails(text, "");
    }
    ends("assert(getmetatable(m) == 'm' and getmetatable(act) == 'act')");
}

#[test]
fn s4_bytecode_is_no_script() {
    for text in ["\u{1b}Lua", "\u{1b}LuaQ\0\0", "\u{4}\u{3}\u{1}", "\u{6}return"] {
        assert!(lua_with(text, &settings()).is_err(), "{text:?}");
    }
    assert!(failure(&decided(&engine("\0"), MESSAGE)).contains("a filter returns a function"));
    fails("m:matches{lua = 'while true do end'}", "a script cannot hold another script");
    fails(
        "local s = 'local s=%q m:matches{lua=s:format(s)}' m:matches{lua = s:format(s)}",
        "a script cannot hold another script",
    );
    fails("m:matches{any = {{none = {{lua = 'true'}}}}}", "a script cannot hold another script");
}

#[test]
fn s5_nothing_is_left_for_the_next_message() {
    let leaking = engine(
        "seen = 0\nlocal kept = 'nil'\nlocal times = 0\nreturn function(m, act)\n  times = times + 1\n  before = kept\n  kept = {m, act, act.keep, m.header}\n  \
         rawset(m, 'subject', 'other') rawset(act, 'x', 1)\n  m.from.addr = 'other@x.example'\n  math_x = 1\n  \
         act.log('%s %s %s', times, tostring(before), tostring(pcall(function() return leaked end)))\n  leaked = true\nend",
    );
    // A name that nothing gave a value is an error.
    let known = "local function known(get) return tostring(pcall(get)) end local l, x, s = known(function() return leaked end), known(function() return math_x end), known(function() return seen end)";
    let looking = body(&format!("{known} act.log(l .. x .. s .. m.subject .. m.from.addr .. tostring(act.x == nil))"));
    for _ in 0..3 {
        assert_eq!(decided(&leaking, MESSAGE).notes, ["1 nil false"]);
        let looked = decided(&looking, MESSAGE);
        assert!(failure(&looked).contains("there is no action act.x"), "{looked:?}");
    }
    let looking = body(&format!("{known} act.log(l .. x .. s .. m.subject .. m.from.addr)"));
    assert_eq!(decided(&looking, MESSAGE).notes, ["falsefalsefalsehelloann@x.example"]);
}

#[test]
fn s5_one_that_failed_harms_no_other() {
    let fine = body("act.fileinto('fine')");
    for bad in ["while true do end", "local t = {} for i = 1, 1e9 do t[i] = i end", "error('x')", "coroutine.yield()"] {
        failure(&decided(&body(bad), MESSAGE));
        assert_eq!(decided(&fine, MESSAGE).to_string(), "fileinto fine", "{bad}");
    }
}

/// A sender who knows how to make a script slow cannot hold an account up for as long as he sends.
#[test]
fn s9_a_script_that_is_late_ten_times_gets_a_tenth_of_its_time() {
    let slow = body("if m.subject == 'slow' then while true do end end act.fileinto('fine')");
    for n in 0..12 {
        let time = if n < 10 { "0.2 s" } else { "0.02 s" };
        let decision = decided(&slow, "Subject: slow\n\n");
        assert!(failure(&decision).contains(&format!("it ran longer than {time}")), "{n}: {}", failure(&decision));
    }
    assert_eq!(decided(&slow, MESSAGE).to_string(), "fileinto fine", "those that are quick are not concerned");
}

#[test]
fn errors_of_any_shape_are_told_in_one_short_line() {
    fails("error()", "");
    fails("error(nil)", "");
    fails("error({})", "");
    fails("error(setmetatable({}, {__tostring = function() while true do end end}))", "");
    fails("error(setmetatable({}, {__tostring = function() error('again') end}))", "");
    fails("error(setmetatable({}, {__tostring = function() return {} end}))", "");
    fails("error(function() end)", "");
    fails("error(coroutine.create(function() end))", "");
    fails("error(('x'):rep(1e7))", "xxx");
    fails("error('a\\nb\\27[31mc')", "a");
    fails("error('\\255\\254')", "");
    fails("local ok, e = pcall(act.fileinto, {}) error(e)", "");
    fails("local ok, e = pcall(m.header, m, {}) error(e)", "wants the name of a header field");
    for text in ["error(('x'):rep(1e7))", "error('a\\nb\\27[31mc')"] {
        let decision = decided(&body(text), MESSAGE);
        let line = failure(&decision);
        assert!(line.len() < 1000 && !line.contains(['\n', '\u{1b}']), "{line:?}");
    }
}

#[test]
fn our_errors_can_be_caught_and_change_nothing() {
    assert_eq!(
        decided(
            &body("pcall(act.fileinto, {}) pcall(m.header) pcall(function() return act.nothing end) act.fileinto('x')"),
            MESSAGE
        )
        .to_string(),
        "fileinto x"
    );
    fails("while true do pcall(act.fileinto, {}) end", "it ran longer than");
    fails(
        "pcall(act.execute, {run = {'x'}}) local ok, e = pcall(function() act.redirect(m.from.addr) end) error(e)",
        "a message cannot choose",
    );
    fails(
        "local ok = pcall(function() act.log(setmetatable({}, {__tostring = function() act.log('inner') error('x') end})) end) error(tostring(ok))",
        "false",
    );
    ends("act.log(setmetatable({}, {__tostring = function() act.log(m.subject) return 'outer' end}))");
}

#[test]
fn a_condition_cannot_act() {
    let engine = yaml("rules: [{if: {lua: 'act.discard()'}, do: discard}]");
    assert!(failure(&decided(&engine, MESSAGE)).contains("a condition cannot act"));
    let engine = yaml("rules: [{if: {lua: 'm:matches{lua = \"true\"}'}, do: discard}]");
    assert!(failure(&decided(&engine, MESSAGE)).contains("a script cannot hold another script"));
}

#[test]
fn an_address_must_stand_alone_in_the_script() {
    let near = |from: &str| {
        let engine = body("-- me@example.org and -x\nact.redirect(m.from.addr)");
        decided(&engine, format!("From: {from}\n\nx\n")).to_string()
    };
    assert_eq!(near("me@example.org"), "redirect me@example.org");
    for other in ["e@example.org", "me@example.or", "me@example.o", "e@example.or"] {
        assert_eq!(near(other), "keep", "{other}");
    }
}
