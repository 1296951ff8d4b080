//! Looks up values in lists: which entry matches a value, and which value the entry has.

use std::sync::Arc;

use super::asking::{Asking, Break};
use super::facts::KnownList;
use super::fold::folded;
use super::rule::{RuleList, RuleListKind};
use super::width::ordinary;
use crate::clean;
use crate::config::entries::{self, Entries, ListedEntry};
use crate::decision::Fact;

/// The number of candidates that rules add to lists: a value and its domain.
const RECORDED_CANDIDATES: usize = 2;

/// The entry that matches a value.
#[derive(Debug)]
pub(super) struct FoundEntry {
    pub(super) entry: String,
    pub(super) value: Option<String>,
    /// The user wrote the value.
    pub(super) is_own: bool,
}

impl FoundEntry {
    fn of(entry: &ListedEntry) -> Self {
        Self { entry: entry.text.clone(), value: entry.value.clone(), is_own: true }
    }
}

impl Asking<'_> {
    /// Whether the list contains the value or its domain.
    pub(super) fn in_list(&mut self, list: &RuleList, value: &str) -> Result<bool, Break> {
        self.find_in_list(list, value, false).map(|found| found.is_some())
    }

    /// The entry that equals the value or its domain, or is a pattern that matches it. In texts that people write
    /// (`is_of_text`), wide and narrow forms of a character are equal. A database entry is found as written or in
    /// ordinary width.
    pub(super) fn find_in_list(
        &mut self,
        list: &RuleList,
        value: &str,
        is_of_text: bool,
    ) -> Result<Option<FoundEntry>, Break> {
        let value = value.trim().to_lowercase();
        if matches!(list.kind, RuleListKind::Me) {
            let is_me = self.settings.is_me(&value);
            return Ok(is_me.then_some(FoundEntry { entry: value, value: None, is_own: false }));
        }
        let Some(entries) = self.entries(list)? else {
            let found = self.find_in_database(&list.name, &value)?;
            let other = ordinary(&value);
            return match found {
                None if is_of_text && other != value => self.find_in_database(&list.name, &other),
                found => Ok(found),
            };
        };
        let found = entries.find(&value).map(FoundEntry::of);
        if found.is_some() || !is_of_text {
            return Ok(found);
        }
        let value = ordinary(&value);
        let wide = || entries.iter().find(|entry| !entry.text.is_ascii() && ordinary(&entry.text) == value);
        Ok(entries.find(&value).or_else(wide).map(FoundEntry::of))
    }

    /// The first entry that the text contains.
    pub(super) fn find_within(
        &mut self,
        list: &RuleList,
        text: &str,
        ordinary_text: &str,
    ) -> Result<Option<FoundEntry>, Break> {
        let within = folded(ordinary_text);
        let holds = |entry: &str| {
            let entry = folded(&ordinary(entry));
            !entry.is_empty() && memchr::memmem::find(within.as_bytes(), entry.as_bytes()).is_some()
        };
        if let Some(entries) = self.entries(list)? {
            return Ok(entries.find_within(text, holds).map(FoundEntry::of));
        }
        let known = match list.kind {
            RuleListKind::Me => {
                self.settings.me.iter().map(|me| ListedEntry { text: me.clone(), value: None }).collect()
            }
            _ => self.list_entries(&list.name)?,
        };
        match known.into_iter().find(|entry| holds(&entry.text)) {
            Some(entry) if matches!(list.kind, RuleListKind::Me) => Ok(Some(FoundEntry::of(&entry))),
            // This records the question, which is asked again when the decision is recorded.
            Some(entry) => self.find_in_database(&list.name, &entry.text),
            None => Ok(None),
        }
    }

    /// All entries of a list, in order.
    pub(super) fn all_entries(&mut self, list: &RuleList) -> Result<Vec<ListedEntry>, Break> {
        match (&list.kind, self.entries(list)?) {
            (_, Some(entries)) => Ok(entries.iter().cloned().collect()),
            (RuleListKind::Me, None) => {
                Ok(self.settings.me.iter().map(|me| ListedEntry { text: me.clone(), value: None }).collect())
            }
            (_, None) => self.list_entries(&list.name),
        }
    }

    /// The entries of a list that is not in the database.
    fn entries(&mut self, list: &RuleList) -> Result<Option<Arc<Entries>>, Break> {
        match &list.kind {
            RuleListKind::Me | RuleListKind::Database(_) => Ok(None),
            RuleListKind::Inline(entries) => Ok(Some(Arc::clone(entries))),
            // If the file cannot be read now, the entries read with the rules are used.
            RuleListKind::File(origin, before) => match self.list(origin) {
                KnownList::Entries(now) => Ok(Some(now)),
                KnownList::NotAsked | KnownList::Failed(_) => Ok(Some(Arc::clone(before))),
            },
            RuleListKind::Command(origin) => match self.list(origin) {
                KnownList::Entries(now) => Ok(Some(now)),
                KnownList::NotAsked => {
                    Err(Break::NoAnswer(format!("the program of the list {} is not asked here", list.name)))
                }
                KnownList::Failed(cause) => {
                    Err(Break::Failed(format!("the list {}: {}", list.name, clean::short(&cause, 200))))
                }
            },
        }
    }

    fn find_in_database(&mut self, list: &str, value: &str) -> Result<Option<FoundEntry>, Break> {
        for (number, entry) in entries::keys(value).into_iter().enumerate() {
            let fact = Fact::Listed { list: list.to_owned(), entry: entry.clone() };
            // There may be many parent domains. Only questions about existing entries are recorded and asked again.
            if number >= RECORDED_CANDIDATES && !self.holds_now(&fact)? {
                continue;
            }
            if self.holds(fact)? {
                let value = self.list_value(list, &entry)?;
                return Ok(Some(FoundEntry { entry, value, is_own: false }));
            }
        }
        Ok(None)
    }
}
