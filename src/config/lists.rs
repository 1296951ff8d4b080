//! Lists that rules ask and add to: written in the file, in a file of their own, told by a program, or in the state.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::address_books::{self, Format};
use super::entries::Entries;
use super::problem::{Problems, SourceFile};
use super::reader::{self, Base, MapReader, Shape, TEXTS, Takes};
use super::yaml::{Node, Span, Value};
use crate::clean;

/// The long form of a list.
pub static SHAPE: Shape = Shape {
    what: "a list",
    keys: &[
        (
            "entries",
            "The entries: addresses, `@domain`, `@*.domain` (below it), `.domain` (itself and below), patterns with `*`, `/expressions/`, or other texts; or each with a value: {ann@b.example: people/ann}.",
            Takes::Either(&[TEXTS, Takes::Named(&Takes::Text)]),
        ),
        (
            "file",
            "A file with one entry a line: as in `entries`, `Name <address>`, an alias of mutt, or `entry -> value`. `#` begins a comment. A `.csv` or `.vcf` is read as such.",
            Takes::Text,
        ),
        (
            "command",
            "A program that writes the entries as a file has them: [khard, email, --parsable]; no shell.",
            TEXTS,
        ),
        ("every", "How often the program runs again. Default: 1h.", Takes::Duration),
        (
            "format",
            "`lines`, `csv` or `vcard`. Default: by the name of the file, else `lines`.",
            Takes::Word(address_books::FORMATS),
        ),
        (
            "column",
            "Of a CSV: the column of the entry, its number or its name in the first line. Default: 1.",
            Takes::Text,
        ),
        ("value", "Of a CSV: the column of the value.", Takes::Text),
        ("database", "`true`: the list is in the state; rules add to it with `add_to_list`.", Takes::Flag),
        (
            "keep_for",
            "Of a database list: how long an entry counts after it was added. Default: for ever.",
            Takes::Duration,
        ),
    ],
};

/// The largest file of a list, in bytes.
pub const MAX_FILE: u64 = 16 * 1024 * 1024;

/// How often a program is asked when nobody says.
const EVERY: Duration = Duration::from_secs(3600);

/// A named list.
#[derive(Clone, Debug)]
pub struct ConfigList {
    /// Its name.
    pub name: String,
    /// The file in which it is defined.
    pub source: Arc<SourceFile>,
    /// Where in it.
    pub at: Span,
    /// What is in it.
    pub kind: ListKind,
}

/// Where the entries of a list are.
#[derive(Clone, Debug)]
pub enum ListKind {
    /// In the rule file.
    Inline(Arc<Entries>),
    /// In a file, with what it held when the rules were read.
    File(Arc<EntriesOrigin>, Arc<Entries>),
    /// A program tells them.
    Command(Arc<EntriesOrigin>),
    /// In the state; each entry counts so long.
    Database(Option<Duration>),
}

/// Where entries are read that can change, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntriesOrigin {
    /// A file or a program.
    pub from: ListSource,
    /// What it looks like.
    pub format: Format,
}

/// A file or a program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListSource {
    /// Read again when it changed.
    File(PathBuf),
    /// Asked again after so long.
    Command(Vec<String>, Duration),
}

/// Reads the section `lists` of a config or rule file. A list whose entries are wrong is there all the same, as one that
/// rules may use in any way, so that they are not blamed too.
pub(super) fn read(node: &Node, source: &Arc<SourceFile>, base: &Base, problems: &mut Problems) -> Vec<ConfigList> {
    let Value::Map(entries) = &node.value else {
        if !matches!(node.value, Value::Null) {
            reader::mismatch(node, "a mapping of lists", problems)
                .hint("write each list's name, a colon, and what is in it");
        }
        return Vec::new();
    };
    let read = entries.iter().map(|(key, node)| {
        let kind = kind(node, base, problems).unwrap_or(ListKind::Database(None));
        ConfigList { name: key.text.clone(), source: Arc::clone(source), at: key.span, kind }
    });
    read.collect()
}

fn kind(node: &Node, base: &Base, problems: &mut Problems) -> Option<ListKind> {
    if !matches!(node.value, Value::Map(_)) {
        return inline(node, problems);
    }
    let mut map = MapReader::new(node, &SHAPE, problems);
    let (entries, file, command) = (map.take("entries"), map.take("file"), map.take("command"));
    let database = map.read("database", reader::flag);
    let (every, keep_for) = (map.read("every", reader::duration), map.read("keep_for", reader::duration));
    let format = address_books::format(&mut map, file.and_then(Node::as_text));
    for (key, is_of) in [("every", command.is_some()), ("keep_for", database == Some(true))] {
        if let (Some(at), false) = (map.key_span(key), is_of) {
            map.problems().error(at, format!("`{key}` has no meaning for this list")).hint("leave it out");
        }
    }
    match (entries, file, command, database) {
        (Some(entries), None, None, None) => inline(entries, map.problems()),
        (None, Some(file), None, None) => from_file(file, format, base, map.problems()),
        (None, None, Some(command), None) => {
            if command.as_text().is_some_and(|text| text.contains(' ')) {
                let text = "a program and its arguments are a list: no shell takes them apart";
                map.problems().error(command.span, text).hint("write [khard, email, --parsable]");
                return None;
            }
            let run = reader::texts(command, "a program and its arguments", map.problems())?;
            Some(ListKind::Command(Arc::new(EntriesOrigin {
                from: ListSource::Command(run, every.unwrap_or(EVERY)),
                format,
            })))
        }
        (None, None, None, Some(true)) => Some(ListKind::Database(keep_for)),
        _ => {
            let text = "a list needs one of `entries`, `file`, `command` and `database: true`";
            let problem = problems.error(node.span, text);
            problem.hint("for example {file: ~/.config/mailsluice/book.txt}");
            None
        }
    }
}

fn inline(node: &Node, problems: &mut Problems) -> Option<ListKind> {
    let mut entries = Entries::default();
    let written: Vec<(Span, String, Option<String>)> = match &node.value {
        Value::Seq(items) if items.is_empty() => Vec::new(),
        Value::Map(pairs) => {
            let pair = |(key, value): &(super::yaml::YamlKey, Node)| {
                let value = reader::text(value, "the value of an entry", problems)?;
                Some((key.span, key.text.clone(), Some(value.to_owned())))
            };
            pairs.iter().map(pair).collect::<Option<_>>()?
        }
        _ => {
            let texts = reader::texts(node, "a list of entries", problems)?;
            texts.into_iter().map(|text| (node.span, text, None)).collect()
        }
    };
    for (at, text, value) in written {
        if let Err(bad) = entries.add(&text, value) {
            problems.error(at, bad.to_string());
            return None;
        }
    }
    Some(ListKind::Inline(Arc::new(entries)))
}

fn from_file(node: &Node, format: Format, base: &Base, problems: &mut Problems) -> Option<ListKind> {
    let path = reader::path(node, base, problems)?;
    let name = clean::line(path.as_os_str().as_encoded_bytes());
    match read_file(&path, &format) {
        Ok(entries) => {
            let origin = EntriesOrigin { from: ListSource::File(path), format };
            Some(ListKind::File(Arc::new(origin), Arc::new(entries)))
        }
        Err(error) => {
            problems
                .error(node.span, format!("cannot read the list {name}: {error}"))
                .hint("create the file, empty if nobody is in it yet");
            None
        }
    }
}

/// The entries of a list's file.
pub fn read_file(path: &Path, format: &Format) -> io::Result<Entries> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    let read = io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE + 1), &mut text)?;
    if read as u64 > MAX_FILE {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    address_books::read(&String::from_utf8_lossy(&text), format).map_err(io::Error::other)
}
