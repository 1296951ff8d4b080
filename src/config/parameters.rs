//! What a filter says of itself: a line about it, and parameters that whoever includes it may set.

use super::problem::Problems;
use super::reader::{self, MapReader, Shape, Takes};
use super::yaml::{Node, Value};
use crate::clean;

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
pub struct Head {
    /// What it does, in one line; empty when it does not say.
    pub about: String,
    /// Its parameters, in the order it names them.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a filter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name: `${name}` in the filter stands for its value.
    pub name: String,
    /// One line about it; may be empty.
    pub about: String,
    /// Its value when nothing is said; without it, it must be set.
    pub default: Option<Node>,
}

/// The values of parameters, by name.
pub(super) type Values = Vec<(String, Node)>;

impl Head {
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
    pub(super) fn lacks_values(&self, values: &Values) -> bool {
        let is_missing = |name: &str| values.iter().any(|(n, node)| n == name && matches!(node.value, Value::Null));
        self.parameters.iter().any(|parameter| parameter.default.is_none() && is_missing(&parameter.name))
    }

    /// The values for one inclusion: from `with`, else the defaults. Reports what is unknown or missing.
    pub(super) fn bind(&self, with: Option<&Node>, place: &Node, problems: &mut Problems) -> Values {
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
        let mut values = Values::new();
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

fn parameter(name: &str, node: &Node, problems: &mut Problems) -> Parameter {
    if !matches!(node.value, Value::Map(_)) {
        let default = (!matches!(node.value, Value::Null)).then(|| node.clone());
        return Parameter { name: name.to_owned(), about: String::new(), default };
    }
    let mut map = MapReader::new(node, &SHAPE, problems);
    let about = map.read("about", |n, p| reader::text(n, "a line about it", p)).unwrap_or_default().to_owned();
    Parameter { name: name.to_owned(), about, default: map.take("default").cloned() }
}

/// Puts the values in the place of `${name}` below a node: a text that is nothing but `${name}` becomes the value,
/// whatever it is; inside a longer text only a text can stand. The value keeps the place where it is put, so that a
/// mistake is shown in the filter that used it.
pub(super) fn substitute(node: &mut Node, values: &Values, problems: &mut Problems) {
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
                node.value = value.value.clone();
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
