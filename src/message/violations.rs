//! What is wrong with a message. Reading never fails for any of it: a rule may ask, and most never do.

use std::fmt;

/// One way in which a message breaks a standard or exceeds a bound of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Violation {
    /// No empty line within [`super::MAX_HEADER`] bytes: the rest counts as body.
    HeaderTooLarge,
    /// More than [`super::MAX_FIELDS`] fields: the others are not seen.
    TooManyFields,
    /// A field longer than [`super::MAX_VALUE`]: its end is not seen.
    FieldTooLong,
    /// A line in the header block that is no field and continues none.
    NotAField,
    /// Parts nested deeper than [`super::MAX_DEPTH`]: the innermost are opaque.
    TooDeep,
    /// More than [`super::MAX_PARTS`] parts: the others are not seen. Or so many in doubt, in a file, that the texts of the
    /// last are not read, or encoded messages so long that not all of them is looked at.
    TooManyParts,
    /// A part whose header block exceeds [`super::MAX_PART_HEADER`] or [`super::MAX_PART_FIELDS`].
    PartHeaderTooLarge,
    /// A multipart that does not say what divides its parts: it is opaque.
    NoBoundary,
    /// A multipart whose boundary begins no line of it.
    NoBoundaryLine,
    /// A boundary that programs read in two ways: several values, an unquoted one with blanks or parentheses, or a line
    /// that ends a multipart and goes on (`--boundary--more`).
    DoubtfulBoundary,
    /// A line like a boundary within a header block: the empty line before it is missing.
    BoundaryInHeader,
    /// Content-Type, Content-Disposition or Content-Transfer-Encoding is there twice, and they differ.
    DoubledField,
    /// A part whose names say different kinds of files, or one that is shown backwards.
    DoubtfulName,
    /// More names of files, or parameters, than are looked at.
    TooManyNames,
    /// A message as a part that is encoded (RFC 2046 5.2.1 forbids it): the names of its files are seen, its texts are not.
    EncodedMessage,
    /// A multipart that ends without its closing line (RFC 2046 5.1.1): cut on the way, or badly made.
    UnterminatedMultipart,
    /// Base64 with foreign characters, an impossible length, or text behind its end.
    BrokenBase64,
    /// The file with the body could not be read, or not to its end.
    Unreadable,
    /// There is more text than [`super::MAX_TEXT`] or [`super::MAX_TEXT_INPUT`]: its end is not seen.
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

/// Notes one, once.
pub(super) fn note(violations: &mut Vec<Violation>, violation: Violation) {
    if !violations.contains(&violation) {
        violations.push(violation);
    }
}
