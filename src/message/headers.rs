//! Splits the header block into fields. The splitter cannot fail and copies nothing except the block.
//!
//! We do not use mailparse for this, because it refuses a message whose first line begins with a space, and does not
//! find `Subject :` (with a blank before the colon). Such mail exists.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::address::{self, Address};
use super::params::{self, Parsed};
use super::violations::note;
use super::{AddressList, Violation, words};
use crate::charsets::{NOTHING_SAID, Unlabelled};

/// The longest header block. The rest counts as body (`reliability.md` E4, E5).
pub const MAX_HEADER: usize = 256 * 1024;

/// At most this many fields are read.
pub const MAX_FIELDS: usize = 1_000;

/// The longest value that is decoded. Rules do not see the rest.
pub const MAX_VALUE: usize = 64 * 1024;

/// One header field: two ranges in the header block, which is shared by all fields.
#[derive(Clone, Debug)]
pub struct Field {
    block: Arc<[u8]>,
    name: Range<usize>,
    raw: Range<usize>,
    /// Where the field ends, even if it is longer than [`MAX_VALUE`].
    end: usize,
    /// The decoded value; `None` if it equals the raw value.
    value: OnceLock<Option<Box<str>>>,
    addresses: OnceLock<Box<[Address]>>,
    /// The possible charsets of 8-bit bytes. `None` if unknown, or if there are no such bytes, as in nearly all mail.
    unlabelled: Option<Arc<Unlabelled>>,
}

impl Field {
    /// The field name as written.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.block[self.name.clone()]).unwrap_or_default()
    }

    /// Where it begins in the header block.
    pub(super) fn starts_at(&self) -> usize {
        self.name.start
    }

    /// Whether the field has that name; case is ignored.
    pub fn is_named(&self, name: &str) -> bool {
        self.block[self.name.clone()].eq_ignore_ascii_case(name.as_bytes())
    }

    /// The raw value, including folding, at most [`MAX_VALUE`] bytes.
    pub fn raw(&self) -> &[u8] {
        &self.block[self.raw.clone()]
    }

    /// The value unfolded, with encoded words (RFC 2047) and 8-bit text as Unicode (NFC), trimmed.
    pub fn value(&self) -> &str {
        let trimmed = self.raw().trim_ascii();
        let decode = || (!is_plain(trimmed)).then(|| words::decode(trimmed, self.unlabelled()).trim().into());
        match self.value.get_or_init(decode) {
            Some(decoded) => decoded,
            None => std::str::from_utf8(trimmed).unwrap_or_default(),
        }
    }

    /// The addresses in the field, parsed once (RFC 5322 3.4). Encoded words are decoded only after the
    /// addresses have been told apart: a comma within one divides nothing.
    pub fn addresses(&self) -> &[Address] {
        self.addresses.get_or_init(|| address::of_field(self.raw(), self.unlabelled()).into())
    }

    /// All members of the field, including those after [`MAX_VALUE`] and those that cannot be read. Needed to send to
    /// them.
    pub fn address_list(&self) -> AddressList {
        address::list_of_field(&self.block[self.raw.start..self.end], self.unlabelled())
    }

    /// The value as a word with parameters (RFC 2045 5.1).
    pub(super) fn parsed(&self) -> Parsed {
        params::parse(self.raw(), self.unlabelled())
    }

    /// The possible charsets of its 8-bit bytes.
    pub(super) fn unlabelled(&self) -> &Unlabelled {
        self.unlabelled.as_deref().unwrap_or(&NOTHING_SAID)
    }
}

/// The position of one field in a header block.
#[derive(Debug)]
pub(super) struct FieldSpan {
    pub(super) name: Range<usize>,
    /// The bytes after the colon, including continuation lines.
    pub(super) raw: Range<usize>,
}

impl FieldSpan {
    /// The whole field: its name and all its lines.
    pub(super) fn whole(&self) -> Range<usize> {
        self.name.start..self.raw.end
    }
}

/// The positions of the fields in a header block with LF line ends. Skips lines that neither are nor continue a field.
pub(super) fn spans(head: &[u8], max: usize, violations: &mut Vec<Violation>) -> Vec<FieldSpan> {
    let mut spans: Vec<FieldSpan> = Vec::with_capacity(head.len() / 64 + 1);
    let mut continues = false;
    let mut start = 0;
    while start < head.len() {
        let end = memchr::memchr(b'\n', &head[start..]).map_or(head.len(), |lf| start + lf + 1);
        let line = start..end;
        start = end;
        if matches!(head[line.start], b' ' | b'\t') {
            match spans.last_mut().filter(|_| continues) {
                Some(last) => last.raw.end = line.end,
                None => note(violations, Violation::NotAField),
            }
            continue;
        }
        if spans.len() == max {
            note(violations, Violation::TooManyFields);
            break;
        }
        let name = name_of(&head[line.clone()]);
        continues = name.is_some();
        match name {
            Some((name, colon)) => {
                spans.push(FieldSpan { name: line.start..line.start + name, raw: line.start + colon + 1..line.end });
            }
            None => note(violations, Violation::NotAField),
        }
    }
    spans
}

/// The length of the name, and the position of the colon. Blanks before the colon are accepted: Exchange add-ons and
/// hand-written mail have them (RFC 5322 4.5, obsolete syntax).
fn name_of(line: &[u8]) -> Option<(usize, usize)> {
    let name = line.iter().position(|b| *b == b':' || !b.is_ascii_graphic())?;
    let blanks = line[name..].iter().position(|b| !matches!(b, b' ' | b'\t'))?;
    let colon = name + blanks;
    (name > 0 && line[colon] == b':').then_some((name, colon))
}

/// The fields of a header block, at most `max`. `unlabelled` holds the possible charsets of their 8-bit bytes.
pub(super) fn split(
    head: &[u8],
    max: usize,
    unlabelled: Option<&Arc<Unlabelled>>,
    violations: &mut Vec<Violation>,
) -> Vec<Field> {
    let spans = spans(head, max, violations);
    let block: Arc<[u8]> = head.into();
    let field = |FieldSpan { name, raw }: FieldSpan| {
        if raw.len() > MAX_VALUE {
            note(violations, Violation::FieldTooLong);
        }
        let end = raw.end;
        let raw = raw.start..raw.end.min(raw.start + MAX_VALUE);
        Field {
            block: Arc::clone(&block),
            name,
            raw,
            end,
            value: OnceLock::new(),
            addresses: OnceLock::new(),
            unlabelled: unlabelled.map(Arc::clone),
        }
    };
    spans.into_iter().map(field).collect()
}

/// Whether the value needs no decoding: ASCII on one line without encoded words, as in nearly all fields.
fn is_plain(raw: &[u8]) -> bool {
    raw.iter().all(|b| matches!(b, b' '..=b'~')) && memchr::memmem::find(raw, b"=?").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(head: &str) -> (Vec<Field>, Vec<Violation>) {
        let mut violations = Vec::new();
        (split(head.as_bytes(), MAX_FIELDS, None, &mut violations), violations)
    }

    fn values(head: &str) -> Vec<(String, String)> {
        fields(head).0.iter().map(|f| (f.name().to_owned(), f.value().to_owned())).collect()
    }

    #[test]
    fn folded_and_encoded_values_are_decoded() {
        let got = values("Subject: =?utf-8?B?6KuL5rGC5pu4?=\n =?utf-8?Q?_x?=\nTo: a@b,\n\tc@d\n");
        assert_eq!(got[0], ("Subject".into(), "請求書 x".into()));
        assert_eq!(got[1], ("To".into(), "a@b, c@d".into()));
    }

    #[test]
    fn broken_heads_still_give_their_fields() {
        let head = " leading blank\nSubject : spaced\nno colon here\n continuation of nothing\nX: y\n";
        assert_eq!(values(head), [("Subject".into(), "spaced".into()), ("X".into(), "y".into())]);
        assert_eq!(fields(head).1, [Violation::NotAField]);
    }

    #[test]
    fn addresses_are_told_apart_before_words_are_decoded() {
        let (fields, _) = fields("From: =?utf-8?Q?Doe=2C_J=C3=B6rg?= <j@example.org>, \"=?utf-8?Q?=C3=A9?=\" <e@f>\n");
        let got: Vec<_> = fields[0].addresses().iter().map(|a| (a.name.as_deref(), a.address.as_str())).collect();
        assert_eq!(got, [(Some("Doe, Jörg"), "j@example.org"), (Some("é"), "e@f")]);
    }

    #[test]
    fn e4_a_million_fields_are_bounded() {
        let (fields, violations) = fields(&"A: b\n".repeat(1_000_000));
        assert_eq!(fields.len(), MAX_FIELDS);
        assert_eq!(violations, [Violation::TooManyFields]);
    }

    #[test]
    fn e5_a_huge_value_is_bounded() {
        let (fields, violations) = fields(&format!("A: {}\n", "x".repeat(100_000_000)));
        assert_eq!(fields[0].raw().len(), MAX_VALUE);
        assert_eq!(violations, [Violation::FieldTooLong]);
    }

    #[test]
    fn e9_words_that_never_end_are_linear() {
        let head = format!("A:{}{}\n", " =?a?q?".repeat(5_000), "?=x".repeat(10_000));
        assert!(!fields(&head).0[0].value().is_empty());
    }
}
