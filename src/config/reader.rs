//! How every section of a config or rule file is read.
//!
//! A section is a mapping with a [`Shape`]: a constant table of its keys, each with one line of documentation. A
//! [`MapReader`] checks a mapping against its shape and hands out the values; the functions of this module turn
//! values into types. They report a mismatch and return `None`, so that reading goes on and the user sees every
//! mistake at once.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PointInTime;
use super::problem::{Problem, Problems};
pub use super::shape::{KeyDoc, Shape, TEXTS, Takes};
use super::suggest::synonym;
pub use super::suggest::{NamedKind, check_named, suggest};
use super::template::{Template, TemplateError};
use super::text::Text;
use super::units::{self, UnitError};
use super::yaml::{Node, Span, Value, YamlKey};
use crate::clean;
use crate::user::home;

/// Reads one mapping against its [`Shape`].
#[derive(Debug)]
pub struct MapReader<'n, 'p> {
    shape: &'static Shape,
    /// `None` when the node is no mapping; that has been reported and nothing more is.
    entries: Option<&'n [(YamlKey, Node)]>,
    at: Span,
    problems: &'p mut Problems,
}

impl<'n, 'p> MapReader<'n, 'p> {
    /// Begins to read `node`; reports it when it is no mapping, and each key that `shape` does not have.
    pub fn new(node: &'n Node, shape: &'static Shape, problems: &'p mut Problems) -> Self {
        let entries = match &node.value {
            Value::Map(entries) => Some(entries.as_slice()),
            _ => {
                let keys = listed(shape.names());
                mismatch(node, &format!("{} (a mapping)", shape.what), problems).hint(format!("its keys are {keys}"));
                None
            }
        };
        for (key, _) in entries.unwrap_or_default() {
            report_unknown(key, shape, problems);
        }
        Self { shape, entries, at: node.span, problems }
    }

    /// Where a missing key is reported, if not at the beginning of the mapping: at the section's own name.
    #[must_use]
    pub fn placed(mut self, at: Span) -> Self {
        self.at = at;
        self
    }

    /// The place where a missing key is reported.
    pub fn place(&self) -> Span {
        self.at
    }

    /// Whether the node is a mapping at all. If not, that has been reported.
    pub fn is_map(&self) -> bool {
        self.entries.is_some()
    }

    /// Whether every key of it is known; the others have been reported.
    pub fn is_known(&self) -> bool {
        self.entries
            .is_some_and(|entries| entries.iter().all(|(key, _)| self.shape.names().any(|name| name == key.text)))
    }

    /// The value of `key`, if it was written.
    pub fn take(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|(_, node)| node)
    }

    /// The place of the name of `key`, if it was written.
    pub fn key_span(&self, key: &str) -> Option<Span> {
        self.entry(key).map(|(key, _)| key.span)
    }

    /// The value of `key`; reports it when it was not written.
    pub fn require(&mut self, key: &str) -> Option<&'n Node> {
        let node = self.take(key);
        if node.is_none() && self.is_map() {
            self.problems.error(self.at, format!("{} needs the key `{key}`", self.shape.what));
        }
        node
    }

    /// Reads the value of `key` with one of the functions of this module; `None` when it is absent or wrong.
    pub fn read<T>(&mut self, key: &str, how: impl FnOnce(&'n Node, &mut Problems) -> Option<T>) -> Option<T> {
        how(self.take(key)?, self.problems)
    }

    /// [`MapReader::read`] for a key that must be there.
    pub fn need<T>(&mut self, key: &str, how: impl FnOnce(&'n Node, &mut Problems) -> Option<T>) -> Option<T> {
        how(self.require(key)?, self.problems)
    }

    /// Where to report what only the caller can know.
    pub fn problems(&mut self) -> &mut Problems {
        self.problems
    }

    fn entry(&self, key: &str) -> Option<&'n (YamlKey, Node)> {
        debug_assert!(self.shape.names().any(|name| name == key), "`{key}` is missing in the shape");
        self.entries?.iter().find(|(k, _)| k.text == key)
    }
}

fn report_unknown(key: &YamlKey, shape: &Shape, problems: &mut Problems) {
    if shape.names().any(|name| name == key.text) {
        return;
    }
    let hint = match synonym(&key.text, shape).or_else(|| suggest(&key.text, shape.names())) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known keys: {}", listed(shape.names())),
    };
    let message = format!("unknown key `{}` in {}", clean::short(&key.text, 80), shape.what);
    problems.error(key.span, message).hint(hint);
}

/// `a, b, c` in back quotes.
fn listed<'c>(words: impl Iterator<Item = &'c str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Reports "expected …, found …" at a node; the result takes a hint.
pub fn mismatch<'p>(node: &Node, expected: &str, problems: &'p mut Problems) -> &'p mut Problem {
    problems.error(node.span, format!("expected {expected}, found {}", node.found()))
}

/// A text that is not empty and holds no NUL, CR or LF. `expected` names it with its article: "a login name".
pub fn text<'n>(node: &'n Node, expected: &str, problems: &mut Problems) -> Option<&'n str> {
    let Some(text) = node.as_text().filter(|text| !text.is_empty()) else {
        mismatch(node, expected, problems);
        return None;
    };
    if text.contains(['\0', '\r', '\n']) {
        problems.error(node.span, format!("{expected} must be one line"));
        return None;
    }
    Some(text)
}

/// `true` or `false`, without quotes.
pub fn flag(node: &Node, problems: &mut Problems) -> Option<bool> {
    match &node.value {
        Value::Scalar { text, quoted: false } if text == "true" => return Some(true),
        Value::Scalar { text, quoted: false } if text == "false" => return Some(false),
        _ => {}
    }
    let problem = mismatch(node, "`true` or `false`", problems);
    match node.as_text().map(str::to_lowercase).as_deref() {
        Some("yes" | "y" | "on" | "1" | "true") => drop(problem.hint("write `true`")),
        Some("no" | "n" | "off" | "0" | "false") => drop(problem.hint("write `false`")),
        _ => {}
    }
    None
}

/// A whole number in a range.
pub fn number(node: &Node, range: RangeInclusive<u64>, problems: &mut Problems) -> Option<u64> {
    let number = node.as_text().and_then(|text| text.parse().ok()).filter(|number| range.contains(number));
    if number.is_none() {
        let expected = match (*range.start(), *range.end()) {
            (from, u64::MAX) => format!("a whole number from {from}"),
            (from, to) => format!("a whole number from {from} to {to}"),
        };
        mismatch(node, &expected, problems);
    }
    number
}

/// A whole number that is at least `least` and fits 32 bits.
pub fn number32(node: &Node, least: u32, problems: &mut Problems) -> Option<u32> {
    number(node, u64::from(least)..=u64::from(u32::MAX), problems).and_then(|number| u32::try_from(number).ok())
}

/// The items of a list. `expected` names it with its article: "a list of rules".
pub fn list<'n>(node: &'n Node, expected: &str, problems: &mut Problems) -> Option<&'n [Node]> {
    if let Value::Seq(items) = &node.value {
        return Some(items);
    }
    mismatch(node, expected, problems);
    None
}

/// A list of texts, or one text alone. `expected` names it with its article: "a list of folder names".
pub fn texts(node: &Node, expected: &str, problems: &mut Problems) -> Option<Vec<String>> {
    if node.as_text().is_some() {
        return text(node, expected, problems).map(|one| vec![one.to_owned()]);
    }
    let items = list(node, expected, problems)?;
    if items.is_empty() {
        problems.error(node.span, format!("expected {expected}, found an empty list"));
        return None;
    }
    let read: Vec<_> = items.iter().map(|item| text(item, "a text in this list", problems)).collect();
    read.into_iter().map(|item| item.map(str::to_owned)).collect()
}

/// A duration like `5m`, at most [`units::LONGEST`].
pub fn duration(node: &Node, problems: &mut Problems) -> Option<Duration> {
    with_unit(node, "a duration like `5m` or `14d`", units::parse_duration, problems)
}

/// A size in bytes, like `512K`.
pub fn size(node: &Node, problems: &mut Problems) -> Option<u64> {
    with_unit(node, "a size like `512K` or `10M`", units::parse_size, problems)
}

/// A date like `2026-01-31` or an age like `30d`.
pub fn when(node: &Node, problems: &mut Problems) -> Option<PointInTime> {
    with_unit(node, "a date like `2026-01-31` or an age like `30d`", units::parse_when, problems)
}

fn with_unit<T>(
    node: &Node,
    expected: &str,
    parse: impl FnOnce(&str) -> Result<T, UnitError>,
    problems: &mut Problems,
) -> Option<T> {
    let Some(text) = node.as_text().filter(|text| !text.is_empty()) else {
        mismatch(node, expected, problems);
        return None;
    };
    match parse(text) {
        Ok(value) => Some(value),
        Err(UnitError { message, hint }) => {
            problems.error(node.span, format!("{message}: {}", node.found())).hint(hint);
            None
        }
    }
}

/// One of a few words, each with what it means.
pub fn choice<T: Copy>(node: &Node, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let found = node.as_text().and_then(|text| words.iter().find(|(word, _)| *word == text));
    if let Some((_, meaning)) = found {
        return Some(*meaning);
    }
    let names = words.iter().map(|(word, _)| *word);
    let problem = mismatch(node, &format!("one of {}", listed(names.clone())), problems);
    if let Some(word) = node.as_text().and_then(|text| suggest(text, names)) {
        problem.hint(format!("did you mean `{word}`?"));
    }
    None
}

/// A template for a folder name, like `lists/${list}`; the place of a mistake is shown inside the text.
pub fn template(node: &Node, problems: &mut Problems) -> Option<Template> {
    let written = text(node, "a folder name", problems)?;
    match Template::parse(written) {
        Ok(template) => Some(template),
        Err(error) => {
            problems.error(place_inside(node, written, error.offset), error.message);
            None
        }
    }
}

/// A text with `${name}` in it, of one line or several.
pub fn text_with_variables(node: &Node, expected: &str, problems: &mut Problems) -> Option<Text> {
    parsed(node, expected, Text::parse, problems)
}

/// The same for what is compared, where dollars are ordinary: see [`Text::parse_compared`]. It is of one line.
pub fn text_compared(node: &Node, expected: &str, problems: &mut Problems) -> Option<Text> {
    text(node, expected, problems)?;
    parsed(node, expected, Text::parse_compared, problems)
}

fn parsed(
    node: &Node,
    expected: &str,
    parse: fn(&str) -> Result<Text, TemplateError>,
    problems: &mut Problems,
) -> Option<Text> {
    let Some(written) = node.as_text() else {
        mismatch(node, expected, problems);
        return None;
    };
    match parse(written) {
        Ok(text) => Some(text),
        Err(error) => {
            problems.error(place_inside(node, written, error.offset), error.message);
            None
        }
    }
}

/// The place of a byte of a scalar's text; the scalar's own place when escapes or several lines make it unclear.
fn place_inside(node: &Node, text: &str, offset: usize) -> Span {
    let quotes = usize::from(matches!(node.value, Value::Scalar { quoted: true, .. }));
    if node.span.length != text.chars().count() + 2 * quotes {
        return node.span;
    }
    let before = text.get(..offset).map_or(0, |before| before.chars().count());
    Span { line: node.span.line, column: node.span.column + quotes + before, length: 1 }
}

/// Against what the paths in a file are read.
#[derive(Clone, Debug)]
pub struct Base {
    folder: PathBuf,
    home: Option<PathBuf>,
}

impl Base {
    /// Relative paths begin at `folder` (absolute), and `~` is `home`.
    pub fn new(folder: impl Into<PathBuf>, home: Option<PathBuf>) -> Self {
        Self { folder: folder.into(), home }
    }

    /// The base for what is written in the file at `path`: its folder, and the home folder.
    pub fn of_file(path: &Path) -> std::io::Result<Self> {
        let folder = std::path::absolute(path)?.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
        Ok(Self::new(folder, home()))
    }

    /// The base for what is written in another file.
    #[must_use]
    pub fn at(&self, path: &Path) -> Self {
        Self { folder: path.parent().map_or_else(|| self.folder.clone(), Path::to_path_buf), home: self.home.clone() }
    }

    /// The folder at which relative paths begin.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// An absolute path, or `None` when there is a `~` and no home to put in its place.
    fn resolve(&self, text: &str) -> Option<PathBuf> {
        if text == "~" {
            return self.home.clone();
        }
        match text.strip_prefix("~/") {
            Some(rest) => Some(self.home.as_ref()?.join(rest.trim_start_matches('/'))),
            None => Some(self.folder.join(text)),
        }
    }
}

/// A path, made absolute: `~/` is the home folder, and a relative path begins at the folder of the file.
pub fn path(node: &Node, base: &Base, problems: &mut Problems) -> Option<PathBuf> {
    if matches!(node.value, Value::Null) {
        mismatch(node, "a path", problems)
            .hint("an unquoted `~` means nothing in YAML; for your home folder write `~/`");
        return None;
    }
    let written = text(node, "a path", problems)?;
    if written.starts_with('~') && written != "~" && !written.starts_with("~/") {
        problems.error(node.span, "only your own home folder has a short form").hint("write `~/…` or the whole path");
        return None;
    }
    let path = base.resolve(written);
    if path.is_none() {
        problems.error(
            node.span,
            "there is no home folder: $HOME is not set to an absolute path, and the password database has none",
        );
    }
    path
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::problem::SourceFile;
    use crate::config::yaml::Document;

    static SHAPE: Shape = Shape {
        what: "an account",
        keys: &[("folders", "Which.", TEXTS), ("user", "Who.", Takes::Text), ("max_size", "Bytes.", Takes::Size)],
    };

    /// Parses `yaml`, reads it with `f`, and returns the result with the problems as `message | hint`.
    fn with<T>(yaml: &str, f: impl FnOnce(&Node, &mut Problems) -> T) -> (T, Vec<String>) {
        let source = Arc::new(SourceFile::new("t", yaml));
        let mut problems = Problems::new(&source);
        let root = Document::parse(&source, &mut problems).unwrap().root;
        let result = f(&root, &mut problems);
        let shown = |p: &Problem| match &p.hint {
            Some(hint) => format!("{} | {hint}", p.message),
            None => p.message.clone(),
        };
        (result, problems.into_vec().iter().map(shown).collect())
    }

    fn complaint<T>(yaml: &str, f: impl FnOnce(&Node, &mut Problems) -> Option<T>) -> String {
        let (result, problems) = with(yaml, f);
        assert!(result.is_none());
        problems.join("\n")
    }

    #[test]
    fn unknown_keys_get_a_suggestion() {
        let read = |node: &Node, p: &mut Problems| MapReader::new(node, &SHAPE, p).is_map();
        assert_eq!(with("fodlers: x", read).1, ["unknown key `fodlers` in an account | did you mean `folders`?"]);
        assert_eq!(with("max-size: x", read).1, ["unknown key `max-size` in an account | did you mean `max_size`?"]);
        assert_eq!(with("fold: x", read).1, ["unknown key `fold` in an account | did you mean `folders`?"]);
        let known = "unknown key `zebra` in an account | known keys: `folders`, `user`, `max_size`";
        assert_eq!(with("zebra: x", read).1, [known]);
        let list = "expected an account (a mapping), found a list | its keys are `folders`, `user`, `max_size`";
        assert_eq!(with("[x]", read), (false, vec![list.to_owned()]));
    }

    #[test]
    fn needed_keys_are_missed_once() {
        let read = |node: &Node, p: &mut Problems| {
            let mut reader = MapReader::new(node, &SHAPE, p);
            reader.need("user", |n, p| text(n, "a login name", p).map(str::to_owned))
        };
        assert_eq!(with("user: me", read), (Some("me".to_owned()), vec![]));
        assert_eq!(complaint("folders: x", read), "an account needs the key `user`");
        assert_eq!(complaint("user:", read), "expected a login name, found nothing");
        assert!(!complaint("[]", read).contains("needs"));
    }

    #[test]
    fn flags_are_true_and_false_only() {
        assert_eq!(with("true", flag).0, Some(true));
        assert_eq!(complaint("yes", flag), "expected `true` or `false`, found `yes` | write `true`");
        assert_eq!(complaint("'false'", flag), "expected `true` or `false`, found `false` | write `false`");
        assert_eq!(complaint("[]", flag), "expected `true` or `false`, found a list");
    }

    #[test]
    fn lists_and_numbers() {
        let names = |n: &Node, p: &mut Problems| texts(n, "a list of folder names", p);
        assert_eq!(with("INBOX", names).0, Some(vec!["INBOX".to_owned()]));
        assert_eq!(with("[a, b]", names).0, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(complaint("{a: b}", names), "expected a list of folder names, found a mapping");
        assert_eq!(complaint("[]", names), "expected a list of folder names, found an empty list");
        assert_eq!(complaint("[a, [b], {}]", names).lines().count(), 2);
        let limit = |n: &Node, p: &mut Problems| number32(n, 1, p);
        assert_eq!(with("12", limit).0, Some(12));
        assert_eq!(complaint("0", limit), "expected a whole number from 1 to 4294967295, found `0`");
        assert!(complaint("4294967296", limit).contains("found `4294967296`"));
    }

    #[test]
    fn units_carry_their_hint() {
        assert_eq!(complaint("5", duration), "a duration needs a unit: `5` | write `5s`, `5m`, `5h`, `5d` or `5w`");
        assert_eq!(complaint("10MB", size), "this is not a size: `10MB` | write `10M` (K is 1024)");
        assert_eq!(complaint("[]", duration), "expected a duration like `5m` or `14d`, found a list");
    }

    #[test]
    fn words_get_a_suggestion() {
        let read = |n: &Node, p: &mut Problems| choice(n, &[("keep", 1), ("delete", 2)], p);
        assert_eq!(with("delete", read).0, Some(2));
        assert_eq!(
            complaint("delte", read),
            "expected one of `keep`, `delete`, found `delte` | did you mean `delete`?"
        );
    }

    #[test]
    fn paths_become_absolute() {
        let base = Base::new("/etc/ms", Some("/home/me".into()));
        let read = |n: &Node, p: &mut Problems| path(n, &base, p);
        for (written, expected) in [
            ("~/Mail", "/home/me/Mail"),
            ("~//etc", "/home/me/etc"),
            ("'~'", "/home/me"),
            ("rules.yaml", "/etc/ms/rules.yaml"),
            ("/abs", "/abs"),
        ] {
            assert_eq!(with(written, read).0, Some(expected.into()), "{written}");
        }
        assert!(complaint("~other/Mail", read).contains("only your own home folder"));
        assert!(complaint("~", read).contains("write `~/`"));
        let homeless = Base::new("/etc/ms", None);
        assert!(complaint("~/Mail", |n, p| path(n, &homeless, p)).contains("$HOME"));
    }
}
