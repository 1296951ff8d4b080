//! Decodes base64 and quoted-printable (RFC 2045 6) as a stream. Broken input never makes it fail.

use std::io::{self, BufRead, Read};

use super::mime::for_each_piece;
use super::part::Transfer;
use super::words;

/// The result of decoding.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    /// There was more than the limit.
    pub(super) is_cut: bool,
    /// Reading failed. `bytes` holds what was decoded before the error.
    pub(super) has_failed: bool,
}

/// Decodes at most `max` bytes.
pub(super) fn decode(input: impl BufRead, transfer: Transfer, max: usize) -> Decoded {
    let mut decoded = Decoded::default();
    let result = match transfer {
        Transfer::Identity => identity(input, max, &mut decoded),
        Transfer::Base64 => base64(input, max, &mut decoded),
        Transfer::QuotedPrintable => quoted_printable(input, max, &mut decoded),
    };
    decoded.has_failed = result.is_err();
    decoded.is_cut |= decoded.bytes.len() > max;
    decoded.bytes.truncate(max);
    decoded
}

fn identity(input: impl BufRead, max: usize, decoded: &mut Decoded) -> io::Result<()> {
    input.take(max as u64 + 1).read_to_end(&mut decoded.bytes).map(drop)
}

/// Decodes base64. Skips stray characters and stops at the first padding; see [`words::decode_base64`].
fn base64(mut input: impl BufRead, max: usize, decoded: &mut Decoded) -> io::Result<()> {
    let enough = max / 3 * 4 + 8;
    let mut digits = Vec::new();
    let result = loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(e) => break Err(e),
        };
        let end = memchr::memchr(b'=', available);
        digits.extend(available[..end.unwrap_or(available.len())].iter().filter(|b| words::is_base64(**b)));
        if available.is_empty() || end.is_some() || digits.len() >= enough {
            break Ok(());
        }
        let count = available.len();
        input.consume(count);
    };
    decoded.bytes = words::decode_clean_base64(digits);
    result
}

/// Counts base64 characters as a stream.
#[derive(Debug, Default)]
pub(super) struct Base64Count {
    digits: u64,
    has_ended: bool,
    has_strays: bool,
}

impl Base64Count {
    pub(super) fn feed(&mut self, piece: &[u8]) {
        for byte in piece {
            match byte {
                b'=' => self.has_ended = true,
                byte if byte.is_ascii_whitespace() => {}
                byte if words::is_base64(*byte) && !self.has_ended => self.digits += 1,
                _ => self.has_strays = true,
            }
        }
    }

    /// The decoded size: four characters make three bytes, and the remaining ones make two, one or none.
    pub(super) fn size(&self) -> u64 {
        self.digits / 4 * 3 + (self.digits % 4).saturating_sub(1)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.has_strays || self.digits % 4 == 1
    }
}

/// Decodes quoted-printable. A line longer than a piece may be cut within an escape, which is then kept for the next
/// piece.
fn quoted_printable(mut input: impl BufRead, max: usize, decoded: &mut Decoded) -> io::Result<()> {
    let mut carried: Vec<u8> = Vec::new();
    for_each_piece(&mut input, |piece| {
        carried.extend_from_slice(piece);
        let line = std::mem::take(&mut carried);
        match line.strip_suffix(b"\n") {
            Some(line) => quoted_line(line.trim_ascii_end(), &mut decoded.bytes),
            None => {
                let open = line.len() - line.iter().rev().take(2).position(|b| *b == b'=').map_or(0, |back| back + 1);
                unquote(&line[..open], &mut decoded.bytes);
                carried = line[open..].to_vec();
            }
        }
        decoded.bytes.len() <= max
    })?;
    if carried != b"=" {
        unquote(&carried, &mut decoded.bytes);
    }
    Ok(())
}

/// Decodes a line. The blanks before its line end are dropped (RFC 2045 6.7 rule 3). A final `=` is a soft line break.
fn quoted_line(line: &[u8], out: &mut Vec<u8>) {
    match line.strip_suffix(b"=") {
        Some(line) => unquote(line, out),
        None => {
            unquote(line, out);
            out.push(b'\n');
        }
    }
}

/// Decodes the escapes of a line. An `=` without two hexadecimal digits stays, because some programs label mail as
/// quoted-printable without encoding it. 8-bit characters stay for the same reason.
fn unquote(line: &[u8], out: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(at) = memchr::memchr(b'=', rest) {
        out.extend_from_slice(&rest[..at]);
        let behind = &rest[at + 1..];
        match words::hex_pair(behind) {
            Some(byte) => {
                out.push(byte);
                rest = &behind[2..];
            }
            None => {
                out.push(b'=');
                rest = behind;
            }
        }
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> String {
        String::from_utf8(decode(text.as_bytes(), Transfer::QuotedPrintable, 100_000_000).bytes).unwrap()
    }

    #[test]
    fn quoted_printable_as_it_should_be() {
        assert_eq!(quoted("caf=C3=A9 =3D=20\nsoft=\n break  \nend"), "café = \nsoft break\nend");
        assert_eq!(quoted("a=  \nb="), "ab");
    }

    #[test]
    fn quoted_printable_that_is_none_stays() {
        assert_eq!(quoted("a=b = c =\u{e9} x=4"), "a=b = c =\u{e9} x=4");
        assert_eq!(quoted("lower=c3=a9"), "loweré");
    }

    #[test]
    fn escapes_are_whole_in_long_lines() {
        for shift in 0..3 {
            let text = format!("{}{}", "x".repeat(shift), "=C3=A9".repeat(10_000));
            assert_eq!(quoted(&text), format!("{}{}", "x".repeat(shift), "é".repeat(10_000)));
        }
    }

    #[test]
    fn base64_is_cut_where_enough() {
        let body = "aGVsbG8g\n".repeat(1_000_000);
        let decoded = decode(body.as_bytes(), Transfer::Base64, 1_000);
        assert_eq!((decoded.bytes.len(), decoded.is_cut), (1_000, true));
        let whole = decode(&b"aGVsbG8=\n-- \nlist footer"[..], Transfer::Base64, 5);
        assert_eq!((whole.bytes.as_slice(), whole.is_cut), (&b"hello"[..], false));
    }

    #[test]
    fn e9_a_line_without_end_is_linear() {
        assert_eq!(quoted(&"=".repeat(5_000_000)).len(), 4_999_999);
        assert_eq!(quoted(&"=\n".repeat(2_000_000)), "");
    }
}
