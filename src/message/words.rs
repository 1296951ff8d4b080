//! Converts text to Unicode: charsets, and the encoded words of RFC 2047.
//!
//! All functions take linear time. mailparse does not: when it decodes a header field, it may look at every `?=` after
//! each `=?`, and count the characters up to it.

use std::borrow::Cow;
use std::ops::Range;

use data_encoding::BASE64_MIME_PERMISSIVE;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::charsets::{self, Charset, Unlabelled};

/// The longest charset name, with its language (RFC 2231 5), in an encoded word.
pub(super) const MAX_CHARSET: usize = 60;

/// Converts text in a charset to Unicode NFC. Invalid bytes become U+FFFD.
pub(super) fn from_charset(bytes: &[u8], label: &str, unlabelled: &Unlabelled) -> String {
    nfc(charsets::decode(bytes, label, unlabelled))
}

/// Converts a raw value to text in which encoded words are not decoded yet. 8-bit bytes between encoded words become
/// Unicode. 8-bit bytes within them, which are forbidden but written by old mailers, are escaped in the encoding of the
/// word, so that they are decoded later in the charset of the word.
pub(super) fn legible<'r>(raw: &'r [u8], unlabelled: &Unlabelled) -> Cow<'r, str> {
    if let Ok(text) = std::str::from_utf8(raw) {
        // The decoder recognises 7-bit charsets by their escape sequences.
        return if text.contains('\u{1b}') { unlabelled.decode(raw) } else { Cow::Borrowed(text) };
    }
    let WordPieces { between, words } = WordPieces::of(raw);
    let charset = charset_of(&between, unlabelled);
    let mut out = String::with_capacity(raw.len());
    for (i, text) in between.iter().enumerate() {
        out.push_str(&match std::str::from_utf8(text) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => charset.decode(text).0,
        });
        words.get(i).into_iter().for_each(|(word, is_base64)| escape(word, *is_base64, &mut out));
    }
    Cow::Owned(out)
}

/// The charset in which [`legible`] reads the parts of a value that are neither UTF-8 nor encoded words.
pub(super) fn charset_between_words(raw: &[u8], unlabelled: &Unlabelled) -> Charset {
    charset_of(&WordPieces::of(raw).between, unlabelled)
}

/// One charset for all text between the encoded words, because more bytes make a better guess.
fn charset_of(between: &[&[u8]], unlabelled: &Unlabelled) -> Charset {
    let foreign: Vec<&[u8]> = between.iter().copied().filter(|text| std::str::from_utf8(text).is_err()).collect();
    unlabelled.choose(&foreign.join(&b' '))
}

/// A value split into encoded words and other text.
struct WordPieces<'r> {
    /// The text before, between and after its encoded words.
    between: Vec<&'r [u8]>,
    /// The encoded words, and whether they are in base64.
    words: Vec<(&'r [u8], bool)>,
}

impl<'r> WordPieces<'r> {
    fn of(raw: &'r [u8]) -> Self {
        let mut scan = WordScan { text: raw, at: 0, next_end: Some(0) };
        let mut pieces = Self { between: Vec::new(), words: Vec::new() };
        while let Some(found) = scan.next_word() {
            pieces.between.push(found.before);
            pieces.words.push((&raw[found.whole], found.word.is_base64));
        }
        pieces.between.push(&raw[scan.at..]);
        pieces
    }
}

/// Writes an encoded word in ASCII. Other bytes have no meaning in base64 and are dropped.
fn escape(word: &[u8], is_base64: bool, out: &mut String) {
    for byte in word {
        match byte.is_ascii() {
            true => out.push(char::from(*byte)),
            false if is_base64 => {}
            false => out.extend(['=', hex_digit(byte >> 4), hex_digit(byte & 15)]),
        }
    }
}

/// Normalises to Unicode NFC, so that all forms of `é` are equal.
pub(super) fn nfc(text: Cow<'_, str>) -> String {
    if text.is_ascii() || is_nfc(&text) { text.into_owned() } else { text.nfc().collect() }
}

/// Unfolds a field value: each fold with the blanks around it becomes one space. A form feed does not count as a blank,
/// because it would be content without the fold.
pub(super) fn unfold(raw: &[u8]) -> Cow<'_, [u8]> {
    let raw = raw.trim_ascii();
    if memchr::memchr(b'\n', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let lines = raw.split(|b| *b == b'\n').map(without_blanks).filter(|line| !line.is_empty());
    Cow::Owned(lines.collect::<Vec<_>>().join(&b' '))
}

/// Removes blanks and CRs around a line.
fn without_blanks(line: &[u8]) -> &[u8] {
    let is_content = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r');
    let start = line.iter().position(is_content).unwrap_or(line.len());
    let end = line.iter().rposition(is_content).map_or(start, |last| last + 1);
    &line[start..end]
}

/// Decodes a field value to Unicode: unfolds it, decodes its encoded words and the 8-bit text between them.
pub(super) fn decode(raw: &[u8], unlabelled: &Unlabelled) -> String {
    let line = unfold(raw);
    nfc(Cow::Owned(decode_words(&legible(&line, unlabelled), unlabelled)))
}

/// The parts of an encoded word.
struct EncodedWord<'a> {
    charset: &'a str,
    is_base64: bool,
    bytes: Vec<u8>,
}

/// Decodes the encoded words in a text. Blanks between two words are dropped (RFC 2047 6.2). The bytes of neighbours in
/// the same charset are joined before decoding, because Outlook and many newsletters cut characters between two words.
///
/// Words are decoded anywhere, even within quotes or directly beside other text, because the same senders write them
/// there.
pub(super) fn decode_words(text: &str, unlabelled: &Unlabelled) -> String {
    let mut out = String::with_capacity(text.len());
    let mut pending: Option<EncodedWord<'_>> = None;
    let mut scan = WordScan { text: text.as_bytes(), at: 0, next_end: Some(0) };
    let mut at = 0;
    while let Some(FoundWord { before, whole, word }) = scan.next_word() {
        let joins = before.trim_ascii().is_empty() && pending.is_some();
        match &mut pending {
            Some(open) if joins && open.charset.eq_ignore_ascii_case(word.charset) => open.bytes.extend(&word.bytes),
            _ => {
                flush(pending.take(), unlabelled, &mut out);
                // A word begins and ends with ASCII, so these are character boundaries.
                out.push_str(if joins { "" } else { &text[at..whole.start] });
                pending = Some(word);
            }
        }
        at = whole.end;
    }
    flush(pending, unlabelled, &mut out);
    out.push_str(&text[at..]);
    out
}

fn flush(word: Option<EncodedWord<'_>>, unlabelled: &Unlabelled, out: &mut String) {
    if let Some(word) = word {
        // RFC 2231 5: `=?us-ascii*en?Q?...?=`.
        let label = word.charset.split('*').next().unwrap_or_default();
        out.push_str(&from_charset(&word.bytes, label, unlabelled));
    }
}

/// Finds encoded words in one pass. `next_end` is the next `?=`; it is searched for again only after the position
/// passes it.
struct WordScan<'a> {
    text: &'a [u8],
    at: usize,
    next_end: Option<usize>,
}

/// An encoded word and its position.
struct FoundWord<'a> {
    /// The text between it and the previous word.
    before: &'a [u8],
    whole: Range<usize>,
    word: EncodedWord<'a>,
}

impl<'a> WordScan<'a> {
    /// The next word. `at` moves only when a word is found.
    fn next_word(&mut self) -> Option<FoundWord<'a>> {
        let mut from = self.at;
        loop {
            let start = from + memchr::memmem::find(&self.text[from..], b"=?")?;
            if let Some((word, end)) = self.word_at(start) {
                let before = &self.text[self.at..start];
                self.at = end;
                return Some(FoundWord { before, whole: start..end, word });
            }
            from = start + 2;
        }
    }

    /// The encoded word `=?charset?B?text?=` at `start`. Blanks within its text are accepted: old Japanese mailers, and
    /// programs that fold lines without regard to encoded words, leave them there.
    fn word_at(&mut self, start: usize) -> Option<(EncodedWord<'a>, usize)> {
        let rest = &self.text[start + 2..];
        let charset_end = memchr::memchr(b'?', &rest[..rest.len().min(MAX_CHARSET)])?;
        let charset = std::str::from_utf8(&rest[..charset_end]).ok()?;
        let encoding = *rest.get(charset_end + 1)?;
        if rest.get(charset_end + 2) != Some(&b'?')
            || charset.is_empty()
            || !charset.bytes().all(|b| b.is_ascii_graphic())
        {
            return None;
        }
        let text_at = start + 2 + charset_end + 3;
        let end = self.end_behind(text_at)?;
        let text = self.text.get(text_at..end)?;
        // Another word begins before the end, so this one is not closed.
        if memchr::memmem::find(text, b"=?").is_some() {
            return None;
        }
        let is_base64 = matches!(encoding, b'B' | b'b');
        let bytes = match encoding {
            _ if is_base64 => decode_base64(text),
            b'Q' | b'q' => decode_q(text),
            _ => return None,
        };
        Some((EncodedWord { charset, is_base64, bytes }, end + 2))
    }

    fn end_behind(&mut self, at: usize) -> Option<usize> {
        if self.next_end? < at {
            self.next_end = memchr::memmem::find(&self.text[at..], b"?=").map(|found| at + found);
        }
        self.next_end
    }
}

/// Decodes the Q encoding (RFC 2047 4.2).
fn decode_q(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (*first, hex_pair(tail)) {
            (b'=', Some(byte)) => {
                out.push(byte);
                rest = &tail[2..];
            }
            (b'_', _) => out.push(b' '),
            (other, _) => out.push(other),
        }
    }
    out
}

/// The byte of the two hexadecimal digits at the beginning.
pub(super) fn hex_pair(digits: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    match digits {
        [high, low, ..] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    }
}

/// Whether the byte is a hexadecimal digit.
pub(super) fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// The hexadecimal digit of a number below 16, in upper case.
pub(super) fn hex_digit(number: u8) -> char {
    char::from_digit(u32::from(number), 16).unwrap_or('0').to_ascii_uppercase()
}

/// Whether the byte carries six bits of base64.
pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// Decodes base64 leniently: skips stray characters, accepts missing padding, and stops at the first padding, because
/// list software appends text after it.
pub(super) fn decode_base64(text: &[u8]) -> Vec<u8> {
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    decode_clean_base64(text[..end].iter().copied().filter(|b| is_base64(*b)).collect())
}

/// Decodes base64 that consists of alphabet characters only.
pub(super) fn decode_clean_base64(mut clean: Vec<u8>) -> Vec<u8> {
    match clean.len() % 4 {
        1 => clean.truncate(clean.len() - 1),
        2 => clean.extend(b"=="),
        3 => clean.push(b'='),
        _ => {}
    }
    BASE64_MIME_PERMISSIVE.decode(&clean).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charsets::NOTHING_SAID;
    use proptest::prelude::*;

    fn words_of(text: &str) -> String {
        decode_words(text, &NOTHING_SAID)
    }

    fn value_of(raw: &[u8]) -> String {
        decode(raw, &NOTHING_SAID)
    }

    #[test]
    fn words_are_decoded_and_blanks_between_them_dropped() {
        assert_eq!(words_of("a =?utf-8?Q?b_c?= =?UTF-8?B?w6k=?= d"), "a b cé d");
        assert_eq!(words_of("=?iso-8859-1*de?q?=FCber?="), "über");
        assert_eq!(words_of("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?="), "日本");
        assert_eq!(words_of("=?utf-8?Q??= x"), " x");
    }

    #[test]
    fn characters_cut_between_words_are_whole() {
        assert_eq!(words_of("=?utf-8?Q?=C3?=\n =?utf-8?Q?=A9?="), "é");
    }

    #[test]
    fn words_within_quotes_and_with_blanks_are_decoded() {
        assert_eq!(words_of("\"=?utf-8?Q?=C3=A9?=\" <a@b>"), "\"é\" <a@b>");
        assert_eq!(words_of("=?utf-8?Q?a b?="), "a b");
    }

    #[test]
    fn what_is_no_word_stays() {
        for text in ["=?utf-8?X?a?=", "=?utf-8?Q?a", "=??Q?a?=", "a=?b", "=?utf-8?Q", "=?u t?Q?a?="] {
            assert_eq!(words_of(text), text);
        }
        assert_eq!(words_of("=?utf-8?Q?a =?utf-8?Q?b?="), "=?utf-8?Q?a b");
    }

    #[test]
    fn unknown_and_wrong_charsets_are_guessed() {
        assert_eq!(words_of("=?cp999?Q?caf=C3=A9?="), "café");
        assert_eq!(value_of(b"caf\xe9"), "café");
        assert_eq!(from_charset(b"caf\xc3\xa9", "us-ascii", &NOTHING_SAID), "café");
        assert_eq!(from_charset(b"caf\xe9", "'ISO-8859-1'", &NOTHING_SAID), "café");
    }

    #[test]
    fn words_are_decoded_before_the_bytes_around_them() {
        assert_eq!(value_of(b"=?iso-8859-1?Q?Die_Hasen_und_die_Fr\xf6sche?="), "Die Hasen und die Frösche");
        assert_eq!(
            value_of(b"\xfcber =?koi8-r?Q?\xf0\xd2\xc9=D7\xc5\xd4?= \xfc =?utf-8?B?w\xff6k=?="),
            "über Привет ü é"
        );
        let of_message = Unlabelled { declared: Charset::named("gb2312"), ..Unlabelled::default() };
        let raw = b"\xb1\xa8\xbc\xdb =?utf-8?B?5Y2V?= \xb5\xa5";
        assert_eq!(decode(raw, &of_message), "报价 单 单");
    }

    #[test]
    fn values_are_nfc() {
        assert_eq!(value_of("e\u{301}".as_bytes()), "\u{e9}");
        assert_eq!(value_of(b"=?utf-8?Q?e=CC=81?="), "\u{e9}");
    }

    #[test]
    fn broken_base64_gives_what_it_can() {
        assert_eq!(decode_base64(b"aGVs bG8"), b"hello");
        assert_eq!(decode_base64(b"a!GVs*bG8=\n_____ list footer"), b"hello");
        assert_eq!(decode_base64(b"aGVsb"), b"hel");
        assert_eq!(decode_base64(b"===="), b"");
    }

    #[test]
    fn e9_a_million_encoded_words_are_linear() {
        let many = "=?utf-8?Q?a?= ".repeat(1_000_000);
        assert_eq!(words_of(&many).len(), 1_000_001);
        let starts = format!("{}{}", " =?a?q?".repeat(300_000), "?=x".repeat(300_000));
        assert!(words_of(&starts).len() <= starts.len());
        let open = "=?utf-8?Q?a ".repeat(500_000);
        assert_eq!(words_of(&open), open);
        let ends = format!("=?{}", "?=".repeat(1_000_000));
        assert_eq!(words_of(&ends), ends);
    }

    #[test]
    fn a_fold_takes_no_form_feed_along() {
        for (folded, line) in [("a\x0c\n b", "a\x0c b"), ("a\n \x0cb", "a \x0cb"), ("a\r\n\t b \n c", "a b c")] {
            assert_eq!(*unfold(folded.as_bytes()), *line.as_bytes(), "{folded:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(=\\?|\\?=|\\?|utf-8|Q|B|=|é|\\PC| ){0,40}", foreign in any::<u8>()) {
            words_of(&text);
            let bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'B' { foreign } else { byte }).collect();
            value_of(&bytes);
        }
    }

    #[test]
    fn fuzz_encoded_words() {
        let known: [&[u8]; 5] = [
            b"=?iso-8859-1?Q?Fr\xf6sche?= =?utf-8?B?w6k=?= x",
            b"\xb1\xa8\xbc\xdb =?cp932?B?kL+LgQ==?= =?iso-2022-kr?B?GyQpQw4wXw8=?=",
            b"=?utf-8*en?Q?a_=C3?= =?utf-8?Q?=A9?=",
            b"=?hz?Q?~{<:~}?= =?utf-32?B?AAAAYQ==?= =?utf-7?Q?+AOk-?=",
            b"\x1b$BF|K\\\x1b(B =?x?q?\xff?=",
        ];
        let korean = Unlabelled { declared: Charset::named("iso-2022-kr"), ..Unlabelled::default() };
        crate::fuzz::try_changes("encoded-words", &known, |raw| {
            let text = decode(raw, &NOTHING_SAID);
            // An invalid byte becomes three bytes, and a decomposed letter may be longer than a composed one.
            assert!(text.len() <= 9 * raw.len() + 9, "{} of {}", text.len(), raw.len());
            if raw.is_ascii() && !raw.contains(&0x1b) && memchr::memmem::find(raw, b"=?").is_none() {
                assert_eq!(text.as_bytes(), &*unfold(raw));
            }
            let other = decode(raw, &korean);
            (text.is_ascii(), text.contains("=?"), text.contains('\u{fffd}'), text == other, text.len().min(20))
        });
    }
}
