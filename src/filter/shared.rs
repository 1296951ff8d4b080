//! What all files of an engine have in common: lists, variables, settings.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::rule::{RuleList, RuleListKind};
use crate::config::FilterSource;
use crate::config::Settings;
use crate::config::lists::{self, ListKind as Written};
use crate::config::problem::{Problem, Problems};
use crate::config::yaml::{Node, Value};

/// What all files of an engine have in common.
pub(super) struct SharedByFiles<'s> {
    pub(super) lists: Cow<'s, BTreeMap<String, RuleList>>,
    /// The variables that rules above set.
    pub(super) variables: BTreeSet<String>,
    /// Those of them that are set whatever the message is.
    pub(super) certain: Certain,
    pub(super) settings: &'s Settings,
    /// The rules are for mail that is here: nobody is told anything.
    pub(super) is_silent: bool,
    /// It was said that the config has no way for what leaves: once is enough.
    pub(super) spoke_of_relays: bool,
}

/// The variables that every message has which comes to the place that is being read.
#[derive(Debug, Default)]
pub(super) struct Certain {
    set: HashSet<String>,
    /// In the order they were set.
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

    /// How many there are, for [`Certain::take_since`].
    pub(super) fn mark(&self) -> usize {
        self.gained.len()
    }

    /// Takes out what was set since the mark: where not every message comes by.
    pub(super) fn take_since(&mut self, mark: usize) -> Vec<String> {
        let taken = self.gained.split_off(mark.min(self.gained.len()));
        taken.iter().for_each(|name| _ = self.set.remove(name));
        taken
    }
}

impl<'s> SharedByFiles<'s> {
    /// With these lists and no variables: what a script has around it.
    pub(super) fn of_script(lists: Cow<'s, BTreeMap<String, RuleList>>, settings: &'s Settings) -> Self {
        let (variables, certain) = (BTreeSet::new(), Certain::default());
        Self { lists, variables, certain, settings, is_silent: false, spoke_of_relays: false }
    }

    /// The lists of a file and of what it includes.
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

    /// A list that is defined twice alike is one; what the config says counts for a shipped filter too.
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
