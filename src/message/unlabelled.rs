//! What 8-bit text without a label of its own is in: what the message says elsewhere, and what the user assumes.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::headers::Field;
use super::part::Part;
use super::{Bytes, Head, MAX_FIELDS, MAX_PART_FIELDS, Message, headers, html};
use crate::charsets::{Charset, NOTHING_SAID, Unlabelled};

/// So many bytes behind the header block are looked through for a part that names its charset.
const MAX_LOOKED_AT: usize = 64 * 1024;

impl Message {
    /// What 8-bit bytes of the header block are in; `None` where it is plain and nothing is assumed, as in nearly all mail.
    pub(super) fn unlabelled_in_head(&self) -> Option<Arc<Unlabelled>> {
        if !is_needed(self.head(), &self.assumed) {
            return None;
        }
        let fields = headers::split(self.head(), MAX_FIELDS, None, &mut Vec::new());
        let declared = declared_in(&fields).or_else(|| self.declared_by_a_part(fields));
        Some(Arc::new(Unlabelled { declared, assumed: self.assumed.clone() }))
    }

    /// The charset of the first part that names one, among those at the beginning of the message.
    fn declared_by_a_part(&self, fields: Vec<Field>) -> Option<Charset> {
        let beginning = self.bytes.beginning();
        let window = &beginning[..beginning.len().min(self.head().len() + MAX_LOOKED_AT)];
        let mut probe = Self::new(Bytes::Memory(window.to_vec()));
        // Its fields are known, so that nobody asks again what they are in.
        probe.head = OnceLock::from(Head { fields, violations: Vec::new() });
        declared_in_parts(probe.parts())
    }

    /// What the bytes of a text part are in if its label does not say.
    pub(super) fn unlabelled_in_text(&self, part: &Part, bytes: &[u8]) -> Cow<'static, Unlabelled> {
        let declared = if part.is_html() { html::declared_charset(bytes).and_then(Charset::named) } else { None };
        match declared {
            None if self.assumed.is_empty() => Cow::Borrowed(&NOTHING_SAID),
            _ => Cow::Owned(Unlabelled { declared, assumed: self.assumed.clone() }),
        }
    }
}

/// What 8-bit bytes in the header block of a part are in: its own charset, or that of the first part before it that names
/// one.
pub(super) fn in_part(head: &[u8], assumed: &[Charset], before: &[Part]) -> Option<Arc<Unlabelled>> {
    if !is_needed(head, assumed) {
        return None;
    }
    let fields = headers::split(head, MAX_PART_FIELDS, None, &mut Vec::new());
    let declared = declared_in(&fields).or_else(|| declared_in_parts(before));
    Some(Arc::new(Unlabelled { declared, assumed: assumed.to_vec() }))
}

fn is_needed(head: &[u8], assumed: &[Charset]) -> bool {
    // What is escaped to 7 bits looks like ASCII.
    let is_utf8 = head.is_ascii() || std::str::from_utf8(head).is_ok();
    !assumed.is_empty() || !is_utf8 || memchr::memchr(0x1b, head).is_some()
}

fn declared_in(fields: &[Field]) -> Option<Charset> {
    let field = fields.iter().find(|field| field.is_named("Content-Type"))?;
    Charset::named(field.parsed().get("charset")?).filter(|charset| charset.keeps_ascii())
}

fn declared_in_parts(parts: &[Part]) -> Option<Charset> {
    let declared = parts.iter().filter_map(|part| part.parameter("charset")).filter_map(Charset::named);
    declared.into_iter().find(|charset| charset.keeps_ascii())
}
