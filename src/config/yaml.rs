//! YAML as a tree in which every value knows its place in the file.
//!
//! Scalars keep the text that was written: `password: 0123` is `0123`, and `no`, `on` and `y` are words. What a
//! text means is decided where it is read, by [`super::reader`]. Files come from people, but also from people who
//! mean harm, so size, depth and the expansion of aliases are bounded.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::problem::{Problems, SourceFile};
use super::{FilterSource, composer};
use crate::clean;

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// How deep lists and mappings may be nested, aliases expanded.
pub const MAX_DEPTH: usize = 64;
/// How many values a file may hold, aliases expanded.
pub const MAX_NODES: usize = 100_000;
/// How many bytes of text a file may hold, aliases expanded.
pub const MAX_TEXT: usize = 4 * MAX_BYTES;

/// A parsed file: its text and the tree of its one document.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file.
    pub source: Arc<SourceFile>,
    /// What it holds; [`Value::Null`] when it is empty.
    pub root: Node,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// What was written.
    pub value: Value,
    /// Where it was written.
    pub span: Span,
}

/// What was written.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing, or an unquoted `~` or `null`.
    Null,
    /// A text, a number, a word: not interpreted here.
    Scalar {
        /// The text, with quotes and escapes resolved.
        text: String,
        /// Whether it stood in quotes or was a block of text (`|`, `>`).
        quoted: bool,
    },
    /// A list.
    Seq(Vec<Node>),
    /// A mapping in the order of the file; its keys differ.
    Map(Vec<(YamlKey, Node)>),
    /// A filter that was included: what [`super::filters`] puts in the place of its name.
    File(Arc<FilterSource>),
}

/// The key of a mapping and its place.
#[derive(Clone, Debug)]
pub struct YamlKey {
    /// The text of the key.
    pub text: String,
    /// Where it was written.
    pub span: Span,
}

/// A place in a file, counted as people count: from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The length in characters, at least 1; it may reach beyond the line.
    pub length: usize,
}

impl Span {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1, length: 1 };

    pub(super) fn of(span: saphyr_parser::Span) -> Self {
        Self::between(span.start, span.end)
    }

    pub(super) fn between(start: saphyr_parser::Marker, end: saphyr_parser::Marker) -> Self {
        let length = end.index().saturating_sub(start.index()).max(1);
        Self { line: start.line().max(1), column: start.col() + 1, length }
    }
}

impl Document {
    /// Parses `source`.
    ///
    /// Problems that leave the rest readable (a key written twice, a tag) are reported and the tree is returned all
    /// the same, so that the reader can find the other mistakes in one go. `None` means that there is no tree.
    pub fn parse(source: &Arc<SourceFile>, problems: &mut Problems) -> Option<Self> {
        if source.text.len() > MAX_BYTES {
            problems.error(Span::START, "the file is larger than 1 MiB");
            return None;
        }
        let root = composer::compose(&source.text, problems)?;
        Some(Self { source: Arc::clone(source), root })
    }
}

impl Node {
    /// Whether both hold the same, wherever they stand and however they are quoted. The order of keys is ignored.
    pub fn same_as(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Scalar { text: a, .. }, Value::Scalar { text: b, .. }) => a == b,
            (Value::Seq(a), Value::Seq(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_as(b)),
            (Value::File(a), Value::File(b)) => a.same_as(b),
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, a)| other.get(&key.text).is_some_and(|b| a.same_as(b)))
                    && b.iter().all(|(key, _)| self.get(&key.text).is_some())
            }
            _ => false,
        }
    }

    /// A hash that is the same for nodes that are [`Node::same_as`] each other.
    pub fn hash_of_same(&self) -> u64 {
        let of = |hashed: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            hashed(&mut hasher);
            hasher.finish()
        };
        match &self.value {
            Value::Null | Value::File(_) => 0,
            Value::Scalar { text, .. } => of(&|hasher| text.hash(hasher)),
            Value::Seq(items) => of(&|hasher| items.iter().for_each(|item| item.hash_of_same().hash(hasher))),
            // The order of keys is ignored.
            Value::Map(entries) => entries.iter().fold(1, |sum: u64, (key, node)| {
                sum.wrapping_add(of(&|hasher| (key.text.as_str(), node.hash_of_same()).hash(hasher)))
            }),
        }
    }

    /// The value of `key`, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    /// The text, when this is a scalar.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What this is, for "expected …, found …".
    pub fn found(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Scalar { text, .. } if text.is_empty() => "an empty text".to_owned(),
            Value::Scalar { text, .. } => format!("`{}`", clean::short(text, 40)),
            Value::Seq(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
            Value::File(_) => "a filter".to_owned(),
        }
    }

    /// What was written, in one line: `{Subject: {contains: [a, b]}}`. For people, not to be read back.
    pub fn in_line(&self) -> String {
        let mut line = String::new();
        self.write_in_line(&mut line);
        line
    }

    fn write_in_line(&self, line: &mut String) {
        match &self.value {
            Value::Null => line.push('~'),
            Value::Scalar { text, .. } => {
                let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                line.push_str(&clean::short(&text, 60));
            }
            Value::Seq(items) => {
                line.push('[');
                for (i, item) in items.iter().enumerate() {
                    line.push_str(if i > 0 { ", " } else { "" });
                    item.write_in_line(line);
                }
                line.push(']');
            }
            Value::Map(entries) => {
                line.push('{');
                for (i, (key, node)) in entries.iter().enumerate() {
                    line.push_str(if i > 0 { ", " } else { "" });
                    line.push_str(&clean::short(&key.text, 60));
                    line.push_str(": ");
                    node.write_in_line(line);
                }
                line.push('}');
            }
            Value::File(file) => line.push_str(&clean::line(file.source().name.as_os_str().as_encoded_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> (Option<Node>, Vec<String>) {
        let source = Arc::new(SourceFile::new("t.yaml", text));
        let mut problems = Problems::new(&source);
        let root = Document::parse(&source, &mut problems).map(|d| d.root);
        (root, problems.into_vec().iter().map(|p| format!("{}: {}", p.line(), p.message)).collect())
    }

    fn good(text: &str) -> Node {
        let (root, problems) = parse(text);
        assert_eq!(problems, Vec::<String>::new());
        root.unwrap()
    }

    fn bad(text: &str) -> String {
        parse(text).1.join("\n")
    }

    #[test]
    fn scalars_keep_their_text() {
        let root = good("a: 0123\nb: no\nc: ~\nd: 'null'\ne:\nf: 1e3\n");
        assert_eq!(root.get("a").unwrap().as_text(), Some("0123"));
        assert_eq!(root.get("b").unwrap().as_text(), Some("no"));
        assert!(matches!(root.get("c").unwrap().value, Value::Null));
        assert_eq!(root.get("d").unwrap().as_text(), Some("null"));
        assert!(matches!(root.get("e").unwrap().value, Value::Null));
        assert_eq!(root.get("e").unwrap().span.line, 5);
        assert_eq!(root.get("f").unwrap().as_text(), Some("1e3"));
        assert!(matches!(good("").value, Value::Null));
        assert!(matches!(good("# only a comment\n").value, Value::Null));
    }

    #[test]
    fn places_are_counted_in_characters() {
        let root = good("ä: 1\nlist: [ö, über]\n");
        let list = root.get("list").unwrap();
        assert_eq!(list.span, Span { line: 2, column: 7, length: 9 });
        let Value::Seq(items) = &list.value else { panic!("a list") };
        assert_eq!(items[1].span, Span { line: 2, column: 11, length: 4 });
    }

    #[test]
    fn aliases_stand_for_whole_values() {
        let root = good("a: &x {k: [1, 2]}\nb: *x\n");
        assert!(root.get("a").unwrap().same_as(root.get("b").unwrap()));
        assert_eq!(root.get("b").unwrap().span.line, 2);
    }

    #[test]
    fn same_as_ignores_places_quotes_and_order() {
        assert!(good("{a: 1, b: [x]}").same_as(&good("b:\n- 'x'\na: \"1\"\n")));
        assert!(!good("{a: 1}").same_as(&good("{a: 2}")));
        assert!(!good("{a: 1}").same_as(&good("{b: 1}")));
        assert!(!good("[a]").same_as(&good("[a, a]")));
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(bad("a: 1\nb: 2\na: 3\n"), "3: the key `a` stands twice in this mapping");
        assert_eq!(bad("a: !!str 1\n"), "1: tags (words that begin with `!`) have no meaning here");
        assert_eq!(bad("a: &x {}\nb:\n  <<: *x\n"), "3: merge keys (`<<`) are not used here");
        assert_eq!(bad("a: 1\n---\nb: 2\n"), "2: a second document begins here");
        assert_eq!(bad("a: &x [*x]\n"), "1: this alias stands inside the value that it names");
        assert_eq!(bad("? [a, b]\n: c\n"), "1: a key must be a text, found a list");
        assert!(bad("a: [1, 2\nb: 3\n").contains("this is not YAML"));
        assert!(bad("a: [INBOX, *]\n").contains("this is not YAML"));
    }

    #[test]
    fn a_problem_leaves_the_rest_readable() {
        let (root, problems) = parse("a: 1\na: 2\nb: 3\n");
        assert_eq!(problems.len(), 1);
        assert_eq!(root.unwrap().get("b").unwrap().as_text(), Some("3"));
    }

    #[test]
    fn expansion_is_bounded() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let refs = vec![format!("*a{}", n - 1); 10].join(", ");
            laughs.push_str(&format!("a{n}: &a{n} [{refs}]\n"));
        }
        assert!(bad(&laughs).contains("more than 100000 values"));

        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 50].join(", "));
        assert!(bad(&long).contains("bytes of text"));

        assert!(bad(&format!("{}1{}", "[".repeat(65), "]".repeat(65))).contains("deeper than 64"));
        let half = format!("{}1{}", "[".repeat(40), "]".repeat(40));
        assert!(bad(&format!("a: &a {half}\nb: {}", half.replace('1', "*a"))).contains("deeper than 64"));
        assert!(bad(&"x".repeat(MAX_BYTES + 1)).contains("larger than 1 MiB"));
        assert!(bad(&"- ".repeat(400_000)).contains("deeper than 64"));
    }

    #[test]
    fn documents_travel_between_threads() {
        fn check<T: Send + Sync>() {}
        check::<Document>();
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in r#"[ \n\t\-:\[\]{},&*!|>'"%@`#?~a-c\\<]{0,60}"#) {
            let (root, problems) = parse(&text);
            prop_assert!(root.is_some() || !problems.is_empty());
        }
    }
}
