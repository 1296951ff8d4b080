//! Reads the rule files that a config names. Their rules are compiled by `filter`; here they become trees.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::slice;

use super::FilterSource;
use super::load;
use super::problem::Problems;
use super::reader::{self, Base};
use super::yaml::{Document, Node, Value};
use crate::clean;

/// Reads each rule file once, however many accounts name it.
pub(super) struct FilterFiles<'b> {
    base: &'b Base,
    /// The folder of the config as the user wrote it: what names of rule files begin with in messages.
    shown: PathBuf,
    known: HashMap<PathBuf, Option<Document>>,
}

impl<'b> FilterFiles<'b> {
    pub(super) fn new(config: &Path, base: &'b Base) -> Self {
        let shown = config.parent().unwrap_or(Path::new("")).to_path_buf();
        Self { base, shown, known: HashMap::new() }
    }

    /// The value of `filters`: a list of names, or one alone. An empty list means: no rules.
    pub(super) fn read(&mut self, node: &Node, problems: &mut Problems) -> Option<Vec<FilterSource>> {
        let items = match &node.value {
            Value::Seq(items) => items,
            Value::Scalar { .. } => slice::from_ref(node),
            Value::Null | Value::Map(_) => {
                reader::mismatch(node, "a list of rule files", problems);
                return None;
            }
        };
        let read: Vec<_> = items.iter().map(|item| self.one(item, problems)).collect();
        read.into_iter().collect()
    }

    /// Every file that could be read, in the order of their names.
    pub(super) fn readable(&self) -> impl Iterator<Item = FilterSource> {
        let mut known: Vec<_> = self.known.iter().filter_map(|(path, file)| Some((path, file.as_ref()?))).collect();
        known.sort_by_key(|(path, _)| *path);
        known.into_iter().map(|(_, document)| FilterSource::Yaml(document.clone()))
    }

    fn one(&mut self, node: &Node, problems: &mut Problems) -> Option<FilterSource> {
        let name = reader::text(node, "the name of a rule file", problems)?;
        match Path::new(name).extension().and_then(|suffix| suffix.to_str()) {
            Some("yaml" | "yml") => self.file(node, name, problems).map(FilterSource::Yaml),
            Some("lua") => {
                problems.error(node.span, "Lua filters come with a later version").hint("write the rules in YAML");
                None
            }
            Some(_) => {
                reader::mismatch(node, "a rule file that ends in `.yaml`", problems);
                None
            }
            None => {
                let message = format!("there is no shipped filter `{}`: this version has none", clean::short(name, 80));
                problems.error(node.span, message).hint("the name of a rule file of your own ends in `.yaml`");
                None
            }
        }
    }

    fn file(&mut self, node: &Node, name: &str, problems: &mut Problems) -> Option<Document> {
        let path = reader::path(node, self.base, problems)?;
        if let Some(known) = self.known.get(&path) {
            return known.clone();
        }
        let shown = if name.starts_with('~') { path.clone() } else { self.shown.join(name) };
        let document = read_file(node, &path, shown, problems);
        self.known.insert(path, document.clone());
        document
    }
}

fn read_file(node: &Node, path: &Path, shown: PathBuf, problems: &mut Problems) -> Option<Document> {
    let name = clean::line(shown.as_os_str().as_encoded_bytes());
    match load::read_source(path, shown) {
        Ok((source, _)) => {
            let mut own = Problems::new(&source);
            let document = Document::parse(&source, &mut own);
            problems.merge(own);
            document
        }
        Err(error) => {
            let problem = problems.error(node.span, format!("cannot read the rule file {name}: {error}"));
            if error.is_missing() {
                problem.hint("relative names begin at the folder of the config file");
            }
            None
        }
    }
}
