//! `m`: the message as a script sees it. Fields are computed on demand.

use std::collections::HashSet;

use jiff::Zoned;
use mlua::{Lua, MultiValue, Table, Value as LuaValue};

use super::super::asking::Asking;
use super::super::conditions;
use super::super::rule::RuleList;
use super::node;
use super::script::{Failed, Script};
use super::{sandbox, unknown};
use crate::config::yaml::{Node, Value};
use crate::message::{Address, Field, Message, Part};

/// The methods: `m:header("Subject")`.
pub(super) const METHODS: [&str; 18] = [
    "header",
    "headers",
    "header_names",
    "fields",
    "raw_header",
    "addresses",
    "exists_any",
    "body",
    "raw_body",
    "parts",
    "attachments",
    "part_text",
    "part_bytes",
    "in_list",
    "list",
    "list_value",
    "duplicate",
    "matches",
];

/// The fields: `m.subject`.
pub(super) const FIELDS: [&str; 23] = [
    "subject",
    "list_id",
    "message_id",
    "account",
    "folder",
    "size",
    "age",
    "from",
    "to",
    "cc",
    "bcc",
    "reply_to",
    "sender",
    "recipients",
    "references",
    "thread",
    "flags",
    "kind",
    "envelope",
    "spam",
    "auth",
    "date",
    "now",
];

/// The default limit of `m:body()`, in bytes.
const DEFAULT_TEXT_BYTES: usize = 64 * 1024;
/// The largest limit of `m:body()`, in bytes.
const MAX_TEXT_BYTES: usize = 8 * 1024 * 1024;

/// A field of the message; nil if the message does not have it.
pub(super) fn field(lua: &Lua, asking: &Asking<'_>, name: &str) -> mlua::Result<LuaValue> {
    let message = asking.message();
    let text =
        |value: Option<&str>| value.map_or(Ok(LuaValue::Nil), |value| lua.create_string(value).map(LuaValue::String));
    match name {
        "subject" => text(Some(message.first("Subject").unwrap_or_default())),
        "list_id" => text(message.list_id()),
        "message_id" => text(message.message_id()),
        "account" => text(Some(asking.account())),
        "folder" => text(Some(asking.folder())),
        "size" => Ok(LuaValue::Number(message.size() as f64)),
        "age" => {
            let age = asking.now().timestamp().duration_since(asking.envelope.arrived);
            Ok(LuaValue::Number(age.as_secs_f64().max(0.0)))
        }
        "from" => address(lua, asking, message.addresses("From").next()).map(LuaValue::Table),
        "to" | "cc" | "bcc" | "reply_to" | "sender" => {
            let field = name.replace('_', "-");
            addresses(lua, asking, message.addresses(&field))
        }
        "recipients" => addresses(lua, asking, message.recipients().iter()),
        "references" | "thread" => {
            let ids = message.thread_ids().into_iter().map(str::to_owned);
            list(lua, ids)
        }
        "flags" => list(lua, asking.flags.words()),
        "kind" => kind(lua, asking),
        "envelope" => {
            let table = lua.create_table()?;
            table.raw_set("from", asking.enveloped().and_then(|message| message.envelope_sender()))?;
            table.raw_set("to", asking.enveloped().and_then(|message| message.delivered_to()))?;
            sandbox::of_kind(lua, "envelope", table).map(LuaValue::Table)
        }
        "spam" => {
            let table = lua.create_table()?;
            table.raw_set("score", conditions::spam_score(message))?;
            table.raw_set("flag", conditions::spam_verdict(message).is_some())?;
            sandbox::of_kind(lua, "spam", table).map(LuaValue::Table)
        }
        "auth" => auth(lua, asking),
        "date" => message.date().map_or(Ok(LuaValue::Nil), |at| moment(lua, at)),
        "now" => moment(lua, asking.now()),
        _ => Err(unknown_field(name)),
    }
}

/// The error for an unknown field. If it were nil, a mistyped name would make a condition silently false.
fn unknown_field(name: &str) -> mlua::Error {
    mlua::Error::runtime(unknown::sentence("message", &crate::clean::short(name, 40), &[]))
}

/// A list of texts.
fn list(lua: &Lua, texts: impl IntoIterator<Item = String>) -> mlua::Result<LuaValue> {
    sandbox::of_kind(lua, "list", lua.create_sequence_from(texts)?).map(LuaValue::Table)
}

fn kind(lua: &Lua, asking: &Asking<'_>) -> mlua::Result<LuaValue> {
    let message = asking.message();
    let word = match (message.is_bounce(), message.is_list(), message.is_automated()) {
        (true, _, _) => "bounce",
        (_, true, _) => "list",
        (_, _, true) => "automated",
        _ => "personal",
    };
    lua.create_string(word).map(LuaValue::String)
}

fn auth(lua: &Lua, asking: &Asking<'_>) -> mlua::Result<LuaValue> {
    let is_trusted = |server: &str| asking.trusts(server);
    let table = lua.create_table()?;
    for (method, result) in conditions::auth_results(asking.message(), &is_trusted).believed {
        if !table.contains_key(method.as_str())? {
            table.raw_set(method, result)?;
        }
    }
    sandbox::of_kind(lua, "auth", table).map(LuaValue::Table)
}

/// Makes `{addr, name, localpart, domain, user, detail}`. Without an address, all are empty, and `name` is missing.
fn address(lua: &Lua, asking: &Asking<'_>, address: Option<&Address>) -> mlua::Result<Table> {
    let delimiters = &asking.settings.delimiters;
    let none = Address { name: None, address: String::new() };
    let address = address.unwrap_or(&none);
    let table = lua.create_table()?;
    table.raw_set("addr", address.address.as_str())?;
    table.raw_set("name", address.name.as_deref().filter(|name| !name.is_empty()))?;
    table.raw_set("localpart", address.local_part())?;
    table.raw_set("domain", address.domain())?;
    table.raw_set("user", address.user(delimiters))?;
    table.raw_set("detail", address.detail(delimiters))?;
    sandbox::of_kind(lua, "address", table)
}

fn addresses<'a>(lua: &Lua, asking: &Asking<'_>, found: impl Iterator<Item = &'a Address>) -> mlua::Result<LuaValue> {
    let tables: mlua::Result<Vec<Table>> = found.map(|one| address(lua, asking, Some(one))).collect();
    sandbox::of_kind(lua, "addresses", lua.create_sequence_from(tables?)?).map(LuaValue::Table)
}

/// Makes `{year, month, day, hour, min, weekday, unix}`. Monday is 1.
fn moment(lua: &Lua, at: &Zoned) -> mlua::Result<LuaValue> {
    let table = lua.create_table()?;
    table.raw_set("year", at.year())?;
    table.raw_set("month", at.month())?;
    table.raw_set("day", at.day())?;
    table.raw_set("hour", at.hour())?;
    table.raw_set("min", at.minute())?;
    table.raw_set("weekday", at.weekday().to_monday_one_offset())?;
    table.raw_set("unix", at.timestamp().as_second() as f64)?;
    sandbox::of_kind(lua, "date", table).map(LuaValue::Table)
}

/// A method of the message.
pub(super) fn method(
    lua: &Lua,
    script: &Script,
    asking: &mut Asking<'_>,
    name: &str,
    arguments: &MultiValue,
) -> Result<LuaValue, Failed> {
    let first = arguments.front().cloned().unwrap_or(LuaValue::Nil);
    match name {
        "in_list" => return in_list(script, asking, arguments),
        "list" => {
            let known = list_of(script, asking, arguments)?;
            let entries = asking.all_entries(&known)?;
            return Ok(list(lua, entries.into_iter().map(|entry| entry.text))?);
        }
        "list_value" => {
            let known = list_of(script, asking, arguments)?;
            let Some(LuaValue::String(value)) = arguments.get(1) else { return Ok(LuaValue::Nil) };
            let found = asking.find_in_list(&known, &value.to_string_lossy(), false)?;
            return Ok(match found.and_then(|found| found.value) {
                Some(value) => LuaValue::String(lua.create_string(value)?),
                None => LuaValue::Nil,
            });
        }
        "duplicate" => {
            let duplicate = match &first {
                LuaValue::Table(_) => node::of_lua(&first)?,
                _ => node::text("true"),
            };
            return holds(script, asking, node::map(vec![("duplicate", duplicate)]));
        }
        "matches" => {
            let condition = node::of_lua(&first)?;
            super::act::only_written_programs(script, &condition)?;
            if expressions_in(&condition) > MAX_EXPRESSIONS {
                return Err(
                    mlua::Error::runtime(format!("m:matches takes at most {MAX_EXPRESSIONS} expressions")).into()
                );
            }
            let holds = holds(script, asking, condition);
            // This cannot be interrupted.
            sandbox::look_at_the_clock(lua)?;
            return holds;
        }
        _ => {}
    }
    let message = asking.message();
    let text_of = |value: &LuaValue| match value {
        LuaValue::String(text) => Ok(text.to_string_lossy()),
        _ => Err(mlua::Error::runtime(format!("m:{name} wants the name of a header field"))),
    };
    Ok(match name {
        "header" => match message.first(&text_of(&first)?) {
            Some(value) => LuaValue::String(lua.create_string(value)?),
            None => LuaValue::Nil,
        },
        "headers" => {
            let name = text_of(&first)?;
            list(lua, message.all(&name).map(|field| field.value().to_owned()))?
        }
        "header_names" => list(lua, header_names(message))?,
        // The prelude makes three of each.
        "fields" => {
            let table = lua.create_table()?;
            for field in message.fields() {
                table.raw_push(field.name())?;
                table.raw_push(field.value())?;
                table.raw_push(lua.create_string(field.raw().trim_ascii())?)?;
            }
            LuaValue::Table(table)
        }
        "raw_header" => match message.all(&text_of(&first)?).next() {
            Some(field) => LuaValue::String(lua.create_string(field.raw().trim_ascii())?),
            None => LuaValue::Nil,
        },
        "addresses" => addresses(lua, asking, message.addresses(&text_of(&first)?))?,
        "exists_any" => {
            let names: mlua::Result<Vec<String>> = arguments.iter().map(text_of).collect();
            LuaValue::Boolean(names?.iter().any(|name| message.first(name).is_some()))
        }
        "body" => {
            let text = message.text();
            let end = text.floor_char_boundary(bound(&first).min(text.len()));
            LuaValue::String(lua.create_string(&text[..end])?)
        }
        "raw_body" => LuaValue::String(lua.create_string(&message.raw_body(bound(&first))[..])?),
        "part_text" | "part_bytes" => {
            let index = first.as_usize().and_then(|number| number.checked_sub(1));
            match index.filter(|index| *index < message.parts().len()) {
                Some(index) => {
                    let max = bound(arguments.get(1).unwrap_or(&LuaValue::Nil));
                    LuaValue::String(match name {
                        "part_text" => lua.create_string(message.part_text(index, max))?,
                        _ => lua.create_string(message.part_bytes(index, max))?,
                    })
                }
                None => LuaValue::Nil,
            }
        }
        _ => {
            let parts = message.parts().iter().enumerate();
            let wanted = parts.filter(|(_, part)| name == "parts" || part.is_attachment());
            let tables: mlua::Result<Vec<Table>> = wanted.map(|(index, part)| part_table(lua, index, part)).collect();
            LuaValue::Table(sandbox::of_kind(lua, "list", lua.create_sequence_from(tables?)?)?)
        }
    })
}

/// The names of all fields without duplicates, in their first spelling.
fn header_names(message: &Message) -> Vec<String> {
    let mut seen = HashSet::new();
    let names = message.fields().iter().map(Field::name);
    names.filter(|name| seen.insert(name.to_lowercase())).map(str::to_owned).collect()
}

/// How many expressions one question may contain.
const MAX_EXPRESSIONS: usize = 50;

fn expressions_in(condition: &Node) -> usize {
    let of = |(key, node): &(crate::config::yaml::YamlKey, Node)| match (key.text.as_str(), &node.value) {
        ("regex" | "matches" | "each", Value::Seq(items)) => items.len(),
        ("regex" | "matches" | "each", _) => 1,
        _ => expressions_in(node),
    };
    match &condition.value {
        Value::Map(entries) => entries.iter().map(of).sum(),
        Value::Seq(items) => items.iter().map(expressions_in).sum(),
        _ => 0,
    }
}

fn bound(value: &LuaValue) -> usize {
    value.as_usize().unwrap_or(DEFAULT_TEXT_BYTES).min(MAX_TEXT_BYTES)
}

/// `{number, parent, type, filename, names, size, attachment, doubtful}`; `m:part_text(part.number)` is its text, HTML
/// without its markup; `m:part_bytes(part.number)` what it consists of, decoded.
fn part_table(lua: &Lua, index: usize, part: &Part) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("number", index + 1)?;
    table.raw_set("parent", part.parent.map(|parent| parent + 1))?;
    table.raw_set("type", part.content_type())?;
    table.raw_set("filename", part.file_name())?;
    table.raw_set("names", list(lua, part.file_names().map(str::to_owned))?)?;
    table.raw_set("size", part.size() as f64)?;
    table.raw_set("attachment", part.is_attachment())?;
    table.raw_set("doubtful", part.is_doubtful())?;
    sandbox::of_kind(lua, "part", table)
}

fn in_list(script: &Script, asking: &mut Asking<'_>, arguments: &MultiValue) -> Result<LuaValue, Failed> {
    let list = list_of(script, asking, arguments)?;
    let value = match arguments.get(1) {
        Some(LuaValue::String(value)) => value.to_string_lossy(),
        _ => return Ok(LuaValue::Boolean(false)),
    };
    Ok(LuaValue::Boolean(asking.in_list(&list, &value)?))
}

/// The list that the first argument names.
fn list_of(script: &Script, asking: &Asking<'_>, arguments: &MultiValue) -> Result<RuleList, Failed> {
    let name = node::of_lua(arguments.front().unwrap_or(&LuaValue::Nil))?;
    Ok(script.with_compiler(asking.settings, |compiler| compiler.list(&name))?)
}

/// Evaluates any condition of the language, given as a table.
fn holds(script: &Script, asking: &mut Asking<'_>, condition: Node) -> Result<LuaValue, Failed> {
    let condition = script.with_compiler(asking.settings, |compiler| compiler.condition(&condition))?;
    let mark = asking.names.mark();
    let holds = condition.holds(asking)?;
    asking.names.forget(mark);
    Ok(LuaValue::Boolean(holds))
}
