//! YAML as a tree in which every value knows its place in the file.
//!
//! Scalars keep the text that was written: `password: 0123` is `0123`, and `no`, `on` and `y` are words. What a
//! text means is decided where it is read, by [`super::reader`]. Files come from people, but also from people who
//! mean harm, so size, depth and the expansion of aliases are bounded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::FilterSource;
use super::problem::{Problems, Source};
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
    pub source: Arc<Source>,
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
    Map(Vec<(Key, Node)>),
    /// A filter that was included: what [`super::filters`] puts in the place of its name.
    File(Arc<FilterSource>),
}

/// The key of a mapping and its place.
#[derive(Clone, Debug)]
pub struct Key {
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

    fn of(span: saphyr_parser::Span) -> Self {
        Self::between(span.start, span.end)
    }

    fn between(start: saphyr_parser::Marker, end: saphyr_parser::Marker) -> Self {
        let length = end.index().saturating_sub(start.index()).max(1);
        Self { line: start.line().max(1), column: start.col() + 1, length }
    }
}

impl Document {
    /// Parses `source`.
    ///
    /// Problems that leave the rest readable (a key written twice, a tag) are reported and the tree is returned all
    /// the same, so that the reader can find the other mistakes in one go. `None` means that there is no tree.
    pub fn parse(source: &Arc<Source>, problems: &mut Problems) -> Option<Self> {
        if source.text.len() > MAX_BYTES {
            problems.error(Span::START, "the file is larger than 1 MiB");
            return None;
        }
        let mut builder = Builder::new(problems);
        builder.run(&source.text).ok()?;
        if builder.has_gaps {
            return None;
        }
        let root = builder.root.unwrap_or(Node { value: Value::Null, span: Span::START });
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
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, a)| other.get(&key.text).is_some_and(|b| a.same_as(b)))
                    && b.iter().all(|(key, _)| self.get(&key.text).is_some())
            }
            _ => false,
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

    fn weight(&self) -> Weight {
        let mut sum = Weight { nodes: 1, text: 0, height: 0 };
        match &self.value {
            Value::Null | Value::File(_) => {}
            Value::Scalar { text, .. } => sum.text = text.len(),
            Value::Seq(items) => items.iter().for_each(|item| sum.add_child(item.weight(), 0)),
            Value::Map(entries) => {
                entries.iter().for_each(|(key, node)| sum.add_child(node.weight(), key.text.len()));
            }
        }
        sum
    }
}

/// What copying a node costs.
#[derive(Clone, Copy)]
struct Weight {
    nodes: usize,
    text: usize,
    height: usize,
}

impl Weight {
    fn add_child(&mut self, child: Self, key_text: usize) {
        self.nodes += child.nodes;
        self.text += child.text + key_text;
        self.height = self.height.max(child.height + 1);
    }
}

/// The rest of the file cannot be used; the reason has been reported.
struct Stop;

/// A list or mapping that is still open.
struct Frame {
    start: saphyr_parser::Marker,
    anchor: usize,
    open: Open,
}

enum Open {
    Seq(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, places: HashMap<String, Span>, expect: Expect },
}

/// What comes next in a mapping.
enum Expect {
    Key,
    Value(Key),
    /// The value of a key that was reported; it is left out.
    Ignored,
}

/// Builds the tree out of the parser's events, without recursion.
struct Builder<'p> {
    frames: Vec<Frame>,
    anchors: HashMap<usize, (Node, Weight)>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    text: usize,
    /// Keys were left out that somebody would miss: reading on would report what follows from that.
    has_gaps: bool,
    problems: &'p mut Problems,
}

impl<'p> Builder<'p> {
    fn new(problems: &'p mut Problems) -> Self {
        Self {
            frames: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            nodes: 0,
            text: 0,
            has_gaps: false,
            problems,
        }
    }

    fn run(&mut self, text: &str) -> Result<(), Stop> {
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            match next {
                Ok((event, span)) => self.event(event, span)?,
                Err(error) => return Err(self.invalid(&error)),
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: saphyr_parser::Span) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(_) => self.document(Span::of(span)),
            Event::Alias(anchor) => self.alias(anchor, Span::of(span)),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), Span::of(span));
                self.scalar(text.into_owned(), style != ScalarStyle::Plain, anchor, Span::of(span))
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), Span::of(span));
                self.open(Frame { start: span.start, anchor, open: Open::Seq(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), Span::of(span));
                let open = Open::Map { entries: Vec::new(), places: HashMap::new(), expect: Expect::Key };
                self.open(Frame { start: span.start, anchor, open })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span.end),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn document(&mut self, span: Span) -> Result<(), Stop> {
        self.documents += 1;
        if self.documents > 1 {
            self.problems.error(span, "a second document begins here").hint("one file holds one document");
            return Err(Stop);
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            self.problems
                .error(span, "tags (words that begin with `!`) have no meaning here")
                .hint("put the text in quotes if it begins with `!`");
        }
    }

    fn scalar(&mut self, text: String, quoted: bool, anchor: usize, span: Span) -> Result<(), Stop> {
        self.charge(Weight { nodes: 1, text: text.len(), height: 0 }, span)?;
        if self.expects_key() {
            return self.key(text, quoted, span);
        }
        let span = self.place_of_value(&text, quoted, span);
        let null = !quoted && matches!(text.as_str(), "" | "~" | "null");
        let value = if null { Value::Null } else { Value::Scalar { text, quoted } };
        self.complete(Node { value, span }, anchor)
    }

    /// A value that was left out stands, for the parser, wherever the next thing begins: its key is the better place.
    fn place_of_value(&self, text: &str, quoted: bool, span: Span) -> Span {
        match self.frames.last() {
            Some(Frame { open: Open::Map { expect: Expect::Value(key), .. }, .. }) if text.is_empty() && !quoted => {
                key.span
            }
            _ => span,
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { open: Open::Map { expect: Expect::Key, .. }, .. }))
    }

    fn key(&mut self, text: String, quoted: bool, span: Span) -> Result<(), Stop> {
        let Some(Frame { open: Open::Map { places, expect, .. }, .. }) = self.frames.last_mut() else {
            return Ok(());
        };
        *expect = Expect::Ignored;
        if text == "<<" && !quoted {
            let hint = "write the keys out; an alias (`*name`) can stand for a whole value";
            self.problems.error(span, "merge keys (`<<`) are not used here").hint(hint);
            self.has_gaps = true;
            return Ok(());
        }
        if text.is_empty() && !quoted {
            self.problems.error(span, "a key is missing before `:`");
            return Ok(());
        }
        match places.entry(text) {
            Entry::Occupied(first) => {
                let line = first.get().line;
                let message = format!("the key `{}` stands twice in this mapping", clean::short(first.key(), 80));
                self.problems.error(span, message).hint(format!("it is already on line {line}"));
            }
            Entry::Vacant(free) => {
                *expect = Expect::Value(Key { text: free.key().clone(), span });
                free.insert(span);
            }
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame) -> Result<(), Stop> {
        let span = Span::between(frame.start, frame.start);
        self.charge(Weight { nodes: 1, text: 0, height: 1 }, span)?;
        self.frames.push(frame);
        Ok(())
    }

    fn close(&mut self, end: saphyr_parser::Marker) -> Result<(), Stop> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let value = match frame.open {
            Open::Seq(items) => Value::Seq(items),
            Open::Map { entries, .. } => Value::Map(entries),
        };
        self.complete(Node { value, span: Span::between(frame.start, end) }, frame.anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some((node, weight)) = self.anchors.get(&anchor) else {
            self.problems.error(span, "this alias stands inside the value that it names");
            return Err(Stop);
        };
        let (value, weight) = (node.value.clone(), *weight);
        self.charge(weight, span)?;
        self.complete(Node { value, span }, 0)
    }

    /// Puts a finished node where it belongs: under its key, into its list, or at the root.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        if anchor > 0 {
            let weight = node.weight();
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        if self.expects_key() {
            return self.node_as_key(node);
        }
        match self.frames.last_mut().map(|frame| &mut frame.open) {
            None => self.root = Some(node),
            Some(Open::Seq(items)) => items.push(node),
            Some(Open::Map { entries, expect, .. }) => {
                if let Expect::Value(key) = std::mem::replace(expect, Expect::Key) {
                    entries.push((key, node));
                }
            }
        }
        Ok(())
    }

    fn node_as_key(&mut self, node: Node) -> Result<(), Stop> {
        if let Value::Scalar { text, .. } = node.value {
            return self.key(text, true, node.span);
        }
        let message = format!("a key must be a text, found {}", node.found());
        self.problems.error(node.span, message).hint("put it in quotes if it is meant as a text");
        if let Some(Frame { open: Open::Map { expect, .. }, .. }) = self.frames.last_mut() {
            *expect = Expect::Ignored;
        }
        Ok(())
    }

    /// Counts what is about to be added against the bounds.
    fn charge(&mut self, weight: Weight, span: Span) -> Result<(), Stop> {
        self.nodes += weight.nodes;
        self.text += weight.text;
        let message = if self.frames.len() + weight.height > MAX_DEPTH {
            format!("lists and mappings are nested deeper than {MAX_DEPTH}")
        } else if self.nodes > MAX_NODES {
            format!("the file holds more than {MAX_NODES} values, aliases expanded")
        } else if self.text > MAX_TEXT {
            format!("the file holds more than {MAX_TEXT} bytes of text, aliases expanded")
        } else {
            return Ok(());
        };
        self.problems.error(span, message);
        Err(Stop)
    }

    fn invalid(&mut self, error: &ScanError) -> Stop {
        let span = Span::between(*error.marker(), *error.marker());
        let above = self.problems.source().line(span.line.saturating_sub(1));
        let problem = self.problems.error(span, format!("this is not YAML: {}", error.info()));
        if let Some(hint) = hint_for(error.info(), &above) {
            problem.hint(hint);
        }
        Stop
    }
}

/// What a person most likely did, for the parser's messages, which do not say it. `above` is the line before.
fn hint_for(info: &str, above: &str) -> Option<&'static str> {
    const HINTS: &[(&str, &str)] = &[
        ("tab", "indent with spaces, not with tabs"),
        ("unknown anchor", "a text that begins with `*` needs quotes: '*'"),
        ("scanning an anchor or alias", "a text that begins with `*` or `&` needs quotes: '*'"),
        ("mapping values are not allowed", "a text that holds `: ` needs quotes; or is a line indented too far?"),
        ("unexpected character", "a text that begins with this character needs quotes"),
        ("double-quoted scalar", "put the whole text in quotes, or none of it"),
        ("unknown escape character", "in double quotes `\\` is written `\\\\`; single quotes take it as it is"),
        ("quoted scalar", "is the quote at the end missing?"),
        ("indentation in flow construct", "is a `]` or `}` missing above?"),
        ("placement of ':'", "is a `]` or `}` missing above?"),
        ("flow sequence", "is a `]` or a comma missing?"),
        ("flow mapping", "is a `}` or a comma missing?"),
        ("simple key", "is a `: ` missing after the key?"),
        ("block mapping", "do the keys of this mapping begin in the same column?"),
    ];
    if info.contains("mapping values are not allowed") && lacks_space(above) {
        return Some("is the space after the `:` in the line above missing?");
    }
    HINTS.iter().find(|(part, _)| info.contains(part)).map(|(_, hint)| *hint)
}

/// Whether a line looks like `key:value`.
fn lacks_space(line: &str) -> bool {
    let line = line.trim();
    !line.ends_with(':') && !line.contains(": ") && line.contains(':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> (Option<Node>, Vec<String>) {
        let source = Arc::new(Source::new("t.yaml", text));
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
