//! Which folders an account fetches: names and patterns, looked up at each run.

use std::collections::BTreeSet;

use imap_proto::{MailboxDatum, NameAttribute, Response};

use super::{ImapSource, mutf7};
use crate::config::Folders;
use crate::config::wildcard::{has_wildcard, matches};
use crate::error::Result;

/// The most folders taken from a listing.
const MAX_FOLDERS: usize = 100_000;

impl ImapSource {
    /// The folders to fetch, with `/` between levels. Plain names are taken without asking; a missing one shows
    /// when it is opened.
    pub async fn folders(&mut self) -> Result<Vec<String>> {
        let patterns = match &self.folders {
            Folders::All => vec!["*".to_owned()],
            Folders::Patterns(patterns) => patterns.clone(),
        };
        let listed = if patterns.iter().any(|p| has_wildcard(p)) {
            self.list("*").await?
        } else {
            if patterns.iter().any(|p| p.contains('/')) {
                // An empty name asks for the delimiter alone (RFC 3501 6.3.8).
                self.list("").await?;
            }
            Vec::new()
        };
        Ok(choose(&patterns, &self.except, &listed))
    }

    /// The folders that can be selected. Notes the delimiter.
    async fn list(&mut self, pattern: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut delimiter = None;
        self.session
            .run(&format!("LIST \"\" \"{pattern}\""), |reply| {
                if let Response::MailboxData(MailboxDatum::List(list)) = reply {
                    delimiter = list.delimiter.as_deref().and_then(|d| d.chars().next()).or(delimiter);
                    if !list.name_attributes.contains(&NameAttribute::NoSelect) && found.len() < MAX_FOLDERS {
                        found.push(mutf7::decode(&list.name));
                    }
                }
                Ok(())
            })
            .await?;
        self.delimiter = delimiter;
        // A name that holds "/" on a server with another delimiter could not be told from two levels.
        let spelled = |name: String| match delimiter {
            Some('/') | None => Some(name),
            Some(_) if name.contains('/') => None,
            Some(d) => Some(name.replace(d, "/")),
        };
        Ok(found.into_iter().filter_map(spelled).collect())
    }
}

/// Names stand in the order of the config, what a pattern finds in the order of the server; each once.
fn choose(patterns: &[String], except: &[String], listed: &[String]) -> Vec<String> {
    let mut wanted = Vec::new();
    let mut taken = BTreeSet::new();
    for pattern in patterns {
        let found: Vec<&String> = match has_wildcard(pattern) {
            true => listed.iter().filter(|name| matches(pattern, name)).collect(),
            false => vec![pattern],
        };
        for name in found {
            if !except.iter().any(|p| matches(p, name)) && taken.insert(name.clone()) {
                wanted.push(name.clone());
            }
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_win_and_nothing_comes_twice() {
        let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let listed = words(&["INBOX", "Lists/noise", "Lists/rust", "Trash"]);
        let chosen = choose(&words(&["INBOX", "Lists/*", "*"]), &words(&["Lists/noise", "Trash"]), &listed);
        assert_eq!(chosen, ["INBOX", "Lists/rust"]);
    }
}
