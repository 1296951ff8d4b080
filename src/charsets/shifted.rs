//! 7-bit charsets that shift between ASCII and two-byte characters: ISO-2022-KR (RFC 1557) and HZ (RFC 1843). Both
//! are converted to the corresponding 8-bit charset, which encoding_rs knows.

use std::borrow::Cow;

use encoding_rs::{EUC_KR, Encoding, GBK};

/// Declares KS C 5601 as the second character set, once, before it is used.
const DESIGNATOR: &[u8] = b"\x1b$)C";
const SHIFT_OUT: u8 = 0x0e;
const SHIFT_IN: u8 = 0x0f;

/// ISO-2022-KR. Each line begins in ASCII, even if the line before it did not shift back.
pub(super) fn iso_2022_kr(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    let mut out = Vec::with_capacity(bytes.len());
    let mut is_shifted = false;
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match *first {
            0x1b if tail.starts_with(&DESIGNATOR[1..]) => rest = &tail[DESIGNATOR.len() - 1..],
            SHIFT_OUT => is_shifted = true,
            SHIFT_IN => is_shifted = false,
            b'\n' => {
                is_shifted = false;
                out.push(b'\n');
            }
            byte => out.push(shifted(byte, is_shifted)),
        }
    }
    finish(&out, bytes, EUC_KR)
}

/// HZ: `~{` shifts out, `~}` shifts in, `~~` is a tilde, and `~` at the end of a line joins it with the next.
pub(super) fn hz(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    let mut out = Vec::with_capacity(bytes.len());
    let mut is_shifted = false;
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (*first, tail.first()) {
            (b'~', Some(b'{')) if !is_shifted => is_shifted = true,
            (b'~', Some(b'}')) => is_shifted = false,
            (b'~', Some(b'~')) if !is_shifted => out.push(b'~'),
            (b'~', Some(b'\n')) if !is_shifted => {}
            (byte, _) => {
                is_shifted &= byte != b'\n';
                out.push(shifted(byte, is_shifted));
                continue;
            }
        }
        rest = &tail[1..];
    }
    finish(&out, bytes, GBK)
}

/// While shifted out, printable bytes belong to the second set, which is in the upper half of the 8-bit charset.
fn shifted(byte: u8, is_shifted: bool) -> u8 {
    if is_shifted && byte.is_ascii_graphic() { byte | 0x80 } else { byte }
}

/// Both charsets are 7-bit, so text with other bytes is in a different charset.
fn finish<'b>(sister: &[u8], bytes: &'b [u8], charset: &'static Encoding) -> (Cow<'b, str>, bool) {
    let (text, has_errors) = charset.decode_without_bom_handling(sister);
    (Cow::Owned(text.into_owned()), !has_errors && bytes.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn korean_is_shifted_out_and_in() {
        assert_eq!(iso_2022_kr(b"\x1b$)CHi \x0eGQ1[\x0f!"), ("Hi 한글!".into(), true));
        assert_eq!(iso_2022_kr(b"\x1b$)C\x0eGQ\nGQ"), ("한\nGQ".into(), true));
        assert!(!iso_2022_kr(b"\xb0\xa1").1);
    }

    #[test]
    fn hz_has_its_tilde() {
        assert_eq!(hz(b"The ~{<:Ky2;S{~}~~ a~\nb"), ("The 己所不欲~ ab".into(), true));
    }
}
