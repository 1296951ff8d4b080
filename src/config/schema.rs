//! JSON Schema out of the key tables, for editors that complete and check YAML.

use serde_json::{Map, Value, json};

use super::shape::{Shape, Takes};

/// A schema whose root is `root`; `others` are the sections that may be referred to by name.
pub fn of(root: &'static Shape, others: &[&'static Shape]) -> Value {
    let mut definitions = Definitions { done: Map::new(), others };
    let reference = definitions.section(root);
    let mut schema = json!({"$schema": "http://json-schema.org/draft-07/schema#", "title": root.what});
    if let Some(object) = schema.as_object_mut() {
        object.insert("allOf".into(), json!([reference]));
        object.insert("definitions".into(), Value::Object(definitions.done));
    }
    schema
}

struct Definitions<'o> {
    done: Map<String, Value>,
    others: &'o [&'static Shape],
}

impl Definitions<'_> {
    /// A reference to the section, which is defined once.
    fn section(&mut self, shape: &'static Shape) -> Value {
        let name = shape.what.replace(' ', "_");
        if !self.done.contains_key(&name) {
            // In its place before its keys are: sections refer to themselves.
            self.done.insert(name.clone(), Value::Null);
            let mut properties = Map::new();
            for (key, what, takes) in shape.keys {
                let mut value = self.value(*takes);
                // A description beside a `$ref` would be ignored.
                if value.get("$ref").is_some() {
                    value = json!({"allOf": [value]});
                }
                if let Some(object) = value.as_object_mut() {
                    object.insert("description".into(), json!(what));
                }
                properties.insert((*key).to_owned(), value);
            }
            let object = json!({"type": "object", "additionalProperties": false, "properties": properties});
            self.done.insert(name.clone(), object);
        }
        json!({"$ref": format!("#/definitions/{name}")})
    }

    fn value(&mut self, takes: Takes) -> Value {
        let text = json!({"type": ["string", "number", "boolean"]});
        match takes {
            Takes::Anything => json!({}),
            Takes::Text => text,
            Takes::Number => json!({"type": ["number", "string"]}),
            Takes::Flag => json!({"type": "boolean"}),
            Takes::Duration => json!({"type": "string", "pattern": "^[0-9]+[smhdw]$"}),
            Takes::Size => json!({"type": ["string", "number"], "pattern": "^[0-9]+[KMG]?$"}),
            Takes::Nothing => json!({"type": "null"}),
            Takes::Word(words) => json!({"enum": words}),
            Takes::Section(shape) => self.section(shape),
            Takes::Rules(what) => match self.others.iter().find(|shape| shape.what == what) {
                Some(shape) => self.section(shape),
                None => json!({}),
            },
            Takes::Named(value) => json!({"type": "object", "additionalProperties": self.value(*value)}),
            Takes::List(item) => json!({"type": "array", "items": self.value(*item)}),
            Takes::Some(item) => {
                let item = self.value(*item);
                json!({"anyOf": [item, {"type": "array", "items": item}]})
            }
            Takes::Either(kinds) => {
                let kinds: Vec<Value> = kinds.iter().map(|kind| self.value(*kind)).collect();
                json!({"anyOf": kinds})
            }
        }
    }
}
