//! `folder_exists` and `folder_size`: whether a local folder exists, and how much it contains.

use super::super::asking::{Asking, Break};
use super::super::comparator::Range;
use super::super::comparison::{self, NUMBER};
use super::super::compile::Compiler;
use super::{BoxedCondition, Condition, ConditionWord, size};
use crate::config::reader::{MapReader, Shape, TEXTS, Takes};
use crate::config::template::Template;
use crate::config::yaml::{Node, Value, YamlKey};

pub(super) static KEYS: Shape = Shape {
    what: "a condition on the size of a folder",
    keys: &[
        ("folder", "The local folder, like `Junk` or `\\Junk`; `${name}` puts in a value.", Takes::Text),
        ("over", "Its messages have together more than this.", Takes::Size),
        ("under", "Less than this.", Takes::Size),
        ("messages", "How many they are: a number or its bounds.", NUMBER),
    ],
};

pub(super) const FOLDER_EXISTS: ConditionWord = ConditionWord::new(
    ("folder_exists", "There is a local folder of that name; of a list, every one of them.", TEXTS),
    read_exists,
);

pub(super) const FOLDER_SIZE: ConditionWord = ConditionWord::new(
    (
        "folder_size",
        "What is in a local folder: {folder: lists/rust, messages: {over: 1000}} or {folder: Junk, over: 1G}. One that is not there is empty.",
        Takes::Section(&KEYS),
    ),
    read_size,
);

fn read_exists(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let nodes = match &node.value {
        Value::Seq(items) if !items.is_empty() => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let folders: Option<Vec<Template>> = nodes.iter().map(|node| compiler.folder(node)).collect();
    Some(Box::new(FolderExistsCondition { folders: folders? }))
}

#[derive(Debug)]
struct FolderExistsCondition {
    folders: Vec<Template>,
}

impl Condition for FolderExistsCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        for template in &self.folders {
            let (folder, held) = asking.folder_of(template)?;
            if held.is_none() {
                asking.saw(false, || format!("there is no folder {folder}"));
                return Ok(false);
            }
            asking.saw(true, || format!("there is a folder {folder}"));
        }
        Ok(true)
    }
}

#[derive(Debug)]
struct FolderSizeCondition {
    folder: Template,
    bytes: Option<size::Bounds>,
    messages: Option<Range>,
}

fn read_size(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedCondition> {
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let (folder, messages) = (map.require("folder"), map.take("messages"));
    let bounds: Vec<(YamlKey, Node)> = ["over", "under"]
        .into_iter()
        .filter_map(|key| Some((YamlKey { text: key.to_owned(), span: map.key_span(key)? }, map.take(key)?.clone())))
        .collect();
    let (is_known, at) = (map.is_known(), map.place());
    let folder = compiler.folder(folder?)?;
    let messages = match messages {
        Some(node) => Some(comparison::range(node, &mut compiler.problems)?),
        None => None,
    };
    let bytes = match bounds.is_empty() {
        true => None,
        false => Some(size::bounds(&Node { value: Value::Map(bounds), span: node.span }, &mut compiler.problems)?),
    };
    if bytes.is_none() && messages.is_none() {
        if is_known {
            compiler.problems.error(at, "the size of a folder needs `over`, `under` or `messages`");
        }
        return None;
    }
    Some(Box::new(FolderSizeCondition { folder, bytes, messages }))
}

impl Condition for FolderSizeCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let (folder, held) = asking.folder_of(&self.folder)?;
        let held = held.unwrap_or_default();
        let holds = self.bytes.is_none_or(|bounds| bounds.hold(held.bytes))
            && self.messages.as_ref().is_none_or(|range| range.holds(held.messages as f64));
        asking.saw(holds, || format!("{folder} has {} messages, {} bytes", held.messages, held.bytes));
        Ok(holds)
    }
}
