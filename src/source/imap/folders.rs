//! Which folders an account fetches: names and patterns, looked up at each run.

use std::borrow::Cow;
use std::collections::BTreeSet;

use imap_proto::{MailboxDatum, NameAttribute, Response};

use super::names::{mailbox, quoted_name};
use super::{ImapSource, mutf7};
use crate::config::Folders;
use crate::config::inbox::{INBOX, fold_inbox};
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
            if self.moves_below || patterns.iter().any(|p| p.contains('/')) {
                // An empty name asks for the delimiter alone (RFC 3501 6.3.8).
                self.list("").await?;
            }
            Vec::new()
        };
        let chosen = choose(&patterns, &self.except, &listed);
        self.note_spelling(patterns);
        Ok(chosen)
    }

    /// The folders that can be selected. Notes the delimiter.
    async fn list(&mut self, pattern: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut delimiter = None;
        self.session
            .run(&format!("LIST \"\" \"{pattern}\""), |reply| {
                if let Response::MailboxData(MailboxDatum::List(list)) = reply {
                    delimiter = list.delimiter.as_deref().and_then(|d| d.chars().next()).or(delimiter);
                    if is_folder(&list.name_attributes) && found.len() < MAX_FOLDERS {
                        found.push(list.name.to_string());
                    }
                }
                Ok(())
            })
            .await?;
        self.delimiter = delimiter;
        let mut names = Vec::with_capacity(found.len());
        for wire in found {
            if let Some(name) = with_slashes(mutf7::decode(&wire), delimiter) {
                let name = fold_inbox(&name).into_owned();
                self.spelled.entry(name.clone()).or_insert(wire);
                names.push(name);
            }
        }
        Ok(names)
    }

    /// A plain name goes to the server as the config spells it.
    fn note_spelling(&mut self, patterns: Vec<String>) {
        for name in patterns.into_iter().filter(|name| !has_wildcard(name)) {
            if let Cow::Owned(folded) = fold_inbox(&name)
                && folded != INBOX
            {
                let wire = mutf7::encode(&self.with_delimiter(&name));
                self.spelled.entry(folded).or_insert(wire);
            }
        }
    }

    /// A folder's name for a command: as the server itself spells it, where it told.
    pub(super) fn on_server(&self, folder: &str) -> Result<String> {
        match self.spelled.get(folder) {
            Some(wire) => quoted_name(wire),
            None => mailbox(&self.with_delimiter(folder)),
        }
    }

    fn with_delimiter(&self, folder: &str) -> String {
        self.delimiter.map_or_else(|| folder.to_owned(), |d| folder.replace('/', d.encode_utf8(&mut [0; 4])))
    }
}

/// Whether it can be opened. What does not exist cannot (RFC 5258 3).
fn is_folder(attributes: &[NameAttribute<'_>]) -> bool {
    let is_none = |attribute: &NameAttribute<'_>| match attribute {
        NameAttribute::NoSelect => true,
        NameAttribute::Extension(name) => name.eq_ignore_ascii_case("\\NonExistent"),
        _ => false,
    };
    !attributes.iter().any(is_none)
}

/// A name that holds "/" on a server with another delimiter could not be told from two levels.
fn with_slashes(name: String, delimiter: Option<char>) -> Option<String> {
    match delimiter {
        Some('/') | None => Some(name),
        Some(_) if name.contains('/') => None,
        Some(d) => Some(name.replace(d, "/")),
    }
}

/// Names stand in the order of the config, what a pattern finds in the order of the server; each once.
fn choose(patterns: &[String], except: &[String], listed: &[String]) -> Vec<String> {
    let mut wanted = Vec::new();
    let mut taken = BTreeSet::new();
    for pattern in patterns {
        let found: Vec<Cow<'_, str>> = match has_wildcard(pattern) {
            true => listed.iter().filter(|name| matches(pattern, name)).map(Cow::from).collect(),
            false => vec![fold_inbox(pattern)],
        };
        for name in found {
            if !except.iter().any(|p| matches(p, &name)) && taken.insert(name.to_string()) {
                wanted.push(name.into_owned());
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
        let inboxes = words(&["Inbox", "inbox", "INBOX", "Inbox/*"]);
        assert_eq!(choose(&inboxes, &words(&["inBox/no"]), &words(&["INBOX/a", "INBOX/no"])), ["INBOX", "INBOX/a"]);
    }
}
