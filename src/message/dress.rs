//! By what a message is recognised although a server changed its header: some add Status, X-Keywords or spam fields to
//! mail that stands there.

use sha2::{Digest, Sha256};

use super::{Bytes, Message};

/// The fields that no server changes. Of Received the lowest counts: it was written first.
const FIELDS: [&str; 4] = ["Message-ID", "Date", "From", "Subject"];

/// A hash of these fields of a header block with LF line ends (truncated SHA-256); white space does not count, for servers
/// fold anew.
pub fn dress_hash(head: &[u8]) -> [u8; 16] {
    let message = Message::new(Bytes::Memory(head.to_vec()));
    let lowest = message.all("Received").last().map(|field| field.value().to_owned());
    let fields = FIELDS.iter().map(|field| message.first(field).map(str::to_owned)).chain([lowest]);
    let mut hash = Sha256::new();
    for field in fields {
        let text: String = field.unwrap_or_default().split_whitespace().collect();
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_adds_changes_nothing_and_another_message_is_another() {
        let mail = "Received: from b by c; 2\nReceived: from a by b; 1\nFrom: a@x\nSubject: one\n two\nMessage-ID: <1@x>\n";
        let dressed = format!("Status: RO\nX-Spam: no\n{}", mail.replace("\n two", " two"));
        assert_eq!(dress_hash(mail.as_bytes()), dress_hash(dressed.as_bytes()));
        for (old, new) in [("<1@x>", "<2@x>"), ("from a by b", "from z by b"), ("a@x", "b@x"), ("one", "two")] {
            assert_ne!(dress_hash(mail.as_bytes()), dress_hash(mail.replace(old, new).as_bytes()), "{new}");
        }
    }
}
