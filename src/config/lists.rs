//! Lists that rules ask and add to: written in the file, in a file of their own, or in the state.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::{Problems, Source};
use super::reader::{self, Base, MapReader, Shape, TEXTS, Takes};
use super::yaml::{Node, Span, Value};
use crate::clean;

/// The long form of a list.
pub static SHAPE: Shape = Shape {
    what: "a list",
    keys: &[
        ("entries", "The entries: addresses, `@domain`, or other texts.", TEXTS),
        (
            "file",
            "A file with one entry a line: an address, `@domain`, `Name <address>`, an alias of mutt. `#` begins a comment.",
            Takes::Text,
        ),
        ("database", "`true`: the list is in the state; rules add to it with `add_to_list`.", Takes::Flag),
    ],
};

/// The largest file of a list, in bytes.
pub const MAX_FILE: u64 = 16 * 1024 * 1024;

/// A named list.
#[derive(Clone, Debug)]
pub struct List {
    /// Its name.
    pub name: String,
    /// The file in which it is defined.
    pub source: Arc<Source>,
    /// Where in it.
    pub at: Span,
    /// What is in it.
    pub kind: ListKind,
}

/// Where the entries of a list are.
#[derive(Clone, Debug)]
pub enum ListKind {
    /// In the rule file.
    Inline(Arc<HashSet<String>>),
    /// In a file, with what it held when the rules were read.
    File(PathBuf, Arc<HashSet<String>>),
    /// In the state.
    Database,
}

/// Reads the section `lists` of a config or rule file.
pub(super) fn read(node: &Node, source: &Arc<Source>, base: &Base, problems: &mut Problems) -> Vec<List> {
    let Value::Map(entries) = &node.value else {
        if !matches!(node.value, Value::Null) {
            reader::mismatch(node, "a mapping of lists", problems)
                .hint("write each list's name, a colon, and what is in it");
        }
        return Vec::new();
    };
    let read = entries.iter().filter_map(|(key, node)| {
        let kind = kind(node, base, problems)?;
        Some(List { name: key.text.clone(), source: Arc::clone(source), at: key.span, kind })
    });
    read.collect()
}

fn kind(node: &Node, base: &Base, problems: &mut Problems) -> Option<ListKind> {
    if !matches!(node.value, Value::Map(_)) {
        return texts(node, problems);
    }
    let mut map = MapReader::new(node, &SHAPE, problems);
    let (entries, file, database) = (map.take("entries"), map.take("file"), map.read("database", reader::flag));
    match (entries, file, database) {
        (Some(entries), None, None) => texts(entries, map.problems()),
        (None, Some(file), None) => from_file(file, base, map.problems()),
        (None, None, Some(true)) => Some(ListKind::Database),
        _ => {
            let problem = problems.error(node.span, "a list needs one of `entries`, `file` and `database: true`");
            problem.hint("for example {file: ~/.config/mailsluice/book.txt}");
            None
        }
    }
}

fn texts(node: &Node, problems: &mut Problems) -> Option<ListKind> {
    if matches!(&node.value, Value::Seq(items) if items.is_empty()) {
        return Some(ListKind::Inline(Arc::default()));
    }
    let entries = reader::texts(node, "a list of entries", problems)?;
    Some(ListKind::Inline(Arc::new(entries.iter().map(|entry| entry.trim().to_lowercase()).collect())))
}

fn from_file(node: &Node, base: &Base, problems: &mut Problems) -> Option<ListKind> {
    let path = reader::path(node, base, problems)?;
    match read_file(&path) {
        Ok(entries) => Some(ListKind::File(path, Arc::new(entries))),
        Err(error) => {
            let name = clean::line(path.as_os_str().as_encoded_bytes());
            problems
                .error(node.span, format!("cannot read the list {name}: {error}"))
                .hint("create the file, empty if nobody is in it yet");
            None
        }
    }
}

/// The entries of a list's file, lower-case.
pub fn read_file(path: &Path) -> io::Result<HashSet<String>> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    let read = io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE + 1), &mut text)?;
    if read as u64 > MAX_FILE {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    Ok(String::from_utf8_lossy(&text).lines().filter_map(entry).collect())
}

/// One line: an entry, perhaps with a comment behind it; an address in `<…>`; or an alias of mutt, `alias nick Name
/// <address>`, whose address may stand without brackets at the end.
fn entry(line: &str) -> Option<String> {
    let line = line.split(" #").next().unwrap_or_default().trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let bracketed = line.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(inside, _)| inside);
    let entry = match (bracketed, line.strip_prefix("alias ")) {
        (Some(inside), _) => inside,
        (None, Some(alias)) => alias.split_whitespace().last()?,
        (None, None) => line,
    };
    Some(entry.trim().to_lowercase()).filter(|entry| !entry.is_empty())
}

/// Whether an entry of the list is this value, or `@domain` its domain. `value` is lower-case.
pub fn holds(entries: &HashSet<String>, value: &str) -> bool {
    entries.contains(value) || value.rfind('@').is_some_and(|at| entries.contains(&value[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_books_of_many_kinds() {
        let lines = "# people\nAnn@Example.org\n@work.example  # all of them\n\nBob B. <bob@x.example>\nalias carl Carl <c@y.example>\nalias dora d@z.example\n";
        let mut entries: Vec<_> = lines.lines().filter_map(entry).collect();
        entries.sort();
        assert_eq!(entries, ["@work.example", "ann@example.org", "bob@x.example", "c@y.example", "d@z.example"]);
    }

    #[test]
    fn a_domain_stands_for_its_addresses_and_no_other() {
        let entries = HashSet::from(["@work.example".to_owned(), "a@b.example".to_owned()]);
        assert!(holds(&entries, "me@work.example") && holds(&entries, "a@b.example"));
        assert!(
            !holds(&entries, "me@notwork.example")
                && !holds(&entries, "me@work.example.evil")
                && !holds(&entries, "b.example")
        );
    }
}
