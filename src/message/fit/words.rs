//! Encodes field values with bytes that are not ASCII for a server that does not accept them: as encoded words (RFC
//! 2047) where these are allowed, and with percent signs in parameters (RFC 2231 4). ASCII text stays unchanged.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::charsets::{Charset, NOTHING_SAID, Unlabelled};
use crate::message::has_addresses;
use crate::message::params;
use crate::message::words::{charset_between_words, decode_words, hex_digit};

/// The longest encoded word (RFC 2047 2).
const MAX_ENCODED_WORD_BYTES: usize = 75;
/// A word that would end beyond this column goes to the next line, unless it is the first.
const FOLDED_LINE_CHARS: usize = 76;
/// The longest parameter value written, in bytes. Continuations must stay few, because readers accept no more than a
/// hundred parameters in a field.
const MAX_PARAMETER_BYTES: usize = 1000;
/// A longer parameter is split into continuations (RFC 2231 3), which not every reader understands. File systems allow
/// names of 255 bytes, so nearly all file names stay whole.
const MAX_WHOLE_PARAMETER_BYTES: usize = 300;
/// How many bytes of a value, three characters each, go into one piece of a continued parameter.
const PARAMETER_PIECE_BYTES: usize = 18;
/// The charset label for bytes that are not UTF-8 when the charset is unknown (RFC 1428 3).
pub(super) const UNKNOWN: &str = "unknown-8bit";

/// Structured fields, in which encoded words are not allowed.
const STRUCTURED_FIELDS: [&str; 27] = [
    "Received",
    "Return-Path",
    "Delivered-To",
    "Date",
    "Resent-Date",
    "Message-ID",
    "Resent-Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Transfer-Encoding",
    "Content-ID",
    "Content-Location",
    "Content-Language",
    "DKIM-Signature",
    "DomainKey-Signature",
    "ARC-Seal",
    "ARC-Message-Signature",
    "ARC-Authentication-Results",
    "Authentication-Results",
    "Received-SPF",
    "Autocrypt",
    "List-Unsubscribe",
    "List-Post",
    "List-Help",
    "List-Subscribe",
    "List-Archive",
];

/// Other fields with addresses, or with a name before a text in angle brackets.
const FIELDS_WITH_NAMES: [&str; 8] = [
    "List-Id",
    "Errors-To",
    "Apparently-To",
    "X-Original-To",
    "Mail-Followup-To",
    "Mail-Reply-To",
    "Return-Receipt-To",
    "Disposition-Notification-To",
];

/// The raw value in ASCII, as far as possible. Bytes that are not UTF-8 are not converted; they are labelled with the
/// charset in which rules read them.
pub(super) fn in_ascii(name: &str, raw: &[u8], unlabelled: &Unlabelled) -> Vec<u8> {
    let is = |other: &&str| other.eq_ignore_ascii_case(name);
    let (value, end) = match raw.strip_suffix(b"\n") {
        Some(value) => (value, &b"\n"[..]),
        None => (raw, &b""[..]),
    };
    let charset = charset_between_words(value, unlabelled);
    let mut new = match () {
        () if STRUCTURED_FIELDS.iter().any(is) => value.to_vec(),
        () if ["Content-Type", "Content-Disposition"].iter().any(is) => rewritten(value, unlabelled),
        () if has_addresses(name) || FIELDS_WITH_NAMES.iter().any(is) => {
            assembled(&addresses(value), name.len() + 1, charset)
        }
        () => assembled(&text(value), name.len() + 1, charset),
    };
    new.extend_from_slice(end);
    new
}

/// A piece of a value.
#[derive(Debug)]
enum WordToken {
    /// Stays unchanged.
    Raw(Vec<u8>),
    /// White space.
    Blank(Vec<u8>),
    /// Becomes encoded words.
    Text(Vec<u8>),
}

/// Whether readers would drop the blanks between this and an encoded word (RFC 2047 6.2).
fn is_word(token: Option<&WordToken>) -> bool {
    matches!(token, Some(WordToken::Raw(raw)) if raw.starts_with(b"=?") && raw.ends_with(b"?="))
}

/// The words of an unstructured value.
fn text(value: &[u8]) -> Vec<WordToken> {
    let pieces = value.chunk_by(|a, b| is_blank(*a) == is_blank(*b));
    let token = |piece: &[u8]| match piece.first() {
        Some(first) if is_blank(*first) => WordToken::Blank(piece.to_vec()),
        _ if piece.is_ascii() => WordToken::Raw(piece.to_vec()),
        _ => WordToken::Text(piece.to_vec()),
    };
    pieces.map(token).collect()
}

/// The names and comments in a list of addresses, as text. The addresses stay unchanged (RFC 2047 5).
fn addresses(value: &[u8]) -> Vec<WordToken> {
    let mut tokens = Vec::new();
    let mut rest = value;
    while let Some(first) = rest.first() {
        let length = match first {
            b'"' => quoted_length(rest),
            b'(' => comment_length(rest),
            b'<' => memchr::memchr(b'>', rest).map_or(rest.len(), |at| at + 1),
            b',' | b';' | b':' | b'>' | b')' => 1,
            first if is_blank(*first) => rest.iter().take_while(|byte| is_blank(**byte)).count(),
            _ => rest.iter().take_while(|byte| !is_blank(**byte) && !b"\"(<>),;:".contains(byte)).count(),
        };
        let (piece, behind) = rest.split_at(length);
        rest = behind;
        // It is a part of an address, or directly beside other text. An encoded word must stand alone (RFC 2047 5).
        let is_address = piece.contains(&b'@');
        let is_stuck = behind.first().is_some_and(|next| !is_blank(*next) && !b",;:<>()".contains(next));
        let is_free = match tokens.last() {
            _ if is_stuck => false,
            Some(WordToken::Raw(raw)) => raw.last().is_some_and(|byte| b",;:<>()".contains(byte)),
            Some(WordToken::Text(_)) => false,
            Some(WordToken::Blank(_)) | None => true,
        };
        match first {
            first if is_blank(*first) => tokens.push(WordToken::Blank(piece.to_vec())),
            _ if piece.is_ascii() || *first == b'<' => tokens.push(WordToken::Raw(piece.to_vec())),
            b'"' if is_free => tokens.extend(name(unquoted(piece), behind)),
            b'(' if piece.ends_with(b")") => {
                let inside = &piece[1..piece.len() - 1];
                tokens.extend([
                    WordToken::Raw(b"(".to_vec()),
                    WordToken::Text(inside.to_vec()),
                    WordToken::Raw(b")".to_vec()),
                ]);
            }
            b'"' | b'(' => tokens.push(WordToken::Raw(piece.to_vec())),
            _ if is_address || !is_free => tokens.push(WordToken::Raw(piece.to_vec())),
            _ => tokens.extend(name(piece.to_vec(), behind)),
        }
    }
    tokens
}

/// The name in `name<address>`. A blank is inserted, because an encoded word must be followed by one.
fn name(name: Vec<u8>, behind: &[u8]) -> Vec<WordToken> {
    let needs_blank = behind.first().is_some_and(|next| b"<(".contains(next));
    let blank = needs_blank.then(|| WordToken::Blank(b" ".to_vec()));
    [WordToken::Text(name)].into_iter().chain(blank).collect()
}

/// The length of a quoted string. Without a closing quote, it reaches to the end of the text.
fn quoted_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of a comment, including nested ones. Without a closing parenthesis, it reaches to the end of the text.
fn comment_length(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'\\' => at += 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn unquoted(quoted: &[u8]) -> Vec<u8> {
    let inside = quoted.strip_prefix(b"\"").unwrap_or(quoted);
    let mut inside = inside.strip_suffix(b"\"").unwrap_or(inside).iter();
    let mut out = Vec::with_capacity(quoted.len());
    while let Some(byte) = inside.next() {
        let byte = if *byte == b'\\' { inside.next() } else { Some(byte) };
        out.extend(byte);
    }
    out
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The value with its texts encoded. Neighbours are encoded together, because readers drop the blanks between two
/// words.
fn assembled(tokens: &[WordToken], column: usize, charset: Charset) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            WordToken::Raw(raw) => out.extend_from_slice(raw),
            WordToken::Blank(blank) => out.extend_from_slice(blank),
            WordToken::Text(first) => {
                let has_word_before = matches!(tokens.get(at.wrapping_sub(2)), Some(WordToken::Blank(_)))
                    && is_word(tokens.get(at.wrapping_sub(3)));
                let mut run = if has_word_before { b" ".to_vec() } else { Vec::new() };
                run.extend_from_slice(first);
                while let (Some(WordToken::Blank(_)), Some(WordToken::Text(next))) =
                    (tokens.get(at), tokens.get(at + 1))
                {
                    run.push(b' ');
                    run.extend_from_slice(next);
                    at += 2;
                }
                if matches!(tokens.get(at), Some(WordToken::Blank(_))) && is_word(tokens.get(at + 1)) {
                    run.push(b' ');
                }
                put_words(&run, column, charset, &mut out);
            }
        }
    }
    out
}

/// Writes a text as encoded words, cut between characters. Each word except the first begins a new line.
fn put_words(text: &[u8], column: usize, charset: Charset, out: &mut Vec<u8>) {
    // Many readers, including our own, decode words even if they are directly beside other text.
    let text = match std::str::from_utf8(text) {
        Ok(text) if text.contains("=?") => Cow::Owned(decode_words(text, &NOTHING_SAID).into_bytes()),
        _ => Cow::Borrowed(text),
    };
    let (label, charset) = labelled(&text, charset);
    let start = format!("=?{label}?Q?");
    // The end alone shows whether it is longer than a line.
    let end = &out[out.len().saturating_sub(FOLDED_LINE_CHARS)..];
    let used = memchr::memrchr(b'\n', end).map_or(column + out.len(), |lf| end.len() - lf - 1);
    let room = FOLDED_LINE_CHARS.saturating_sub(used);
    let mut most = if room > start.len() + 16 { room.min(MAX_ENCODED_WORD_BYTES) } else { MAX_ENCODED_WORD_BYTES };
    let mut word = start.clone().into_bytes();
    let mut rest = &*text;
    while !rest.is_empty() {
        let length = charset.map_or(1, |charset| charset.first_character(rest));
        let (character, behind) = rest.split_at(length);
        rest = behind;
        let letters: Vec<u8> = character.iter().flat_map(|byte| letter(*byte)).collect();
        if word.len() + letters.len() + 2 > most {
            word.extend_from_slice(b"?=\n ");
            out.append(&mut word);
            word.extend_from_slice(start.as_bytes());
            most = MAX_ENCODED_WORD_BYTES;
        }
        word.extend(letters);
    }
    word.extend_from_slice(b"?=");
    out.append(&mut word);
}

/// The charset label for a text, and the charset itself if the whole text is valid in it.
fn labelled(text: &[u8], charset: Charset) -> (&'static str, Option<Charset>) {
    if std::str::from_utf8(text).is_ok() {
        return ("utf-8", Charset::named("utf-8"));
    }
    let known = Some(charset).filter(|charset| charset.decode(text).1);
    match known.and_then(Charset::label) {
        Some(label) => (label, known),
        None => (UNKNOWN, None),
    }
}

/// One byte in the Q encoding. Only letters and digits stay as they are, which is safe everywhere (RFC 2047 5).
fn letter(byte: u8) -> Vec<u8> {
    match byte {
        b' ' | b'\n' | b'\t' | b'\r' => vec![b'_'],
        _ if byte.is_ascii_alphanumeric() => vec![byte],
        _ => format!("={}{}", hex_digit(byte >> 4), hex_digit(byte & 15)).into_bytes(),
    }
}

/// The value with its parameters in ASCII, but only if our own parser reads the same from it. The parser accepts more
/// than the standard: a boundary without a semicolon before it, backslashes in a file name.
fn rewritten(value: &[u8], unlabelled: &Unlabelled) -> Vec<u8> {
    let new = parameters(value, unlabelled);
    let says = |value: &[u8]| params::parse(value, unlabelled);
    if says(value).says_the_same_as(&says(&new)) { new } else { value.to_vec() }
}

/// Parameters with bytes that are not ASCII, written with percent signs. A parameter that is also present in that form
/// is left out.
fn parameters(value: &[u8], unlabelled: &Unlabelled) -> Vec<u8> {
    let mut segments = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let mut at = 0;
        while at < rest.len() && rest[at] != b';' {
            at += if rest[at] == b'"' { quoted_length(&rest[at..]) } else { 1 };
        }
        let (segment, behind) = rest.split_at(at.min(rest.len()));
        segments.push(segment);
        rest = behind.strip_prefix(b";").unwrap_or(behind);
    }
    let lower = |segment: &&[u8]| name_of(segment).to_ascii_lowercase();
    let names: HashSet<Vec<u8>> = segments.iter().map(lower).collect();
    let mut out: Vec<Vec<u8>> = Vec::new();
    for segment in segments {
        let is_there = |end: &[u8]| names.contains(&[lower(&segment).as_slice(), end].concat());
        match (segment.is_ascii(), parameter(segment, unlabelled)) {
            (false, Some(_)) if is_there(b"*") || is_there(b"*0*") => {}
            (false, Some(new)) => out.push(new),
            _ => out.push(segment.to_vec()),
        }
    }
    out.join(&b';')
}

fn name_of(segment: &[u8]) -> &[u8] {
    memchr::memchr(b'=', segment).map_or(&b""[..], |at| segment[..at].trim_ascii())
}

/// Writes `filename="ü.txt"` as `filename*=utf-8''%C3%BC.txt`. `None` if this is impossible, or if readers disagree
/// about the value.
fn parameter(segment: &[u8], unlabelled: &Unlabelled) -> Option<Vec<u8>> {
    let name = name_of(segment);
    let equals = memchr::memchr(b'=', segment)?;
    let before = segment.iter().take_while(|byte| is_blank(**byte)).count();
    let value = segment[equals + 1..].trim_ascii();
    let is_quoted = value.starts_with(b"\"");
    let is_file_name = name.eq_ignore_ascii_case(b"name") || name.eq_ignore_ascii_case(b"filename");
    let is_clear = match is_quoted {
        true => value.len() > 1 && value.ends_with(b"\"") && quoted_length(value) == value.len(),
        false => is_file_name || !value.iter().any(u8::is_ascii_whitespace),
    };
    if !is_clear {
        return None;
    }
    let mut value = if is_quoted { unquoted(value) } else { value.to_vec() };
    // The line end of a fold is not part of the value.
    value.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    // Not every reader can use a boundary in this form.
    if name.eq_ignore_ascii_case(b"boundary") {
        return None;
    }
    if name.is_empty()
        || !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        || value.len() > MAX_PARAMETER_BYTES
    {
        return None;
    }
    let (charset, _) = labelled(&value, charset_between_words(&value, unlabelled));
    let mut new = segment[..before].to_vec();
    if value.len() <= MAX_WHOLE_PARAMETER_BYTES {
        new.extend([name, b"*=", charset.as_bytes(), b"''"].concat());
        value.iter().for_each(|byte| put_percent(*byte, &mut new));
        return Some(new);
    }
    for (number, piece) in value.chunks(PARAMETER_PIECE_BYTES).enumerate() {
        if number > 0 {
            new.extend_from_slice(b";\n ");
        }
        new.extend_from_slice(name);
        new.extend(format!("*{number}*=").into_bytes());
        if number == 0 {
            new.extend([charset.as_bytes(), b"''"].concat());
        }
        piece.iter().for_each(|byte| put_percent(*byte, &mut new));
    }
    Some(new)
}

/// Writes one byte of a parameter, with a percent sign if necessary.
fn put_percent(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'.' | b'-' | b'_' => out.push(byte),
        _ if byte.is_ascii_alphanumeric() => out.push(byte),
        _ => out.extend(format!("%{}{}", hex_digit(byte >> 4), hex_digit(byte & 15)).into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::parse_addresses;
    use crate::message::words::decode;

    fn shown(name: &str, raw: &str) -> String {
        String::from_utf8(in_ascii(name, raw.as_bytes(), &NOTHING_SAID)).unwrap()
    }

    #[test]
    fn texts_names_and_file_names_are_encoded_and_nothing_else() {
        for (name, raw, expected) in [
            ("Subject", " Gr\u{fc}\u{df}e\n", " =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\n"),
            ("Subject", " a \u{fc} \u{df}\n b", " a =?utf-8?Q?=C3=BC_=C3=9F?=\n b"),
            ("Subject", " =?utf-8?Q?a?= \u{fc} =?utf-8?Q?b?=", " =?utf-8?Q?a?= =?utf-8?Q?_=C3=BC_?= =?utf-8?Q?b?="),
            ("From", " J\u{f6}rg M. <j@x>", " =?utf-8?Q?J=C3=B6rg?= M. <j@x>"),
            ("From", " \"J\u{f6}rg, M\"<j@x> (K\u{f6}ln)", " =?utf-8?Q?J=C3=B6rg=2C_M?= <j@x> (=?utf-8?Q?K=C3=B6ln?=)"),
            ("Content-Type", " text/plain; name=\u{fc}.txt", " text/plain; name*=utf-8''%C3%BC.txt"),
            ("Content-Type", " a/b; name=\"\u{fc};\"; name*=utf-8''x", " a/b; name*=utf-8''x"),
        ] {
            assert_eq!(shown(name, raw), expected, "{raw:?}");
        }
        for (name, raw) in [
            ("From", " j\u{f6}rg@x"),
            ("To", " \"\u{f6}\"@x, Ann <\u{f6}@x>"),
            ("Received", " from \u{f6} by x"),
            ("Content-Type", " multipart/mixed; boundary=\"\u{f6}\""),
            ("Content-Disposition", " attachment; filename*0=\"\u{f6}\"; filename*1=b"),
        ] {
            assert_eq!(shown(name, raw), raw);
        }
        assert_eq!(in_ascii("Subject", b" Gr\xfc\xdfe", &NOTHING_SAID), b" =?windows-1252?Q?Gr=FC=DFe?=");
    }

    #[test]
    fn a_long_file_name_is_continued() {
        let name = format!("{}.txt", "Gr\u{fc}\u{df}e ".repeat(60));
        let new = shown("Content-Disposition", &format!(" attachment; filename=\"{name}\"; size=1\n"));
        assert!(new.starts_with(" attachment; filename*0*=utf-8''Gr%C3%BC%C3%9Fe%20") && new.ends_with("; size=1\n"));
        assert!(new.is_ascii() && new.lines().all(|line| line.len() <= 78), "{new}");
        let parsed = params::parse(new.as_bytes(), &NOTHING_SAID);
        assert_eq!((parsed.get("filename"), parsed.get("size")), (Some(name.as_str()), Some("1")));
        assert_eq!(shown("Content-Type", " a/b; name=\u{fc}; name*0*=utf-8''x"), " a/b; name*0*=utf-8''x");
    }

    /// Other readers may take what follows a quoted string for a parameter.
    #[test]
    fn a_quoted_string_that_is_no_value_stays() {
        for raw in [" a/b; x=\"\u{fc}; boundary=b", " a/b; x=\"\u{fc}\" boundary=b", " a/b; x=\u{fc} boundary=b"] {
            assert_eq!(shown("Content-Type", raw), raw);
        }
    }

    proptest! {
        #[test]
        fn a_text_reads_as_before(value in "( |a|\u{fc}|\u{4f60}| =\\?utf-8\\?Q\\?x\\?= |\"|<|,|\\(|\n b){0,30}") {
            let raw = format!(" {value}\n");
            let new = in_ascii("Subject", raw.as_bytes(), &NOTHING_SAID);
            let squeezed = |raw: &[u8]| decode(raw, &NOTHING_SAID).split_whitespace().collect::<Vec<_>>().join(" ");
            prop_assert!(new.is_ascii());
            prop_assert_eq!(squeezed(&new), squeezed(raw.as_bytes()));
        }

        #[test]
        fn addresses_stay(value in "( |a@b|\u{fc}|<a@b>|<c@d>|\"\u{fc}\"|\"x\"|,|\\(\u{fc}\\)|:|;|x){0,20}") {
            let addresses = |text: &str| {
                let all = parse_addresses(text).into_iter();
                all.map(|address| address.address).filter(|address| address.is_ascii()).collect::<Vec<_>>()
            };
            // Text that could not be read before may become readable.
            let new = shown("To", &value);
            let mut among = addresses(&new).into_iter();
            prop_assert!(addresses(&value).iter().all(|one| among.any(|other| other == *one)), "{new}");
        }

        #[test]
        fn nothing_panics(value in proptest::collection::vec(any::<u8>(), 0..60), name in "(Subject|To|Content-Type|Received)") {
            in_ascii(&name, &value, &NOTHING_SAID);
        }
    }
}
