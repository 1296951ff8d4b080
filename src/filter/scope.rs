//! Resolves names and texts at a position in the rules: variables, captures, lists, relays and accounts.

use std::collections::BTreeSet;

use super::captures::Captured;
use super::compile::Compiler;
use super::names;
use super::rule::{RuleList, RuleListKind};
use crate::clean;
use crate::config::reader::{self, NamedKind};
use crate::config::template::Template;
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};

/// What happens to a text if a name in it has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unset {
    /// The name is replaced by nothing, as the author expects.
    Empty,
    /// The folder gets an unintended name.
    Folder,
    /// The comparison is neither true nor false.
    Compared,
}

impl Compiler<'_, '_> {
    /// Reads a condition that must not hold. Its captures are not available later.
    pub(super) fn in_own_scope<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.scope.len();
        let value = read(self);
        self.scope.truncate(outer);
        value
    }

    /// Adds names that the following steps may use.
    pub(super) fn captured(&mut self, names: Vec<Captured>) {
        self.scope.extend(names);
    }

    /// Marks the names captured since `outer` as uncertain, because the condition may hold without them.
    pub(super) fn may_lack(&mut self, outer: usize) {
        self.scope.iter_mut().skip(outer).for_each(|captured| captured.always = false);
    }

    /// Records that some captures are unknown.
    pub(super) fn captures_unknown(&mut self) {
        self.scope_is_partial = true;
    }

    /// Adds a variable that all following rules may use.
    pub(super) fn sets(&mut self, name: &str) {
        self.shared.variables.insert(name.to_owned());
        self.shared.certain.gain(name);
    }

    /// Reads the account that an action appends to.
    pub(super) fn mailbox(&mut self, node: &Node) -> Option<String> {
        let known = self.shared.settings.mailboxes.as_deref();
        self.named(node, "the name of an account", NamedKind::MAILBOX, known)
    }

    /// Checks that a name is among the known ones. Without a config, every name is accepted.
    pub(super) fn named(
        &mut self,
        node: &Node,
        expected: &str,
        kind: NamedKind,
        known: Option<&[String]>,
    ) -> Option<String> {
        let name = reader::text(node, expected, &mut self.problems)?;
        if let Some(known) = known {
            reader::check_named(node, kind, known, &mut self.problems);
        }
        Some(name.to_owned())
    }

    /// Reads the name of a list and finds the list.
    pub(super) fn list(&mut self, node: &Node) -> Option<RuleList> {
        let name = reader::text(node, "the name of a list", &mut self.problems)?;
        if name == "me" {
            self.doubt_me(node.span);
            return Some(RuleList { name: "me".into(), kind: RuleListKind::Me });
        }
        if let Some(list) = self.shared.lists.get(name) {
            return Some(list.clone());
        }
        let names: Vec<&str> = self.shared.lists.keys().map(String::as_str).chain(["me"]).collect();
        let problem = self.problems.error(node.span, format!("there is no list `{}`", clean::short(name, 60)));
        match reader::suggest(name, names.iter().copied()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!(
                "define it under `lists:`, like `{name}: {{file: {name}.txt}}`, or `{name}: {{database: true}}` for rules to add to"
            )),
        };
        None
    }

    /// Reads a folder name and checks its variables.
    pub(super) fn folder(&mut self, node: &Node) -> Option<Template> {
        let template = reader::template(node, &mut self.problems)?;
        self.doubt_folder(node);
        self.check_names(node, template.names().map(str::to_owned).collect(), Unset::Folder);
        Some(template)
    }

    /// Reads a text and checks its variables.
    pub(super) fn text(&mut self, node: &Node, expected: &str) -> Option<Text> {
        if self.is_literal() {
            return match node.as_text() {
                Some(text) => Some(Text::literal(text)),
                None => {
                    reader::mismatch(node, expected, &mut self.problems);
                    None
                }
            };
        }
        let text = reader::text_with_variables(node, expected, &mut self.problems)?;
        self.check_names(node, text.names().map(str::to_owned).collect(), Unset::Empty);
        Some(text)
    }

    /// Reads a text that is compared, or a name. Text that a person wrote must be one line; text that a script made
    /// from a message may be anything.
    pub(super) fn compared(&mut self, node: &Node, expected: &str) -> Option<Text> {
        match &node.value {
            Value::Scalar { text, .. } if self.is_literal() => return Some(Text::literal(text.as_str())),
            _ => {}
        }
        let text = reader::text_compared(node, expected, &mut self.problems)?;
        self.check_names(node, text.names().map(str::to_owned).collect(), Unset::Compared);
        Some(text)
    }

    /// Reads one such text or a list.
    pub(super) fn compared_texts(&mut self, node: &Node, expected: &str) -> Option<Vec<Text>> {
        let Value::Seq(items) = &node.value else {
            return match node.as_text() {
                Some(_) => self.compared(node, expected).map(|text| vec![text]),
                // This reports what was expected.
                None => reader::texts(node, expected, &mut self.problems).map(|_| Vec::new()),
            };
        };
        if items.is_empty() {
            reader::texts(node, expected, &mut self.problems);
            return None;
        }
        let texts: Vec<_> = items.iter().map(|item| self.compared(item, "a text in this list")).collect();
        texts.into_iter().collect()
    }

    /// Reads a name that contains a value. `None` if it contains none; `Some(None)` if it is invalid.
    pub(super) fn valued_name(&mut self, node: &Node) -> Option<Option<Text>> {
        let has_value = !self.is_literal() && node.as_text().is_some_and(|text| text.contains("${"));
        has_value.then(|| self.compared(node, "a name"))
    }

    /// Reads one text or a list of texts.
    pub(super) fn texts(&mut self, node: &Node, expected: &str) -> Option<Vec<Text>> {
        let nodes = match &node.value {
            Value::Seq(items) if !items.is_empty() => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let texts: Vec<_> = nodes.iter().map(|node| self.text(node, expected)).collect();
        texts.into_iter().collect()
    }

    /// Reads one text or a list of texts that a script made.
    pub(super) fn made_texts(&mut self, node: &Node, expected: &str) -> Option<Vec<String>> {
        let texts = self.compared_texts(node, expected)?;
        Some(texts.iter().filter_map(Text::as_literal).map(str::to_owned).collect())
    }

    fn check_names(&mut self, node: &Node, used: Vec<String>, unset: Unset) {
        for name in used {
            let captured = self.scope.iter().rev().find(|captured| captured.name == name);
            let is_set = self.shared.variables.contains(&name);
            let is_certain = captured.map_or(self.shared.certain.has(&name), |captured| captured.always);
            match captured.is_some() || is_set {
                _ if self.scope_is_partial || names::is_always(&name) => {}
                true if is_certain || unset == Unset::Empty => {}
                true => self.warn_of_unset(node, &name, captured.is_some(), unset),
                false => self.nothing_sets(node, &name),
            }
        }
    }

    fn nothing_sets(&mut self, node: &Node, name: &str) {
        let known: BTreeSet<&str> = self
            .scope
            .iter()
            .map(|one| one.name.as_str())
            .chain(self.shared.variables.iter().map(String::as_str))
            .collect();
        let all = known.iter().copied().chain(names::ALWAYS.iter().map(|(name, _)| *name));
        let near = reader::suggest(name, all).map(str::to_owned);
        let problem = self.problems.error(node.span, format!("nothing sets `${{{name}}}`"));
        match near {
            Some(near) => problem.hint(format!("did you mean `${{{near}}}`?")),
            None => problem.hint("capture it in this rule's `if` with a regex like `(?<name>…)`, or `set` it above"),
        };
    }

    fn warn_of_unset(&mut self, node: &Node, name: &str, is_capture: bool, unset: Unset) {
        let name = clean::short(name, 60);
        if name == "list.value" {
            let problem = self
                .problems
                .warn(node.span, "`${list.value}` can be without a value here: not every entry of the list has one");
            problem.hint("give each entry a value, or ask `variable: {list.value: {regex: .}}` here");
            return;
        }
        let how = match is_capture {
            true => "the condition can hold without capturing it",
            false => "not every rule above that a message may pass sets it",
        };
        let problem = self.problems.warn(node.span, format!("`${{{name}}}` can be without a value here: {how}"));
        problem.hint(match (unset, is_capture) {
            (Unset::Folder, true) if name.bytes().all(|b| b.is_ascii_digit()) => {
                "it would become `_`; give the group a name, and capture that in every branch".to_owned()
            }
            (Unset::Folder, true) => format!("it would become `_`; capture it in every branch, or `set` {name} first"),
            (Unset::Folder, false) => {
                format!("it would become `_`; `set` it in a rule without `if`, or ask `variable: {{{name}: …}}` here")
            }
            (_, true) => "the comparison has no answer then, and holds neither with `not` nor without".to_owned(),
            (_, false) => "the comparison has no answer then; `set` it in a rule without `if`".to_owned(),
        });
    }
}
