//! `json.decode` and `json.encode` with limits: the results count as memory of the script, and the depth and the time
//! are limited for any input.

use std::fmt;

use mlua::{Lua, Table, Value as LuaValue};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The longest text that is read or written, in bytes.
const MAX_TEXT_BYTES: usize = 1024 * 1024;
/// The maximum nesting depth of lists and objects.
const MAX_DEPTH: usize = 32;
/// The maximum number of values in a text.
const MAX_VALUES: usize = 100_000;

/// Decodes a text: objects and lists become tables, `null` becomes nil, or `json.null` in a list.
pub(super) fn decode(lua: &Lua, text: mlua::LuaString) -> mlua::Result<LuaValue> {
    let bytes = text.as_bytes();
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(mlua::Error::runtime("json.decode reads at most 1 MB of text"));
    }
    let left = std::cell::Cell::new(MAX_VALUES);
    let seed = Seed { lua, depth: MAX_DEPTH, left: &left, in_list: false };
    let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
    let value = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|e| mlua::Error::runtime(format!("this is no JSON that can be read: {e}")))
}

#[derive(Clone, Copy)]
struct Seed<'l> {
    lua: &'l Lua,
    depth: usize,
    left: &'l std::cell::Cell<usize>,
    in_list: bool,
}

impl<'l> Seed<'l> {
    fn below<E: serde::de::Error>(self, in_list: bool) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("it is nested too deep"))?;
        Ok(Self { depth, in_list, ..self })
    }

    fn take<E: serde::de::Error>(self) -> Result<(), E> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| E::custom("it holds too many values"))?;
        self.left.set(left);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = LuaValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<LuaValue, D::Error> {
        self.take()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = LuaValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<LuaValue, E> {
        if self.in_list { self.lua.named_registry_value("json.null").map_err(E::custom) } else { Ok(LuaValue::Nil) }
    }

    fn visit_bool<E>(self, value: bool) -> Result<LuaValue, E> {
        Ok(LuaValue::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<LuaValue, E> {
        Ok(LuaValue::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<LuaValue, E> {
        Ok(LuaValue::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<LuaValue, E> {
        Ok(LuaValue::Number(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<LuaValue, E> {
        self.lua.create_string(value).map(LuaValue::String).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<LuaValue, A::Error> {
        let table = self.lua.create_table().map_err(A::Error::custom)?;
        let below = self.below(true)?;
        while let Some(item) = items.next_element_seed(below)? {
            table.raw_push(item).map_err(A::Error::custom)?;
        }
        Ok(LuaValue::Table(table))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<LuaValue, A::Error> {
        let table = self.lua.create_table().map_err(A::Error::custom)?;
        let below = self.below(false)?;
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(below)?;
            table.raw_set(key, value).map_err(A::Error::custom)?;
        }
        Ok(LuaValue::Table(table))
    }
}

/// Encodes a value. A table with a first item is a list, any other table is an object with sorted keys.
pub(super) fn encode(lua: &Lua, value: LuaValue) -> mlua::Result<mlua::LuaString> {
    let null = lua.named_registry_value::<LuaValue>("json.null")?;
    let mut left = JsonBudget { values: MAX_VALUES, bytes: MAX_TEXT_BYTES };
    let value = encoded(&value, &null, MAX_DEPTH, &mut left)?;
    lua.create_string(value.to_string())
}

struct JsonBudget {
    values: usize,
    bytes: usize,
}

impl JsonBudget {
    fn take(&mut self, bytes: usize) -> mlua::Result<()> {
        let too_much = || mlua::Error::runtime("json.encode writes at most 1 MB and 100,000 values");
        self.values = self.values.checked_sub(1).ok_or_else(too_much)?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(too_much)?;
        Ok(())
    }
}

fn encoded(value: &LuaValue, null: &LuaValue, depth: usize, left: &mut JsonBudget) -> mlua::Result<Value> {
    left.take(value.as_string().map_or(8, |text| written(&text.as_bytes())))?;
    Ok(match value {
        LuaValue::Nil => Value::Null,
        value if value == null => Value::Null,
        LuaValue::Boolean(is) => Value::Bool(*is),
        LuaValue::Integer(number) => Value::Number((*number).into()),
        LuaValue::Number(number) => Value::Number(number_of(*number)?),
        LuaValue::String(text) => Value::String(text.to_string_lossy()),
        LuaValue::Table(table) if depth > 0 => of_table(table, null, depth - 1, left)?,
        LuaValue::Table(_) => return Err(mlua::Error::runtime("this table is nested too deep for JSON")),
        other => return Err(mlua::Error::runtime(format!("a {} cannot stand in JSON", other.type_name()))),
    })
}

/// The length of a text in JSON, in bytes. A control character takes six.
fn written(text: &[u8]) -> usize {
    text.iter()
        .map(|byte| if byte.is_ascii_control() { 6 } else { 1 + usize::from(matches!(byte, b'"' | b'\\')) })
        .sum()
}

/// Converts a number. A whole number is written without a fraction.
fn number_of(number: f64) -> mlua::Result<Number> {
    let whole = number as i64;
    if whole as f64 == number && whole.unsigned_abs() < 1 << 53 {
        return Ok(whole.into());
    }
    Number::from_f64(number).ok_or_else(|| mlua::Error::runtime(format!("JSON has no number {number}")))
}

fn of_table(table: &Table, null: &LuaValue, depth: usize, left: &mut JsonBudget) -> mlua::Result<Value> {
    let length = table.raw_len();
    if length > 0 {
        let items = (1..=length).map(|i| encoded(&table.raw_get::<LuaValue>(i)?, null, depth, left));
        return Ok(Value::Array(items.collect::<mlua::Result<_>>()?));
    }
    let mut object = Map::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (key, value) = pair?;
        let LuaValue::String(key) = &key else {
            return Err(mlua::Error::runtime(format!("a {} cannot be a key in JSON", key.type_name())));
        };
        left.take(written(&key.as_bytes()))?;
        object.insert(key.to_string_lossy(), encoded(&value, null, depth, left)?);
    }
    Ok(Value::Object(object))
}
