//! What is wrong with a message. Violations never make reading fail, but a rule can test for them.

use std::fmt;

/// One way in which a message violates a standard or exceeds one of our limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Violation {
    /// There is no empty line within [`super::MAX_HEADER`] bytes. The rest counts as body.
    HeaderTooLarge,
    /// There are more than [`super::MAX_FIELDS`] fields. The others are not read.
    TooManyFields,
    /// A field is longer than [`super::MAX_VALUE`]. Its end is not read.
    FieldTooLong,
    /// A line in the header block neither is nor continues a field.
    NotAField,
    /// Parts are nested deeper than [`super::MAX_DEPTH`]. The innermost are opaque.
    TooDeep,
    /// There are more than [`super::MAX_PARTS`] parts, and the others are not read. Or there are so many doubtful parts
    /// in a spooled message that the texts of the last are not read. Or encoded messages are too long to be read
    /// completely.
    TooManyParts,
    /// The header block of a part exceeds [`super::MAX_PART_HEADER`] or [`super::MAX_PART_FIELDS`].
    PartHeaderTooLarge,
    /// A multipart has no `boundary` parameter. It is opaque.
    NoBoundary,
    /// No line of a multipart begins with its boundary.
    NoBoundaryLine,
    /// Mail readers disagree about a boundary: it has several values, is unquoted with blanks or parentheses, or a
    /// closing line has text after it (`--boundary--more`).
    DoubtfulBoundary,
    /// A line that looks like a boundary is within a header block, because the empty line before it is missing.
    BoundaryInHeader,
    /// Content-Type, Content-Disposition or Content-Transfer-Encoding occurs twice with different values.
    DoubledField,
    /// The names of a part have different extensions, or a name has characters that reverse its direction.
    DoubtfulName,
    /// There are more file names or parameters than are read.
    TooManyNames,
    /// An attached message is encoded, which RFC 2046 5.2.1 forbids. The names of its files are read, but not its
    /// texts.
    EncodedMessage,
    /// A multipart has no closing line (RFC 2046 5.1.1): it was truncated or is malformed.
    UnterminatedMultipart,
    /// Base64 has foreign characters, an impossible length, or text after its end.
    BrokenBase64,
    /// The file with the body could not be read, or not to its end.
    Unreadable,
    /// There is more text than [`super::MAX_TEXT`] or [`super::MAX_TEXT_INPUT`]. Its end is not read.
    TextTooLong,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeaderTooLarge => "the header block is too large",
            Self::TooManyFields => "there are too many header fields",
            Self::FieldTooLong => "a header field is too long",
            Self::NotAField => "a line of the header block is no field",
            Self::TooDeep => "the parts are nested too deep",
            Self::TooManyParts => "there are too many parts",
            Self::PartHeaderTooLarge => "the header block of a part is too large",
            Self::NoBoundary => "a multipart names no boundary",
            Self::NoBoundaryLine => "nothing divides the parts of a multipart",
            Self::DoubtfulBoundary => "a boundary can be read in two ways",
            Self::BoundaryInHeader => "a boundary stands in a header block",
            Self::DoubledField => "a field that says what the content is differs from another of its name",
            Self::DoubtfulName => "readers may show a file under names of different kinds",
            Self::TooManyNames => "a part has more names or parameters than are looked at",
            Self::EncodedMessage => "an attached message is encoded",
            Self::UnterminatedMultipart => "a multipart does not end",
            Self::BrokenBase64 => "base64 is broken",
            Self::Unreadable => "the body could not be read to its end",
            Self::TextTooLong => "there is more text than is looked at",
        })
    }
}

impl Violation {
    /// Whether mail readers disagree about the parts of such a message.
    pub(super) fn is_doubt(self) -> bool {
        matches!(
            self,
            Self::NoBoundary
                | Self::NoBoundaryLine
                | Self::DoubtfulBoundary
                | Self::BoundaryInHeader
                | Self::DoubledField
        )
    }
}

/// Records a violation, if it is not recorded yet.
pub(super) fn note(violations: &mut Vec<Violation>, violation: Violation) {
    if !violations.contains(&violation) {
        violations.push(violation);
    }
}
