//! One message: bytes that never change, and an index made when somebody asks.
//!
//! The header block is in memory (bounded); the body is memory or a spool file. Line ends are LF, as in a
//! Maildir. Reading a message never fails: what breaks the standards is taken as it stands.

mod address;
mod envelope;
mod headers;
mod key;
mod line_ends;

pub use address::{Address, parse as parse_addresses};
pub use envelope::{BadFlag, Envelope, Flag, Flags, MAX_KEYWORD};
pub use headers::{Field, MAX_FIELDS, MAX_HEADER};
pub use key::{DeliveryName, Key, NOTICES, Origin, RECOVERED, STDIN, written_for};
pub use line_ends::{ToLf, to_lf};

use std::path::PathBuf;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

/// Where the bytes of a message are. They always begin with the header block and have LF line ends.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// The whole message.
    Memory(Vec<u8>),
    /// Too big for memory: the first bytes (the header block, up to [`MAX_HEADER`]), and the file that holds
    /// them all.
    Spooled {
        /// The beginning of the message.
        head: Vec<u8>,
        /// The file in the spool with the whole message.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
}

/// A message and its lazy index of header fields.
#[derive(Debug)]
pub struct Message {
    bytes: Bytes,
    fields: OnceLock<Vec<Field>>,
}

impl Message {
    /// Takes the bytes; nothing is parsed yet.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, fields: OnceLock::new() }
    }

    /// The bytes as they will be filed.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The length in bytes as filed.
    pub fn size(&self) -> u64 {
        match &self.bytes {
            Bytes::Memory(all) => all.len() as u64,
            Bytes::Spooled { length, .. } => *length,
        }
    }

    /// The header block, without the empty line that ends it.
    pub fn head(&self) -> &[u8] {
        let beginning = match &self.bytes {
            Bytes::Memory(all) => all,
            Bytes::Spooled { head, .. } => head,
        };
        head_of(beginning)
    }

    /// The header fields in order, at most [`MAX_FIELDS`].
    pub fn fields(&self) -> &[Field] {
        self.fields.get_or_init(|| headers::split(self.head()))
    }

    /// The fields of that name, in order; names are compared without regard to case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> {
        self.fields().iter().filter(move |f| f.is_named(name))
    }

    /// The decoded value of the first field of that name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.fields().iter().find(|f| f.is_named(name)).map(Field::value)
    }

    /// The addresses of every field of that name.
    pub fn addresses(&self, name: &str) -> Vec<Address> {
        self.all(name).flat_map(|f| parse_addresses(f.value())).collect()
    }

    /// The list's identity: what stands between the last `<` and `>` of List-Id (RFC 2919), or the whole value
    /// where a list leaves the brackets out.
    pub fn list_id(&self) -> Option<&str> {
        let value = self.first("List-Id")?;
        let inside = value.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
        Some(inside.map_or(value, |(id, _)| id).trim())
    }

    /// A hash of the header block, by which a message is recognised under another number.
    pub fn head_hash(&self) -> [u8; 16] {
        head_hash(self.head())
    }
}

/// A hash of a header block with LF line ends (truncated SHA-256). Trailing empty lines do not count, because
/// servers differ in whether BODY[HEADER] and TOP end with one.
pub fn head_hash(head: &[u8]) -> [u8; 16] {
    let digest = Sha256::digest(head.trim_ascii_end());
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

/// The header block at the beginning of a message with LF line ends, at most [`MAX_HEADER`] bytes.
pub fn head_of(message: &[u8]) -> &[u8] {
    let window = &message[..message.len().min(MAX_HEADER)];
    if window.starts_with(b"\n") {
        return &[];
    }
    memchr::memmem::find(window, b"\n\n").map_or(window, |end| &window[..end + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::new(Bytes::Memory(text.as_bytes().to_vec()))
    }

    #[test]
    fn the_head_ends_at_the_first_empty_line() {
        assert_eq!(message("A: 1\nB: 2\n\nC: 3\n").head(), b"A: 1\nB: 2\n");
        assert_eq!(message("\nbody").head(), b"");
        assert_eq!(message("A: 1").head(), b"A: 1");
    }

    #[test]
    fn list_id_with_and_without_brackets() {
        assert_eq!(message("List-Id: Rust <users.rust.example>\n\n").list_id(), Some("users.rust.example"));
        assert_eq!(message("List-Id: users.rust.example\n\n").list_id(), Some("users.rust.example"));
        assert_eq!(message("Subject: x\n\n").list_id(), None);
    }
}
