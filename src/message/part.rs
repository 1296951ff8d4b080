//! One part of a message (RFC 2045 2.5).

use std::ops::Range;

use super::headers::Field;
use super::names::PartNames;
use super::params::Parsed;
use crate::charsets::{NOTHING_SAID, Unlabelled};

/// How a body is encoded (RFC 2045 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// 7bit, 8bit, binary, and every unknown encoding.
    Identity,
    Base64,
    QuotedPrintable,
}

/// Which reading of a message is used if mail readers disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Our reading, which numbers the parts: the first of several fields counts, and the boundary is as its field says.
    Ours,
    /// The readings of all other programs together: every line that any of them may take for a boundary is one.
    Others,
}

/// A part: the message itself, a part of a multipart, or a message within the message.
#[derive(Clone, Debug)]
pub struct Part {
    /// The part that contains this one; `None` for the message itself.
    pub parent: Option<usize>,
    /// How many parts contain this one.
    pub depth: usize,
    fields: Vec<Field>,
    content_type: String,
    type_parameters: Parsed,
    disposition: Parsed,
    names: PartNames,
    transfer: Transfer,
    is_doubtful: bool,
    pub(super) is_container: bool,
    /// Where its header block begins within the message.
    pub(super) header_at: u64,
    pub(super) body: Range<u64>,
    pub(super) size: u64,
}

impl Part {
    /// Makes a leaf with this header and without a body.
    pub(super) fn new(parent: Option<(usize, &Self)>, fields: Vec<Field>, reading: Reading) -> Self {
        let all = |name: &str| fields.iter().filter(|f| f.is_named(name)).map(Field::parsed).collect::<Vec<_>>();
        let chosen = |all: &[Parsed]| match reading {
            Reading::Ours => all.first().cloned().unwrap_or_default(),
            Reading::Others => all.last().cloned().unwrap_or_default(),
        };
        let (types, dispositions) = (all("Content-Type"), all("Content-Disposition"));
        let (type_parameters, disposition) = (chosen(&types), chosen(&dispositions));
        let is_digest = parent.is_some_and(|(_, parent)| parent.content_type == "multipart/digest");
        Self {
            parent: parent.map(|(index, _)| index),
            depth: parent.map_or(0, |(_, parent)| parent.depth + 1),
            content_type: content_type(&type_parameters.main, is_digest).to_owned(),
            names: PartNames::of([&disposition, &type_parameters], dispositions.iter().chain(&types)),
            transfer: transfer(&chosen(&all("Content-Transfer-Encoding")).main),
            is_doubtful: false,
            is_container: false,
            header_at: 0,
            body: 0..0,
            size: 0,
            fields,
            type_parameters,
            disposition,
        }
    }

    /// `type/subtype` in lower case. If Content-Type is missing or invalid, `text/plain` (RFC 2045 5.2), or within
    /// `multipart/digest`, `message/rfc822` (RFC 2046 5.1.5).
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// A decoded parameter of Content-Type (RFC 2231, and also RFC 2047, which some senders use there).
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.type_parameters.get(name)
    }

    /// The boundary of a multipart, without the leading dashes and without trailing blanks.
    pub(super) fn boundary(&self) -> Option<&[u8]> {
        self.type_parameters.bytes("boundary").map(<[u8]>::trim_ascii_end).filter(|boundary| !boundary.is_empty())
    }

    /// `attachment` or `inline` in lower case (RFC 2183); empty if the part does not say.
    pub fn disposition(&self) -> &str {
        &self.disposition.main
    }

    /// The decoded file name in Content-Disposition, or else the name in Content-Type, without control characters. It
    /// is untrusted and may contain slashes.
    pub fn file_name(&self) -> Option<&str> {
        self.names.own()
    }

    /// All names under which a reader may show it as a file: [`Self::file_name`] first, then other names in its fields,
    /// names that a lenient parser finds, and names that the operating system changes (`run.exe.`). For a message that
    /// is encoded although RFC 2046 5.2.1 forbids it, also the names of the files in it. The number is limited; if
    /// there are more, [`super::Violation::TooManyNames`] is recorded.
    pub fn file_names(&self) -> impl Iterator<Item = &str> {
        self.names.all()
    }

    pub(super) fn names(&self) -> &PartNames {
        &self.names
    }

    pub(super) fn names_mut(&mut self) -> &mut PartNames {
        &mut self.names
    }

    /// Whether a reader would show it as a file: it is declared as an attachment or has a file name, and is not a
    /// multipart. If a message consists of one text, that text is an attachment only if it is declared as one.
    pub fn is_attachment(&self) -> bool {
        let is_root_text = self.parent.is_none() && self.is_text();
        let is_file = self.disposition() == "attachment" || self.names.all().next().is_some() && !is_root_text;
        is_file && !self.is_multipart()
    }

    /// Whether only other mail readers would show it, because they read the message in a different way. Such parts
    /// follow all others.
    pub fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// Marks the part as doubtful and sets its parent.
    pub(super) fn doubtful(self, parent: Option<usize>) -> Self {
        Self { parent, is_doubtful: true, ..self }
    }

    /// Whether a reader that shows the other part also shows the content of this one.
    pub(super) fn shows(&self, other: &Self) -> bool {
        self.body == other.body
            && self.content_type == other.content_type
            && self.file_name() == other.file_name()
            && self.transfer == other.transfer
            && self.disposition() == other.disposition()
    }

    /// Whether its body consists of parts.
    pub fn is_container(&self) -> bool {
        self.is_container
    }

    /// The header fields in order: at most [`super::MAX_PART_FIELDS`], or [`super::MAX_FIELDS`] of the message itself.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The possible charsets of 8-bit bytes in its header block.
    pub(super) fn unlabelled(&self) -> &Unlabelled {
        self.fields.first().map_or(&NOTHING_SAID, Field::unlabelled)
    }

    /// The decoded value of the first field of that name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|f| f.is_named(name)).map(Field::value)
    }

    /// The size in bytes: decoded for base64, encoded otherwise.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The position of the encoded body within the message.
    pub fn body(&self) -> Range<u64> {
        self.body.clone()
    }

    pub(super) fn is_multipart(&self) -> bool {
        self.content_type.starts_with("multipart/")
    }

    /// Whether it is an attached message without an encoding (RFC 2046 5.2.1, RFC 6532 3.7). RFC 2046 does not allow an
    /// encoding; an encoded message is treated as a file.
    pub(super) fn is_message(&self) -> bool {
        self.is_of_message_type() && self.transfer == Transfer::Identity
    }

    /// Whether it is an attached message that is encoded although this is not allowed. Some readers open it.
    pub(super) fn is_encoded_message(&self) -> bool {
        self.is_of_message_type() && self.transfer != Transfer::Identity
    }

    fn is_of_message_type(&self) -> bool {
        matches!(self.content_type.as_str(), "message/rfc822" | "message/global")
    }

    pub(super) fn is_text(&self) -> bool {
        !self.is_container && (self.content_type.starts_with("text/") || self.is_html())
    }

    pub(super) fn is_html(&self) -> bool {
        matches!(self.content_type.as_str(), "text/html" | "application/xhtml+xml")
    }

    pub(super) fn transfer(&self) -> Transfer {
        self.transfer
    }
}

/// The content type to use. An invalid one is read as plain text (RFC 2045 5.2).
fn content_type(written: &str, is_digest: bool) -> &str {
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    match written.split_once('/') {
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) => written,
        _ if written.is_empty() && is_digest => "message/rfc822",
        _ => "text/plain",
    }
}

fn transfer(word: &str) -> Transfer {
    match word {
        "base64" => Transfer::Base64,
        "quoted-printable" => Transfer::QuotedPrintable,
        _ => Transfer::Identity,
    }
}
