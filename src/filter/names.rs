//! The names that templates may use: captures of the conditions above, and what is known of every message.

use std::borrow::Cow;
use std::collections::HashMap;

use super::engine::Subject;

/// Names that every template may use.
pub(super) const ALWAYS: [&str; 3] = ["account", "folder", "list_id"];

/// What the conditions of the current rule captured.
#[derive(Debug, Default)]
pub(super) struct Captures(HashMap<String, String>);

impl Captures {
    pub(super) fn set(&mut self, name: String, value: String) {
        self.0.insert(name, value);
    }

    #[cfg(test)]
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The value of a name. One that was not captured this time (it stands in another branch of `any`) is empty.
    pub(super) fn look_up<'a>(&'a self, name: &str, subject: &'a Subject<'_>) -> Option<Cow<'a, str>> {
        if let Some(value) = self.0.get(name) {
            return Some(value.as_str().into());
        }
        match name {
            "account" => Some(subject.account().into()),
            "folder" => Some(subject.folder().into()),
            "list_id" => Some(subject.message.list_id().unwrap_or_default().into()),
            _ => None,
        }
    }
}
