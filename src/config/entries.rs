//! The entries of a list: addresses, domains, patterns, expressions, each perhaps with a value.

use std::collections::{HashMap, HashSet};

use regex::{Regex, RegexBuilder};

/// The largest compiled expression, in bytes.
const SIZE_LIMIT: usize = 1024 * 1024;

/// The entries of a list, lower-case.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// As they were written, in order.
    all: Vec<ListedEntry>,
    /// Whole values, `@domain`, `@*.domain` and `.domain`, by their text.
    exact: HashMap<String, usize>,
    /// Patterns and expressions.
    patterns: Vec<(Regex, usize)>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedEntry {
    /// What is compared, lower-case but for an expression.
    pub text: String,
    /// What stands beside it: a folder, a name.
    pub value: Option<String>,
}

/// An expression that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the expression {entry} cannot be used: {cause}")]
pub struct BadEntry {
    /// As it was written.
    pub entry: String,
    /// What is wrong.
    pub cause: String,
}

impl Entries {
    /// Adds an entry; of one that is there already the first value counts.
    pub fn add(&mut self, text: &str, value: Option<String>) -> Result<(), BadEntry> {
        let text = text.trim();
        let number = self.all.len();
        let expression =
            text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|inner| !inner.is_empty());
        let lower = text.to_lowercase();
        let is_domain = lower.strip_prefix("@*.").is_some_and(|domain| !domain.contains('*'));
        let text = match expression {
            Some(expression) => {
                self.patterns.push((compiled(text, expression)?, number));
                text.to_owned()
            }
            None if lower.contains('*') && !is_domain => {
                let literal: Vec<String> = lower.split('*').map(regex::escape).collect();
                self.patterns.push((compiled(text, &format!(r"(?s)\A(?:{})\z", literal.join(".*")))?, number));
                lower
            }
            None => {
                if self.exact.contains_key(&lower) {
                    return Ok(());
                }
                self.exact.insert(lower.clone(), number);
                lower
            }
        };
        self.all.push(ListedEntry { text, value });
        Ok(())
    }

    /// The entries, in the order in which they were written.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &ListedEntry> {
        self.all.iter()
    }

    /// The entry that a value is, lower-case: as a whole, by its domain or one above it, or by a pattern.
    pub fn find(&self, value: &str) -> Option<&ListedEntry> {
        let exact = keys(value).into_iter().find_map(|key| self.exact.get(&key));
        let number = exact.copied().or_else(|| self.by_pattern(value))?;
        self.all.get(number)
    }

    fn by_pattern(&self, value: &str) -> Option<usize> {
        self.patterns.iter().find(|(regex, _)| regex.is_match(value)).map(|(_, number)| *number)
    }

    /// The entry that stands somewhere in a text. `holds` compares a text with a literal one.
    pub fn find_within(&self, text: &str, holds: impl Fn(&str) -> bool) -> Option<&ListedEntry> {
        let patterns: HashSet<usize> = self.patterns.iter().map(|(_, number)| *number).collect();
        let is_literal = |number: &usize| !patterns.contains(number);
        let literal = (0..self.all.len()).filter(is_literal).find(|number| holds(&self.all[*number].text));
        let number = literal.or_else(|| self.by_pattern(text))?;
        self.all.get(number)
    }

    /// Whether every entry has a value.
    pub fn have_values(&self) -> bool {
        !self.all.is_empty() && self.all.iter().all(|entry| entry.value.is_some())
    }
}

/// Two lists are the same when they hold the same.
impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

fn compiled(written: &str, expression: &str) -> Result<Regex, BadEntry> {
    let built = RegexBuilder::new(expression).case_insensitive(true).size_limit(SIZE_LIMIT).build();
    built.map_err(|error| {
        let text = error.to_string();
        let cause = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        BadEntry { entry: crate::clean::short(written, 60), cause }
    })
}

/// The entries that may stand for a value, lower-case: the value itself; of an address its `@domain`; and for each domain
/// above it `@*.domain`, which is what is below it, and `.domain`, which is the domain itself too.
pub fn keys(value: &str) -> Vec<String> {
    /// Labels of a domain that are looked at: no real one has more.
    const MAX_LABELS: usize = 10;
    let mut keys = vec![value.to_owned()];
    let (is_address, domain) = match value.rfind('@') {
        Some(at) => (true, &value[at + 1..]),
        None => (false, value),
    };
    if is_address {
        keys.push(format!("@{domain}"));
    } else if domain.contains(char::is_whitespace) || !domain.contains('.') {
        return keys;
    }
    keys.push(format!(".{domain}"));
    let mut rest = domain;
    for _ in 0..MAX_LABELS {
        let Some((_, above)) = rest.split_once('.') else { break };
        if is_address {
            keys.push(format!("@*.{above}"));
        }
        keys.push(format!(".{above}"));
        rest = above;
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(texts: &[&str]) -> Entries {
        let mut entries = Entries::default();
        texts.iter().for_each(|text| entries.add(text, None).unwrap());
        entries
    }

    #[test]
    fn a_domain_stands_for_its_addresses_and_no_other() {
        let list = entries(&["@work.example", "a@b.example"]);
        let holds = |value: &str| list.find(value).is_some();
        assert!(holds("me@work.example") && holds("a@b.example"));
        assert!(!holds("me@notwork.example") && !holds("me@work.example.evil") && !holds("b.example"));
        assert!(!holds("me@sub.work.example"));
    }

    #[test]
    fn domains_below_another() {
        let list = entries(&["@*.bank.example", ".pay.example"]);
        let holds = |value: &str| list.find(value).is_some();
        assert!(holds("a@x.bank.example") && holds("a@y.x.bank.example") && !holds("a@bank.example"));
        assert!(holds("a@pay.example") && holds("a@x.pay.example") && holds("x.pay.example") && holds("pay.example"));
        assert!(!holds("a@xpay.example") && !holds("a@pay.example.evil"));
    }

    #[test]
    fn patterns_and_expressions() {
        let list = entries(&["*-noreply@*", "/^bill[0-9]+@/", "plain"]);
        assert_eq!(list.find("shop-noreply@x.example").unwrap().text, "*-noreply@*");
        assert_eq!(list.find("bill12@x.example").unwrap().text, "/^bill[0-9]+@/");
        assert!(list.find("bill@x.example").is_none() && list.find("plainly").is_none());
        assert!(Entries::default().add("/(/", None).unwrap_err().to_string().contains("unclosed group"));
        assert_eq!(
            list.find_within("this is plain text", |text| "this is plain text".contains(text)).unwrap().text,
            "plain"
        );
    }

    #[test]
    fn many_labels_are_bounded() {
        assert!(keys(&format!("a@{}", "x.".repeat(10_000))).len() < 30);
    }
}
