//! `attachment` and `part`: the MIME parts of a message.

use super::super::asking::{Asking, Break};
use super::super::comparator::Range;
use super::super::comparison::{self, Allowed, COMPARED, Comparison, NUMBER};
use super::super::compile::Compiler;
use super::super::short::ComparedKind;
use super::{BoxedCondition, Condition, ConditionWord, quoted, size};
use crate::config::reader::{self, MapReader, Shape, Takes};
use crate::config::yaml::{Node, Value};
use crate::message::{Message, Part, PartTexts};

pub(super) static KEYS: Shape = Shape {
    what: "a part condition",
    keys: &[
        (
            "name",
            "The file name, decoded, with a comparison: {matches: \"*.pdf\"}; where readers may show others, any of them.",
            COMPARED,
        ),
        ("type", "The type, like `application/pdf`, with a comparison: {matches: \"image/*\"}.", COMPARED),
        ("size", "The decoded size of the part: {over: 1M}.", Takes::Section(&size::KEYS)),
        ("text", "Of a text part: its decoded text, with a comparison.", COMPARED),
        ("parameter", "Parameters of its type, each with a comparison: {method: REQUEST}.", Takes::Named(&COMPARED)),
        ("total", "How large those that pass are together: {over: 10M}.", Takes::Section(&size::KEYS)),
        ("count", "How many parts pass: a number or its bounds. Default: at least one.", NUMBER),
    ],
};

const PART_TAKES: Takes = Takes::Either(&[Takes::Flag, Takes::Section(&KEYS)]);

pub(super) const ATTACHMENT: ConditionWord = ConditionWord::new(
    (
        "attachment",
        "A part that is an attachment or has a file name: {name: {matches: \"*.pdf\"}}, {count: {over: 2}}, or just `true`.",
        PART_TAKES,
    ),
    |node, compiler| read(node, compiler, true),
);

pub(super) const PART: ConditionWord = ConditionWord::new(
    ("part", "Any MIME part, the message itself included: {type: text/calendar}.", PART_TAKES),
    |node, compiler| read(node, compiler, false),
);

/// At most this many bytes of the text of a part are searched. There is also a limit for all parts together.
const MAX_PART_TEXT: usize = 1024 * 1024;

/// How many names of a part are shown.
const MAX_NAMES_SEEN: usize = 4;

#[derive(Debug)]
struct PartsCondition {
    attachments_only: bool,
    /// The negated form, `attachment: false`.
    none: bool,
    name: Option<Comparison>,
    kind: Option<Comparison>,
    size: Option<size::Bounds>,
    text: Option<Comparison>,
    parameters: Vec<(String, Comparison)>,
    total: Option<size::Bounds>,
    count: Option<Range>,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>, attachments_only: bool) -> Option<BoxedCondition> {
    let mut parts = PartsCondition {
        attachments_only,
        none: false,
        name: None,
        kind: None,
        size: None,
        text: None,
        parameters: Vec::new(),
        total: None,
        count: None,
    };
    if let Value::Scalar { .. } = &node.value {
        let text = node.as_text().unwrap_or_default();
        if !matches!(text, "true" | "false") {
            let expected = format!("`true`, `false` or {} (a mapping)", KEYS.what);
            let problem = reader::mismatch(node, &expected, &mut compiler.problems);
            let shown = crate::clean::short(text, 40);
            problem.hint(match text.contains('*') {
                true => format!("write {{name: {{matches: \"{shown}\"}}}}"),
                false => format!("write {{name: \"{shown}\"}}"),
            });
            return None;
        }
        parts.none = !reader::flag(node, &mut compiler.problems)?;
        return Some(Box::new(parts));
    }
    let map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let keys: Vec<(&str, &Node)> = KEYS.names().filter_map(|key| Some((key, map.take(key)?))).collect();
    if !map.is_map() {
        return None;
    }
    let outer = compiler.scope.len();
    for (key, node) in keys {
        match key {
            "name" => {
                parts.name = Some(compiler.comparison(node, Allowed::only(ComparedKind::FileName))?.of_text(true))
            }
            "type" => parts.kind = Some(compiler.comparison(node, Allowed::only(ComparedKind::MediaType))?),
            "text" => parts.text = Some(compiler.comparison(node, Allowed::only(ComparedKind::Text))?.of_text(true)),
            "size" => parts.size = Some(size::bounds(node, &mut compiler.problems)?),
            "total" => parts.total = Some(size::bounds(node, &mut compiler.problems)?),
            "count" => parts.count = Some(comparison::range(node, &mut compiler.problems)?),
            _ => parts.parameters = parameters(node, compiler)?,
        }
    }
    if parts.count.is_some() || parts.total.is_some() {
        // The condition can hold although no part passes.
        compiler.may_lack(outer);
    }
    Some(Box::new(parts))
}

fn parameters(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Vec<(String, Comparison)>> {
    let Value::Map(entries) = &node.value else {
        reader::mismatch(node, "parameters with comparisons (a mapping)", &mut compiler.problems);
        return None;
    };
    let read: Vec<_> = entries
        .iter()
        .map(|(key, node)| Some((key.text.clone(), compiler.comparison(node, Allowed::default())?)))
        .collect();
    read.into_iter().collect()
}

impl Condition for PartsCondition {
    fn holds(&self, asking: &mut Asking<'_>) -> Result<bool, Break> {
        let message = std::sync::Arc::clone(asking.message());
        let mut passed: Vec<usize> = Vec::new();
        let mut texts = None;
        for (index, part) in message.parts().iter().enumerate() {
            if (!self.attachments_only || part.is_attachment())
                && self.accepts(&message, index, part, &mut texts, asking)?
            {
                passed.push(index);
                if self.count.is_none() && self.total.is_none() {
                    break;
                }
            }
        }
        let total = || passed.iter().map(|index| message.parts()[*index].size()).sum();
        let holds = match &self.count {
            Some(count) => count.holds(passed.len() as f64),
            None => self.total.is_some() || passed.is_empty() == self.none,
        } && self.total.is_none_or(|bounds| bounds.hold(total()));
        asking.saw(holds, || self.seen(&message, &passed));
        Ok(holds)
    }
}

impl PartsCondition {
    fn accepts<'m>(
        &self,
        message: &'m Message,
        index: usize,
        part: &Part,
        texts: &mut Option<PartTexts<'m>>,
        asking: &mut Asking<'_>,
    ) -> Result<bool, Break> {
        if let Some(name) = &self.name {
            let mut is_accepted = false;
            for value in part.file_names() {
                is_accepted = is_accepted || name.comparator.accepts(value, asking)?;
            }
            if !is_accepted {
                return Ok(false);
            }
        }
        if let Some(kind) = &self.kind
            && !kind.comparator.accepts(part.content_type(), asking)?
        {
            return Ok(false);
        }
        if !self.size.is_none_or(|size| size.hold(part.size())) {
            return Ok(false);
        }
        for (name, comparison) in &self.parameters {
            let Some(value) = part.parameter(name) else { return Ok(false) };
            if !comparison.comparator.accepts(value, asking)? {
                return Ok(false);
            }
        }
        match &self.text {
            Some(text) => {
                if !part.content_type().starts_with("text/") {
                    return Ok(false);
                }
                let texts = texts.get_or_insert_with(|| message.part_texts());
                text.comparator.accepts(&texts.text(index, MAX_PART_TEXT), asking)
            }
            None => Ok(true),
        }
    }

    fn seen(&self, message: &Message, passed: &[usize]) -> String {
        let label = |part: &Part| {
            let doubt = if part.is_doubtful() { ", only to some readers" } else { "" };
            let names: Vec<&str> = part.file_names().take(MAX_NAMES_SEEN).collect();
            match names.is_empty() {
                true => format!("{}{doubt}", part.content_type()),
                false => format!("{} ({}{doubt})", names.join(" or "), part.content_type()),
            }
        };
        let of = |wanted: &dyn Fn(usize, &Part) -> bool| {
            let parts = message.parts().iter().enumerate();
            let labels: Vec<String> = parts.filter(|(i, part)| wanted(*i, part)).map(|(_, part)| label(part)).collect();
            quoted(labels.iter().map(String::as_str))
        };
        let what = if self.attachments_only { "attachment" } else { "part" };
        if !passed.is_empty() {
            return format!("{what} {}", of(&|i, _| passed.contains(&i)));
        }
        let all = of(&|_, part| !self.attachments_only || part.is_attachment());
        if all.is_empty() { format!("there is no {what}") } else { format!("{what}s: {all}") }
    }
}
