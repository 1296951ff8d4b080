//! One message: immutable bytes, and an index that is built on demand.
//!
//! The header block is in memory, and its size is limited. The body is in memory or in a spool file. Line ends are LF,
//! as in a Maildir. Reading a message never fails: data that violates a standard is read literally.

mod address;
mod bytes;
mod compose;
mod date;
mod dividers;
mod doubt;
mod dress;
mod edit;
mod encoded;
mod entity;
mod envelope;
mod fit;
mod headers;
mod html;
mod html_entities;
mod invite;
mod key;
mod kind;
mod line_ends;
mod mime;
mod names;
mod params;
mod part;
mod report;
mod route;
mod sender;
mod submitted;
mod text;
mod transfer;
mod unlabelled;
mod violations;
mod within;
mod words;

pub use address::{
    Address, ParsedAddresses as AddressList, Recipient, Unreadable, complete_addresses, is_user_name,
    parse as parse_addresses,
};
pub use bytes::{Bytes, Opener};
pub use compose::{MAX_COMPOSED, field as composed_field, has_addresses, is_field_name};
pub use date::parse_date;
pub use dress::dress_hash;
pub use edit::{Edit, is_protected};
pub use entity::{Entity, NoEntity};
pub use envelope::{BadFlag, Envelope, Flag, Flags, MAX_KEYWORD};
pub use fit::{Fitted, LONGEST_LINE, LeftReason, base64_text, quoted_printable};
pub use headers::{Field, MAX_FIELDS, MAX_HEADER, MAX_VALUE};
pub use invite::Invite;
pub use key::{
    DELIVERED, DeliveryName, INCOMING, Key, MOVED, NOTICES, OUTBOX, Origin, RECOVERED, REDIRECTED_FROM, REFILTERED,
    STDIN, SUBMITTED, UNDONE, is_edited_name, lasting_name, space_tag, uid_in_id, without_version, written_for,
};
pub use kind::{MessageKind, is_program, is_robot};
pub use line_ends::{OneLineEnd, ToLf, to_lf};
pub use mime::{MAX_DEPTH, MAX_PART_FIELDS, MAX_PART_HEADER, MAX_PARTS};
pub use params::MAX_PARAMETERS;
pub use part::Part;
pub use report::Reported;
pub use route::MAX_THREAD_IDS;
pub use sender::unwrapped;
pub use submitted::{as_delivered, return_path, submitted, without_mbox_line};
pub use text::{MAX_TEXT, MAX_TEXT_INPUT, PartTexts};
pub use violations::Violation;
pub use within::{Apart, MAX_WITHIN, MAX_WITHIN_BYTES, NotSplit, Within};

use std::io::{self, Read};
use std::sync::OnceLock;

use crate::charsets::Charset;
use bytes::MaybeOpener;
use sha2::{Digest, Sha256};

/// A message and its lazy index: everything is parsed on demand, and only once.
#[derive(Debug)]
pub struct Message {
    bytes: Bytes,
    opener: MaybeOpener,
    /// The charsets that the user assumes for 8-bit text without a label.
    assumed: Vec<Charset>,
    /// The number of encoded messages that contain it.
    nested: usize,
    head: OnceLock<HeaderIndex>,
    structure: OnceLock<mime::Structure>,
    text: OnceLock<text::MessageText>,
    date: OnceLock<Option<jiff::Zoned>>,
    recipients: OnceLock<Box<[Address]>>,
}

/// The index of the header block.
#[derive(Debug)]
struct HeaderIndex {
    fields: Vec<Field>,
    /// The length and the first letter of each field name, which speed up the search by name.
    keys: Vec<(u8, u8)>,
    violations: Vec<Violation>,
}

impl HeaderIndex {
    fn new(fields: Vec<Field>, violations: Vec<Violation>) -> Self {
        Self { keys: fields.iter().map(|field| key_of(field.name())).collect(), fields, violations }
    }
}

impl Message {
    /// Makes a message of these bytes, without parsing. Of a spooled message, only the bytes in memory can be read.
    pub fn new(bytes: Bytes) -> Self {
        Self::with(bytes, MaybeOpener::default())
    }

    /// Makes a message of these bytes. `open` opens the file of a spooled message when its body is needed.
    pub fn with_opener(bytes: Bytes, open: Opener) -> Self {
        Self::with(bytes, MaybeOpener(Some(open)))
    }

    fn with(bytes: Bytes, opener: MaybeOpener) -> Self {
        Self {
            bytes,
            opener,
            assumed: Vec::new(),
            nested: 0,
            head: OnceLock::new(),
            structure: OnceLock::new(),
            text: OnceLock::new(),
            date: OnceLock::new(),
            recipients: OnceLock::new(),
        }
    }

    /// Sets the charsets that the user assumes for 8-bit text without a label, in this order. Must be called before
    /// anything is parsed.
    #[must_use]
    pub fn assuming(mut self, charsets: &[Charset]) -> Self {
        self.assumed = charsets.to_vec();
        self
    }

    /// The bytes as they will be filed.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The length in bytes as filed.
    pub fn size(&self) -> u64 {
        self.bytes.length()
    }

    /// A reader over the whole message. Without an opener, it ends where the bytes in memory end.
    pub fn reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        self.opener.reader(&self.bytes)
    }

    /// The header block, without the empty line that ends it.
    pub fn head(&self) -> &[u8] {
        head_of(self.bytes.beginning())
    }

    /// Where the body begins: after the empty line, if there is one.
    fn body_at(&self) -> u64 {
        let head = self.head().len();
        let has_end = self.bytes.beginning().get(head) == Some(&b'\n');
        head as u64 + u64::from(has_end)
    }

    /// The violations found so far: those of the header and the parts, and those of the texts after [`Self::text`] was
    /// called.
    pub fn violations(&self) -> Vec<Violation> {
        let mut all = self.index().violations.clone();
        let of_text = self.text.get().map(|text| text.violations.as_slice()).unwrap_or_default();
        self.structure().violations.iter().chain(of_text).for_each(|violation| violations::note(&mut all, *violation));
        all
    }

    /// The header fields in order, at most [`MAX_FIELDS`].
    pub fn fields(&self) -> &[Field] {
        &self.index().fields
    }

    fn index(&self) -> &HeaderIndex {
        self.head.get_or_init(|| {
            let mut violations = Vec::new();
            let head = self.head();
            if head.len() >= MAX_HEADER {
                violations.push(Violation::HeaderTooLarge);
            }
            let unlabelled = self.unlabelled_in_head();
            let fields = headers::split(head, MAX_FIELDS, unlabelled.as_ref(), &mut violations);
            HeaderIndex::new(fields, violations)
        })
    }

    /// The fields of that name, in order. Names are compared without regard to case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> {
        let HeaderIndex { fields, keys, .. } = self.index();
        let key = key_of(name);
        let fits = move |(known, field): &(&(u8, u8), &Field)| **known == key && field.is_named(name);
        keys.iter().zip(fields).filter(fits).map(|(_, field)| field)
    }

    /// The decoded value of the first field of that name.
    pub fn first(&self, name: &str) -> Option<&str> {
        let HeaderIndex { fields, keys, .. } = self.index();
        let key = key_of(name);
        let mut found = keys.iter().zip(fields).filter(|(known, _)| **known == key);
        found.find(|(_, field)| field.is_named(name)).map(|(_, field)| field.value())
    }

    /// The addresses in all fields of that name. Each field is parsed only once.
    pub fn addresses<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Address> {
        self.all(name).flat_map(Field::addresses)
    }

    /// The identity of the mailing list: the text between the last `<` and `>` of List-Id (RFC 2919), or the whole
    /// value if the brackets are missing.
    pub fn list_id(&self) -> Option<&str> {
        let value = self.first("List-Id")?;
        let inside = value.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
        Some(inside.map_or(value, |(id, _)| id).trim())
    }

    /// A hash of the header block. It recognises a message whose number has changed.
    pub fn head_hash(&self) -> [u8; 16] {
        head_hash(self.head())
    }

    /// A hash of the fields that servers do not change. It recognises a message after a server has changed other
    /// fields.
    pub fn dress_hash(&self) -> [u8; 16] {
        dress_hash(self.head())
    }
}

/// A search key that is equal for names that differ in case only.
fn key_of(name: &str) -> (u8, u8) {
    (name.len() as u8, name.as_bytes().first().map_or(0, u8::to_ascii_lowercase))
}

/// A hash of a header block with LF line ends (truncated SHA-256). Trailing empty lines are ignored, because not all
/// servers end `BODY[HEADER]` and TOP with one.
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
