//! Encodes bodies as a stream, independent of how the input is cut into pieces (RFC 2045 6.7, 6.8). The output never
//! has to be encoded again.

use std::borrow::Cow;

use data_encoding::BASE64;

use super::LONGEST_LINE;
use crate::message::OneLineEnd;
use crate::message::words::{hex_digit, is_hex};

/// The longest line of an encoded body (RFC 2045 6.7, 6.8).
pub(super) const ENCODED_LINE: usize = 76;
/// How many bytes make a line of base64.
const BASE64_LINE_INPUT_BYTES: usize = ENCODED_LINE / 4 * 3;
/// Blanks at the end of a line of quoted-printable have no meaning. At most this many are held back until the line
/// continues.
const MAX_HELD_BLANKS: usize = 500;

/// How many blanks in a row stay in a line that may separate the parts.
pub(super) const BOUNDARY_BLANKS: usize = 64;

/// How the bytes of a body are converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// They become quoted-printable.
    Quote,
    /// They become base64. If they are text, their line ends are encoded as CRLF (RFC 2045 6.8).
    Base64 { is_text: bool },
    /// They are quoted-printable already. Their lines are wrapped again.
    Requote { eight_bit: bool },
    /// They are base64 already. They are cut into shorter lines. A byte that is not ASCII becomes `other` or stays, and
    /// a lone CR becomes a blank.
    Rewrap { other: Option<u8> },
    /// They are between the parts of a multipart, where readers ignore them (RFC 2046 5.1.1). Long lines are cut, lines
    /// that may be boundaries are shortened, a byte that is not ASCII becomes `other` or stays, and a lone CR becomes a
    /// blank.
    Between { other: Option<u8> },
}

/// Encodes one body.
#[derive(Debug)]
pub(super) struct Coder {
    /// Normalises line ends, if the lines are text.
    line_ends: Option<OneLineEnd>,
    writer: PartCoder,
}

#[derive(Debug)]
enum PartCoder {
    Quote(Quote),
    Base64(Base64),
    Requote(Requote),
    Rewrap(Rewrap),
    Between(Between),
}

impl Coder {
    pub(super) fn new(coding: Coding) -> Self {
        let writer = match coding {
            Coding::Quote => PartCoder::Quote(Quote::default()),
            Coding::Base64 { is_text } => PartCoder::Base64(Base64 { is_text, ..Base64::default() }),
            Coding::Requote { eight_bit } => PartCoder::Requote(Requote { eight_bit, ..Requote::default() }),
            Coding::Rewrap { other } => PartCoder::Rewrap(Rewrap { column: 0, other }),
            Coding::Between { other } => PartCoder::Between(Between { other, ..Between::default() }),
        };
        let line_ends = (coding != Coding::Base64 { is_text: false }).then(OneLineEnd::default);
        Self { line_ends, writer }
    }

    /// Encodes the next piece and appends the result to `out`.
    pub(super) fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let piece = match &mut self.line_ends {
            Some(line_ends) => line_ends.feed(piece),
            None => Cow::Borrowed(piece),
        };
        match &mut self.writer {
            PartCoder::Quote(coder) => piece.iter().for_each(|byte| coder.byte(*byte, out)),
            PartCoder::Base64(coder) => coder.feed(&piece, out),
            PartCoder::Requote(coder) => piece.iter().for_each(|byte| coder.byte(*byte, out)),
            PartCoder::Rewrap(coder) => piece.iter().for_each(|byte| coder.byte(*byte, out)),
            PartCoder::Between(coder) => piece.iter().for_each(|byte| coder.byte(*byte, out)),
        }
    }

    /// Appends what is held back at the end of the body.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        match &mut self.writer {
            PartCoder::Quote(coder) => coder.end_line(out),
            PartCoder::Base64(coder) => coder.line(out),
            PartCoder::Requote(coder) => coder.end(out),
            PartCoder::Rewrap(_) | PartCoder::Between(_) => {}
        }
    }
}

/// Writes lines of quoted-printable.
#[derive(Debug, Default)]
struct QuotedPrintableLine {
    column: usize,
}

impl QuotedPrintableLine {
    /// Writes a unit that must not be cut, on a new line if it does not fit.
    fn put(&mut self, unit: &[u8], out: &mut Vec<u8>) {
        if self.column + unit.len() > ENCODED_LINE - 1 {
            out.extend_from_slice(b"=\n");
            self.column = 0;
        }
        // No line that we write may look like a boundary.
        if self.column == 0 && unit == b"-" {
            return self.put(&escape(b'-'), out);
        }
        out.extend_from_slice(unit);
        self.column += unit.len();
    }

    fn end(&mut self, end: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(end);
        self.column = 0;
    }
}

fn escape(byte: u8) -> [u8; 3] {
    let digit = |number| u8::try_from(hex_digit(number)).unwrap_or(b'0');
    [b'=', digit(byte >> 4), digit(byte & 15)]
}

/// Whether the byte needs no escape in quoted-printable, at any position.
pub(super) fn is_bare(byte: u8) -> bool {
    matches!(byte, b'!'..=b'<' | b'>'..=b'~')
}

/// Encodes text as quoted-printable.
#[derive(Debug, Default)]
pub(super) struct Quote {
    line: QuotedPrintableLine,
    /// A blank that may end the line. It must be escaped then, because it would be lost in transport.
    blank: Option<u8>,
}

impl Quote {
    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        if byte == b'\n' {
            self.end_line(out);
            return self.line.end(b"\n", out);
        }
        if let Some(blank) = self.blank.take() {
            self.line.put(&[blank], out);
        }
        match byte {
            b' ' | b'\t' => self.blank = Some(byte),
            _ if is_bare(byte) => self.line.put(&[byte], out),
            _ => self.line.put(&escape(byte), out),
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        if let Some(blank) = self.blank.take() {
            self.line.put(&escape(blank), out);
        }
    }
}

/// Encodes bytes as base64.
#[derive(Debug, Default)]
pub(super) struct Base64 {
    is_text: bool,
    input: Vec<u8>,
    has_line: bool,
}

impl Base64 {
    fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for byte in piece {
            if self.is_text && *byte == b'\n' {
                self.byte(b'\r', out);
            }
            self.byte(*byte, out);
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.input.push(byte);
        if self.input.len() == BASE64_LINE_INPUT_BYTES {
            self.line(out);
        }
    }

    /// Writes a line. The last line has no line end, because the line end before a boundary belongs to the boundary.
    fn line(&mut self, out: &mut Vec<u8>) {
        if self.input.is_empty() {
            return;
        }
        if std::mem::replace(&mut self.has_line, true) {
            out.push(b'\n');
        }
        out.extend_from_slice(BASE64.encode(&self.input).as_bytes());
        self.input.clear();
    }
}

/// Repairs quoted-printable with lines that are too long, or with bytes that are not allowed in it. Such bodies come
/// from programs that write a whole page on one line, and from programs that declare the encoding but do not encode.
#[derive(Debug, Default)]
pub(super) struct Requote {
    line: QuotedPrintableLine,
    eight_bit: bool,
    /// Input held back: `=` and what may belong to it, or blanks that may end the line.
    held: Vec<u8>,
}

impl Requote {
    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        let is_blank = matches!(byte, b' ' | b'\t' | b'\r');
        match (self.held.as_slice(), byte) {
            // A line end, which is soft after an `=`. The blanks before it have no meaning.
            ([b'=', .., last], b'\n') if is_hex(*last) => self.let_go(out),
            ([b'=', ..], b'\n') => {
                self.held.clear();
                return self.line.end(b"=\n", out);
            }
            (_, b'\n') => self.held.clear(),
            ([b'='], _) if is_hex(byte) => return self.held.push(byte),
            ([b'=', high], low) if is_hex(*high) && is_hex(low) => {
                let unit = [b'=', *high, low];
                self.held.clear();
                return self.line.put(&unit, out);
            }
            ([b'=', .., last], _) if is_blank && is_hex(*last) => self.let_go(out),
            ([], _) => {}
            (held, _) if is_blank && held.len() < MAX_HELD_BLANKS => return self.held.push(byte),
            _ => self.let_go(out),
        }
        match byte {
            b'\n' => self.line.end(b"\n", out),
            b'=' | b' ' | b'\t' | b'\r' => self.held.push(byte),
            // A server that drops NULs could take a dot after them for the end of the message.
            b'\0' => self.line.put(&escape(byte), out),
            _ if !byte.is_ascii() && !self.eight_bit => self.line.put(&escape(byte), out),
            _ => self.line.put(&[byte], out),
        }
    }

    /// Writes what was held back as content: an `=` that begins no escape is a literal `=`, and a CR without an LF is a
    /// CR.
    fn let_go(&mut self, out: &mut Vec<u8>) {
        for byte in std::mem::take(&mut self.held) {
            if matches!(byte, b'=' | b'\r') { self.line.put(&escape(byte), out) } else { self.line.put(&[byte], out) }
        }
    }

    /// Keeps blanks at the very end, and an `=` before them, because readers disagree about their meaning.
    fn end(&mut self, out: &mut Vec<u8>) {
        let blanks = match memchr::memrchr(b'\r', &self.held) {
            Some(cr) => self.held.split_off(cr + 1),
            None if matches!(self.held.as_slice(), [b'=', .., last] if is_hex(*last)) => Vec::new(),
            None => std::mem::take(&mut self.held),
        };
        self.let_go(out);
        out.extend(blanks);
    }
}

/// Wraps base64 with lines that are too long. Line ends and blanks have no meaning in base64.
#[derive(Debug)]
pub(super) struct Rewrap {
    column: usize,
    other: Option<u8>,
}

impl Rewrap {
    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        let byte = in_place_of(byte, self.other);
        if byte == b'\n' || self.column == ENCODED_LINE {
            out.push(b'\n');
            self.column = 0;
        }
        if byte == b'\n' {
            return;
        }
        // A line of the body is not a boundary, but a piece of it that begins with two dashes could be one.
        if self.column == 0 {
            self.column = begin_line(byte, out);
        }
        out.push(byte);
        self.column += 1;
    }
}

/// Converts the text between parts. A line that begins with two dashes may be a boundary. If it is too long, its rest
/// is dropped, because on a line of its own it would become a header field of the next part. Long runs of blanks in it
/// are shortened, so that the text after them stays on the line: without that text, the line could become a boundary.
#[derive(Debug, Default)]
pub(super) struct Between {
    column: usize,
    /// How many dashes the line begins with, at most two.
    dashes: usize,
    /// How many blanks the input ended with so far.
    blanks: usize,
    other: Option<u8>,
}

impl Between {
    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        let byte = in_place_of(byte, self.other);
        if byte == b'\n' {
            out.push(byte);
            *self = Self { other: self.other, ..Self::default() };
            return;
        }
        if self.dashes == 2 {
            self.blanks = if byte.is_ascii_whitespace() { self.blanks + 1 } else { 0 };
            if self.blanks > BOUNDARY_BLANKS || self.column == LONGEST_LINE {
                return;
            }
        } else if self.column == LONGEST_LINE {
            out.push(b'\n');
            self.column = begin_line(byte, out);
            self.dashes = 0;
        }
        if byte == b'-' && self.column == self.dashes && self.dashes < 2 {
            self.dashes += 1;
        }
        out.push(byte);
        self.column += 1;
    }
}

/// The replacement of a byte. A lone CR becomes a blank, as it would in transport.
fn in_place_of(byte: u8, other: Option<u8>) -> u8 {
    match byte {
        b'\r' => b' ',
        _ if byte.is_ascii() => byte,
        _ => other.unwrap_or(byte),
    }
}

/// Writes what must precede this byte at the beginning of a line, and returns its length. A line that begins with two
/// dashes could be a boundary, and a server that drops NULs could take a dot after them for the end of the message.
fn begin_line(byte: u8, out: &mut Vec<u8>) -> usize {
    let begin: &[u8] = if matches!(byte, b'-' | b'\0') { b" " } else { b"" };
    out.extend_from_slice(begin);
    begin.len()
}
