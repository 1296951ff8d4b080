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
    /// More than [`super::MAX_PARTS`] parts: the others are not seen.
    TooManyParts,
    /// A part whose header block exceeds [`super::MAX_PART_HEADER`] or [`super::MAX_PART_FIELDS`].
    PartHeaderTooLarge,
    /// A multipart that does not say what divides its parts: it is opaque.
    NoBoundary,
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
            Self::UnterminatedMultipart => "a multipart does not end",
            Self::BrokenBase64 => "base64 is broken",
            Self::Unreadable => "the body could not be read to its end",
            Self::TextTooLong => "there is more text than is looked at",
        })
    }
}

/// Notes one, once.
pub(super) fn note(violations: &mut Vec<Violation>, violation: Violation) {
    if !violations.contains(&violation) {
        violations.push(violation);
    }
}
