//! CRLF on the wire, LF in a Maildir.

/// Turns CRLF into LF across pieces of any length. A lone CR or LF is content and stays.
#[derive(Debug, Default)]
pub struct ToLf {
    /// The last piece ended with a CR whose fate is open.
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

/// Turns CRLF into LF in one go.
pub fn to_lf(wire: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(wire.len());
    let mut state = ToLf::default();
    state.feed(wire, &mut out);
    state.end(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_pairs_change() {
        assert_eq!(to_lf(b"a\r\nb\nc\rd\r\r\n\r"), b"a\nb\nc\rd\r\n\r");
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
        }
    }
}
