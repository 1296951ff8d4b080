//! Whether two configs mean the same, wherever that is written in them.

use super::filters::FilterSource;
use super::yaml::Node;
use super::{Account, Config};

impl FilterSource {
    /// Whether both decide in the same way. Comments, quotes and places do not count.
    pub fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Yaml(a), Self::Yaml(b)) => a.document.root.same_as(&b.document.root),
            (Self::Lua(a), Self::Lua(b)) => {
                let same = |((name, value), (other, other_value)): (&(String, Node), &(String, Node))| {
                    name == other && value.same_as(other_value)
                };
                a.source.text == b.source.text
                    && a.param.len() == b.param.len()
                    && a.param.iter().zip(&b.param).all(same)
            }
            _ => false,
        }
    }
}

impl Config {
    /// Whether both decide in the same way about the mail of the accounts that both have.
    pub fn has_rules_of(&self, other: &Self) -> bool {
        let settings = |it: &Self| {
            let settings = &it.settings;
            let lists: Vec<_> = settings.lists.iter().map(|list| (&list.name, &list.kind)).collect();
            format!(
                "{:?} {:?} {:?} {:?} {lists:?}",
                settings.trust, settings.domain, settings.delimiters, settings.assumed
            )
        };
        let is_same = |account: &Account| match other.accounts.iter().find(|it| it.name == account.name) {
            Some(before) => same_filters(account.filters.as_deref(), before.filters.as_deref()),
            None => true,
        };
        same_filters(Some(&self.filters), Some(&other.filters))
            && settings(self) == settings(other)
            && self.accounts.iter().all(is_same)
    }

    /// Whether mail goes out in the same way.
    pub fn has_relays_of(&self, other: &Self) -> bool {
        let limits = |it: &Self| format!("{:?}", it.settings.limits);
        self.relays == other.relays && limits(self) == limits(other)
    }

    /// Whether the same is done again and again with mail that is here.
    pub fn has_maintenance_of(&self, other: &Self) -> bool {
        let (a, b) = (&self.maintenance, &other.maintenance);
        a.len() == b.len()
            && a.iter().zip(b).all(|(a, b)| {
                (&a.name, &a.folders, a.every, a.keep_newest) == (&b.name, &b.folders, b.every, b.keep_newest)
                    && a.rule.same_as(&b.rule)
            })
    }
}

fn same_filters(a: Option<&[FilterSource]>, b: Option<&[FilterSource]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_as(b)),
        (a, b) => a.is_none() && b.is_none(),
    }
}
