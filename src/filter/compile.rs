//! Compiles the YAML rule language: from a tree with source positions to compiled rules, or to a list of all problems.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::actions::programs::{self, ON_ERROR};
use super::actions::{self, Verb};
use super::captures::{self, Captured};
use super::comparison::COMPARISON;
use super::conditions::{self, BoxedCondition};
use super::for_each::{self, ForEach};
use super::lua;
use super::rule::{Rule, RuleListKind, Step};
use super::shared::SharedByFiles;
use super::short::Wide;
use super::trial;
use crate::config::Settings;
use crate::config::lists;
use crate::config::parameters;
use crate::config::problem::{Problem, Problems, SourceFile};
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::yaml::{Document, Node, Span, Value};
use crate::config::{FilterSource, RuleFile};

static FILE: Shape = Shape {
    what: "a rule file",
    keys: &[
        ("about", "What the filter does, in one line.", Takes::Text),
        (
            "parameters",
            "What a config that uses it may set: `${name}` is the value.",
            Takes::Named(&Takes::Either(&[Takes::Text, Takes::Section(&parameters::SHAPE)])),
        ),
        (
            "lists",
            "Lists that rules look up and change; `${name}` in a name is the value of a parameter.",
            Takes::Named(&Takes::Either(&[TEXTS, Takes::Section(&lists::SHAPE)])),
        ),
        ("rules", "The rules, in order.", Takes::List(&Takes::Section(&RULE))),
        (
            "tests",
            "What the rules should decide, checked by `mailsluice test`.",
            Takes::List(&Takes::Section(&trial::TEST)),
        ),
    ],
};

static RULE: Shape = Shape {
    what: "a rule",
    keys: &[
        ("name", "Its name in the log.", Takes::Text),
        (
            "for_each",
            "Run the rule once for each of these: {address: recipient}, {text: \"${header.Keywords}\", as: label}.",
            Takes::Section(&for_each::KEYS),
        ),
        ("if", "The condition; without one the rule is for every message.", Takes::Section(&CONDITION)),
        ("do", "What to do when it holds: one action or a list of actions and rules.", STEPS_TAKE),
        ("else", "What to do when it does not hold.", STEPS_TAKE),
        ("uses", "Instead of `do`: a shipped filter, or a file of your own.", Takes::Text),
        ("with", "The values of that filter's parameters.", Takes::Named(&Takes::Anything)),
        (
            "on_error",
            "When a program, a script or a value in it fails: `keep` the message and send a notice (default), `defer`, or `continue` with the next rule.",
            Takes::Word(ON_ERROR),
        ),
    ],
};

const STEP_TAKES: Takes = Takes::Either(&[
    Takes::Word(&["keep", "discard", "stop", "defer"]),
    Takes::Rules("an action"),
    Takes::Rules("a rule"),
]);
const STEPS_TAKE: Takes = Takes::Some(&STEP_TAKES);

/// A condition: the words of `conditions/`.
pub(super) static CONDITION: Shape = Shape { what: "a condition", keys: &conditions::KEYS };

/// An action: the words of `actions/`.
static ACTION: Shape = Shape { what: "an action", keys: &actions::KEYS };

/// Every section of a rule file, for the reference and the schema.
pub fn sections() -> Vec<&'static Shape> {
    let mut all = vec![&FILE, &RULE, &for_each::KEYS, &CONDITION, &COMPARISON];
    all.extend(conditions::SECTIONS);
    all.push(&ACTION);
    all.extend(actions::SECTIONS);
    all.push(&trial::TEST);
    all.extend(trial::SECTIONS);
    all
}

/// The result of compiling.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub(super) steps: Vec<Step>,
    pub(super) placed: Vec<Placed>,
    /// The names of the lists that are in the state.
    pub(super) database_lists: BTreeSet<String>,
    pub(super) problems: Vec<Problem>,
}

/// The position and the source text of a rule's condition; `step` is the number of the rule.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) step: usize,
    pub(super) condition: Option<Node>,
    pub(super) source: Arc<SourceFile>,
    pub(super) span: Span,
}

/// Compiles filters in order. Silent filters may not send anything.
pub(super) fn compile(sources: &[FilterSource], settings: &Settings, is_silent: bool) -> Compiled {
    let mut compiled = Compiled::default();
    let mut shared = SharedByFiles { is_silent, ..SharedByFiles::of_script(Cow::Owned(BTreeMap::new()), settings) };
    for list in &settings.lists {
        shared.define(list, &mut compiled.problems);
    }
    for source in sources {
        shared.collect_lists(source, &mut compiled.problems);
    }
    for source in sources {
        match source {
            FilterSource::Yaml(file) => {
                let mut compiler = Compiler::new(file, &mut shared);
                let rules = compiler.file(&file.document.root);
                parameters::name_origins(file, &mut compiler.problems);
                compiled.problems.extend(compiler.problems.into_vec());
                for (rule, condition, span) in rules {
                    let (step, source) = (compiled.steps.len(), Arc::clone(&file.document.source));
                    compiled.placed.push(Placed { step, condition, source, span });
                    compiled.steps.push(Step::Rule(rule));
                }
            }
            FilterSource::Lua(script) => {
                let mut problems = Problems::new(&script.source);
                let step = lua::Script::compile(script, &shared.lists, settings, &mut problems);
                compiled.problems.extend(problems.into_vec());
                compiled.steps.extend(step.map(|script| Step::Script(Arc::new(script))));
            }
        }
    }
    let databases = shared.lists.iter().filter(|(_, list)| matches!(list.kind, RuleListKind::Database(_)));
    compiled.database_lists = databases.map(|(name, _)| name.clone()).collect();
    drop_repeated(&mut compiled.problems);
    compiled
}

/// Removes duplicate problems, which occur if a file is both a filter and included in another one.
fn drop_repeated(problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    problems.retain(|problem| {
        let place = problem.span.map(|span| (span.line, span.column));
        seen.insert((problem.source.name.clone(), place, problem.message.clone()))
    });
}

/// Compiles one file.
pub(super) struct Compiler<'d, 's> {
    file: &'d RuleFile,
    pub(super) problems: Problems,
    pub(super) shared: &'d mut SharedByFiles<'s>,
    /// The names captured by the conditions around the current position.
    pub(super) scope: Vec<Captured>,
    /// A condition of the current rule is invalid, so its captures are unknown.
    pub(super) scope_is_partial: bool,
    /// The short forms in the current condition that accept more than the whole value.
    pub(super) wide: Vec<Wide>,
    /// Texts come from a script and are literal: `$` is a `$`.
    literal: bool,
}

impl<'d, 's> Compiler<'d, 's> {
    pub(super) fn new(file: &'d RuleFile, shared: &'d mut SharedByFiles<'s>) -> Self {
        let problems = Problems::new(&file.document.source);
        Self { file, problems, shared, scope: Vec::new(), scope_is_partial: false, wide: Vec::new(), literal: false }
    }

    /// A compiler for values that a script made.
    pub(super) fn literal(file: &'d RuleFile, shared: &'d mut SharedByFiles<'s>) -> Self {
        Self { literal: true, ..Self::new(file, shared) }
    }

    /// Whether it compiles values that a script made.
    pub(super) fn is_literal(&self) -> bool {
        self.literal
    }

    fn document(&self) -> &'d Document {
        &self.file.document
    }

    /// The file being compiled.
    pub(super) fn source(&self) -> Arc<SourceFile> {
        Arc::clone(&self.file.document.source)
    }

    fn file(&mut self, root: &Node) -> Vec<(Rule, Option<Node>, Span)> {
        let map = MapReader::new(root, &FILE, &mut self.problems);
        let (rules, tests) = (map.take("rules"), map.take("tests"));
        if map.is_map() && rules.is_none() && map.take("lists").is_none() && tests.is_none() {
            self.problems.error(root.span, "a rule file needs the key `rules`");
        }
        let items =
            rules.and_then(|node| reader::list(node, "a list of rules", &mut self.problems)).unwrap_or_default();
        if let Some(tests) = tests {
            trial::check(tests, &mut self.problems);
        }
        let mut compiled = Vec::new();
        for node in items {
            self.scope.clear();
            self.scope_is_partial = false;
            if let Some(mut rule) = self.rule(node) {
                rule.name.get_or_insert_with(|| self.place(node.span));
                compiled.push((rule, node.get("if").cloned(), node.span));
            }
        }
        compiled
    }

    /// The position as text: `rules.yaml:7`.
    pub(super) fn place(&self, span: Span) -> String {
        let file = self.document().source.name.file_name().unwrap_or(self.document().source.name.as_os_str());
        format!("{}:{}", crate::clean::line(file.as_encoded_bytes()), span.line)
    }

    fn rule(&mut self, node: &Node) -> Option<Rule> {
        let mut map = MapReader::new(node, &RULE, &mut self.problems);
        let name = map.read("name", |n, p| reader::text(n, "a name", p).map(str::to_owned));
        let on_error = map.read("on_error", programs::on_error).unwrap_or_default();
        let each = map.take("for_each");
        let (condition, then, otherwise, uses) = (map.take("if"), map.take("do"), map.take("else"), map.take("uses"));
        match (uses, then, otherwise) {
            (None, None, None) if map.is_known() => drop(map.require("do")),
            (Some(_), Some(then), _) => {
                map.problems().error(then.span, "a rule has either `do` or `uses`, not both");
            }
            _ => {}
        }
        let outer = self.scope.len();
        let each = each.map(|node| ForEach::read(node, self));
        self.scope_is_partial |= matches!(each, Some(None));
        let test = condition.map(|node| self.condition(node));
        let wide = std::mem::take(&mut self.wide);
        self.scope_is_partial |= matches!(test, Some(None));
        let mark = self.shared.certain.mark();
        let mut steps = then.map(|node| self.steps(node)).unwrap_or_default();
        steps.extend(uses.and_then(|node| self.included(node)));
        if steps.iter().any(Step::takes_away) {
            wide.iter().for_each(|short| short.warn(self));
        }
        // If the condition is false, its captures do not exist, and neither do the variables set in `do`.
        self.scope.truncate(outer);
        let set = condition.or(node.get("for_each")).map(|_| self.shared.certain.take_since(mark));
        let otherwise = otherwise.map(|node| self.steps(node)).unwrap_or_default();
        if let Some(set) = set {
            self.set_in_either(mark, set, &steps, &otherwise);
        }
        let condition = match test {
            Some(None) => return None,
            Some(condition) => condition,
            None => None,
        };
        let each = match each {
            Some(None) => return None,
            each => each.flatten(),
        };
        Some(Rule { name, each, condition, on_error, then: steps, otherwise })
    }

    /// After a rule, a variable is certain to be set if both branches set it, or if the only branch that continues sets
    /// it.
    fn set_in_either(&mut self, mark: usize, then: Vec<String>, steps: &[Step], otherwise: &[Step]) {
        let ends = |steps: &[Step]| steps.iter().any(Step::always_ends);
        let other = self.shared.certain.take_since(mark);
        let both = match (ends(steps), ends(otherwise)) {
            (true, _) => other,
            (false, true) => then,
            (false, false) => then.into_iter().filter(|name| other.contains(name)).collect(),
        };
        both.iter().for_each(|name| self.shared.certain.gain(name));
    }

    /// Reads the file that `uses` includes.
    fn included(&mut self, node: &Node) -> Option<Step> {
        let Value::File(source) = &node.value else {
            reader::mismatch(node, "the name of a filter", &mut self.problems);
            return None;
        };
        match &**source {
            FilterSource::Yaml(file) => {
                let mut compiler = Compiler::new(file, self.shared);
                let rules = compiler.file(&file.document.root);
                let mut problems = compiler.problems;
                parameters::name_origins(file, &mut problems);
                self.problems.merge(problems);
                Some(Step::File(rules.into_iter().map(|(rule, _, _)| rule).collect()))
            }
            FilterSource::Lua(script) => {
                let mut problems = Problems::new(&script.source);
                let compiled = lua::Script::compile(script, &self.shared.lists, self.shared.settings, &mut problems);
                self.problems.merge(problems);
                compiled.map(|script| Step::Script(Arc::new(script)))
            }
        }
    }

    /// Reads a condition. If a mapping has several keys, all must hold.
    pub(super) fn condition(&mut self, node: &Node) -> Option<BoxedCondition> {
        MapReader::new(node, &CONDITION, &mut self.problems);
        // The order is kept: a condition that is false spares the programs and scripts after it.
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        let word = |key: &str| conditions::CONDITION_WORDS.iter().find(|word| word.key.0 == key);
        let parts: Vec<(&conditions::ConditionWord, &Node)> =
            entries.iter().filter_map(|(key, node)| Some((word(&key.text)?, node))).collect();
        if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
            self.problems
                .error(node.span, "an empty condition")
                .hint("leave `if` out for a rule that is for every message");
        }
        let parts: Vec<Option<BoxedCondition>> = parts.into_iter().map(|(word, node)| self.word(word, node)).collect();
        let mut parts = parts.into_iter().collect::<Option<Vec<_>>>().filter(|parts| !parts.is_empty())?;
        if parts.len() == 1 { parts.pop() } else { Some(conditions::all(parts)) }
    }

    fn word(&mut self, word: &conditions::ConditionWord, node: &Node) -> Option<BoxedCondition> {
        let condition = (word.read)(node, self)?;
        if word.is_group {
            return Some(condition);
        }
        let text = format!("{}: {}", word.key.0, node.in_line());
        Some(conditions::leaf(text, condition))
    }

    /// Reads conditions of which one must hold. A name that only one of them captures may have no value.
    pub(super) fn branches(&mut self, node: &Node) -> Option<Vec<BoxedCondition>> {
        let outer = self.scope.len();
        let mut captured = Vec::new();
        let read = self.each_condition(node, |this| captured.push(this.scope.split_off(outer)));
        self.captured(captures::of_either(captured));
        read
    }

    /// Reads a list of conditions.
    pub(super) fn conditions(&mut self, node: &Node) -> Option<Vec<BoxedCondition>> {
        self.each_condition(node, |_| {})
    }

    fn each_condition(&mut self, node: &Node, mut then: impl FnMut(&mut Self)) -> Option<Vec<BoxedCondition>> {
        if matches!(node.value, Value::Map(_)) {
            let problem = reader::mismatch(node, "a list of conditions", &mut self.problems);
            problem.hint("write each with a `-` in front, or all within [ ]");
            return None;
        }
        let items = reader::list(node, "a list of conditions", &mut self.problems)?;
        if items.is_empty() {
            self.problems.error(node.span, "expected a list of conditions, found an empty list");
            return None;
        }
        let read = |item| {
            let test = self.condition(item);
            then(self);
            test
        };
        let tests: Vec<_> = items.iter().map(read).collect();
        tests.into_iter().collect()
    }

    /// Reads the actions and rules of `do` or `else`.
    pub(super) fn steps(&mut self, node: &Node) -> Vec<Step> {
        match &node.value {
            Value::Seq(items) => items.iter().filter_map(|item| self.one_step(item)).collect(),
            Value::Scalar { .. } | Value::Map(_) => self.one_step(node).into_iter().collect(),
            _ => {
                reader::mismatch(node, "an action or a list of actions", &mut self.problems);
                Vec::new()
            }
        }
    }

    fn one_step(&mut self, node: &Node) -> Option<Step> {
        if let Value::Map(entries) = &node.value {
            let is_rule = entries.iter().any(|(key, _)| matches!(key.text.as_str(), "if" | "do" | "else" | "uses"));
            if is_rule {
                return self.in_own_scope(|this| this.rule(node)).map(Step::Rule);
            }
            return self.action(node).map(Step::Do);
        }
        let words: Vec<(&str, &actions::ActionWord)> =
            actions::ACTION_WORDS.iter().filter(|word| word.bare.is_some()).map(|word| (word.key.0, word)).collect();
        if let Some(word) = node.as_text().filter(|text| actions::KEYS.iter().any(|(key, _, _)| key == text))
            && !words.iter().any(|(key, _)| *key == word)
        {
            let problem = self.problems.error(node.span, format!("`{word}` needs a value"));
            problem.hint(format!("write {{{word}: …}}"));
            return None;
        }
        let word = reader::choice(node, &words, &mut self.problems)?;
        word.bare.map(|make| Step::Do(make()))
    }

    fn action(&mut self, node: &Node) -> Option<Box<dyn Verb>> {
        let map = MapReader::new(node, &ACTION, &mut self.problems);
        let found: Vec<(&actions::ActionWord, &Node)> =
            actions::ACTION_WORDS.iter().filter_map(|word| Some((word, map.take(word.key.0)?))).collect();
        let at = found.first().and_then(|(word, _)| map.key_span(word.key.0));
        match found.as_slice() {
            [(word, _)] if word.tells && self.shared.is_silent => {
                actions::refuse_telling(word, at.unwrap_or(node.span), &mut self.problems);
                None
            }
            [(word, value)] => (word.read)(value, self),
            [] => None,
            _ => {
                let problem = self.problems.error(node.span, "two actions in one item");
                problem.hint("write each as an item of its own, with a `-` in front");
                None
            }
        }
    }
}
