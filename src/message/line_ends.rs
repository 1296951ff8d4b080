//! Converts line ends: CRLF on the wire, LF in a Maildir.

use std::borrow::Cow;

/// Converts CRLF to LF in pieces of any length. A lone CR or LF is content and stays.
#[derive(Debug, Default)]
pub struct ToLf {
    /// The last piece ended with a CR, which may belong to a CRLF.
    pending_cr: bool,
}

impl ToLf {
    /// Appends the converted piece to `out`.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some(first) = piece.first() else { return };
        if std::mem::take(&mut self.pending_cr) && *first != b'\n' {
            out.push(b'\r');
        }
        let mut rest = piece;
        while let Some(cr) = memchr::memchr(b'\r', rest) {
            out.extend_from_slice(&rest[..cr]);
            match rest.get(cr + 1) {
                Some(b'\n') => {}
                Some(_) => out.push(b'\r'),
                None => self.pending_cr = true,
            }
            rest = &rest[cr + 1..];
        }
        out.extend_from_slice(rest);
    }

    /// Ends the message: a CR at its very end is content.
    pub fn end(self, out: &mut Vec<u8>) {
        if self.pending_cr {
            out.push(b'\r');
        }
    }
}

/// Converts CRLF to LF.
pub fn to_lf(wire: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(wire.len());
    let mut state = ToLf::default();
    state.feed(wire, &mut out);
    state.end(&mut out);
    out
}

/// Converts CRs followed by LF to a single LF in outgoing mail. Gateways that convert line ends twice write CR CR LF.
/// Postfix takes all CRs before an LF for one line end, Dovecot keeps all but one, and Python sees two line ends. With
/// a single line end, all readers see the same. CRs at the very end belong to the line end that is added there.
#[derive(Debug, Default)]
pub struct OneLineEnd {
    /// How many CRs ended the last piece.
    pending_crs: usize,
}

impl OneLineEnd {
    /// Converts the next piece. All CRs left in it are lone CRs.
    pub fn feed<'p>(&mut self, piece: &'p [u8]) -> Cow<'p, [u8]> {
        if self.pending_crs == 0 && memchr::memchr(b'\r', piece).is_none() {
            return Cow::Borrowed(piece);
        }
        let mut out = Vec::with_capacity(piece.len());
        let mut rest = piece;
        while !rest.is_empty() {
            let crs = rest.iter().take_while(|byte| **byte == b'\r').count();
            self.pending_crs += crs;
            rest = &rest[crs..];
            let Some(next) = rest.first() else { break };
            let alone = if *next == b'\n' { 0 } else { self.pending_crs };
            out.resize(out.len() + alone, b'\r');
            self.pending_crs = 0;
            let length = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
            out.extend_from_slice(&rest[..length]);
            rest = &rest[length..];
        }
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_pairs_change() {
        assert_eq!(to_lf(b"a\r\nb\nc\rd\r\r\n\r"), b"a\nb\nc\rd\r\n\r");
    }

    fn one_line_end(pieces: &[&[u8]]) -> Vec<u8> {
        let mut state = OneLineEnd::default();
        pieces.iter().flat_map(|piece| state.feed(piece).into_owned()).collect()
    }

    #[test]
    fn all_crs_before_a_line_end_belong_to_it() {
        assert_eq!(one_line_end(&[b"a\r\r\nb\r\nc\n\r\r\r\n\rd\r\re\r\r"]), b"a\nb\nc\n\n\rd\r\re");
    }

    proptest! {
        #[test]
        fn pieces_give_the_same_as_the_whole(bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'x')], 0..40), cut in 0usize..40) {
            let cut = cut.min(bytes.len());
            let mut out = Vec::new();
            let mut state = ToLf::default();
            state.feed(&bytes[..cut], &mut out);
            state.feed(&bytes[cut..], &mut out);
            state.end(&mut out);
            prop_assert_eq!(out, to_lf(&bytes));
            prop_assert_eq!(one_line_end(&[&bytes[..cut], &bytes[cut..]]), one_line_end(&[&bytes]));
        }
    }
}
