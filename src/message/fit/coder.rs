//! Encoding as the bytes pass, however they are cut into pieces (RFC 2045 6.7, 6.8). What comes out fits: nothing of it has to be
//! encoded again.

use std::borrow::Cow;

use data_encoding::BASE64;

use super::LONGEST_LINE;
use crate::message::OneLineEnd;
use crate::message::words::{hex_digit, is_hex};

/// Lines of encoded bodies are no longer (RFC 2045 6.7, 6.8).
pub(super) const ENCODED_LINE: usize = 76;
/// How many bytes make a line of base64.
const BASE64_INPUT: usize = ENCODED_LINE / 4 * 3;
/// Blanks at the end of a line of quoted-printable mean nothing; so many are held back until the line goes on.
const MOST_BLANKS: usize = 500;

/// How many blanks in a row stay in a line that may separate the parts.
pub(super) const BOUNDARY_BLANKS: usize = 64;

/// What is done to the bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// They become quoted-printable.
    Quote,
    /// They become base64; line ends are CRLF within if it is text (RFC 2045 6.8).
    Base64 { is_text: bool },
    /// They are quoted-printable already, which is wrapped anew.
    Requote { eight_bit: bool },
    /// They are base64 already, which is cut into lines; a byte beyond ASCII becomes `other`, or stays, a lone CR a blank.
    Rewrap { other: Option<u8> },
    /// They stand between the parts of a multipart where nobody reads them (RFC 2046 5.1.1): lines are cut, those that may
    /// divide the parts are shortened, a byte beyond ASCII becomes `other`, or stays, and a lone CR a blank.
    Between { other: Option<u8> },
}

/// One body on its way.
#[derive(Debug)]
pub(super) struct Coder {
    /// Where lines are text.
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

    /// Appends what the next piece becomes.
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

    /// Appends what is left at the end.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        match &mut self.writer {
            PartCoder::Quote(coder) => coder.end_line(out),
            PartCoder::Base64(coder) => coder.line(out),
            PartCoder::Requote(coder) => coder.end(out),
            PartCoder::Rewrap(_) | PartCoder::Between(_) => {}
        }
    }
}

/// A line of quoted-printable being written.
#[derive(Debug, Default)]
struct QuotedPrintableLine {
    column: usize,
}

impl QuotedPrintableLine {
    /// Puts what must stay together, on a new line where it does not fit.
    fn put(&mut self, unit: &[u8], out: &mut Vec<u8>) {
        if self.column + unit.len() > ENCODED_LINE - 1 {
            out.extend_from_slice(b"=\n");
            self.column = 0;
        }
        // No line of ours looks like the one that divides the parts.
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

/// Whether quoted-printable has the byte as it is, wherever it stands.
pub(super) fn is_bare(byte: u8) -> bool {
    matches!(byte, b'!'..=b'<' | b'>'..=b'~')
}

/// Text into quoted-printable.
#[derive(Debug, Default)]
pub(super) struct Quote {
    line: QuotedPrintableLine,
    /// A blank that ends the line, if nothing follows: it would be lost on the way.
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

/// Bytes into base64.
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
        if self.input.len() == BASE64_INPUT {
            self.line(out);
        }
    }

    /// The line end before a boundary belongs to the boundary, so the last line has none.
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

/// Quoted-printable with lines that are too long, or with bytes that it must not have, into what it should have been.
/// Programs that write all of a page into one line, and those that only claim to encode, send such.
#[derive(Debug, Default)]
pub(super) struct Requote {
    line: QuotedPrintableLine,
    eight_bit: bool,
    /// `=` and what may belong to it, or blanks that may end the line.
    held: Vec<u8>,
}

impl Requote {
    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        let is_blank = matches!(byte, b' ' | b'\t' | b'\r');
        match (self.held.as_slice(), byte) {
            // A line end, soft if there is an `=`; the blanks before it mean nothing.
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
            (held, _) if is_blank && held.len() < MOST_BLANKS => return self.held.push(byte),
            _ => self.let_go(out),
        }
        match byte {
            b'\n' => self.line.end(b"\n", out),
            b'=' | b' ' | b'\t' | b'\r' => self.held.push(byte),
            // A server that drops NULs could find the end of the message behind them.
            b'\0' => self.line.put(&escape(byte), out),
            _ if !byte.is_ascii() && !self.eight_bit => self.line.put(&escape(byte), out),
            _ => self.line.put(&[byte], out),
        }
    }

    /// What was held back is content: an `=` that begins nothing stands for itself, and a CR that no line end follows is one.
    fn let_go(&mut self, out: &mut Vec<u8>) {
        for byte in std::mem::take(&mut self.held) {
            if matches!(byte, b'=' | b'\r') { self.line.put(&escape(byte), out) } else { self.line.put(&[byte], out) }
        }
    }

    /// Blanks at the very end, and an `=` before them, stay: readers differ in what they mean.
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

/// Base64 in lines that are too long: line ends and blanks mean nothing in it.
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
        // No line of a body that begins with two dashes divides the parts, but it could when it is cut.
        if self.column == 0 {
            self.column = begin_line(byte, out);
        }
        out.push(byte);
        self.column += 1;
    }
}

/// What stands between the parts. A line that begins with two dashes may divide them. The rest of one that is too long must
/// not become a line, for it would be a header field of the part that follows; so it is dropped. And of many blanks in a row
/// only the first stay, so that what follows them stays on the line: without that it could be a boundary that it was not.
#[derive(Debug, Default)]
pub(super) struct Between {
    column: usize,
    /// How many dashes it begins with, at most two.
    dashes: usize,
    /// How many blanks came last.
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

/// On its way a lone CR would become a blank as well.
fn in_place_of(byte: u8, other: Option<u8>) -> u8 {
    match byte {
        b'\r' => b' ',
        _ if byte.is_ascii() => byte,
        _ => other.unwrap_or(byte),
    }
}

/// What must stand before that byte at the beginning of a line of ours, and how long it is: what begins with two dashes could
/// divide the parts, and behind NULs a server that drops them could find the end of the message.
fn begin_line(byte: u8, out: &mut Vec<u8>) -> usize {
    let begin: &[u8] = if matches!(byte, b'-' | b'\0') { b" " } else { b"" };
    out.extend_from_slice(begin);
    begin.len()
}
