//! Converts Lua values to nodes of a rule file, and back.

use mlua::{Lua, Table, Value as LuaValue};

use crate::config::yaml::{Node, Span, Value, YamlKey};

/// The maximum nesting depth of tables.
const MAX_TABLE_DEPTH: usize = 16;
/// The maximum number of values in one call.
const MAX_VALUES: usize = 10_000;
/// The maximum length of all text in one call, in bytes. Collected values do not count as memory of the script.
const MAX_TEXT_BYTES: usize = 256 * 1024;

/// What is left of the limits of a call.
struct CallBudget {
    values: usize,
    bytes: usize,
}

impl CallBudget {
    fn take(&mut self, bytes: usize) -> mlua::Result<()> {
        let too_much = || mlua::Error::runtime("this is too much for one call");
        self.values = self.values.checked_sub(1).ok_or_else(too_much)?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(too_much)?;
        Ok(())
    }
}

/// Converts a Lua value to a node.
pub(super) fn of_lua(value: &LuaValue) -> mlua::Result<Node> {
    convert(value, MAX_TABLE_DEPTH, &mut CallBudget { values: MAX_VALUES, bytes: MAX_TEXT_BYTES })
}

/// A text.
pub(super) fn text(text: &str) -> Node {
    Node { value: Value::Scalar { text: text.to_owned(), quoted: false }, span: Span::START }
}

/// A mapping.
pub(super) fn map(entries: Vec<(&str, Node)>) -> Node {
    let entries = entries.into_iter().map(|(key, node)| (key_of(key), node)).collect();
    Node { value: Value::Map(entries), span: Span::START }
}

fn key_of(text: &str) -> YamlKey {
    YamlKey { text: text.to_owned(), span: Span::START }
}

fn convert(value: &LuaValue, depth: usize, left: &mut CallBudget) -> mlua::Result<Node> {
    left.take(if let LuaValue::String(string) = value { string.as_bytes().len() } else { 0 })?;
    Ok(match value {
        LuaValue::Nil => Node { value: Value::Null, span: Span::START },
        LuaValue::Boolean(is) => text(if *is { "true" } else { "false" }),
        LuaValue::Integer(number) => text(&number.to_string()),
        LuaValue::Number(number) => text(&number.to_string()),
        LuaValue::String(string) => text(&string.to_string_lossy()),
        LuaValue::Table(table) if depth > 0 => of_table(table, depth - 1, left)?,
        LuaValue::Table(_) => return Err(mlua::Error::runtime("this table is nested too deep")),
        other => return Err(mlua::Error::runtime(format!("a {} cannot stand here", other.type_name()))),
    })
}

/// Converts a table. A table with a first item is a list, any other table is a mapping with sorted keys.
fn of_table(table: &Table, depth: usize, left: &mut CallBudget) -> mlua::Result<Node> {
    let length = table.raw_len();
    let value = if length > 0 {
        let items: mlua::Result<Vec<Node>> =
            (1..=length).map(|i| convert(&table.raw_get::<LuaValue>(i)?, depth, left)).collect();
        Value::Seq(items?)
    } else {
        let mut entries = Vec::new();
        for pair in table.pairs::<LuaValue, LuaValue>() {
            let (key, value) = pair?;
            let key = match &key {
                LuaValue::String(key) => {
                    left.take(key.as_bytes().len())?;
                    key.to_string_lossy()
                }
                other => return Err(mlua::Error::runtime(format!("a {} cannot be a key", other.type_name()))),
            };
            entries.push((key_of(&key), convert(&value, depth, left)?));
        }
        entries.sort_by(|(a, _), (b, _)| a.text.cmp(&b.text));
        Value::Map(entries)
    };
    Ok(Node { value, span: Span::START })
}

/// Converts a node to a Lua value. Numbers become numbers, and unquoted `true` and `false` become booleans.
pub(super) fn to_lua(lua: &Lua, node: &Node) -> mlua::Result<LuaValue> {
    Ok(match &node.value {
        Value::Null | Value::File(_) => LuaValue::Nil,
        Value::Scalar { text, quoted: false } if text == "true" || text == "false" => LuaValue::Boolean(text == "true"),
        Value::Scalar { text, quoted } => match text.parse::<f64>() {
            Ok(number) if !quoted && number.is_finite() => LuaValue::Number(number),
            _ => LuaValue::String(lua.create_string(text)?),
        },
        Value::Seq(items) => {
            let items: mlua::Result<Vec<LuaValue>> = items.iter().map(|item| to_lua(lua, item)).collect();
            LuaValue::Table(lua.create_sequence_from(items?)?)
        }
        Value::Map(entries) => {
            let table = lua.create_table()?;
            for (key, node) in entries {
                table.raw_set(key.text.as_str(), to_lua(lua, node)?)?;
            }
            LuaValue::Table(table)
        }
    })
}
