//! `re`: regular expressions in linear time. Case is ignored, as everywhere.

use std::cell::RefCell;
use std::collections::HashMap;

use mlua::{Lua, Table, Value as LuaValue};
use regex::{Captures, Regex};

use super::super::comparator;
use super::super::comparison;
use super::sandbox;

/// The longest text that is searched, in bytes, because a search cannot be interrupted. A search takes linear time, but
/// an expression with thousands of repetitions may be ten thousand times slower than a plain one.
const MAX_SEARCHED_BYTES: usize = 1024 * 1024;
/// The longest expression, in bytes, because compiling cannot be interrupted and takes memory outside the limit of the
/// script.
const MAX_EXPRESSION_BYTES: usize = 16 * 1024;
/// How many expressions are kept compiled.
const MAX_EXPRESSIONS: usize = 200;
/// How many matches one call may return. The clock is checked after each.
const MAX_MATCHES: usize = 10_000;

thread_local! {
    static EXPRESSIONS: RefCell<HashMap<String, Regex>> = RefCell::new(HashMap::new());
}

/// A compiled expression from the cache. It is cloned, so that the cache is not borrowed while the script runs.
fn compiled(lua: &Lua, expression: &str) -> mlua::Result<Regex> {
    sandbox::look_at_the_clock(lua)?;
    if expression.len() > MAX_EXPRESSION_BYTES {
        return Err(mlua::Error::runtime("an expression has at most 16 KB; a plain text is found by text:find"));
    }
    EXPRESSIONS.with_borrow_mut(|known| {
        if let Some(regex) = known.get(expression) {
            return Ok(regex.clone());
        }
        let regex =
            comparator::build(expression).map_err(|e| mlua::Error::runtime(comparison::last_line(&e.to_string())))?;
        if known.len() >= MAX_EXPRESSIONS {
            known.clear();
        }
        known.insert(expression.to_owned(), regex.clone());
        Ok(regex)
    })
}

fn searched(text: &mlua::LuaString) -> mlua::Result<String> {
    if text.as_bytes().len() > MAX_SEARCHED_BYTES {
        return Err(mlua::Error::runtime(
            "an expression is looked for in at most 1 MB of text: shorten it, like m:body(1000000)",
        ));
    }
    Ok(text.to_string_lossy())
}

/// `re.match(expression, text)`: the captures by name and number, with number 0 for the whole match; nil if there is no
/// match.
pub(super) fn first(lua: &Lua, (expression, text): (String, mlua::LuaString)) -> mlua::Result<Option<Table>> {
    let (text, regex) = (searched(&text)?, compiled(lua, &expression)?);
    regex.captures(&text).map(|found| table(lua, &regex, &found)).transpose()
}

/// The captures of all matches from a position on, up to a limit, with the positions of their bytes in `first` and
/// `last`.
pub(super) fn all(
    lua: &Lua,
    (expression, whole, from, most): (String, mlua::LuaString, Option<i64>, Option<i64>),
) -> mlua::Result<Table> {
    let (text, regex) = (searched(&whole)?, compiled(lua, &expression)?);
    let from = usize::try_from(from.unwrap_or(1)).unwrap_or(1).saturating_sub(1).min(text.len());
    let from = text.ceil_char_boundary(from);
    let wanted = most.map_or(MAX_MATCHES + 1, |most| usize::try_from(most).unwrap_or(0));
    let (list, firsts, lasts) = (lua.create_table()?, lua.create_table()?, lua.create_table()?);
    if whole.as_bytes() != text.as_bytes() {
        // The positions refer to this text.
        list.raw_set("text", text.as_str())?;
    }
    // The search starts there, but `^` and `\b` see the text before it.
    let (mut at, mut end) = (from, None);
    while list.raw_len() < wanted {
        if list.raw_len() == MAX_MATCHES {
            return Err(mlua::Error::runtime(format!(
                "more than {MAX_MATCHES} matches: shorten the text, or say how many"
            )));
        }
        sandbox::look_at_the_clock(lua)?;
        let Some(found) = (at <= text.len()).then(|| regex.captures_at(&text, at)).flatten() else { break };
        let Some(group) = found.get(0) else { break };
        // After an empty match, the next character is skipped, or the same match would be found again. There is no
        // empty match directly after another match.
        at = match group.is_empty() {
            true => group.end() + text[group.end()..].chars().next().map_or(1, char::len_utf8),
            false => group.end(),
        };
        if group.is_empty() && end == Some(group.end()) {
            continue;
        }
        end = Some(group.end());
        list.raw_push(table(lua, &regex, &found)?)?;
        firsts.raw_push(group.start() + 1)?;
        lasts.raw_push(group.end())?;
    }
    list.raw_set("first", firsts)?;
    list.raw_set("last", lasts)?;
    Ok(list)
}

fn table(lua: &Lua, regex: &Regex, found: &Captures<'_>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (number, name) in regex.capture_names().enumerate() {
        let value = found.get(number).map(|group| group.as_str());
        table.raw_set(number, value)?;
        if let Some(name) = name {
            table.raw_set(name, value)?;
        }
    }
    Ok(table)
}

/// Replaces `${1}` and `${name}` in a text by the groups of a match.
pub(super) fn expand(lua: &Lua, (text, found): (String, Table)) -> mlua::Result<mlua::LuaString> {
    let text = crate::config::text::Text::parse(&text).map_err(|e| mlua::Error::runtime(e.message))?;
    let group = |name: &str| {
        let value = match name.parse::<i64>() {
            Ok(number) => found.raw_get::<LuaValue>(number),
            Err(_) => found.raw_get::<LuaValue>(name),
        };
        value.ok()?.as_string().map(|text| text.to_string_lossy().into())
    };
    lua.create_string(text.expand(&group))
}
