//! Which folders an account fetches: the names and patterns in the config, resolved in each pass.

use std::borrow::Cow;
use std::collections::BTreeSet;

use imap_proto::{MailboxDatum, NameAttribute, Response};

use super::names::{delimiter_in, mailbox, quoted_name, with_delimiter};
use super::roles::{missing_role, role_in, role_of};
use super::unlisted::{self, Unlisted};
use super::{ImapSource, raw};
use crate::charsets::mutf7;
use crate::clean;
use crate::config::FetchedFolders;
use crate::config::inbox::{INBOX, fold_inbox};
use crate::config::wildcard::{has_wildcard, matches};
use crate::error::{Error, Kind, Result};
use crate::safeguard::Safeguard;
use crate::source::Chosen;

/// The most folders that are accepted from a LIST.
pub(super) const MAX_FOLDERS: usize = 100_000;
/// How many folder names an error lists if a pattern matches none.
const SHOWN_FOLDERS: usize = 8;

/// The result of a LIST.
#[derive(Default)]
struct ListedFolders {
    /// The folders that can be selected.
    names: Vec<String>,
    /// Folders that cannot be fetched because of their names.
    unlisted: Vec<Unlisted>,
    /// There are more folders than [`MAX_FOLDERS`].
    has_more: bool,
    /// The special-use folders: each role with the folder's name on the server.
    roles: Vec<(&'static str, String)>,
}

impl ImapSource {
    /// The folders to fetch, with `/` between levels. Plain names are used without asking the server; a missing folder shows
    /// when it is opened.
    pub async fn folders(&mut self) -> Result<Chosen> {
        let patterns = match &self.folders {
            FetchedFolders::All => vec!["*".to_owned()],
            FetchedFolders::Patterns(patterns) => patterns.clone(),
        };
        let listed = if self.wants_roles() || patterns.iter().any(|p| has_wildcard(p)) {
            self.list("*").await?
        } else {
            if self.target.is_some() || patterns.iter().any(|p| p.contains('/')) {
                // LIST with an empty name returns only the delimiter (RFC 3501 6.3.8).
                self.list("").await?;
            }
            ListedFolders::default()
        };
        let ListedFolders { names: mut listed, unlisted, has_more, roles } = listed;
        let (patterns, missing) = self.resolve_roles(patterns, &roles, &mut listed);
        let target = self.target.as_deref().filter(|_| Safeguard::TargetIsNotFetched.is_on());
        let target = target.map(|folder| MoveTarget::of(folder, self.delimiter, &listed));
        let mut chosen = choose(&patterns, &self.except, &listed, &unlisted, target.as_ref());
        let (error, remark) = unlisted::report(&unlisted, &patterns, &self.except);
        chosen.errors.extend(missing);
        chosen.errors.extend(error);
        chosen.errors.extend(has_more.then(too_many));
        chosen.remarks.extend(remark);
        self.note_spelling(patterns);
        Ok(chosen)
    }

    /// Resolves roles in `patterns` to the server's names, and removes those folders from `listed`, so that they are not
    /// fetched again by name. The second part of the result has an error for each role that no folder has.
    fn resolve_roles(
        &mut self,
        patterns: Vec<String>,
        roles: &[(&'static str, String)],
        listed: &mut Vec<String>,
    ) -> (Vec<String>, Vec<Error>) {
        let wire_of = |role: &str| roles.iter().find(|(known, _)| *known == role).map(|(_, wire)| wire.clone());
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for pattern in patterns {
            let Some(role) = role_in(&pattern) else {
                found.push(pattern);
                continue;
            };
            let Some(wire) = wire_of(role) else {
                let named: Vec<&str> = roles.iter().map(|(role, _)| *role).collect();
                missing.push(missing_role(role, &named));
                continue;
            };
            listed.retain(|name| self.spelled.get(name) != Some(&wire));
            self.spelled.insert(role.to_owned(), wire);
            found.push(role.to_owned());
        }
        for wire in self.except.iter().filter_map(|pattern| wire_of(role_in(pattern)?)) {
            listed.retain(|name| self.spelled.get(name) != Some(&wire));
        }
        (found, missing)
    }

    /// The folders that can be selected. Also remembers the delimiter.
    async fn list(&mut self, pattern: &str) -> Result<ListedFolders> {
        let mut found = Vec::new();
        let mut roles = Vec::new();
        let mut has_more = false;
        let option = if pattern == "*" && self.wants_roles() { self.role_option() } else { "" };
        self.session.take_unreadable_lists();
        let changed = self.session.told.folders_changed;
        let mut delimiter = None;
        self.session
            .run(&format!("LIST \"\" \"{pattern}\"{option}"), |reply| {
                delimiter = delimiter_in(reply).or(delimiter);
                if let Response::MailboxData(MailboxDatum::List(list)) = reply
                    && is_folder(&list.name_attributes)
                {
                    roles.extend(role_of(&list.name_attributes).map(|role| (role, list.name.to_string())));
                    has_more |= found.len() == MAX_FOLDERS;
                    found.extend((!has_more).then(|| list.name.to_string()));
                }
                Ok(())
            })
            .await?;
        self.delimiter = delimiter;
        // These LIST lines are answers, not notifications. A LIST of everything also covers what changed before.
        self.session.told.folders_changed = changed && pattern != "*";
        self.has_listed |= pattern == "*";
        let lines = self.session.take_unreadable_lists();
        let mut unlisted: Vec<Unlisted> = lines.iter().filter_map(|line| Unlisted::of_line(line, delimiter)).collect();
        let mut names = Vec::with_capacity(found.len());
        for wire in found {
            match name_of(&wire, delimiter) {
                Ok(name) => {
                    self.spelled.entry(name.clone()).or_insert(wire);
                    names.push(name);
                }
                Err(unlisted_folder) => unlisted.push(unlisted_folder),
            }
        }
        Ok(ListedFolders { names, unlisted, has_more, roles })
    }

    fn wants_roles(&self) -> bool {
        let FetchedFolders::Patterns(patterns) = &self.folders else {
            return self.except.iter().any(|p| role_in(p).is_some());
        };
        patterns.iter().chain(&self.except).any(|p| role_in(p).is_some())
    }

    /// Remembers that a plain name is sent as the config spells it.
    fn note_spelling(&mut self, patterns: Vec<String>) {
        for name in patterns.into_iter().filter(|name| !has_wildcard(name)) {
            if let Cow::Owned(folded) = fold_inbox(&name)
                && folded != INBOX
            {
                let wire = mutf7::encode(&with_delimiter(&name, self.delimiter));
                self.spelled.entry(folded).or_insert(wire);
            }
        }
    }

    /// A folder's name on the server: as the server spells it, if that is known.
    pub(super) fn wire_name(&self, folder: &str) -> String {
        let spelled = self.spelled.get(folder).cloned();
        spelled.unwrap_or_else(|| mutf7::encode(&with_delimiter(folder, self.delimiter)))
    }

    /// A folder's name for a command: as the server spells it, if that is known.
    pub(super) fn on_server(&self, folder: &str) -> Result<String> {
        match self.spelled.get(folder) {
            Some(wire) => quoted_name(wire),
            None => mailbox(&with_delimiter(folder, self.delimiter)),
        }
    }
}

/// Whether the folder can be opened. One that does not exist cannot (RFC 5258 3).
pub(super) fn is_folder(attributes: &[NameAttribute<'_>]) -> bool {
    let is_none = |attribute: &NameAttribute<'_>| match attribute {
        NameAttribute::NoSelect => true,
        NameAttribute::Extension(name) => name.eq_ignore_ascii_case("\\NonExistent"),
        _ => false,
    };
    !attributes.iter().any(is_none)
}

/// The name of a folder as the config spells it.
pub(super) fn name_of(wire: &str, delimiter: Option<char>) -> std::result::Result<String, Unlisted> {
    with_slashes(raw::to_display(mutf7::decode(wire)), delimiter).map(|name| fold_inbox(&name).into_owned())
}

/// Replaces the delimiter by `/`. A name that contains `/` on a server with another delimiter could be confused with two levels.
fn with_slashes(name: String, delimiter: Option<char>) -> std::result::Result<String, Unlisted> {
    match delimiter {
        Some('/') | None => Ok(name),
        Some(_) if name.contains('/') => Err(Unlisted::of_ambiguous_name(name)),
        Some(d) => Ok(name.replace(d, "/")),
    }
}

/// The target folder of `move_to`. It must not be fetched: its mail would be moved onto itself again and again.
struct MoveTarget {
    name: String,
    delimiter: Option<char>,
    /// Whether the server lists a folder with exactly this name. If it lists only one that differs in case, the server
    /// may ignore case.
    is_listed: bool,
}

impl MoveTarget {
    fn of(folder: &str, delimiter: Option<char>, listed: &[String]) -> Self {
        let name = canonical_name(folder, delimiter);
        Self { is_listed: listed.contains(&name), name, delimiter }
    }

    fn is(&self, folder: &str) -> bool {
        let folder = canonical_name(folder, self.delimiter);
        folder == self.name || !self.is_listed && folder.to_lowercase() == self.name.to_lowercase()
    }
}

/// The canonical name of a folder that may be spelled in several ways.
fn canonical_name(folder: &str, delimiter: Option<char>) -> String {
    let name = delimiter.map_or_else(|| folder.to_owned(), |delimiter| folder.replace(delimiter, "/"));
    fold_inbox(&name).into_owned()
}

/// Chooses the folders. Names keep the order of the config, matches of a pattern the order of the server; none occurs twice.
fn choose(
    patterns: &[String],
    except: &[String],
    listed: &[String],
    unlisted: &[Unlisted],
    target: Option<&MoveTarget>,
) -> Chosen {
    let mut chosen = Chosen { folders: Vec::new(), errors: Vec::new(), remarks: Vec::new() };
    let mut taken = BTreeSet::new();
    let is_target = |name: &str| target.is_some_and(|target| target.is(name));
    for pattern in patterns {
        let is_pattern = has_wildcard(pattern);
        let found: Vec<Cow<'_, str>> = match is_pattern {
            true => listed.iter().filter(|name| matches(pattern, name)).map(Cow::from).collect(),
            false => vec![fold_inbox(pattern)],
        };
        let (target, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|name| is_target(name));
        if !target.is_empty() && !is_pattern {
            chosen.errors.push(is_the_target(pattern));
        } else if found.is_empty() && is_pattern && !unlisted.iter().any(|it| it.may_match(pattern)) {
            chosen.errors.push(unmatched(pattern, listed, &target));
        }
        for name in found {
            if !except.iter().any(|p| matches(p, &name)) && taken.insert(name.to_string()) {
                chosen.folders.push(name.into_owned());
            }
        }
    }
    chosen
}

fn too_many() -> Error {
    let text =
        format!("the server lists more than {MAX_FOLDERS} folders, and those beyond that number are not fetched");
    Error::permanent(Kind::Protocol, text)
}

fn is_the_target(folder: &str) -> Error {
    let folder = clean::short(folder, 100);
    let text = format!("the folder {folder} is not fetched: `move_to` puts mail there. Leave it out of `folders`");
    Error::permanent(Kind::Config, text)
}

/// The error for a pattern that matches nothing, with a guess at what was meant.
fn unmatched(pattern: &str, listed: &[String], target: &[Cow<'_, str>]) -> Error {
    let below = format!("{INBOX}/{pattern}");
    let hint = if !target.is_empty() {
        "it matches only the target of `move_to`, which is never fetched".to_owned()
    } else if listed.iter().any(|name| matches(&below, name)) {
        format!("did you mean `{}`?", clean::short(&below, 100))
    } else if let Some(name) = listed.iter().find(|name| matches(&pattern.to_lowercase(), &name.to_lowercase())) {
        format!("did you mean `{}`?", clean::short(name, 100))
    } else {
        let shown: Vec<String> = listed.iter().take(SHOWN_FOLDERS).map(|name| clean::short(name, 60)).collect();
        let more = if listed.len() > SHOWN_FOLDERS { ", …" } else { "" };
        format!("it has {}{more}", if shown.is_empty() { "none".to_owned() } else { shown.join(", ") })
    };
    let text = format!("no folder on the server matches `{}`; {hint}", clean::short(pattern, 100));
    Error::permanent(Kind::Refused, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_win_and_nothing_comes_twice() {
        let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let listed = words(&["INBOX", "Lists/noise", "Lists/rust", "Trash"]);
        let chosen = choose(&words(&["INBOX", "Lists/*", "*"]), &words(&["Lists/noise", "Trash"]), &listed, &[], None);
        assert_eq!(chosen.folders, ["INBOX", "Lists/rust"]);
        let inboxes = words(&["Inbox", "inbox", "INBOX", "Inbox/*"]);
        let chosen = choose(&inboxes, &words(&["inBox/no"]), &words(&["INBOX/a", "INBOX/no"]), &[], None);
        assert_eq!((chosen.folders, chosen.errors.len()), (words(&["INBOX", "INBOX/a"]), 0));
    }

    #[test]
    fn a_target_has_many_names() {
        let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let chosen = |target: &str, delimiter, listed: &[&str]| {
            let listed = words(listed);
            let target = MoveTarget::of(target, delimiter, &listed);
            choose(&words(&["*"]), &[], &listed, &[], Some(&target)).folders
        };
        assert_eq!(chosen("inbox.Done", Some('.'), &["INBOX", "INBOX/Done"]), ["INBOX"]);
        assert_eq!(chosen("Inbox/Done", Some('.'), &["INBOX", "INBOX/Done"]), ["INBOX"]);
        assert_eq!(chosen("inbox.Done", Some('/'), &["INBOX", "INBOX/Done"]), ["INBOX", "INBOX/Done"]);
        // Exchange ignores case, most other servers do not.
        assert_eq!(chosen("archive", Some('/'), &["INBOX", "Archive"]), ["INBOX"]);
        assert_eq!(chosen("archive", Some('/'), &["INBOX", "Archive", "archive"]), ["INBOX", "Archive"]);
    }
}
