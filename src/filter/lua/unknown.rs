//! The error for an undefined name, with a suggestion.

use mlua::{Lua, Table, Value as LuaValue};

use super::message::{self, METHODS};
use super::sandbox;
use crate::clean;
use crate::config::reader;
use crate::filter::actions;

/// The kinds of tables whose fields are known. `#` marks a list.
const TABLE_FIELDS: [(&str, &[&str]); 9] = [
    ("address", &["addr", "name", "localpart", "domain", "user", "detail"]),
    ("addresses", &["#"]),
    ("date", &["year", "month", "day", "hour", "min", "weekday", "unix"]),
    ("envelope", &["from", "to"]),
    ("spam", &["score", "flag"]),
    (
        "auth",
        &["spf", "dkim", "dmarc", "arc", "dkim-adsp", "auth", "iprev", "bimi", "domainkeys", "sender-id", "compauth"],
    ),
    ("part", &["number", "parent", "type", "filename", "names", "size", "attachment", "doubtful"]),
    ("list", &["#"]),
    ("answer", &["code", "out", "failed", "not_asked"]),
];

/// Names that people know from other Lua programs, and what to use instead.
const LUA_ELSEWHERE: [(&str, &str); 14] = [
    ("print", "act.log(…) writes a line into the journal"),
    ("os", "the time is m.now, that of the message m.date, and m.age is how old it is; m.now.unix is in seconds"),
    ("io", "a script reaches no files; ask a list with m:in_list or m:list, or a program with act.execute"),
    ("require", "a script is one file: put its functions into it"),
    ("dofile", "a script is one file: put its functions into it"),
    ("loadfile", "a script is one file: put its functions into it"),
    ("load", "no text becomes a script"),
    ("loadstring", "no text becomes a script"),
    ("debug", "mailsluice explain shows what a script decides; act.log(…) writes a line"),
    ("collectgarbage", "memory is looked after"),
    ("_G", "write the name itself"),
    ("m", "it is the first argument of the function that the script returns: return function(m, act) … end"),
    ("act", "it is the second argument of the function that the script returns: return function(m, act) … end"),
    ("log", "act.log(…) writes a line into the journal"),
];

/// The names of each kind, for `strict.lua`.
pub(super) fn kinds(lua: &Lua) -> mlua::Result<Table> {
    let kinds = lua.create_table()?;
    for (kind, names) in TABLE_FIELDS {
        let table = lua.create_table()?;
        names.iter().try_for_each(|name| table.raw_set(*name, true))?;
        kinds.raw_set(kind, table)?;
    }
    Ok(kinds)
}

/// The error for a key of any type that a table of some kind does not have.
pub(super) fn unknown(kind: &str, name: &LuaValue, others: &[String]) -> String {
    let name = match name {
        LuaValue::String(name) => clean::short(&name.to_string_lossy(), 40),
        LuaValue::Integer(number) => number.to_string(),
        LuaValue::Number(number) => number.to_string(),
        other => format!("a {}", other.type_name()),
    };
    sentence(kind, &name, others)
}

/// The error for a name that a table of some kind does not have.
pub(super) fn sentence(kind: &str, name: &str, others: &[String]) -> String {
    let words = || actions::ACTION_WORDS.iter().map(|word| word.key.0).filter(|word| !matches!(*word, "lua" | "set"));
    match kind {
        "act" => with_near(format!("there is no action act.{name}"), name, words()),
        "param" => with_near(format!("this script has no parameter {name}"), name, others.iter().map(String::as_str)),
        "global" => match LUA_ELSEWHERE.iter().find(|(habit, _)| *habit == name) {
            Some((_, instead)) => format!("there is no {name} here: {instead}"),
            None => with_near(format!("there is no {name}: nothing gives this name a value"), name, sandbox::names()),
        },
        "message" => with_near(format!("a message has no {name}"), name, message::FIELDS.into_iter().chain(METHODS)),
        "addresses" => format!("a list of addresses has no {name}: its first address is [1], as in m.to[1].addr"),
        "list" => format!("a list has no {name}: its first item is [1], and ipairs walks it"),
        kind => {
            let names = TABLE_FIELDS.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, names)| names);
            with_near(format!("{} has no {name}", in_words(kind)), name, names.iter().copied())
        }
    }
}

fn in_words(kind: &str) -> &str {
    match kind {
        "address" => "an address",
        "date" => "a date",
        "envelope" => "an envelope",
        "spam" => "m.spam",
        "auth" => "m.auth",
        "part" => "a part",
        "answer" => "the answer of a program",
        other => other,
    }
}

fn with_near<'n>(sentence: String, name: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    match reader::suggest(name, known) {
        Some(near) => format!("{sentence}; did you mean {near}?"),
        None => sentence,
    }
}
