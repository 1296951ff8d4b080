//! What names and texts mean where they stand: variables, captures, lists, relays and accounts.

use std::collections::BTreeSet;

use super::compile::Compiler;
use super::names;
use super::rule::{List, ListKind};
use crate::config::reader::{self, Named};
use crate::config::template::Template;
use crate::config::text::Text;
use crate::config::yaml::{Node, Value};

impl Compiler<'_, '_> {
    /// What is captured where a condition must not hold is never there.
    pub(super) fn in_own_scope<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.scope.len();
        let value = read(self);
        self.scope.truncate(outer);
        value
    }

    /// Names that the steps below may use.
    pub(super) fn captured(&mut self, names: impl Iterator<Item = String>) {
        self.scope.extend(names);
    }

    /// What is captured here could not be read.
    pub(super) fn captures_unknown(&mut self) {
        self.scope_is_partial = true;
    }

    /// A variable that every rule below may use.
    pub(super) fn sets(&mut self, name: &str) {
        self.shared.variables.insert(name.to_owned());
    }

    /// The account that an action appends to.
    pub(super) fn mailbox(&mut self, node: &Node) -> Option<String> {
        let known = self.shared.settings.mailboxes.as_deref();
        self.named(node, "the name of an account", Named::MAILBOX, known)
    }

    /// Where no config is known, every name is as good as any.
    pub(super) fn named(
        &mut self,
        node: &Node,
        expected: &str,
        kind: Named,
        known: Option<&[String]>,
    ) -> Option<String> {
        let name = reader::text(node, expected, &mut self.problems)?;
        if let Some(known) = known {
            reader::check_named(node, kind, known, &mut self.problems);
        }
        Some(name.to_owned())
    }

    /// The list of that name.
    pub(super) fn list(&mut self, node: &Node) -> Option<List> {
        let name = reader::text(node, "the name of a list", &mut self.problems)?;
        if name == "me" {
            self.doubt_me(node.span);
            return Some(List { name: "me".into(), kind: ListKind::Me });
        }
        if let Some(list) = self.shared.lists.get(name) {
            return Some(list.clone());
        }
        let names: Vec<&str> = self.shared.lists.keys().map(String::as_str).chain(["me"]).collect();
        let problem = self.problems.error(node.span, format!("there is no list `{}`", crate::clean::short(name, 60)));
        match reader::suggest(name, names.iter().copied()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!(
                "define it under `lists:`, like `{name}: {{file: {name}.txt}}`, or `{name}: {{database: true}}` for rules to add to"
            )),
        };
        None
    }

    /// A folder name with variables that are known here.
    pub(super) fn folder(&mut self, node: &Node) -> Option<Template> {
        let template = reader::template(node, &mut self.problems)?;
        self.doubt_folder(node);
        self.check_names(node, template.names().map(str::to_owned).collect());
        Some(template)
    }

    /// A text with variables that are known here.
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
        self.check_names(node, text.names().map(str::to_owned).collect());
        Some(text)
    }

    /// A list of such texts, or one alone.
    pub(super) fn texts(&mut self, node: &Node, expected: &str) -> Option<Vec<Text>> {
        let nodes = match &node.value {
            Value::Seq(items) if !items.is_empty() => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let texts: Vec<_> = nodes.iter().map(|node| self.text(node, expected)).collect();
        texts.into_iter().collect()
    }

    /// Texts without variables: of one line each where a person wrote them, of any shape where a script made them of
    /// what stands in a message.
    pub(super) fn plain_texts(&mut self, node: &Node, expected: &str) -> Option<Vec<String>> {
        let made = match &node.value {
            _ if !self.is_literal() => None,
            Value::Scalar { text, .. } => Some(vec![text.clone()]),
            Value::Seq(items) if !items.is_empty() => {
                items.iter().map(|item| item.as_text().map(str::to_owned)).collect()
            }
            _ => None,
        };
        made.or_else(|| reader::texts(node, expected, &mut self.problems))
    }

    fn check_names(&mut self, node: &Node, used: Vec<String>) {
        let known: BTreeSet<&str> = self.scope.iter().chain(&self.shared.variables).map(String::as_str).collect();
        for name in used {
            if known.contains(name.as_str()) || names::is_always(&name) || self.scope_is_partial {
                continue;
            }
            let all = known.iter().copied().chain(names::ALWAYS.iter().map(|(name, _)| *name));
            let problem = self.problems.error(node.span, format!("nothing sets `${{{name}}}`"));
            match reader::suggest(&name, all.collect::<Vec<_>>().into_iter()) {
                Some(near) => problem.hint(format!("did you mean `${{{near}}}`?")),
                None => {
                    problem.hint("capture it in this rule's `if` with a regex like `(?<name>…)`, or `set` it above")
                }
            };
        }
    }
}
