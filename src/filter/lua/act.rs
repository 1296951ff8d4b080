//! `act`: the actions of the language, as functions. `act.redirect("x@y.example", {copy = true})` is
//! `redirect: {to: x@y.example, copy: true}`.

use mlua::{Lua, MultiValue, Value as LuaValue};

use super::super::actions::code::places_of_code;
use super::super::actions::{self, Verb, fileinto, number, programs};
use super::super::asking::{Asking, Break};
use super::super::facts::FactAnswer;
use super::node;
use super::sandbox;
use super::script::{Collected, Failed, Script};
use crate::config::reader;
use crate::config::yaml::{Node, Value};

/// The most actions a script may collect.
const MAX_ACTIONS: usize = 100;

/// The key that the first argument stands for, when options follow.
const FIRST_ARGUMENT_KEYS: [(&str, &str); 13] = [
    ("fileinto", "folder"),
    ("redirect", "to"),
    ("vacation", "text"),
    ("reply", "text"),
    ("pipe", "run"),
    ("filter", "run"),
    ("execute", "run"),
    ("notify", "text"),
    ("keep", "flags"),
    ("imap", "account"),
    ("lmtp", "to"),
    ("deleteheader", "name"),
    ("number", "counter"),
];

/// Records an action. `execute` and `number` return their result immediately.
pub(super) fn collect(
    lua: &Lua,
    script: &Script,
    asking: &mut Asking<'_>,
    word: &str,
    arguments: &MultiValue,
    collected: &mut Collected,
) -> Result<LuaValue, Failed> {
    if collected.len() >= MAX_ACTIONS {
        return Err(mlua::Error::runtime(format!("more than {MAX_ACTIONS} actions")).into());
    }
    let found = actions::ACTION_WORDS.iter().find(|known| known.key.0 == word);
    let Some(found) = found else { return Err(mlua::Error::runtime(format!("there is no action {word}")).into()) };
    if let (Some(bare), true) = (found.bare, arguments.iter().all(|value| matches!(value, LuaValue::Nil))) {
        collected.push(bare());
        return Ok(LuaValue::Nil);
    }
    let value = arguments_of(word, arguments)?;
    match word {
        "pipe" | "execute" | "filter" => only_written_program(script, value.get("run").unwrap_or(&value))?,
        "notify" => {
            only_written_programs(script, &value)?;
            for key in ["mail", "webhook"] {
                value.get(key).map_or(Ok(()), |to| only_written_addresses(script, asking, to))?;
            }
        }
        "reply" if value.get("template").is_some() => {
            return Err(mlua::Error::runtime("a script has no templates; use text").into());
        }
        _ => {}
    }
    match word {
        "execute" => return execute(lua, script, asking, &value),
        "number" => return number(lua, script, asking, &value, collected),
        "fileinto" => collected.push(file(script, asking, &value)?),
        "redirect" | "lmtp" => {
            let to = value.get("to").unwrap_or(&value);
            if word == "lmtp" {
                only_given_users(script, to)?;
            }
            only_written_addresses(script, asking, to)?;
            collected.push(script.with_compiler(asking.settings, |compiler| (found.read)(&value, compiler))?);
        }
        _ => collected.push(script.with_compiler(asking.settings, |compiler| (found.read)(&value, compiler))?),
    }
    Ok(LuaValue::Nil)
}

/// The arguments of a call as the node that would follow the word in YAML.
fn arguments_of(word: &str, arguments: &MultiValue) -> mlua::Result<Node> {
    let first = arguments.front().unwrap_or(&LuaValue::Nil);
    let options = arguments.get(1);
    match (word, options) {
        (
            "addheader" | "setheader",
            Some(value @ (LuaValue::String(_) | LuaValue::Integer(_) | LuaValue::Number(_))),
        ) => {
            let LuaValue::String(name) = first else { return Err(mlua::Error::runtime("a header field has a name")) };
            Ok(node::map(vec![(&*name.to_string_lossy(), node::of_lua(value)?)]))
        }
        ("add_to_list" | "remove_from_list", Some(entry)) => {
            Ok(node::map(vec![("list", node::of_lua(first)?), ("entry", node::of_lua(entry)?)]))
        }
        (_, None | Some(LuaValue::Nil)) => {
            let mut node = node::of_lua(first)?;
            if word == "pipe" {
                input_of_part(&mut node)?;
            }
            Ok(node)
        }
        (_, Some(LuaValue::Table(options))) => {
            let key = FIRST_ARGUMENT_KEYS.iter().find(|(known, _)| *known == word).map(|(_, key)| *key);
            let mut node = node::of_lua(&LuaValue::Table(options.clone()))?;
            let mut first = node::map(vec![(key.unwrap_or_default(), node::of_lua(first)?)]);
            match (&mut node.value, &mut first.value, key) {
                (Value::Map(entries), Value::Map(more), Some(_)) => entries.append(more),
                _ => return Err(mlua::Error::runtime(format!("act.{word} takes no options"))),
            }
            if word == "pipe" {
                input_of_part(&mut node)?;
            }
            Ok(node)
        }
        _ => Err(mlua::Error::runtime(format!("act.{word} takes one value; several are a table: {{\"a\", \"b\"}}"))),
    }
}

/// `part = p` is the part's number as `input`.
fn input_of_part(node: &mut Node) -> mlua::Result<()> {
    let Value::Map(entries) = &mut node.value else { return Ok(()) };
    for (key, value) in entries.iter_mut().filter(|(key, _)| key.text == "part") {
        let number = value.get("number").and_then(Node::as_text).or_else(|| value.as_text());
        let number = number.ok_or_else(|| mlua::Error::runtime("part is one of m:parts() or m:attachments()"))?;
        *value = node::text(number);
        key.text = "input".to_owned();
    }
    Ok(())
}

/// Reads the folder that a script names. The name is made safe, whatever it contains; `/` separates its levels.
fn file(script: &Script, asking: &Asking<'_>, value: &Node) -> Result<Box<dyn Verb>, Failed> {
    let verb = script.with_compiler(asking.settings, |compiler| fileinto::of_script(value, compiler))?;
    Ok(verb)
}

/// The sender of a mail must not choose where mail is sent: an address must be in the script or in a parameter, or
/// belong to the user.
fn only_written_addresses(script: &Script, asking: &Asking<'_>, to: &Node) -> mlua::Result<()> {
    let texts = texts_of(to);
    match texts.iter().find(|address| !script.says(address) && !asking.settings.is_me(&address.to_lowercase())) {
        Some(address) => {
            let address = crate::clean::short(address, 80);
            Err(mlua::Error::runtime(format!(
                "{address} does not stand in this script: a message cannot choose where it goes"
            )))
        }
        None => Ok(()),
    }
}

/// A user name without a domain must be a parameter, because the script may contain the same word with another meaning.
fn only_given_users(script: &Script, to: &Node) -> mlua::Result<()> {
    match texts_of(to).iter().find(|user| !user.contains('@') && !script.is_parameter(user)) {
        Some(user) => {
            let user = crate::clean::short(user, 80);
            Err(mlua::Error::runtime(format!(
                "{user} has no domain, and is no parameter of this script: a message cannot choose where it goes"
            )))
        }
        None => Ok(()),
    }
}

fn texts_of(to: &Node) -> Vec<&str> {
    match &to.value {
        Value::Seq(items) => items.iter().filter_map(Node::as_text).collect(),
        _ => to.as_text().into_iter().collect(),
    }
}

/// Like [`only_written_program`], for every `run` in a value, however deep.
pub(super) fn only_written_programs(script: &Script, value: &Node) -> mlua::Result<()> {
    match &value.value {
        Value::Map(entries) => entries.iter().try_for_each(|(key, value)| match key.text.as_str() {
            "run" if !matches!(value.value, Value::Map(_)) => only_written_program(script, value),
            _ => only_written_programs(script, value),
        }),
        Value::Seq(items) => items.iter().try_for_each(|item| only_written_programs(script, item)),
        _ => Ok(()),
    }
}

/// The sender of a mail must not choose a program or its options: the program, and arguments that begin with `-`, must
/// be in the script. After `--`, anything is allowed.
fn only_written_program(script: &Script, run: &Node) -> mlua::Result<()> {
    let items = match &run.value {
        Value::Seq(items) => items.as_slice(),
        _ => std::slice::from_ref(run),
    };
    if let Some(program) = items.first().and_then(Node::as_text).filter(|program| !script.has_text(program)) {
        let program = crate::clean::short(program, 60);
        return Err(mlua::Error::runtime(format!(
            "the program {program} does not stand in this script: a message cannot choose it"
        )));
    }
    let texts = || items.iter().map(|item| item.as_text().unwrap_or_default());
    // A text from the message is never taken for the name of an interpreter.
    let written = texts().map(|text| if script.has_text(text) { text } else { "?" });
    let mut code = places_of_code(written).into_iter().filter_map(|place| texts().nth(place));
    if let Some(code) = code.find(|code| !script.has_text(code)) {
        let code = crate::clean::short(code, 60);
        return Err(mlua::Error::runtime(format!(
            "the code \"{code}\" does not stand in this script: give what a message says as an argument of its own"
        )));
    }
    let options = items.iter().filter_map(Node::as_text).take_while(|text| *text != "--");
    match options.filter(|text| text.starts_with('-')).find(|text| !script.has_text(text)) {
        Some(option) => {
            let option = crate::clean::short(option, 60);
            Err(mlua::Error::runtime(format!(
                "the value \"{option}\" would be taken for an option; put \"--\" before it"
            )))
        }
        None => Ok(()),
    }
}

/// Runs a program and returns {code, out, timed_out, failed}.
fn execute(lua: &Lua, script: &Script, asking: &mut Asking<'_>, value: &Node) -> Result<LuaValue, Failed> {
    let run = value.get("run").unwrap_or(value);
    let argv = script.with_compiler(asking.settings, |compiler| programs::Argv::read(run, compiler))?;
    let timeout = match value.get("timeout") {
        Some(timeout) => script.with_compiler(asking.settings, |compiler| seconds(timeout, compiler))?,
        None => programs::TIMEOUT,
    };
    let argv = argv.expand(asking)?;
    let answer = programs::ask(asking, &argv, timeout, programs::MOST_OUTPUT);
    let table = lua.create_table()?;
    match answer {
        FactAnswer::Ended { code: 75, .. } => {
            return Err(Break::Defer(format!("{} ended with 75, try again later", argv.join(" "))).into());
        }
        FactAnswer::Ended { code, out } => {
            table.raw_set("code", code)?;
            let out = out.strip_suffix(b"\n").unwrap_or(&out);
            table.raw_set("out", lua.create_string(out)?)?;
        }
        FactAnswer::Failed(cause) => {
            table.raw_set("failed", cause)?;
            table.raw_set("out", "")?;
        }
        FactAnswer::NotAsked => {
            table.raw_set("not_asked", true)?;
            table.raw_set("out", "")?;
        }
    }
    Ok(LuaValue::Table(sandbox::of_kind(lua, "answer", table)?))
}

/// Takes a number and returns it as text. Not allowed in a condition, because it records an action.
fn number(
    lua: &Lua,
    script: &Script,
    asking: &mut Asking<'_>,
    value: &Node,
    collected: &mut Collected,
) -> Result<LuaValue, Failed> {
    let counter = match value.as_text() {
        Some(_) => &node::map(vec![("counter", value.clone())]),
        None => value,
    };
    let counter = script.with_compiler(asking.settings, |compiler| number::Counter::read(counter, compiler))?;
    if !script.has_text(&counter.name) {
        let name = crate::clean::short(&counter.name, 60);
        return Err(mlua::Error::runtime(format!(
            "the counter {name} does not stand in this script: a message cannot make one"
        ))
        .into());
    }
    let value = counter.next(asking)?;
    let text = lua.create_string(&value)?;
    collected.push(Box::new(number::TakenNumber { counter, value }));
    Ok(LuaValue::String(text))
}

/// `10` is seconds, `"10s"` a duration.
fn seconds(node: &Node, compiler: &mut super::super::compile::Compiler<'_, '_>) -> Option<std::time::Duration> {
    match node.as_text().and_then(|text| text.parse::<u64>().ok()) {
        Some(seconds) => Some(std::time::Duration::from_secs(seconds.min(3600))),
        None => reader::duration(node, &mut compiler.problems),
    }
}
