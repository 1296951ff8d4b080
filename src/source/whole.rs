//! Whether a message is complete. One function judges all messages: small and big, over IMAP and POP3.
//!
//! The framing says where a message ends, but that is not enough: for a message that they cannot read, servers send nothing or a
//! placeholder, correctly framed. If that were taken for the message, the original on the server would be lost.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::safeguard::Safeguard;

/// A larger size (over 1 TiB) is not believed.
const MOST_PLAUSIBLE_BYTES: u64 = 1 << 40;
/// The size of a message that is announced with at most this says nothing about what comes: servers count the line ends of tiny
/// messages differently, and some announce 0 for messages whose size they do not know.
const TINY_BYTES: u64 = 16;

/// The proof that a message is complete: its end was seen, it is not empty, and it has about the announced size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole(());

impl Whole {
    /// For a message that was read to its end from standard input, where no size is announced.
    pub fn given() -> Self {
        Self(())
    }
}

/// An announced size; `None` if it cannot be true.
pub(super) fn plausible(size: u64) -> Option<u64> {
    (size <= MOST_PLAUSIBLE_BYTES || !Safeguard::BoundedNumbers.is_on()).then_some(size)
}

/// Whether the bytes of a header describe a message. A server that cannot read a message sends nothing, which does not prove
/// that another message has its place.
pub(super) fn is_described(head: &[u8]) -> bool {
    !head.is_empty()
}

/// Judges a message that has ended after `came` bytes, with CRLF counted as two.
pub(super) fn judge(announced: Option<u64>, came: u64) -> Result<Whole> {
    if !Safeguard::Whole.is_on() {
        return Ok(Whole(()));
    }
    // Nothing proves nothing: a server that cannot read a message may announce 0 as well as send 0. Exchange and bridges estimate the size, but nobody is off by half.
    match announced {
        _ if came == 0 => Err(flaw("the server lists the message but sends nothing for it")),
        Some(size) if size > TINY_BYTES && came < size / 2 => {
            Err(flaw(format_args!("the server announces {size} bytes and sends {came}")))
        }
        _ => Ok(Whole(())),
    }
}

/// Whether a file of this size can be the message that the server announces with that size. 0 means unknown.
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
        for (announced, came) in [
            (Some(0), 0),
            (Some(2), 0),
            (Some(18), 0),
            (None, 0),
            (Some(482_133), 366),
            (Some(3160), 1500),
            (Some(9_500_000), 0),
        ] {
            assert!(judge(announced, came).is_err(), "{announced:?} {came}");
        }
    }

    #[test]
    fn differences_of_counting_are_no_fault() {
        // Counted with LF, estimated, tiny messages, sizes that are too small or unknown.
        for (announced, came) in
            [(Some(1000), 1030), (Some(1030), 1000), (Some(1000), 700), (Some(16), 2), (Some(2), 1), (Some(0), 5000)]
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
