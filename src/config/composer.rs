//! The composer: a tree out of the parser's events, without recursion, within the bounds of [`super::yaml`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::problem::Problems;
use super::yaml::{MAX_DEPTH, MAX_NODES, MAX_TEXT, Node, Span, Value, YamlKey};
use crate::clean;

/// The tree of a text's one document. `None`: there is none that can be read on; why not was reported.
pub(super) fn compose(text: &str, problems: &mut Problems) -> Option<Node> {
    let mut builder = Builder::new(problems);
    builder.run(text).ok()?;
    if builder.has_gaps {
        return None;
    }
    Some(builder.root.unwrap_or(Node { value: Value::Null, span: Span::START }))
}

/// What copying a node costs.
#[derive(Clone, Copy)]
struct NodeWeight {
    nodes: usize,
    text: usize,
    height: usize,
}

impl NodeWeight {
    fn of(node: &Node) -> Self {
        let mut sum = Self { nodes: 1, text: 0, height: 0 };
        match &node.value {
            Value::Null | Value::File(_) => {}
            Value::Scalar { text, .. } => sum.text = text.len(),
            Value::Seq(items) => items.iter().for_each(|item| sum.add_child(Self::of(item), 0)),
            Value::Map(entries) => {
                entries.iter().for_each(|(key, node)| sum.add_child(Self::of(node), key.text.len()));
            }
        }
        sum
    }

    fn add_child(&mut self, child: Self, key_text: usize) {
        self.nodes += child.nodes;
        self.text += child.text + key_text;
        self.height = self.height.max(child.height + 1);
    }
}

/// The rest of the file cannot be used; the reason has been reported.
struct StopReading;

/// A list or mapping that is still open.
struct Frame {
    start: saphyr_parser::Marker,
    anchor: usize,
    open: OpenNode,
}

enum OpenNode {
    Seq(Vec<Node>),
    Map { entries: Vec<(YamlKey, Node)>, places: HashMap<String, Span>, expect: Expect },
}

/// What comes next in a mapping.
enum Expect {
    Key,
    Value(YamlKey),
    /// The value of a key that was reported; it is left out.
    Ignored,
}

/// Builds the tree out of the parser's events, without recursion.
struct Builder<'p> {
    frames: Vec<Frame>,
    anchors: HashMap<usize, (Node, NodeWeight)>,
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

    fn run(&mut self, text: &str) -> Result<(), StopReading> {
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            match next {
                Ok((event, span)) => self.event(event, span)?,
                Err(error) => return Err(self.invalid(&error)),
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: saphyr_parser::Span) -> Result<(), StopReading> {
        match event {
            Event::DocumentStart(_) => self.document(Span::of(span)),
            Event::Alias(anchor) => self.alias(anchor, Span::of(span)),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), Span::of(span));
                self.scalar(text.into_owned(), style != ScalarStyle::Plain, anchor, Span::of(span))
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), Span::of(span));
                self.open(Frame { start: span.start, anchor, open: OpenNode::Seq(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), Span::of(span));
                let open = OpenNode::Map { entries: Vec::new(), places: HashMap::new(), expect: Expect::Key };
                self.open(Frame { start: span.start, anchor, open })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span.end),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn document(&mut self, span: Span) -> Result<(), StopReading> {
        self.documents += 1;
        if self.documents > 1 {
            self.problems.error(span, "a second document begins here").hint("one file holds one document");
            return Err(StopReading);
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

    fn scalar(&mut self, text: String, quoted: bool, anchor: usize, span: Span) -> Result<(), StopReading> {
        self.charge(NodeWeight { nodes: 1, text: text.len(), height: 0 }, span)?;
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
            Some(Frame { open: OpenNode::Map { expect: Expect::Value(key), .. }, .. })
                if text.is_empty() && !quoted =>
            {
                key.span
            }
            _ => span,
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { open: OpenNode::Map { expect: Expect::Key, .. }, .. }))
    }

    fn key(&mut self, text: String, quoted: bool, span: Span) -> Result<(), StopReading> {
        let Some(Frame { open: OpenNode::Map { places, expect, .. }, .. }) = self.frames.last_mut() else {
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
                *expect = Expect::Value(YamlKey { text: free.key().clone(), span });
                free.insert(span);
            }
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame) -> Result<(), StopReading> {
        let span = Span::between(frame.start, frame.start);
        self.charge(NodeWeight { nodes: 1, text: 0, height: 1 }, span)?;
        self.frames.push(frame);
        Ok(())
    }

    fn close(&mut self, end: saphyr_parser::Marker) -> Result<(), StopReading> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let value = match frame.open {
            OpenNode::Seq(items) => Value::Seq(items),
            OpenNode::Map { entries, .. } => Value::Map(entries),
        };
        self.complete(Node { value, span: Span::between(frame.start, end) }, frame.anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), StopReading> {
        let Some((node, weight)) = self.anchors.get(&anchor) else {
            self.problems.error(span, "this alias stands inside the value that it names");
            return Err(StopReading);
        };
        let (value, weight) = (node.value.clone(), *weight);
        self.charge(weight, span)?;
        self.complete(Node { value, span }, 0)
    }

    /// Puts a finished node where it belongs: under its key, into its list, or at the root.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), StopReading> {
        if anchor > 0 {
            let weight = NodeWeight::of(&node);
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        if self.expects_key() {
            return self.node_as_key(node);
        }
        match self.frames.last_mut().map(|frame| &mut frame.open) {
            None => self.root = Some(node),
            Some(OpenNode::Seq(items)) => items.push(node),
            Some(OpenNode::Map { entries, expect, .. }) => {
                if let Expect::Value(key) = std::mem::replace(expect, Expect::Key) {
                    entries.push((key, node));
                }
            }
        }
        Ok(())
    }

    fn node_as_key(&mut self, node: Node) -> Result<(), StopReading> {
        if let Value::Scalar { text, .. } = node.value {
            return self.key(text, true, node.span);
        }
        let message = format!("a key must be a text, found {}", node.found());
        self.problems.error(node.span, message).hint("put it in quotes if it is meant as a text");
        if let Some(Frame { open: OpenNode::Map { expect, .. }, .. }) = self.frames.last_mut() {
            *expect = Expect::Ignored;
        }
        Ok(())
    }

    /// Counts what is about to be added against the bounds.
    fn charge(&mut self, weight: NodeWeight, span: Span) -> Result<(), StopReading> {
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
        Err(StopReading)
    }

    fn invalid(&mut self, error: &ScanError) -> StopReading {
        let span = Span::between(*error.marker(), *error.marker());
        let above = self.problems.source().line(span.line.saturating_sub(1));
        let problem = self.problems.error(span, format!("this is not YAML: {}", error.info()));
        if let Some(hint) = hint_for(error.info(), &above) {
            problem.hint(hint);
        }
        StopReading
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
