//! What all files of an engine share: lists, variables, settings.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::rule::{RuleList, RuleListKind};
use crate::config::FilterSource;
use crate::config::Settings;
use crate::config::lists::{self, ListKind as Written};
use crate::config::problem::{Problem, Problems};
use crate::config::yaml::{Node, Value};

/// What all files of an engine share.
pub(super) struct SharedByFiles<'s> {
    pub(super) lists: Cow<'s, BTreeMap<String, RuleList>>,
    /// The variables that earlier rules set.
    pub(super) variables: BTreeSet<String>,
    /// The variables that are set for every message.
    pub(super) certain: Certain,
    pub(super) settings: &'s Settings,
    /// The rules are for local mail and may not send anything.
    pub(super) is_silent: bool,
    /// It was already reported that the config has no way to send. One report is enough.
    pub(super) spoke_of_relays: bool,
}

/// The variables that are set for every message that reaches the current position.
#[derive(Debug, Default)]
pub(super) struct Certain {
    set: HashSet<String>,
    /// The variables in the order in which they were set.
    gained: Vec<String>,
}

impl Certain {
    pub(super) fn has(&self, name: &str) -> bool {
        self.set.contains(name)
    }

    pub(super) fn gain(&mut self, name: &str) {
        if self.set.insert(name.to_owned()) {
            self.gained.push(name.to_owned());
        }
    }

    /// The number of variables, for [`Certain::take_since`].
    pub(super) fn mark(&self) -> usize {
        self.gained.len()
    }

    /// Removes the variables set since the mark, because not every message passes there, and returns them.
    pub(super) fn take_since(&mut self, mark: usize) -> Vec<String> {
        let taken = self.gained.split_off(mark.min(self.gained.len()));
        taken.iter().for_each(|name| _ = self.set.remove(name));
        taken
    }
}

impl<'s> SharedByFiles<'s> {
    /// What a script shares with its surroundings: these lists, and no variables.
    pub(super) fn of_script(lists: Cow<'s, BTreeMap<String, RuleList>>, settings: &'s Settings) -> Self {
        let (variables, certain) = (BTreeSet::new(), Certain::default());
        Self { lists, variables, certain, settings, is_silent: false, spoke_of_relays: false }
    }

    /// Collects the lists of a file and of the files it includes.
    pub(super) fn collect_lists(&mut self, source: &FilterSource, problems: &mut Vec<Problem>) {
        let lists = match source {
            FilterSource::Yaml(file) => &file.lists,
            FilterSource::Lua(script) => &script.lists,
        };
        for list in lists {
            self.define(list, problems);
        }
        if let FilterSource::Yaml(file) = source {
            self.collect_below(&file.document.root, problems);
        }
    }

    fn collect_below(&mut self, node: &Node, problems: &mut Vec<Problem>) {
        match &node.value {
            Value::File(file) => self.collect_lists(file, problems),
            Value::Seq(items) => items.iter().for_each(|item| self.collect_below(item, problems)),
            Value::Map(entries) => entries.iter().for_each(|(_, node)| self.collect_below(node, problems)),
            Value::Null | Value::Scalar { .. } => {}
        }
    }

    /// Defines a list. Two equal definitions are allowed. A definition in the config replaces that of a shipped filter.
    pub(super) fn define(&mut self, list: &lists::ConfigList, problems: &mut Vec<Problem>) {
        let kind = match &list.kind {
            Written::Inline(entries) => RuleListKind::Inline(Arc::clone(entries)),
            Written::File(origin, entries) => RuleListKind::File(Arc::clone(origin), Arc::clone(entries)),
            Written::Command(origin) => RuleListKind::Command(Arc::clone(origin)),
            Written::Database(keep_for) => RuleListKind::Database(*keep_for),
        };
        let is_reserved = list.name == "me";
        let is_config = self.settings.lists.iter().any(|known| known.name == list.name);
        match self.lists.get(&list.name).filter(|_| !is_config || is_reserved) {
            Some(known) if !same_list(&known.kind, &kind) => {
                let mut own = Problems::new(&list.source);
                own.error(list.at, format!("the list `{}` is defined elsewhere in another way", list.name))
                    .hint("define it once, in the config or in one rule file");
                problems.extend(own.into_vec());
            }
            _ if is_reserved => {
                let mut own = Problems::new(&list.source);
                own.error(list.at, "the list `me` is your own addresses").hint("write them under `me:` in the config");
                problems.extend(own.into_vec());
            }
            Some(_) => {}
            None => {
                let new = RuleList { name: list.name.as_str().into(), kind };
                self.lists.to_mut().entry(list.name.clone()).or_insert(new);
            }
        }
    }
}

fn same_list(a: &RuleListKind, b: &RuleListKind) -> bool {
    match (a, b) {
        (RuleListKind::Database(a), RuleListKind::Database(b)) => a == b,
        (RuleListKind::Command(a), RuleListKind::Command(b)) => a == b,
        (RuleListKind::File(a, _), RuleListKind::File(b, _)) => a == b,
        (RuleListKind::Inline(a), RuleListKind::Inline(b)) => a == b,
        _ => false,
    }
}
