//! UTF-7 (RFC 2152), which old Exchange and some spam still send.
//!
//! The charset crate decodes it too, but in quadratic time: ten megabytes of `+AOk-` took it twenty seconds.

use super::words;

/// Decodes it. What makes no sense becomes U+FFFD, and 8-bit characters stay if they are UTF-8.
pub(super) fn decode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(plus) = memchr::memchr(b'+', rest) {
        out.push_str(&String::from_utf8_lossy(&rest[..plus]));
        rest = &rest[plus + 1..];
        let length = rest.iter().position(|b| !words::is_base64(*b)).unwrap_or(rest.len());
        let is_closed = rest.get(length) == Some(&b'-');
        match (length, is_closed) {
            // `+-` is a plus, and so is one that nothing follows.
            (0, _) => out.push('+'),
            _ => push_utf16(&words::decode_base64(&rest[..length]), &mut out),
        }
        rest = &rest[length + usize::from(is_closed)..];
    }
    out.push_str(&String::from_utf8_lossy(rest));
    out
}

/// Big-endian; an odd byte at the end is padding.
fn push_utf16(bytes: &[u8], out: &mut String) {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    out.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_standard() {
        assert_eq!(decode(b"A+ImIDkQ."), "A\u{2262}\u{391}.");
        assert_eq!(decode(b"Hi Mom -+Jjo--!"), "Hi Mom -\u{263a}-!");
        assert_eq!(decode(b"+ZeVnLIqe-"), "\u{65e5}\u{672c}\u{8a9e}");
        assert_eq!(decode(b"1 +- 1 +"), "1 + 1 +");
        assert_eq!(decode(b"caf\xc3\xa9 +2D0-"), "caf\u{e9} \u{fffd}");
    }

    #[test]
    fn e9_it_is_linear() {
        assert_eq!(decode(&b"+AOk-".repeat(1_000_000)).chars().count(), 1_000_000);
        assert!(decode(&b"+".repeat(1_000_000)).len() < 2_000_000);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "([+-]|[A-Za-z/]|\u{e9}| ){0,60}") {
            decode(text.as_bytes());
        }
    }
}
