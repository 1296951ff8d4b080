//! The charset of 8-bit text without a label: what the message declares elsewhere, and what the user assumes.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::headers::Field;
use super::part::Part;
use super::{Bytes, HeaderIndex, MAX_FIELDS, MAX_PART_FIELDS, Message, headers, html, words};
use crate::charsets::{Charset, ESCAPE, NOTHING_SAID, Unlabelled};

/// How many bytes after the header block are searched for a part that names its charset.
const MAX_SEARCHED_BYTES: usize = 64 * 1024;

impl Message {
    /// The possible charsets of 8-bit bytes in the header block; `None` if all text is labelled, as in nearly all mail.
    pub(super) fn unlabelled_in_head(&self) -> Option<Arc<Unlabelled>> {
        if !is_needed(self.head()) {
            return None;
        }
        let fields = headers::split(self.head(), MAX_FIELDS, None, &mut Vec::new());
        let declared = declared_in(&fields).or_else(|| self.declared_by_a_part(fields));
        Some(Arc::new(Unlabelled { declared, assumed: self.assumed.clone() }))
    }

    /// The charset of the first part near the beginning of the message that names one.
    fn declared_by_a_part(&self, fields: Vec<Field>) -> Option<Charset> {
        let beginning = self.bytes.beginning();
        let window = &beginning[..beginning.len().min(self.head().len() + MAX_SEARCHED_BYTES)];
        let mut probe = Self::new(Bytes::Memory(window.to_vec()));
        // The fields are set, so that the search for their charset does not recurse.
        probe.head = OnceLock::from(HeaderIndex::new(fields, Vec::new()));
        declared_in_parts(probe.parts())
    }

    /// The possible charsets of the bytes of a text part if its label does not name one.
    pub(super) fn unlabelled_in_text(&self, part: &Part, bytes: &[u8]) -> Cow<'static, Unlabelled> {
        let declared = if part.is_html() { html::declared_charset(bytes).and_then(Charset::named) } else { None };
        match declared {
            None if self.assumed.is_empty() => Cow::Borrowed(&NOTHING_SAID),
            _ => Cow::Owned(Unlabelled { declared, assumed: self.assumed.clone() }),
        }
    }
}

/// The possible charsets of 8-bit bytes in the header block of a part: its own charset, or that of the first part
/// before it that names one.
pub(super) fn in_part(head: &[u8], assumed: &[Charset], before: &[Part]) -> Option<Arc<Unlabelled>> {
    if !is_needed(head) {
        return None;
    }
    let fields = headers::split(head, MAX_PART_FIELDS, None, &mut Vec::new());
    let declared = declared_in(&fields).or_else(|| declared_in_parts(before));
    Some(Arc::new(Unlabelled { declared, assumed: assumed.to_vec() }))
}

/// Whether a header block has 8-bit text that is not UTF-8, text in a 7-bit charset with escape sequences, or encoded
/// text with an unknown label.
fn is_needed(head: &[u8]) -> bool {
    let is_utf8 = head.is_ascii() || std::str::from_utf8(head).is_ok();
    !is_utf8
        || memchr::memchr(ESCAPE, head).is_some()
        || has_word_without_charset(head)
        || has_parameter_in_percent(head)
}

/// Whether there is an encoded word with an unknown charset: `=?unknown-8bit?Q?=B1=A8?=` (RFC 2047, RFC 1428).
fn has_word_without_charset(head: &[u8]) -> bool {
    memchr::memmem::find_iter(head, b"=?").any(|at| {
        let label = &head[at + 2..head.len().min(at + 2 + words::MAX_CHARSET)];
        let end = label.iter().position(|byte| matches!(byte, b'?' | b'*'));
        let label = end.and_then(|end| std::str::from_utf8(&label[..end]).ok());
        label.is_some_and(|label| !label.is_empty() && Charset::named(label).is_none())
    })
}

/// Whether there may be a parameter like `filename*=unknown-8bit''%B1%A8` (RFC 2231). These are rare, so the label is
/// not checked.
fn has_parameter_in_percent(head: &[u8]) -> bool {
    memchr::memmem::find(head, b"*=").is_some()
}

fn declared_in(fields: &[Field]) -> Option<Charset> {
    let field = fields.iter().find(|field| field.is_named("Content-Type"))?;
    Charset::named(field.parsed().get("charset")?).filter(|charset| charset.keeps_ascii())
}

fn declared_in_parts(parts: &[Part]) -> Option<Charset> {
    let declared = parts.iter().filter_map(|part| part.parameter("charset")).filter_map(Charset::named);
    declared.into_iter().find(|charset| charset.keeps_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_without_a_label_needs_a_charset() {
        for (head, needed) in [
            (&b"Subject: x\n"[..], false),
            ("Subject: é =?utf-8?Q?=C3=A9?= =?gb2312*zh?B?sajb?= 1=?\n".as_bytes(), false),
            (b"Subject: \xb1\xa8\n", true),
            (b"Subject: \x1b$B@A\n", true),
            (b"Subject: =?utf-8?Q?x?= =?Unknown-8bit?Q?=B1=A8?=\n", true),
            (b"Subject: =?us-ascii*en?Q?=B1=A8?=\n", true),
            (b"Content-Type: a/b; name*=''%B1%A8\n", true),
        ] {
            assert_eq!(is_needed(head), needed, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn what_is_assumed_costs_ordinary_mail_nothing() {
        let message = Message::new(Bytes::Memory(b"Subject: =?utf-8?Q?=C3=A9?=\n\nx\n".to_vec()));
        let assumed = Charset::named("gb18030").into_iter().collect::<Vec<_>>();
        assert!(message.assuming(&assumed).unlabelled_in_head().is_none());
    }
}
