//! INBOX is one folder in any case (RFC 3501 5.1).

use std::borrow::Cow;

use crate::safeguard::Safeguard;

/// The name of the inbox.
pub const INBOX: &str = "INBOX";

/// A folder name with `/` between its levels, where an `inbox` on the first of them is `INBOX`.
pub fn fold_inbox(name: &str) -> Cow<'_, str> {
    let (first, rest) = name.split_at(name.find('/').unwrap_or(name.len()));
    let is_folded = first == INBOX || !first.eq_ignore_ascii_case(INBOX);
    if is_folded || !Safeguard::OneInbox.is_on() { Cow::Borrowed(name) } else { Cow::Owned(format!("{INBOX}{rest}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_has_no_case() {
        for (name, folded) in
            [("Inbox", "INBOX"), ("inbox/Sub", "INBOX/Sub"), ("InBoxes", "InBoxes"), ("a/inbox", "a/inbox")]
        {
            assert_eq!(fold_inbox(name), folded);
        }
    }
}
