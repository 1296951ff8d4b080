//! Recognises a mail after its server has changed parts of its header.

use sha2::{Digest, Sha256};

use super::{Bytes, Message, head_of};

/// The fields that identify a mail. Servers add other fields (Status, X-Keywords, spam filter results) but do not
/// change these.
const IDENTIFYING_FIELDS: [&str; 4] = ["Message-ID", "Date", "From", "Subject"];

/// A hash of the parts of a header block (with LF line ends) that identify the mail: the fields above and the lowest
/// Received field, which the first server wrote. If these do not identify it, the hash also covers the whole header
/// block.
pub fn dress_hash(head: &[u8]) -> [u8; 16] {
    let message = Message::new(Bytes::Memory(head_of(head).to_vec()));
    let naming = IDENTIFYING_FIELDS.iter().map(|name| message.all(name).next());
    let mut digest = Sha256::new();
    for field in naming.chain([message.all("Received").last()]) {
        // Servers may fold long fields in a different way.
        for word in field.map(|field| field.value().split_ascii_whitespace()).into_iter().flatten() {
            digest.update(word);
            digest.update(" ");
        }
        digest.update("\n");
    }
    let has = |name| message.first(name).is_some_and(|value| !value.trim().is_empty());
    let is_named = has("Message-ID") || (has("Date") && has("From"));
    if !is_named {
        digest.update(message.head());
    }
    let mut short = [0; 16];
    short.copy_from_slice(&digest.finalize()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"Received: by b; Tue, 3 Nov 2026 10:00:00 +0100\nReceived: from a by b;\n Mon, 2 Nov 2026\n\
        Message-ID: <1@a>\nFrom: a@example.com\nSubject: a long\n subject\n\n";

    #[test]
    fn a_mail_in_another_dress_is_the_same() {
        let other = b"Status: RO\nReceived: from a by b; Mon, 2 Nov 2026\nMESSAGE-ID: <1@a>\nX-Spam: no\n\
            From: a@example.com\nSubject: a long subject\nStatus: O\n";
        assert_eq!(dress_hash(HEAD), dress_hash(other));
    }

    #[test]
    fn another_mail_is_another() {
        for (before, after) in [("<1@a>", "<2@a>"), ("2 Nov", "3 Nov"), ("a@", "b@"), ("long", "short")] {
            let other = String::from_utf8_lossy(HEAD).replace(before, after);
            assert_ne!(dress_hash(HEAD), dress_hash(other.as_bytes()), "{before}");
        }
        assert_ne!(dress_hash(b"Subject: a\nTo: b\n"), dress_hash(b"Subject: a\nTo: c\n"), "nothing names them");
        assert_ne!(dress_hash(b"Subject: a\nFrom: b\n"), dress_hash(b"Subject: b\nFrom: a\n"));
    }
}
