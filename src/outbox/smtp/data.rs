//! Encodes a message for DATA (RFC 5321 4.1.1.4, 4.5.2).
//!
//! Every LF, with all CRs before it, becomes CRLF; a lone CR becomes a blank; and a dot at the start of a line is doubled.
//! Then no server, whatever it makes of lone CRs and LFs, sees the end of the message too early (`reliability.md` I1), or a
//! field or part that no rule has seen. RFC 5321 2.3.8 permits a lone CR only in encoded form, which is used if the message
//! may be encoded.

use std::io::{self, Read};

use crate::message::OneLineEnd;

/// How much of a message is read at a time.
pub(super) const READ_BUFFER_BYTES: usize = 32 * 1024;
/// The end of a message.
const FINAL_DOT: &[u8] = b".\r\n";

/// What must be known about a message before it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Its size with CRLFs and without dot-stuffing (RFC 1870 section 3).
    pub(super) size: u64,
    /// Whether it has a byte above 127.
    pub(super) has_8_bit: bool,
    /// The length of its longest line.
    pub(super) longest_line: u64,
    /// Whether a line begins with NULs and a dot. A server that drops the NULs could take it for the final dot.
    pub(super) has_hidden_dot: bool,
    /// Whether it has a lone CR.
    pub(super) has_lone_cr: bool,
}

impl Survey {
    /// Reads the whole message.
    pub(super) fn of(message: &mut dyn Read) -> io::Result<Self> {
        let mut encoder = Encoder::default();
        let (mut survey, mut piece, mut out) = (Self::default(), vec![0; READ_BUFFER_BYTES], Vec::new());
        let mut line = DataLine::default();
        loop {
            let read = read(message, &mut piece)?;
            survey.has_8_bit |= !piece[..read].is_ascii();
            out.clear();
            if read == 0 {
                encoder.end_line(&mut out);
            } else {
                encoder.feed(&piece[..read], &mut out);
            }
            line.feed(&out, &mut survey);
            if read == 0 {
                survey.size = encoder.size;
                survey.has_lone_cr = encoder.has_lone_cr;
                return Ok(survey);
            }
        }
    }
}

/// One `read`, repeated if it is interrupted.
pub(super) fn read(message: &mut dyn Read, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match message.read(piece) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// The current line of a survey.
#[derive(Debug, Default)]
struct DataLine {
    length: u64,
    /// Only NULs so far, and at least one.
    is_nul: bool,
}

impl DataLine {
    /// Processes the encoder's output, in which all line ends are CRLF.
    fn feed(&mut self, encoded: &[u8], survey: &mut Survey) {
        let mut rest = encoded;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.part(&rest[..end], survey);
            // The length still includes the CR.
            survey.longest_line = survey.longest_line.max(self.length.saturating_sub(1));
            *self = Self::default();
            rest = &rest[end + 1..];
        }
        self.part(rest, survey);
    }

    fn part(&mut self, bytes: &[u8], survey: &mut Survey) {
        // The stuffed dot does not count (RFC 5321 4.5.3.1.6). The encoder writes both dots at once.
        let is_doubled = self.length == 0 && bytes.starts_with(b".");
        let bytes = &bytes[usize::from(is_doubled)..];
        if self.length == 0 || self.is_nul {
            let first = bytes.iter().position(|byte| *byte != 0);
            let nuls = first.unwrap_or(bytes.len()) > 0 || self.is_nul;
            survey.has_hidden_dot |= nuls && first.is_some_and(|at| bytes[at] == b'.');
            self.is_nul = nuls && first.is_none();
        }
        self.length += bytes.len() as u64;
    }
}

/// Converts a message to its wire form, piece by piece.
#[derive(Debug)]
pub(super) struct Encoder {
    is_line_start: bool,
    line_ends: OneLineEnd,
    /// A lone CR was replaced.
    has_lone_cr: bool,
    /// The size of the output so far, without dot-stuffing.
    pub(super) size: u64,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { is_line_start: true, line_ends: OneLineEnd::default(), has_lone_cr: false, size: 0 }
    }
}

impl Encoder {
    /// Appends the wire form of the next piece to `out`.
    pub(super) fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let piece = self.line_ends.feed(piece);
        let mut rest = &*piece;
        while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
            self.text(&rest[..at], out);
            if rest[at] == b'\n' {
                self.line_end(out)
            } else {
                self.lone_cr(out)
            }
            rest = &rest[at + 1..];
        }
        self.text(rest, out);
    }

    fn lone_cr(&mut self, out: &mut Vec<u8>) {
        self.has_lone_cr = true;
        self.text(b" ", out);
    }

    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        if self.is_line_start && text[0] == b'.' {
            out.push(b'.');
        }
        out.extend_from_slice(text);
        self.size += text.len() as u64;
        self.is_line_start = false;
    }

    fn line_end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.size += 2;
        self.is_line_start = true;
    }

    /// Ends the last line if it has no line end.
    fn end_line(&mut self, out: &mut Vec<u8>) {
        if !self.is_line_start {
            self.line_end(out);
        }
    }

    /// Ends the message. No line end is added if there is one.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.end_line(out);
        out.extend_from_slice(FINAL_DOT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::default(), Vec::new());
        pieces.iter().for_each(|piece| encoder.feed(piece, &mut out));
        encoder.end(&mut out);
        out
    }

    fn survey(text: &[u8]) -> Survey {
        Survey::of(&mut &*text).unwrap()
    }

    #[test]
    fn line_ends_and_dots() {
        for (text, wire) in [
            ("", ".\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\n", "a\r\n.\r\n"),
            ("a\n\n", "a\r\n\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".\n.\n", "..\r\n..\r\n.\r\n"),
            ("a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\r.\rb", "a . b\r\n.\r\n"),
            ("a\r\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\r\r\n.\r\r\r\nb\r\r", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\n\r.b", "a\r\n .b\r\n.\r\n"),
            ("a\r", "a\r\n.\r\n"),
        ] {
            assert_eq!(String::from_utf8(encode(&[text.as_bytes()])).unwrap(), wire, "{text:?}");
        }
    }

    #[test]
    fn what_is_known_before() {
        assert_eq!(survey(b"ab\n.c"), Survey { size: 8, longest_line: 2, ..Survey::default() });
        assert_eq!(survey(b""), Survey::default());
        assert!(survey(b"a\xe4").has_8_bit);
        assert_eq!(survey(&[b'x'; 100_000]).longest_line, 100_000);
        let lone = survey("x\r".repeat(999).as_bytes());
        assert!(lone.has_lone_cr && lone.longest_line > 999, "{lone:?}");
        assert!(!survey(b"a\r\nb\r").has_lone_cr && !survey(b"a\r\r\nb\r\r").has_lone_cr);
        for (text, hidden) in [
            (&b"a\n\0.\r\nb"[..], true),
            (b"\0\0.\n", true),
            (b"a\0.\n", false),
            (b"\0a.\n", false),
            (b".\0\n\0\n", false),
        ] {
            assert_eq!(survey(text).has_hidden_dot, hidden, "{text:?}");
        }
        let at_the_edge = [vec![b'x'; READ_BUFFER_BYTES - 2], b"\n\0.\n".to_vec()].concat();
        assert!(survey(&at_the_edge).has_hidden_dot);
    }

    /// Decodes like a strict server.
    fn decode(wire: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in wire.strip_suffix(FINAL_DOT).unwrap().split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r\n").unwrap();
            assert!(!line.contains(&b'\r'), "only CRLFs are on the wire");
            assert_ne!(line, b".", "the end is at the end");
            out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            out.push(b'\n');
        }
        out
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter_and_lf_mail_comes_back(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), any::<u8>()], 0..60),
            cut in 0usize..60,
        ) {
            let cut = cut.min(bytes.len());
            let wire = encode(&[&bytes[..cut], &bytes[cut..]]);
            prop_assert_eq!(&wire, &encode(&[&bytes]));
            let came = decode(&wire);
            let stuffing = wire.len() - FINAL_DOT.len() - usize::try_from(survey(&bytes).size).unwrap();
            let dots = came.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b".")).count();
            prop_assert_eq!(stuffing, dots);
            if !bytes.contains(&b'\r') {
                let ended = bytes.is_empty() || bytes.ends_with(b"\n");
                prop_assert_eq!(came, if ended { bytes } else { [bytes, b"\n".to_vec()].concat() });
            }
        }
    }
}
