//! Whether a message came whole: one function judges every one, small or big, over IMAP or POP3.
//!
//! The framing says where a message ends, and that is not enough. Servers answer a message that they cannot read with
//! nothing, or with a placeholder in its stead, well-formed both; taken for mail, it would cost the original on the server.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::safeguard::Safeguard;

/// A size over 1 TiB is none.
const MOST: u64 = 1 << 40;
/// A message announced with so few bytes may have none: servers count the line ends of empty ones differently.
const TINY: u64 = 16;

/// The proof that a message is whole: its end was seen, it is not empty, and it has about the size that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole(());

impl Whole {
    /// For a message that its caller wrote to its end on standard input: nobody announced anything.
    pub fn given() -> Self {
        Self(())
    }
}

/// A size as a server announces it; `None` for nonsense.
pub(super) fn plausible(size: u64) -> Option<u64> {
    (size <= MOST || !Safeguard::BoundedNumbers.is_on()).then_some(size)
}

/// Whether what came as a header describes a message: a server that cannot read one answers with nothing, which is no proof
/// that another message stands there.
pub(super) fn is_described(head: &[u8]) -> bool {
    !head.is_empty()
}

/// Judges a message whose framing has ended after `came` bytes, CRLF counted as two.
pub(super) fn judge(announced: Option<u64>, came: u64) -> Result<Whole> {
    if !Safeguard::Whole.is_on() || announced.is_some_and(|size| size <= TINY) {
        return Ok(Whole(()));
    }
    // Exchange and bridges estimate; nobody is wrong by half.
    match announced {
        _ if came == 0 => Err(flaw("the server lists it and sends nothing for it")),
        Some(size) if came < size / 2 => Err(flaw(format_args!("the server announces {size} bytes and sends {came}"))),
        _ => Ok(Whole(())),
    }
}

/// Whether a file of so many bytes can be the whole message that a server announces with that size; 0 is no size.
pub fn is_about_size(file: u64, announced: u64) -> bool {
    let size = plausible(announced).filter(|size| *size > 0);
    judge(size, file).is_ok()
}

fn flaw(what: impl fmt::Display) -> Error {
    Error::transient(Kind::Protocol, what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_placeholders_are_not_whole() {
        for (announced, came) in
            [(Some(18), 0), (None, 0), (Some(482_133), 366), (Some(3160), 1500), (Some(9_500_000), 0)]
        {
            assert!(judge(announced, came).is_err(), "{announced:?} {came}");
        }
    }

    #[test]
    fn differences_of_counting_are_no_fault() {
        // LF counted, estimates, empty messages, sizes that are too small or unknown.
        for (announced, came) in
            [(Some(1000), 1030), (Some(1030), 1000), (Some(1000), 700), (Some(0), 0), (Some(2), 0), (Some(0), 5000)]
        {
            assert!(judge(announced, came).is_ok(), "{announced:?} {came}");
        }
        assert!(judge(None, 1000).is_ok());
    }

    #[test]
    fn nonsense_is_no_size() {
        assert_eq!(plausible(0), Some(0));
        assert_eq!(plausible(1 << 40), Some(1 << 40));
        assert_eq!(plausible(u64::MAX), None);
    }
}
