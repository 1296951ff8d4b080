//! Which folders an account fetches: names and patterns, looked up at each run.

use std::collections::BTreeSet;

use async_imap::imap_proto::{MailboxDatum, NameAttribute, Response};

use super::{ImapSource, mutf7};
use crate::config::Folders;
use crate::error::Result;

/// The most folders taken from a listing.
const MAX_FOLDERS: usize = 100_000;

impl ImapSource {
    /// The folders to fetch. Plain names are taken without asking; a missing one shows when it is opened.
    pub async fn folders(&mut self) -> Result<Vec<String>> {
        let patterns = match &self.folders {
            Folders::All => vec!["*".to_owned()],
            Folders::Patterns(patterns) => patterns.clone(),
        };
        let is_excepted = |name: &str, delimiter, except: &[String]| except.iter().any(|p| matches(p, name, delimiter));
        if !patterns.iter().any(|p| has_wildcard(p)) {
            return Ok(patterns.into_iter().filter(|name| !is_excepted(name, None, &self.except)).collect());
        }
        let listed = self.list().await?;
        let mut wanted = Vec::new();
        let mut taken = BTreeSet::new();
        for pattern in &patterns {
            if !has_wildcard(pattern) && taken.insert(pattern.clone()) && !is_excepted(pattern, None, &self.except) {
                wanted.push(pattern.clone());
            }
            for (name, delimiter) in &listed {
                let fits = matches(pattern, name, *delimiter) && !is_excepted(name, *delimiter, &self.except);
                if fits && taken.insert(name.clone()) {
                    wanted.push(name.clone());
                }
            }
        }
        Ok(wanted)
    }

    /// Every folder that can be selected, with its hierarchy delimiter.
    async fn list(&mut self) -> Result<Vec<(String, Option<char>)>> {
        let mut found = Vec::new();
        self.session
            .run("LIST \"\" \"*\"", |reply| {
                if let Response::MailboxData(MailboxDatum::List(list)) = reply
                    && !list.name_attributes.contains(&NameAttribute::NoSelect)
                    && found.len() < MAX_FOLDERS
                {
                    let delimiter = list.delimiter.as_deref().and_then(|d| d.chars().next());
                    found.push((mutf7::decode(&list.name), delimiter));
                }
                Ok(())
            })
            .await?;
        Ok(found)
    }
}

fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '%'])
}

/// LIST's own patterns (RFC 3501 6.3.8): `*` is any text, `%` any text without the delimiter. `/` in a pattern
/// stands for the server's delimiter, whichever it is. INBOX is the same in any case.
fn matches(pattern: &str, name: &str, delimiter: Option<char>) -> bool {
    if pattern.eq_ignore_ascii_case("INBOX") {
        return name.eq_ignore_ascii_case("INBOX");
    }
    let pattern: Vec<char> = pattern.chars().map(|c| if c == '/' { delimiter.unwrap_or('/') } else { c }).collect();
    let name: Vec<char> = name.chars().collect();
    glob(&pattern, &name, delimiter)
}

/// Each cell of the table is computed once, so no pattern is slow.
fn glob(pattern: &[char], name: &[char], delimiter: Option<char>) -> bool {
    // reach[j]: the pattern so far matches the first j characters.
    let mut reach = vec![false; name.len() + 1];
    reach[0] = true;
    for p in pattern {
        let mut next = vec![false; name.len() + 1];
        for j in 0..=name.len() {
            next[j] = match p {
                '*' => reach[j] || (j > 0 && next[j - 1]),
                '%' => reach[j] || (j > 0 && next[j - 1] && Some(name[j - 1]) != delimiter),
                c => j > 0 && reach[j - 1] && name[j - 1] == *c,
            };
        }
        reach = next;
    }
    reach[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_know_levels_and_delimiters() {
        assert!(matches("Lists/*", "Lists/rust/users", Some('/')));
        assert!(!matches("Lists/%", "Lists/rust/users", Some('/')));
        assert!(matches("Lists/%", "Lists.rust", Some('.')));
        assert!(matches("inbox", "INBOX", Some('/')));
        assert!(matches("*", "anything/at/all", Some('/')));
        assert!(!matches("Lists", "Lists/rust", Some('/')));
        assert!(matches(&"*a".repeat(30), &"a".repeat(60), None));
    }
}
