//! Folders that the server has and that cannot be told from its LIST: what is known of their names, and what is said.

use crate::charsets::mutf7;
use crate::clean;
use crate::config::wildcard::{has_wildcard, matches};
use crate::error::{Error, Kind};

/// So many are named; the others are counted.
const SHOWN: usize = 8;

/// A folder that is not among the listed ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unlisted {
    /// With `/` between levels, as far as it can be known.
    name: Option<String>,
    /// For people.
    shown: String,
}

impl Unlisted {
    /// Of a line that broke the grammar. `None`: it says that it is no folder of mail.
    pub(super) fn of_line(line: &str, delimiter: Option<char>) -> Option<Self> {
        let is_none = line.split(')').next().unwrap_or_default().to_ascii_lowercase().contains("\\noselect");
        let name = name_in_broken_line(line).map(|name| match delimiter {
            Some(delimiter) => mutf7::decode(name).replace(delimiter, "/"),
            None => mutf7::decode(name),
        });
        (!is_none).then(|| Self { name, shown: clean::short(line, 100) })
    }

    /// Its name holds "/" on a server with another delimiter, so that it cannot be told from two levels.
    pub(super) fn of_two_meanings(name: String) -> Self {
        Self { shown: clean::short(&name, 100), name: Some(name) }
    }

    pub(super) fn fits(&self, pattern: &str) -> bool {
        self.name.as_ref().is_none_or(|name| matches(pattern, name))
    }

    /// Whether the config asks for it, or may do so.
    fn is_asked_for(&self, patterns: &[String], except: &[String]) -> bool {
        let is_left_out = self.name.as_ref().is_some_and(|name| except.iter().any(|p| matches(p, name)));
        // A plain name is opened without a listing.
        !is_left_out && patterns.iter().filter(|pattern| has_wildcard(pattern)).any(|pattern| self.fits(pattern))
    }
}

/// Some servers write names with blanks without quotes, and old ones write bytes beyond ASCII outside of strings. Only to say
/// which folder is meant, never to open it.
fn name_in_broken_line(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(')')?;
    let (_, name) = rest.trim().split_once(' ')?;
    let name = name.trim();
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    (!name.is_empty()).then_some(name)
}

/// What is said of them: an error of those that are asked for, a remark about the others.
pub(super) fn said(unlisted: &[Unlisted], patterns: &[String], except: &[String]) -> (Option<Error>, Option<String>) {
    let (asked, others): (Vec<&Unlisted>, Vec<_>) = unlisted.iter().partition(|it| it.is_asked_for(patterns, except));
    let error = shown(&asked).map(|shown| {
        let text = format!("{shown}; what is asked for among them is not fetched (`except` leaves a folder out)");
        Error::transient(Kind::Protocol, text)
    });
    (error, shown(&others).map(|shown| format!("{shown}; none of them is asked for")))
}

fn shown(unlisted: &[&Unlisted]) -> Option<String> {
    let folders = match unlisted.len() {
        0 => return None,
        1 => "1 folder of the server is".to_owned(),
        n => format!("{n} folders of the server are"),
    };
    let named: Vec<&str> = unlisted.iter().take(SHOWN).map(|it| it.shown.as_str()).collect();
    let more = if unlisted.len() > SHOWN { ", …" } else { "" };
    Some(format!("{folders} listed in words that cannot be read: {}{more}", named.join(", ")))
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
            let (error, remark) = said(std::slice::from_ref(unlisted), &words(patterns), &words(except));
            assert_eq!((error.is_some(), remark.is_some()), (is_error, !is_error), "{unlisted:?} {patterns:?}");
        }
    }
}
