//! Folders whose LIST reply cannot be read: what is known of their names, and how they are reported.

use crate::charsets::mutf7;
use crate::clean;
use crate::config::wildcard::{has_wildcard, matches};
use crate::error::{Error, Kind};

/// How many of them a message names.
const SHOWN_NAMES: usize = 8;

/// A folder on the server that is missing from our listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unlisted {
    /// Its name, with `/` between levels, as far as it is known.
    name: Option<String>,
    /// The text that is shown to people.
    shown: String,
}

impl Unlisted {
    /// From a LIST line that violates the grammar. `None` if the line says that the folder cannot be opened.
    pub(super) fn of_line(line: &str, delimiter: Option<char>) -> Option<Self> {
        let is_none = line.split(')').next().unwrap_or_default().to_ascii_lowercase().contains("\\noselect");
        let name = name_in_broken_line(line).map(|name| match delimiter {
            Some(delimiter) => mutf7::decode(name).replace(delimiter, "/"),
            None => mutf7::decode(name),
        });
        (!is_none).then(|| Self { name, shown: clean::short(line, 100) })
    }

    /// For a name that contains `/` on a server with another delimiter, so that it could be confused with two levels.
    pub(super) fn of_ambiguous_name(name: String) -> Self {
        Self { shown: clean::short(&name, 100), name: Some(name) }
    }

    pub(super) fn may_match(&self, pattern: &str) -> bool {
        self.name.as_ref().is_none_or(|name| matches(pattern, name))
    }

    /// Whether the config asks for it, or may ask for it.
    fn is_asked_for(&self, patterns: &[String], except: &[String]) -> bool {
        let is_left_out = self.name.as_ref().is_some_and(|name| except.iter().any(|p| matches(p, name)));
        // Plain names are opened without a listing.
        !is_left_out && patterns.iter().filter(|pattern| has_wildcard(pattern)).any(|pattern| self.may_match(pattern))
    }
}

/// Guesses the name in a broken line: some servers do not quote names with blanks, and old ones write bytes beyond ASCII outside
/// strings. The result is only used to tell which folder is meant, never to open it.
fn name_in_broken_line(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(')')?;
    let (_, name) = rest.trim().split_once(' ')?;
    let name = name.trim();
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    (!name.is_empty()).then_some(name)
}

/// The report: an error for folders that the config asks for, a remark about the others.
pub(super) fn report(unlisted: &[Unlisted], patterns: &[String], except: &[String]) -> (Option<Error>, Option<String>) {
    let (asked, others): (Vec<&Unlisted>, Vec<_>) = unlisted.iter().partition(|it| it.is_asked_for(patterns, except));
    let error = shown(&asked).map(|shown| {
        let text = format!("{shown}; those that the config asks for are not fetched (`except` excludes a folder)");
        Error::transient(Kind::Protocol, text)
    });
    (error, shown(&others).map(|shown| format!("{shown}; the config asks for none of them")))
}

fn shown(unlisted: &[&Unlisted]) -> Option<String> {
    let folders = match unlisted.len() {
        0 => return None,
        1 => "1 folder on the server is".to_owned(),
        n => format!("{n} folders on the server are"),
    };
    let named: Vec<&str> = unlisted.iter().take(SHOWN_NAMES).map(|it| it.shown.as_str()).collect();
    let more = if unlisted.len() > SHOWN_NAMES { ", …" } else { "" };
    Some(format!("{folders} listed in a form that cannot be read: {}{more}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_known_of_a_name_is() {
        for (line, name) in [
            ("* LIST (\\HasNoChildren) \"/\" Lists/old mail", Some("Lists/old mail")),
            ("* LIST () \".\" \"a\"b.c\"", Some("a\"b/c")),
            ("* LIST () NIL", None),
            ("* LIST what", None),
        ] {
            let delimiter = Some(if line.contains('.') { '.' } else { '/' });
            assert_eq!(Unlisted::of_line(line, delimiter).unwrap().name.as_deref(), name, "{line}");
        }
        assert_eq!(Unlisted::of_line("* LIST (\\Noselect) \"/\" a b", Some('/')), None);
    }

    #[test]
    fn what_may_be_asked_for_is_an_error_and_the_rest_is_not() {
        let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let named = Unlisted::of_line("* LIST () \"/\" Lists/old mail", Some('/')).unwrap();
        let unnamed = Unlisted::of_line("* LIST what", Some('/')).unwrap();
        for (unlisted, patterns, except, is_error) in [
            (&named, &["Lists/*"][..], &[][..], true),
            (&named, &["INBOX", "Work*"], &[], false),
            (&named, &["*"], &["Lists/*"], false),
            (&unnamed, &["Work*"], &["*"], true),
            (&unnamed, &["INBOX"], &[], false),
        ] {
            let (error, remark) = report(std::slice::from_ref(unlisted), &words(patterns), &words(except));
            assert_eq!((error.is_some(), remark.is_some()), (is_error, !is_error), "{unlisted:?} {patterns:?}");
        }
    }
}
