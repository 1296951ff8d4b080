//! `duplicate`: whether the same message arrived before (RFC 7352).

use std::time::Duration;

use super::super::asking::{Asking, Break};
use super::super::compile::Compiler;
use super::{BoxedCondition, Condition, ConditionWord};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};
use crate::decision::{Fact, Write};

pub(super) static KEYS: Shape = Shape {
    what: "a duplicate condition",
    keys: &[
        ("key", "Two messages with the same key are duplicates. Default: `${message_id}`.", Takes::Text),
        ("handle", "Only keys under the same handle are compared. Default: the rule's place.", Takes::Text),
        ("keep_for", "How long a key is remembered. Default: 14d.", Takes::Duration),
        ("last", "`true`: `keep_for` begins again with each duplicate.", Takes::Flag),
    ],
};

const DUPLICATE_TAKES: Takes = Takes::Either(&[Takes::Flag, Takes::Section(&KEYS)]);
pub(super) const DUPLICATE: ConditionWord = ConditionWord::new(
    (
        "duplicate",
        "A message with the same key came before: `true`, or {key: \"${list_id} ${message_id}\", keep_for: 14d}. Without a key to compare, false: a key made of `${message_id}` is none where there is no Message-ID.",
        DUPLICATE_TAKES,
    ),
    read,
);

const KEEP_FOR: Duration = Duration::from_secs(14 * 86_400);
/// A longer key is compared by its hash.
const LONGEST_KEY: usize = 500;

#[derive(Debug)]
struct Duplicate {
    key: Text,
    handle: String,
    keep_for: Duration,
    last: bool,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let place = compiler.place(node.span);
    let default = Duplicate { key: Text::parse("${message_id}").ok()?, handle: place, keep_for: KEEP_FOR, last: false };
    if let Value::Scalar { .. } = &node.value {
        if !reader::flag(node, &mut compiler.problems)? {
            compiler.problems.error(node.span, "this is asked with `true`").hint("turn it around with `not`");
            return None;
        }
        // All rules without further keys share one history.
        return Some(Box::new(Duplicate { handle: "message_id".to_owned(), ..default }));
    }
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let handle = map.read("handle", |n, p| reader::text(n, "a name", p).map(str::to_owned));
    let keep_for = map.read("keep_for", reader::duration).unwrap_or(KEEP_FOR);
    let last = map.read("last", reader::flag).unwrap_or(false);
    let key = map.take("key");
    key.iter().for_each(|node| compiler.doubt_key(node));
    let key = key.map_or(Some(default.key), |node| compiler.text(node, "a key"))?;
    Some(Box::new(Duplicate { key, handle: handle.unwrap_or(default.handle), keep_for, last }))
}

/// The key, or its hash if it is long.
pub(in super::super) fn short(key: String) -> String {
    match key.len() {
        0..=LONGEST_KEY => key,
        _ => data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(&key)),
    }
}

fn is_id(name: &str) -> bool {
    name == "message_id" || name.eq_ignore_ascii_case("header.message-id")
}

impl Condition for Duplicate {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let mut key = asking.expand(&self.key).trim().to_owned();
        // Messages without a Message-ID are not duplicates of each other.
        let names_nothing = self.key.names().any(|name| is_id(name) && asking.message().message_id().is_none());
        if key.is_empty() || names_nothing {
            asking.saw(false, || "there is nothing to compare".to_owned());
            return Ok(false);
        }
        key = short(key);
        let holds = asking.holds(Fact::Seen { handle: self.handle.clone(), key: key.clone() })?;
        if !holds || self.last {
            let now = asking.now().timestamp();
            let until = now.checked_add(self.keep_for).unwrap_or(jiff::Timestamp::MAX);
            asking.write(Write::Seen { handle: self.handle.clone(), key: key.clone(), until })?;
        }
        asking.saw(holds, || match holds {
            true => format!("\"{key}\" was here before"),
            false => format!("\"{key}\" is new"),
        });
        Ok(holds)
    }
}
