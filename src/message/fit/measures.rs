//! What has to be known about a body before it is encoded.

use std::io::{self, BufRead};

use super::LONGEST_LINE;
use crate::message::OneLineEnd;

/// The beginnings of the line that marks signed or encrypted text without MIME (RFC 9580 6.2, 7).
const PGP: [&[u8]; 2] = [b"-----BEGIN PGP SIGNED MESSAGE-----", b"-----BEGIN PGP MESSAGE-----"];
const LONGEST_PGP: usize = PGP[0].len();

/// The measures of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measures {
    /// The length of the longest line.
    pub(super) longest_line: u64,
    pub(super) has_8_bit: bool,
    /// It has a lone CR, which cannot be sent by SMTP unchanged.
    pub(super) has_lone_cr: bool,
    /// A line begins with NULs and a dot. A server that drops NULs could take it for the end of the message.
    pub(super) has_hidden_dot: bool,
    pub(super) is_utf8: bool,
    /// It is empty or ends with a line end.
    pub(super) ends_with_line: bool,
    /// A line that is too long begins with two dashes, or another line is too long.
    pub(super) has_long_dashes: bool,
    pub(super) has_long_text: bool,
    /// It contains signed or encrypted text.
    pub(super) is_pgp: bool,
    /// The number of bytes, and the number of those that quoted-printable writes as three.
    size: u64,
    escaped: u64,
}

impl Measures {
    /// Measures a body by reading it to its end.
    pub(super) fn read(mut reader: impl BufRead) -> io::Result<Self> {
        let mut scan = LineScan { measures: Self { is_utf8: true, ..Self::default() }, ..LineScan::default() };
        loop {
            let piece = reader.fill_buf()?;
            if piece.is_empty() {
                scan.measures.ends_with_line = scan.line == 0;
                scan.end_line();
                scan.measures.is_utf8 &= scan.character.is_empty();
                return Ok(scan.measures);
            }
            scan.feed(piece);
            let length = piece.len();
            reader.consume(length);
        }
    }

    /// Whether base64 is shorter than quoted-printable.
    pub(super) fn is_shorter_in_base64(&self) -> bool {
        self.size / 3 * 4 < self.size + self.escaped * 2
    }
}

#[derive(Default)]
struct LineScan {
    measures: Measures,
    line: u64,
    line_ends: OneLineEnd,
    /// The line so far consists of one or more NULs.
    is_nul: bool,
    /// The beginning of the line.
    first: Vec<u8>,
    /// The beginning of a character that was cut at the end of a piece.
    character: Vec<u8>,
}

impl LineScan {
    fn feed(&mut self, piece: &[u8]) {
        let piece = &*self.line_ends.feed(piece);
        self.measures.has_lone_cr |= memchr::memchr(b'\r', piece).is_some();
        self.measures.size += piece.len() as u64;
        if !piece.is_ascii() {
            self.measures.has_8_bit = true;
        }
        if self.measures.is_utf8 && !(piece.is_ascii() && self.character.is_empty()) {
            self.utf8(piece);
        }
        let is_escaped = |byte: &&u8| !matches!(byte, b'\n' | b'\t' | b' '..=b'<' | b'>'..=b'~');
        self.measures.escaped += piece.iter().filter(is_escaped).count() as u64;
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.part_of_line(&rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        self.part_of_line(rest);
    }

    fn part_of_line(&mut self, part: &[u8]) {
        if self.line == 0 || self.is_nul {
            let first = part.iter().position(|byte| *byte != 0);
            let has_nul = self.is_nul || first.unwrap_or(part.len()) > 0;
            self.measures.has_hidden_dot |= has_nul && first.is_some_and(|at| part[at] == b'.');
            self.is_nul = has_nul && first.is_none();
        }
        self.line += part.len() as u64;
        let room = LONGEST_PGP.saturating_sub(self.first.len());
        self.first.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn end_line(&mut self) {
        self.measures.longest_line = self.measures.longest_line.max(self.line);
        if self.line > LONGEST_LINE as u64 {
            let has_dashes = self.first.starts_with(b"--");
            self.measures.has_long_dashes |= has_dashes;
            self.measures.has_long_text |= !has_dashes;
        }
        self.measures.is_pgp |= PGP.iter().any(|pgp| self.first.starts_with(pgp));
        self.line = 0;
        self.is_nul = false;
        self.first.clear();
    }

    fn utf8(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !self.character.is_empty() && !rest.is_empty() {
            self.character.push(rest[0]);
            rest = &rest[1..];
            match std::str::from_utf8(&self.character) {
                Ok(_) => self.character.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return self.measures.is_utf8 = false,
            }
        }
        match std::str::from_utf8(rest) {
            Ok(_) => {}
            Err(error) if error.error_len().is_none() => self.character = rest[error.valid_up_to()..].to_vec(),
            Err(_) => self.measures.is_utf8 = false,
        }
    }
}
