//! One part of a message (RFC 2045 2.5).

use std::ops::Range;

use super::headers::Field;
use super::names::PartNames;
use super::params::Parsed;
use crate::charsets::{NOTHING_SAID, Unlabelled};

/// How a body is wrapped for transport (RFC 2045 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// 7bit, 8bit, binary, and every word that is unknown.
    Identity,
    Base64,
    QuotedPrintable,
}

/// Whose reading of a message it is where programs disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The one that numbers the parts: the first of several fields, the boundary as its field has it.
    Ours,
    /// All others at once: whatever any program may take for a boundary is one.
    Others,
}

/// A part: the message itself, one of a multipart, or a message within the message.
#[derive(Clone, Debug)]
pub struct Part {
    /// The part that this one is within; none for the message itself.
    pub parent: Option<usize>,
    /// How many parts this one is within.
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
    /// A leaf without a body, by its header.
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

    /// `type/subtype` in lower case. Without Content-Type, or with one that makes no sense, `text/plain`
    /// (RFC 2045 5.2); within `multipart/digest`, `message/rfc822` (RFC 2046 5.1.5).
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// A parameter of Content-Type, decoded (RFC 2231, and RFC 2047 where a sender knew no better).
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.type_parameters.get(name)
    }

    /// The line that divides the parts of a multipart, without dashes; trailing blanks do not belong to it.
    pub(super) fn boundary(&self) -> Option<&[u8]> {
        self.type_parameters.bytes("boundary").map(<[u8]>::trim_ascii_end).filter(|boundary| !boundary.is_empty())
    }

    /// `attachment` or `inline` in lower case (RFC 2183); empty if the part does not say.
    pub fn disposition(&self) -> &str {
        &self.disposition.main
    }

    /// The file name: of Content-Disposition, or else the name of Content-Type. Decoded, without control
    /// characters; still a stranger's word, which may hold slashes.
    pub fn file_name(&self) -> Option<&str> {
        self.names.own()
    }

    /// All names under which one reader or another may show it as a file: [`Self::file_name`] first, and those that only
    /// stand beside it, that a careless reader finds, or that its computer takes the name for (`run.exe.`). Of a message
    /// that is encoded although RFC 2046 5.2.1 forbids it, the names of the files in it too. Bounded;
    /// [`super::Violation::TooManyNames`] where there are more.
    pub fn file_names(&self) -> impl Iterator<Item = &str> {
        self.names.all()
    }

    pub(super) fn names(&self) -> &PartNames {
        &self.names
    }

    pub(super) fn names_mut(&mut self) -> &mut PartNames {
        &mut self.names
    }

    /// Whether a reader would show it as a file: it says so or has a file name, and is no multipart. The text that
    /// a message consists of is one only if it says so, whatever its name.
    pub fn is_attachment(&self) -> bool {
        let is_root_text = self.parent.is_none() && self.is_text();
        let is_file = self.disposition() == "attachment" || self.names.all().next().is_some() && !is_root_text;
        is_file && !self.is_multipart()
    }

    /// Whether only another mail reader would show it: this one reads the message in another way. Such parts follow the
    /// others.
    pub fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// The same part in the doubt, within that one.
    pub(super) fn doubtful(self, parent: Option<usize>) -> Self {
        Self { parent, is_doubtful: true, ..self }
    }

    /// Whether whoever reads the other part sees what is in this one.
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

    /// The header fields in order, at most [`super::MAX_PART_FIELDS`], of the message itself
    /// [`super::MAX_FIELDS`].
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What 8-bit bytes in its header block may be in.
    pub(super) fn unlabelled(&self) -> &Unlabelled {
        self.fields.first().map_or(&NOTHING_SAID, Field::unlabelled)
    }

    /// The decoded value of the first field of that name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|f| f.is_named(name)).map(Field::value)
    }

    /// The size in bytes once base64 is decoded, and as it stands otherwise.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where the body is within the message, as it stands there.
    pub fn body(&self) -> Range<u64> {
        self.body.clone()
    }

    pub(super) fn is_multipart(&self) -> bool {
        self.content_type.starts_with("multipart/")
    }

    /// A message as a part (RFC 2046 5.2.1, RFC 6532 3.7) that stands there as it is. RFC 2046 forbids to encode
    /// one; where it is encoded nevertheless, it is a file.
    pub(super) fn is_message(&self) -> bool {
        self.is_of_message_type() && self.transfer == Transfer::Identity
    }

    /// A message as a part that is encoded nevertheless, and that some readers open.
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

/// RFC 2045 5.2: what makes no sense is plain text.
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
