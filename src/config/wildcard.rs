//! Patterns for folder names: `*` and `%`, as IMAP has them.

use super::inbox::{INBOX, fold_inbox};

/// Whether it is a pattern and no plain name.
pub fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '%'])
}

/// LIST's own patterns (RFC 3501 6.3.8): `*` is any text, `%` any text without `/`. INBOX is the same in any case.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (fold_inbox(pattern), fold_inbox(name));
    let pattern: Vec<char> = pattern.chars().collect();
    // Also where the pattern has its wildcard within that word.
    let of_inbox = if name == INBOX || name.starts_with("INBOX/") { INBOX.len() } else { 0 };
    let name: Vec<char> = name.chars().collect();
    // Each cell of the table is computed once, so no pattern is slow. reach[j]: the pattern so far matches the
    // first j characters.
    let mut reach = vec![false; name.len() + 1];
    reach[0] = true;
    for p in pattern {
        let mut next = vec![false; name.len() + 1];
        for j in 0..=name.len() {
            next[j] = match p {
                '*' => reach[j] || (j > 0 && next[j - 1]),
                '%' => reach[j] || (j > 0 && next[j - 1] && name[j - 1] != '/'),
                c => {
                    j > 0 && reach[j - 1] && (name[j - 1] == c || j <= of_inbox && name[j - 1].eq_ignore_ascii_case(&c))
                }
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
    fn patterns_know_levels() {
        assert!(matches("Lists/*", "Lists/rust/users"));
        assert!(!matches("Lists/%", "Lists/rust/users"));
        assert!(matches("Lists/%", "Lists/rust"));
        assert!(matches("inbox", "INBOX"));
        assert!(matches("Inbox/*", "INBOX/Sub") && matches("INBOX/%", "inbox/Sub"));
        assert!(matches("inb*", "INBOX") && matches("i%/sub", "INBOX/sub") && !matches("inb*", "INBOXES"));
        assert!(matches("*", "anything/at/all"));
        assert!(!matches("Lists", "Lists/rust"));
        assert!(matches(&"*a".repeat(30), &"a".repeat(60)));
    }
}
