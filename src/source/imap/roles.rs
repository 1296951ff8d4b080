//! Folders by what they are for (RFC 6154), whatever they are called in whatever language: `\\All`, `\\Sent`, `\\Junk`.
//!
//! Here a folder that was asked for by its role keeps that name: when Gmail is set to another language its folder is called
//! otherwise, and its messages are the same.

use imap_proto::NameAttribute;

use super::ImapSource;
use crate::clean;
use crate::error::{Error, Kind};

/// The roles that a config can name.
const ROLES: [&str; 7] = ["\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"];

/// The role that a name in the config means, in its one spelling.
pub(super) fn role_in(name: &str) -> Option<&'static str> {
    ROLES.into_iter().find(|role| role.eq_ignore_ascii_case(name))
}

/// The role among the attributes of a folder.
pub(super) fn role_of(attributes: &[NameAttribute<'_>]) -> Option<&'static str> {
    attributes.iter().find_map(|attribute| match attribute {
        NameAttribute::All => Some("\\All"),
        NameAttribute::Archive => Some("\\Archive"),
        NameAttribute::Drafts => Some("\\Drafts"),
        NameAttribute::Flagged => Some("\\Flagged"),
        NameAttribute::Junk => Some("\\Junk"),
        NameAttribute::Sent => Some("\\Sent"),
        NameAttribute::Trash => Some("\\Trash"),
        _ => None,
    })
}

/// A role that no folder of the server has. `named`: those that some have.
pub(super) fn nobody_has(role: &str, named: &[&str]) -> Error {
    let has = match named.is_empty() {
        true => "it tells of no folder what it is for".to_owned(),
        false => format!("it has {}", named.join(", ")),
    };
    Error::permanent(Kind::Refused, format!("no folder of the server is for {}; {has}", clean::short(role, 40)))
        .helped_by("name the folder as the server calls it")
}

impl ImapSource {
    /// How roles are asked for beside the names: a server that can tell of them may want to be asked (RFC 6154 5).
    pub(super) fn role_option(&self) -> &'static str {
        let can = ["SPECIAL-USE", "LIST-EXTENDED"].iter().all(|capability| self.session.can(capability));
        if can { " RETURN (SPECIAL-USE)" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_one_spelling() {
        assert_eq!(role_in("\\all"), Some("\\All"));
        assert_eq!((role_in("All"), role_in("\\Inbox"), role_in("\\")), (None, None, None));
        assert_eq!(role_of(&[NameAttribute::Marked, NameAttribute::Trash]), Some("\\Trash"));
        assert!(nobody_has("\\All", &["\\Sent"]).to_string().contains("it has \\Sent"));
    }
}
