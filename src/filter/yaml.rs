//! The rule language in YAML: from a tree with places to compiled rules, or to every problem at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::action::Verb;
use super::comparator::Comparator;
use super::names::ALWAYS;
use super::rule::{Rule, Step};
use super::test::{AddressPart, Test};
use crate::config::problem::{Problem, Problems, Source};
use crate::config::reader::{self, MapReader, Shape};
use crate::config::template::Template;
use crate::config::yaml::{Document, Node, Span, Value};
use crate::message::{Flag, Flags};

static FILE: Shape = Shape { what: "a rule file", keys: &[("rules", "The rules, in order.")] };

static RULE: Shape = Shape {
    what: "a rule",
    keys: &[
        ("name", "What the log calls it."),
        ("if", "The condition; without one the rule is for every message."),
        ("do", "What to do when it holds: one action or a list of actions and rules."),
        ("else", "What to do when it does not hold."),
    ],
};

static TEST: Shape = Shape {
    what: "a condition",
    keys: &[
        ("all", "A list of conditions that must all hold."),
        ("any", "A list of conditions of which one must hold."),
        ("none", "A list of conditions of which none may hold."),
        ("not", "A condition that must not hold."),
        ("header", "Header fields by name, each with a comparison: {Subject: {contains: invoice}}."),
        ("address", "Addresses in from, to, cc or another field, each with a comparison."),
        ("size", "The size of the message: {over: 1M} or {under: 10K}."),
        ("list_id", "The mailing list's identity, with a comparison."),
        ("account", "The account's name, with a comparison."),
        ("folder", "The folder on the server, with a comparison."),
    ],
};

static COMPARISON: Shape = Shape {
    what: "a comparison",
    keys: &[
        ("is", "The whole value is this, or one of these."),
        ("contains", "The value holds this, or one of these."),
        ("matches", "The whole value fits a pattern with `*` and `?`."),
        ("regex", "The regular expression is found in the value; `(?<name>…)` captures."),
        ("in", "The whole value is one of these."),
        ("part", "Of an address: all, localpart, domain or name."),
    ],
};

static SIZE: Shape =
    Shape { what: "a size condition", keys: &[("over", "Larger than this."), ("under", "Smaller than this.")] };

static ACTION: Shape = Shape {
    what: "an action",
    keys: &[
        ("fileinto", "File into a folder, a list of folders, or {folder:, flags:, copy:}. Ends filtering unless copy."),
        ("keep", "File where the account's `into` says. Ends filtering."),
        ("discard", "File nowhere; it can be brought back for 30 days. Ends filtering."),
        ("addflag", "Set a flag, or a list of flags: seen, flagged, answered, draft."),
        ("stop", "End filtering here."),
    ],
};

static FILEINTO: Shape = Shape {
    what: "a fileinto action",
    keys: &[
        ("folder", "The folder or folders; `${name}` puts in what a condition captured."),
        ("flags", "Flags for this filing."),
        ("copy", "true: filtering goes on."),
    ],
};

static KEEP: Shape = Shape { what: "a keep action", keys: &[("flags", "Flags for this filing.")] };

/// Every section of a rule file, for the reference and the schema.
pub fn sections() -> [&'static Shape; 8] {
    [&FILE, &RULE, &TEST, &COMPARISON, &SIZE, &ACTION, &FILEINTO, &KEEP]
}

/// A rule with its place and its condition as written.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) rule: Rule,
    pub(super) condition: Option<Node>,
    pub(super) source: Arc<Source>,
    pub(super) span: Span,
}

/// Compiles one file.
pub(super) fn compile(document: &Document, problems: &mut Vec<Problem>) -> Vec<Placed> {
    let mut compiler = Compiler {
        source: &document.source,
        problems: Problems::new(&document.source),
        scope: Vec::new(),
        scope_is_partial: false,
    };
    let rules = compiler.file(&document.root);
    problems.extend(compiler.problems.into_vec());
    rules
}

struct Compiler<'d> {
    source: &'d Arc<Source>,
    problems: Problems,
    /// The names captured by the conditions around the current place.
    scope: Vec<String>,
    /// A condition of the current rule could not be read, so what it captures is not known.
    scope_is_partial: bool,
}

impl Compiler<'_> {
    fn file(&mut self, root: &Node) -> Vec<Placed> {
        let items = MapReader::new(root, &FILE, &mut self.problems)
            .need("rules", |node, problems| reader::list(node, "a list of rules", problems));
        let mut placed = Vec::new();
        for node in items.unwrap_or_default() {
            self.scope.clear();
            self.scope_is_partial = false;
            if let Some(mut rule) = self.rule(node) {
                rule.name.get_or_insert_with(|| place(self.source, node.span));
                let condition = node.get("if").cloned();
                placed.push(Placed { rule, condition, source: Arc::clone(self.source), span: node.span });
            }
        }
        placed
    }

    fn rule(&mut self, node: &Node) -> Option<Rule> {
        let mut map = MapReader::new(node, &RULE, &mut self.problems);
        let name = map.read("name", |n, p| reader::text(n, "a name", p).map(str::to_owned));
        let (condition, then, otherwise) = (map.take("if"), map.take("do"), map.take("else"));
        if map.is_map() && then.is_none() && otherwise.is_none() {
            map.require("do");
        }
        let outer = self.scope.len();
        let test = condition.map(|node| self.test(node));
        self.scope_is_partial |= matches!(test, Some(None));
        let then = then.map(|node| self.steps(node)).unwrap_or_default();
        // What a condition captures is not there when it does not hold.
        self.scope.truncate(outer);
        let otherwise = otherwise.map(|node| self.steps(node)).unwrap_or_default();
        let test = match test {
            Some(None) => return None,
            Some(Some(test)) => Some(test),
            None => None,
        };
        Some(Rule { name, test, then, otherwise })
    }

    fn test(&mut self, node: &Node) -> Option<Test> {
        let map = MapReader::new(node, &TEST, &mut self.problems);
        let parts: Vec<(&str, &Node)> = TEST.names().filter_map(|key| Some((key, map.take(key)?))).collect();
        let is_empty = matches!(&node.value, Value::Map(entries) if entries.is_empty());
        if is_empty {
            self.problems
                .error(node.span, "an empty condition")
                .hint("leave `if` out for a rule that is for every message");
        }
        let tests: Vec<Option<Test>> = parts.into_iter().map(|(key, node)| self.one_test(key, node)).collect();
        let mut tests = tests.into_iter().collect::<Option<Vec<_>>>().filter(|tests| !tests.is_empty())?;
        // Several keys in one mapping must all hold.
        if tests.len() == 1 { tests.pop() } else { Some(Test::All(tests)) }
    }

    fn one_test(&mut self, key: &str, node: &Node) -> Option<Test> {
        match key {
            "all" => self.tests(node).map(Test::All),
            "any" => self.tests(node).map(Test::Any),
            "none" => self.in_own_scope(|this| this.tests(node)).map(Test::None),
            "not" => self.in_own_scope(|this| this.test(node)).map(|test| Test::Not(Box::new(test))),
            "header" => self.by_field(node, |name, _, comparator| Test::Header(name, comparator)),
            "address" => self.by_field(node, Test::Address),
            "size" => self.size(node),
            "list_id" => self.comparison(node, false).map(|(_, comparator)| Test::ListId(comparator)),
            "account" => self.comparison(node, false).map(|(_, comparator)| Test::Account(comparator)),
            _ => self.comparison(node, false).map(|(_, comparator)| Test::Folder(comparator)),
        }
    }

    fn tests(&mut self, node: &Node) -> Option<Vec<Test>> {
        let items = reader::list(node, "a list of conditions", &mut self.problems)?;
        if items.is_empty() {
            self.problems.error(node.span, "expected a list of conditions, found an empty list");
            return None;
        }
        let tests: Vec<_> = items.iter().map(|item| self.test(item)).collect();
        tests.into_iter().collect()
    }

    /// What is captured where a condition must not hold is never there.
    fn in_own_scope<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.scope.len();
        let value = read(self);
        self.scope.truncate(outer);
        value
    }

    /// `{Subject: …, From: …}`: every named field must have a value that passes.
    fn by_field(&mut self, node: &Node, build: impl Fn(String, AddressPart, Comparator) -> Test) -> Option<Test> {
        let fields = match &node.value {
            Value::Map(fields) if !fields.is_empty() => fields,
            _ => {
                let problem = reader::mismatch(node, "header fields with comparisons (a mapping)", &mut self.problems);
                problem.hint("for example {Subject: {contains: invoice}}");
                return None;
            }
        };
        let is_address = matches!(build(String::new(), AddressPart::All, Comparator::new()), Test::Address(..));
        let mut tests = Vec::new();
        for (key, comparison) in fields {
            let is_name = !key.text.is_empty() && key.text.bytes().all(|b| b.is_ascii_graphic() && b != b':');
            if !is_name {
                self.problems
                    .error(key.span, format!("`{}` is no header field name", crate::clean::short(&key.text, 60)));
            }
            let compared = self.comparison(comparison, is_address);
            tests.push(compared.filter(|_| is_name).map(|(part, c)| build(key.text.clone(), part, c)));
        }
        let mut tests = tests.into_iter().collect::<Option<Vec<_>>>()?;
        if tests.len() == 1 { tests.pop() } else { Some(Test::All(tests)) }
    }

    fn size(&mut self, node: &Node) -> Option<Test> {
        let mut map = MapReader::new(node, &SIZE, &mut self.problems);
        let (over, under) = (map.read("over", reader::size), map.read("under", reader::size));
        if map.is_map() && map.take("over").is_none() && map.take("under").is_none() {
            let at = map.place();
            map.problems().error(at, "a size condition needs `over` or `under`");
        }
        Some(Test::Size { over, under })
    }

    /// A text or a list of texts means `is`; a mapping names its comparators, which must all pass.
    fn comparison(&mut self, node: &Node, of_address: bool) -> Option<(AddressPart, Comparator)> {
        let mut comparator = Comparator::new();
        if !matches!(node.value, Value::Map(_)) {
            let values = reader::texts(node, "a text to compare with, or a comparison", &mut self.problems)?;
            self.add(&mut comparator, "is", &values, node);
            return Some((AddressPart::All, comparator));
        }
        let map = MapReader::new(node, &COMPARISON, &mut self.problems);
        let part_node = map.take("part");
        let kinds: Vec<(&str, &Node)> =
            COMPARISON.names().filter(|key| *key != "part").filter_map(|key| Some((key, map.take(key)?))).collect();
        let part = part_node.map_or(Some(AddressPart::All), |node| self.part(node, of_address));
        if kinds.is_empty() {
            self.problems.error(node.span, "a comparison needs one of `is`, `contains`, `matches`, `regex`, `in`");
            return None;
        }
        let mut complete = true;
        for (kind, node) in kinds {
            match reader::texts(node, "a text or a list of texts", &mut self.problems) {
                Some(values) => self.add(&mut comparator, kind, &values, node),
                None => complete = false,
            }
        }
        self.scope.extend(comparator.capture_names());
        part.filter(|_| complete).map(|part| (part, comparator))
    }

    fn add(&mut self, comparator: &mut Comparator, kind: &str, values: &[String], node: &Node) {
        let added = match kind {
            "contains" => comparator.contains(values),
            "matches" => comparator.matches(values),
            "regex" => comparator.regex(values),
            _ => comparator.is(values),
        };
        if let Err(e) = added {
            self.scope_is_partial = true;
            self.problems.error(node.span, "this regular expression cannot be used").hint(last_line(&e.to_string()));
        }
    }

    fn part(&mut self, node: &Node, of_address: bool) -> Option<AddressPart> {
        if !of_address {
            self.problems.error(node.span, "`part` is for addresses").hint("use `address` instead of `header`");
            return None;
        }
        let words = [
            ("all", AddressPart::All),
            ("localpart", AddressPart::LocalPart),
            ("domain", AddressPart::Domain),
            ("name", AddressPart::Name),
        ];
        reader::choice(node, &words, &mut self.problems)
    }

    fn steps(&mut self, node: &Node) -> Vec<Step> {
        match &node.value {
            Value::Seq(items) if !items.is_empty() => items.iter().filter_map(|item| self.step(item)).collect(),
            Value::Scalar { .. } | Value::Map(_) => self.step(node).into_iter().collect(),
            _ => {
                reader::mismatch(node, "an action or a list of actions", &mut self.problems);
                Vec::new()
            }
        }
    }

    fn step(&mut self, node: &Node) -> Option<Step> {
        if let Value::Map(entries) = &node.value {
            let is_rule = entries.iter().any(|(key, _)| matches!(key.text.as_str(), "if" | "do" | "else"));
            return if is_rule { self.nested(node) } else { self.action(node).map(Step::Do) };
        }
        let words = [("keep", 0), ("discard", 1), ("stop", 2)];
        let word = reader::choice(node, &words, &mut self.problems)?;
        Some(Step::Do(match word {
            0 => Verb::Keep { flags: Flags::default() },
            1 => Verb::Discard,
            _ => Verb::Stop,
        }))
    }

    fn nested(&mut self, node: &Node) -> Option<Step> {
        self.in_own_scope(|this| this.rule(node)).map(Step::Rule)
    }

    fn action(&mut self, node: &Node) -> Option<Verb> {
        let map = MapReader::new(node, &ACTION, &mut self.problems);
        let found: Vec<(&str, &Node)> = ACTION.names().filter_map(|key| Some((key, map.take(key)?))).collect();
        match found.as_slice() {
            [(key, value)] => self.verb(key, value),
            [] => None,
            _ => {
                let problem = self.problems.error(node.span, "two actions in one item");
                problem.hint("write each as an item of its own, with a `-` in front");
                None
            }
        }
    }

    fn verb(&mut self, key: &str, node: &Node) -> Option<Verb> {
        match key {
            "fileinto" => self.fileinto(node),
            "keep" => {
                let map = MapReader::new(node, &KEEP, &mut self.problems);
                let flags = map.take("flags");
                let flags = flags.map_or(Some(Flags::default()), |node| self.flags(node))?;
                Some(Verb::Keep { flags })
            }
            "addflag" => self.flags(node).map(Verb::AddFlag),
            word => {
                let problem = self.problems.error(node.span, format!("`{word}` takes no value"));
                problem.hint(format!("write just `- {word}`"));
                None
            }
        }
    }

    fn fileinto(&mut self, node: &Node) -> Option<Verb> {
        if !matches!(node.value, Value::Map(_)) {
            let folders = self.folders(node)?;
            return Some(Verb::FileInto { folders, flags: Flags::default(), copy: false });
        }
        let mut map = MapReader::new(node, &FILEINTO, &mut self.problems);
        let folder = map.require("folder");
        let copy = map.read("copy", reader::flag).unwrap_or(false);
        let flags = map.take("flags");
        let flags = flags.map_or(Some(Flags::default()), |node| self.flags(node));
        let folders = folder.and_then(|node| self.folders(node));
        Some(Verb::FileInto { folders: folders?, flags: flags?, copy })
    }

    fn folders(&mut self, node: &Node) -> Option<Vec<Template>> {
        let nodes = match &node.value {
            Value::Seq(items) if !items.is_empty() => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let templates: Vec<_> = nodes.iter().map(|node| self.folder(node)).collect();
        templates.into_iter().collect()
    }

    fn folder(&mut self, node: &Node) -> Option<Template> {
        let template = reader::template(node, &mut self.problems)?;
        let known: BTreeSet<&str> = self.scope.iter().map(String::as_str).chain(ALWAYS).collect();
        let unknown = |name: &&str| !known.contains(name) && !self.scope_is_partial;
        for name in template.names().filter(unknown) {
            let problem = self.problems.error(node.span, format!("nothing sets `${{{name}}}`"));
            match reader::suggest(name, known.iter().copied()) {
                Some(near) => problem.hint(format!("did you mean `${{{near}}}`?")),
                None => problem.hint("capture it in this rule's `if` with a regex like `(?<name>…)`"),
            };
        }
        Some(template)
    }

    fn flags(&mut self, node: &Node) -> Option<Flags> {
        let nodes = match &node.value {
            Value::Seq(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let words: Vec<(&str, Flag)> = Flag::words().filter_map(|word| Some((word, Flag::from_word(word)?))).collect();
        let flags: Vec<_> = nodes.iter().map(|node| self.flag(node, &words)).collect();
        flags.into_iter().collect()
    }

    /// `seen`, or as IMAP writes it, `\Seen`.
    fn flag(&mut self, node: &Node, words: &[(&str, Flag)]) -> Option<Flag> {
        if let Some(flag) = node.as_text().and_then(Flag::from_word) {
            return Some(flag);
        }
        reader::choice(node, words, &mut self.problems)
    }
}

/// `rules.yaml:7`.
fn place(source: &Source, span: Span) -> String {
    let file = source.name.file_name().unwrap_or(source.name.as_os_str());
    format!("{}:{}", crate::clean::line(file.as_encoded_bytes()), span.line)
}

/// The regex crate draws a picture; its last line says what is wrong.
fn last_line(error: &str) -> String {
    error.lines().last().unwrap_or(error).trim_start_matches("error: ").to_owned()
}
