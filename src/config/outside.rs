//! What a config names that lies outside of it, and where: programs, and the mail root. Whether they are there is for others to
//! ask.

use std::sync::Arc;

use super::filters::FilterSource;
use super::problem::SourceFile;
use super::yaml::{Document, Node, Span, Value};

/// The keys whose value is a program with its arguments, or a section with such a key.
const PROGRAMS: [&str; 6] = ["command", "run", "pipe", "filter", "execute", "sendmail"];
/// The keys below which names are the user's own: tests with their mail, header fields.
const FREE: [&str; 5] = ["tests", "header", "addheader", "setheader", "address"];

/// Something that is named in a file.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The file.
    pub source: Arc<SourceFile>,
    /// The place.
    pub span: Span,
    /// The name: of a program, a path or a word that is looked up.
    pub name: String,
}

/// The programs that are named in a file and the rules that it includes. Names with variables are known to nobody yet.
pub fn programs(document: &Document) -> Vec<Reference> {
    let mut found = Vec::new();
    look(&document.root, &document.source, &mut found);
    found
}

/// Those of a rule file; a script names none that could be read.
pub fn programs_of(filter: &FilterSource) -> Vec<Reference> {
    match filter {
        FilterSource::Yaml(file) => programs(&file.document),
        FilterSource::Lua(_) => Vec::new(),
    }
}

/// Where the mail root is named.
pub fn maildir(document: &Document) -> Option<Reference> {
    let node = document.root.get("maildir")?;
    let node = node.get("path").unwrap_or(node);
    let name = node.as_text()?.to_owned();
    Some(Reference { source: Arc::clone(&document.source), span: node.span, name })
}

fn look(node: &Node, source: &Arc<SourceFile>, found: &mut Vec<Reference>) {
    match &node.value {
        Value::Map(entries) => {
            for (key, node) in entries.iter().filter(|(key, _)| !FREE.contains(&key.text.as_str())) {
                if PROGRAMS.contains(&key.text.as_str()) {
                    found.extend(program(node, key.text == "sendmail", source));
                }
                look(node, source, found);
            }
        }
        Value::Seq(items) => items.iter().for_each(|node| look(node, source, found)),
        Value::File(filter) => found.extend(programs_of(filter)),
        Value::Null | Value::Scalar { .. } => {}
    }
}

fn program(node: &Node, may_be_alone: bool, source: &Arc<SourceFile>) -> Option<Reference> {
    let node = match &node.value {
        Value::Seq(items) => items.first()?,
        _ if may_be_alone => node,
        _ => return None,
    };
    let name = node.as_text().filter(|name| !name.is_empty() && !name.contains('$'))?;
    Some(Reference { source: Arc::clone(source), span: node.span, name: name.to_owned() })
}
