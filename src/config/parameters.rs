//! What a filter says of itself: a line about it, and parameters that whoever includes it may set.

use super::RuleFile;
use super::problem::{GivenParameter, Problems, SourceFile};
use super::reader::{self, MapReader, Shape, Takes};
use super::yaml::{Node, Span, Value};
use crate::clean;
use std::sync::Arc;

/// The long form of a parameter.
pub static SHAPE: Shape = Shape {
    what: "a parameter",
    keys: &[
        ("about", "One line about it.", Takes::Text),
        (
            "default",
            "Its value when `with` does not set it; `${name}` in it is a parameter above. Without a default it must be set.",
            Takes::Anything,
        ),
    ],
};

/// The head of a filter.
#[derive(Clone, Debug, Default)]
pub struct FilterHead {
    /// What it does, in one line; empty when it does not say.
    pub about: String,
    /// Its parameters, in the order it names them.
    pub parameters: Vec<FilterParameter>,
}

/// A parameter of a filter.
#[derive(Clone, Debug)]
pub struct FilterParameter {
    /// Its name: `${name}` in the filter stands for its value.
    pub name: String,
    /// One line about it; may be empty.
    pub about: String,
    /// Its value when nothing is said; without it, it must be set.
    pub default: Option<Node>,
}

/// The values of parameters, by name.
pub(super) type ParameterValues = Vec<(String, Node)>;

impl FilterHead {
    /// Reads `about` and `parameters`.
    pub(super) fn read(root: &Node, problems: &mut Problems) -> Self {
        let about = root.get("about").and_then(Node::as_text).unwrap_or_default().to_owned();
        let mut parameters = Vec::new();
        match root.get("parameters").map(|node| (node, &node.value)) {
            Some((_, Value::Map(entries))) => {
                parameters.extend(entries.iter().map(|(key, node)| parameter(&key.text, node, problems)));
            }
            Some((node, _)) => drop(reader::mismatch(node, "a mapping of parameters", problems)),
            None => {}
        }
        Self { about, parameters }
    }

    /// Whether there is a parameter that must be set.
    pub(super) fn needs_values(&self) -> bool {
        self.parameters.iter().any(|parameter| parameter.default.is_none())
    }

    /// Whether one that must be set was not.
    pub(super) fn lacks_values(&self, values: &ParameterValues) -> bool {
        let is_missing = |name: &str| values.iter().any(|(n, node)| n == name && matches!(node.value, Value::Null));
        self.parameters.iter().any(|parameter| parameter.default.is_none() && is_missing(&parameter.name))
    }

    /// The values for one inclusion: from `with`, else the defaults. Reports what is unknown or missing.
    pub(super) fn bind(&self, with: Option<&Node>, place: &Node, problems: &mut Problems) -> ParameterValues {
        let given = match with.map(|with| (with, &with.value)) {
            Some((_, Value::Map(entries))) => entries.as_slice(),
            Some((node, _)) => {
                reader::mismatch(node, "a mapping from parameters to values", problems);
                &[]
            }
            None => &[],
        };
        for (key, _) in given.iter().filter(|(key, _)| !self.parameters.iter().any(|p| p.name == key.text)) {
            let names = self.parameters.iter().map(|p| p.name.as_str());
            let problem =
                problems.error(key.span, format!("this filter has no parameter `{}`", clean::short(&key.text, 60)));
            match reader::suggest(&key.text, names.clone()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint(format!("it has: {}", names.collect::<Vec<_>>().join(", "))),
            };
        }
        let mut values = ParameterValues::new();
        for parameter in &self.parameters {
            let value = given.iter().find(|(key, _)| key.text == parameter.name).map(|(_, node)| node);
            // A default may use the parameters above it.
            let default = parameter.default.clone().filter(|_| value.is_none()).map(|mut default| {
                substitute(&mut default, &values, problems);
                default
            });
            match value.cloned().or(default) {
                Some(value) => values.push((parameter.name.clone(), value)),
                None => {
                    let problem =
                        problems.error(place.span, format!("this filter needs the parameter `{}`", parameter.name));
                    problem.hint(format!("add `with: {{{}: …}}`: {}", parameter.name, parameter.about));
                    values.push((parameter.name.clone(), Node { value: Value::Null, span: place.span }));
                }
            }
        }
        values
    }
}

fn parameter(name: &str, node: &Node, problems: &mut Problems) -> FilterParameter {
    if !matches!(node.value, Value::Map(_)) {
        let default = (!matches!(node.value, Value::Null)).then(|| node.clone());
        return FilterParameter { name: name.to_owned(), about: String::new(), default };
    }
    let mut map = MapReader::new(node, &SHAPE, problems);
    let about = map.read("about", |n, p| reader::text(n, "a line about it", p)).unwrap_or_default().to_owned();
    FilterParameter { name: name.to_owned(), about, default: map.take("default").cloned() }
}

/// Where the values of parameters stand that a file with this text sets.
pub(super) fn given(with: Option<&Node>, source: &Arc<SourceFile>) -> Vec<GivenParameter> {
    let Some(Value::Map(entries)) = with.map(|with| &with.value) else { return Vec::new() };
    let given = |name: &str, span| GivenParameter { name: name.to_owned(), source: Arc::clone(source), span };
    entries.iter().map(|(key, node)| given(&key.text, node.span)).collect()
}

/// Tells of each problem that stands where a parameter's value was put in where that value was written. A value that was
/// handed on is followed to whoever wrote it.
pub fn name_origins(file: &RuleFile, problems: &mut Problems) {
    let (source, root) = (&file.document.source, &file.written.root);
    for problem in problems.iter_mut().filter(|_| !file.given.is_empty()) {
        let (found_in, span) = match &problem.given {
            Some(given) => (&given.source, Some(given.span)),
            None => (&problem.source, problem.span),
        };
        let Some(span) = span.filter(|_| found_in.name == source.name) else { continue };
        if let Some(given) = file.given.iter().find(|given| stands_at(root, span, &format!("${{{}}}", given.name))) {
            problem.given = Some(given.clone());
        }
    }
}

/// Whether a text with this mark in it stands at a place.
fn stands_at(node: &Node, at: Span, mark: &str) -> bool {
    let covers = |span: Span| {
        span.line == at.line && (span.column..span.column.saturating_add(span.length)).contains(&at.column)
    };
    match &node.value {
        Value::Scalar { text, .. } => covers(node.span) && text.contains(mark),
        Value::Seq(items) => items.iter().any(|item| stands_at(item, at, mark)),
        Value::Map(entries) => {
            entries.iter().any(|(key, node)| (covers(key.span) && key.text.contains(mark)) || stands_at(node, at, mark))
        }
        Value::Null | Value::File(_) => false,
    }
}

/// A value with all its parts at one place.
fn placed(value: &Node, span: Span) -> Node {
    let mut node = Node { value: value.value.clone(), span };
    match &mut node.value {
        Value::Seq(items) => items.iter_mut().for_each(|item| *item = placed(item, span)),
        Value::Map(entries) => entries.iter_mut().for_each(|(key, child)| {
            key.span = span;
            *child = placed(child, span);
        }),
        Value::Null | Value::Scalar { .. } | Value::File(_) => {}
    }
    node
}

/// Puts the values in the place of `${name}` below a node: a text that is nothing but `${name}` becomes the value,
/// whatever it is; inside a longer text only a text can stand. The value keeps the place where it is put, so that a
/// mistake is shown in the filter that used it.
pub(super) fn substitute(node: &mut Node, values: &ParameterValues, problems: &mut Problems) {
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().for_each(|(key, child)| {
            if key.text.contains("${") {
                for (name, value) in values {
                    key.text = key.text.replace(&format!("${{{name}}}"), value.as_text().unwrap_or_default());
                }
            }
            substitute(child, values, problems);
        }),
        Value::Seq(items) => items.iter_mut().for_each(|child| substitute(child, values, problems)),
        Value::Scalar { text, .. } if text.contains("${") => {
            if let Some((_, value)) = values.iter().find(|(name, _)| *text == format!("${{{name}}}")) {
                *node = placed(value, node.span);
                return;
            }
            for (name, value) in values {
                let mark = format!("${{{name}}}");
                if !text.contains(&mark) {
                    continue;
                }
                match value.as_text() {
                    Some(value) => *text = text.replace(&mark, value),
                    None => {
                        let message =
                            format!("the parameter `{name}` is {} and cannot stand inside a text", value.found());
                        problems.error(node.span, message);
                    }
                }
            }
        }
        _ => {}
    }
}
