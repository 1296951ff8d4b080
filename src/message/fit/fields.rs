//! Prepares header blocks for sending: folds long fields (RFC 5322 2.2.3), encodes bytes that are not ASCII, and writes
//! the fields that describe an encoded body.

use super::LONGEST_LINE;
use super::words;
use crate::charsets::Unlabelled;
use crate::message::has_addresses;
use crate::message::headers::{self, FieldSpan};

/// A line that is too long is folded at this length, if it has white space (RFC 5322 2.1.1).
const FOLDED_LINE_BYTES: usize = 78;
/// Some programs write longer encoded words than RFC 2047 2 allows. A word up to this length still fits on a line.
const MAX_WHOLE_WORD_BYTES: usize = 900;
const ENCODING: &str = "Content-Transfer-Encoding";

/// What a header block must say about its body.
#[derive(Debug, Default)]
pub(super) struct BodyFields {
    /// The new encoding, if it has changed.
    pub(super) encoding: Option<&'static str>,
    /// Set for the first encoded body of a message without MIME-Version; holds the type to add if Content-Type is
    /// missing.
    pub(super) mime: Option<Option<&'static str>>,
}

/// A header block, and how it was changed.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) is_folded: bool,
    pub(super) has_words: bool,
}

/// Whether a line is too long, or a byte is not allowed.
pub(super) fn exceeds(bytes: &[u8], eight_bit: bool) -> bool {
    !eight_bit && !bytes.is_ascii() || is_long(bytes)
}

fn is_long(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|line| line.len() > LONGEST_LINE)
}

/// Whether fields can be added to the block: it must end with an empty line and must have no line before that that is
/// not a field, because other readers take such a line for the beginning of the body.
pub(super) fn is_whole(block: &[u8]) -> bool {
    let (end, mut violations) = (end_of_fields(block), Vec::new());
    headers::spans(&block[..end], usize::MAX, &mut violations);
    end < block.len() && violations.is_empty()
}

fn end_of_fields(block: &[u8]) -> usize {
    let end = [&b"\r\n"[..], b"\n"].into_iter().find_map(|end| block.strip_suffix(end));
    end.filter(|fields| fields.is_empty() || fields.ends_with(b"\n")).map_or(block.len(), <[u8]>::len)
}

/// The block to be sent. What can be neither folded nor encoded stays unchanged.
pub(super) fn fitted(block: &[u8], eight_bit: bool, body: &BodyFields, unlabelled: &Unlabelled) -> Block {
    let end = end_of_fields(block);
    let mut new = Block { bytes: Vec::with_capacity(block.len() + 128), is_folded: false, has_words: false };
    let mut encoding = body.encoding;
    let mut done = 0;
    for span in headers::spans(&block[..end], usize::MAX, &mut Vec::new()) {
        let whole = span.whole();
        new.bytes.extend_from_slice(&block[done..whole.start]);
        done = whole.end;
        if body.encoding.is_some() && is_named(block, &span, ENCODING) {
            // If several fields say the same, one is enough.
            new.bytes.extend(encoding.take().map(encoding_field).unwrap_or_default());
            continue;
        }
        new.field(block, &span, eight_bit, unlabelled);
    }
    new.bytes.extend_from_slice(&block[done..end]);
    if let Some(kind) = body.mime {
        new.bytes.extend_from_slice(b"MIME-Version: 1.0\n");
        new.bytes.extend(kind.map(|kind| format!("Content-Type: {kind}\n").into_bytes()).unwrap_or_default());
    }
    new.bytes.extend(encoding.map(encoding_field).unwrap_or_default());
    new.bytes.extend_from_slice(&block[end..]);
    new
}

fn encoding_field(encoding: &str) -> Vec<u8> {
    format!("{ENCODING}: {encoding}\n").into_bytes()
}

fn is_named(block: &[u8], span: &FieldSpan, name: &str) -> bool {
    block[span.name.clone()].eq_ignore_ascii_case(name.as_bytes())
}

/// Whether a field that may occur only once occurs twice (RFC 2045 3, 4). Readers disagree about which one counts.
pub(super) fn is_doubled(block: &[u8]) -> bool {
    let fields = headers::spans(&block[..end_of_fields(block)], usize::MAX, &mut Vec::new());
    ["MIME-Version", "Content-Type", ENCODING]
        .iter()
        .any(|name| fields.iter().filter(|span| is_named(block, span, name)).nth(1).is_some())
}

/// Whether a block has a field of that name.
pub(super) fn has(block: &[u8], name: &str) -> bool {
    let fields = headers::spans(&block[..end_of_fields(block)], usize::MAX, &mut Vec::new());
    fields.iter().any(|span| is_named(block, span, name))
}

impl Block {
    fn field(&mut self, block: &[u8], span: &FieldSpan, eight_bit: bool, unlabelled: &Unlabelled) {
        let whole = &block[span.whole()];
        if !exceeds(whole, eight_bit) {
            return self.bytes.extend_from_slice(whole);
        }
        let name = String::from_utf8_lossy(&block[span.name.clone()]).into_owned();
        let mut field = whole.to_vec();
        if !eight_bit && !whole.is_ascii() {
            field.truncate(span.raw.start - span.name.start);
            field.extend(words::in_ascii(&name, &block[span.raw.clone()], unlabelled));
            self.has_words |= field != whole;
        }
        if is_long(&field) {
            let folded = folded(&field, has_addresses(&name));
            self.is_folded |= folded.len() != field.len();
            field = folded;
        }
        self.bytes.extend(field);
    }
}

/// Folds the long lines of a field. A list of addresses can always be folded after a comma.
fn folded(field: &[u8], has_addresses: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len() + field.len() / FOLDED_LINE_BYTES + 1);
    for line in field.split_inclusive(|byte| *byte == b'\n') {
        if line.len() > LONGEST_LINE {
            fold_line(line, has_addresses, &mut out);
        } else {
            out.extend_from_slice(line);
        }
    }
    out
}

fn fold_line(line: &[u8], has_addresses: bool, out: &mut Vec<u8>) {
    let (line, end) = line.strip_suffix(b"\n").map_or((line, &b""[..]), |line| (line, &b"\n"[..]));
    let mut column = 0;
    // The first piece stays on the line of the field name, or is the fold at the start of a continuation line.
    let mut is_first = true;
    for piece in pieces(line, has_addresses) {
        let is_foldable = !is_first && piece.iter().any(|byte| !byte.is_ascii_whitespace());
        if column + piece.len() > FOLDED_LINE_BYTES && column > 0 && is_foldable {
            out.push(b'\n');
            column = 0;
            if !matches!(piece.first(), Some(b' ' | b'\t')) {
                out.push(b' ');
                column = 1;
            }
        }
        is_first &= piece.ends_with(b":") || piece.iter().all(u8::is_ascii_whitespace);
        out.extend_from_slice(piece);
        column += piece.len();
    }
    out.extend_from_slice(end);
}

/// Cuts the line before white space, and in a list of addresses also after the commas between addresses, but not after
/// commas in quoted strings and encoded words.
fn pieces(line: &[u8], has_addresses: bool) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut is_quoted, mut is_escaped) = (0, false, false);
    // The end of the last encoded word.
    let mut word_end = 0;
    for (at, byte) in line.iter().enumerate() {
        let before = if at > 0 { line[at - 1] } else { b' ' };
        let is_blank = |byte: u8| matches!(byte, b' ' | b'\t');
        let is_in_word = at < word_end;
        let is_behind_comma = has_addresses && before == b',' && !is_quoted && !is_in_word && !is_blank(*byte);
        if at > start && (is_blank(*byte) && !is_blank(before) || is_behind_comma) {
            pieces.push(&line[start..at]);
            start = at;
        }
        if is_in_word {
            continue;
        }
        if !is_quoted && let Some(length) = encoded_word_length(&line[at..]) {
            word_end = at + length;
            continue;
        }
        is_quoted ^= *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
    }
    pieces.push(&line[start..]);
    pieces
}

/// The length of the encoded word at the beginning (RFC 2047 2), if there is one. Blanks end it.
fn encoded_word_length(text: &[u8]) -> Option<usize> {
    let inside = text.strip_prefix(b"=?")?;
    let inside = &inside[..inside.len().min(MAX_WHOLE_WORD_BYTES)];
    let charset = memchr::memchr(b'?', inside)?;
    let [b'?', b'B' | b'b' | b'Q' | b'q', b'?', words @ ..] = &inside[charset..] else { return None };
    let length = memchr::memmem::find(words, b"?=")?;
    let is_whole = !inside[..charset + 3 + length].iter().any(u8::is_ascii_whitespace);
    is_whole.then_some(2 + charset + 3 + length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charsets::NOTHING_SAID;

    /// A comma in an encoded word belongs to its text (RFC 2047 6.1).
    #[test]
    fn no_encoded_word_is_cut() {
        let words = (0..30).map(|n| format!("=?iso-8859-1?Q?M=FCller,J=F6rg{n:02}?= <p{n}@x.example>"));
        let field = format!("To: {}\n", words.collect::<Vec<_>>().join(","));
        let block = format!("{field}\n");
        let new = fitted(block.as_bytes(), true, &BodyFields::default(), &NOTHING_SAID);
        let new = String::from_utf8(new.bytes).unwrap();
        assert!(!is_long(new.as_bytes()) && new.matches("M=FCller,J=F6rg").count() == 30, "{new}");
        assert_eq!(new.replace(">,\n ", ">,").replace("\n ", " "), block);
    }

    #[test]
    fn what_only_begins_like_an_encoded_word_is_none() {
        for text in ["=?a,b", "=?a?x?b,c?=", "=?a?q?b,c", "=?=?=?,"] {
            let field = format!("To: {}\n", format!("{text} <a@x>,").repeat(200));
            let folded = String::from_utf8(folded(field.as_bytes(), true)).unwrap();
            assert!(folded.contains(",\n ") && !is_long(folded.as_bytes()), "{text}");
        }
    }
}
