//! Special-use folders (RFC 6154), whatever their names are in the user's language: `\\All`, `\\Sent`, `\\Junk`.
//!
//! A folder that the config names by its role keeps the role as its name in our state: if Gmail is switched to another language,
//! its folders are renamed, but the messages are the same.

use imap_proto::NameAttribute;

use super::ImapSource;
use crate::clean;
use crate::error::{Error, Kind};

/// The roles that the config can name.
const ROLES: [&str; 7] = ["\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"];

/// The role that a name in the config stands for, in its canonical spelling.
pub(super) fn role_in(name: &str) -> Option<&'static str> {
    ROLES.into_iter().find(|role| role.eq_ignore_ascii_case(name))
}

/// The role in the attributes of a LIST line.
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

/// The error for a role that no folder of the server has. `named`: the roles that some folders have.
pub(super) fn missing_role(role: &str, named: &[&str]) -> Error {
    let has = match named.is_empty() {
        true => "it marks no folder with a role".to_owned(),
        false => format!("it has {}", named.join(", ")),
    };
    Error::permanent(Kind::Refused, format!("no folder on the server has the role {}; {has}", clean::short(role, 40)))
        .helped_by("write the folder's name on the server instead")
}

impl ImapSource {
    /// The LIST option that asks for roles. Some servers return them only when asked (RFC 6154 5).
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
        assert!(missing_role("\\All", &["\\Sent"]).to_string().contains("it has \\Sent"));
    }
}
