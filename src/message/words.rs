//! Foreign text as Unicode: charsets, and the encoded words of RFC 2047.
//!
//! Everything here is linear in its input. mailparse's own decoding of a header field is not: for every `=?` it
//! may look at every `?=` behind it, and count the characters up to each.

use std::borrow::Cow;

use charset::Charset;
use data_encoding::BASE64_MIME_PERMISSIVE;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::utf7;

/// The longest name of a charset with its language (RFC 2231 5) in an encoded word.
const MAX_CHARSET: usize = 60;

/// Text in a charset as Unicode, NFC. Bytes that make no sense in it become U+FFFD.
pub(super) fn from_charset(bytes: &[u8], label: &str) -> String {
    let text = match known_charset(label) {
        Some(charset) if charset == charset::UTF_7 => Cow::Owned(utf7::decode(bytes)),
        Some(charset) => charset.decode_with_bom_removal(bytes).0,
        None => guessed(bytes),
    };
    nfc(text)
}

/// Bytes nobody named a charset for: UTF-8 if they are that, else Windows-1252, the superset of Latin-1 that most
/// unlabelled old mail is in.
pub(super) fn guessed(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => match Charset::for_label(b"windows-1252") {
            Some(charset) => charset.decode_without_bom_handling(bytes).0,
            None => charset::decode_latin1(bytes),
        },
    }
}

/// A charset that says what the bytes are. `us-ascii` does not where there are other bytes: programs that send
/// 8-bit text under that name, or under none, are many.
fn known_charset(label: &str) -> Option<Charset> {
    let label = label.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';'));
    let is_ascii = ["us-ascii", "ascii", "ansi_x3.4-1968"].iter().any(|name| label.eq_ignore_ascii_case(name));
    if is_ascii { None } else { Charset::for_label_no_replacement(label.as_bytes()) }
}

/// In Unicode NFC, so that an `é` is one thing whoever typed it.
pub(super) fn nfc(text: Cow<'_, str>) -> String {
    if text.is_ascii() || is_nfc(&text) { text.into_owned() } else { text.nfc().collect() }
}

/// A field value on one line: each fold with the blanks around it becomes one space.
pub(super) fn unfold(raw: &[u8]) -> Cow<'_, [u8]> {
    let raw = raw.trim_ascii();
    if memchr::memchr(b'\n', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let lines = raw.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    Cow::Owned(lines.collect::<Vec<_>>().join(&b' '))
}

/// A field value as Unicode: unfolded, encoded words decoded, stray 8-bit text guessed.
pub(super) fn decode(raw: &[u8]) -> String {
    let line = unfold(raw);
    nfc(Cow::Owned(decode_words(&guessed(&line))))
}

/// An encoded word taken apart.
struct Word<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
}

/// Text with its encoded words decoded. Blanks between two words are dropped (RFC 2047 6.2), and the bytes of
/// neighbours in the same charset joined first: Outlook and many newsletters cut a character between two words.
///
/// Words are taken wherever they stand, also within quotes or stuck to other text, for the same senders do that.
pub(super) fn decode_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut pending: Option<Word<'_>> = None;
    let mut scan = Scan { text, at: 0, next_end: Some(0) };
    while let Some((before, word)) = scan.next_word() {
        let joins = before.trim().is_empty() && pending.is_some();
        match &mut pending {
            Some(open) if joins && open.charset.eq_ignore_ascii_case(word.charset) => open.bytes.extend(&word.bytes),
            _ => {
                flush(pending.take(), &mut out);
                out.push_str(if joins { "" } else { before });
                pending = Some(word);
            }
        }
    }
    flush(pending, &mut out);
    out.push_str(&text[scan.at..]);
    out
}

fn flush(word: Option<Word<'_>>, out: &mut String) {
    if let Some(word) = word {
        // RFC 2231 5: `=?us-ascii*en?Q?...?=`.
        let label = word.charset.split('*').next().unwrap_or_default();
        out.push_str(&from_charset(&word.bytes, label));
    }
}

/// Goes over the text once. `next_end` is the next `?=`, looked for only when the place has passed it.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    next_end: Option<usize>,
}

impl<'a> Scan<'a> {
    /// The next word and what stands between it and the one before. `at` moves behind the word only.
    fn next_word(&mut self) -> Option<(&'a str, Word<'a>)> {
        let mut from = self.at;
        loop {
            let start = from + memchr::memmem::find(&self.text.as_bytes()[from..], b"=?")?;
            if let Some((word, end)) = self.word_at(start) {
                let before = &self.text[self.at..start];
                self.at = end;
                return Some((before, word));
            }
            from = start + 2;
        }
    }

    /// `=?charset?B?text?=` at `start`. Blanks within the text are tolerated: mail programs that fold without
    /// understanding what they fold, and old Japanese ones, leave them there.
    fn word_at(&mut self, start: usize) -> Option<(Word<'a>, usize)> {
        let rest = &self.text[start + 2..];
        let charset_end = memchr::memchr(b'?', &rest.as_bytes()[..rest.len().min(MAX_CHARSET)])?;
        let charset = rest.get(..charset_end).filter(|name| name.bytes().all(|b| b.is_ascii_graphic()))?;
        let encoding = *rest.as_bytes().get(charset_end + 1)?;
        if rest.as_bytes().get(charset_end + 2) != Some(&b'?') || charset.is_empty() {
            return None;
        }
        let text_at = start + 2 + charset_end + 3;
        let end = self.end_behind(text_at)?;
        let text = self.text.get(text_at..end)?;
        // Another word begins before this one ends: this one does not end.
        if memchr::memmem::find(text.as_bytes(), b"=?").is_some() {
            return None;
        }
        let bytes = match encoding {
            b'B' | b'b' => decode_base64(text.as_bytes()),
            b'Q' | b'q' => decode_q(text.as_bytes()),
            _ => return None,
        };
        Some((Word { charset, bytes }, end + 2))
    }

    fn end_behind(&mut self, at: usize) -> Option<usize> {
        if self.next_end? < at {
            self.next_end = memchr::memmem::find(&self.text.as_bytes()[at..], b"?=").map(|found| at + found);
        }
        self.next_end
    }
}

/// The Q encoding (RFC 2047 4.2).
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

/// The byte that two hexadecimal digits at the beginning mean.
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

/// Base64 as far as it goes: stray characters are passed over, missing padding does not matter, and the first
/// padding ends it (what list software appends behind it is no base64).
pub(super) fn decode_base64(text: &[u8]) -> Vec<u8> {
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    decode_clean_base64(text[..end].iter().copied().filter(|b| is_base64(*b)).collect())
}

/// Base64 of alphabet characters only.
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
    use proptest::prelude::*;

    #[test]
    fn words_are_decoded_and_blanks_between_them_dropped() {
        assert_eq!(decode_words("a =?utf-8?Q?b_c?= =?UTF-8?B?w6k=?= d"), "a b cé d");
        assert_eq!(decode_words("=?iso-8859-1*de?q?=FCber?="), "über");
        assert_eq!(decode_words("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?="), "日本");
        assert_eq!(decode_words("=?utf-8?Q??= x"), " x");
    }

    #[test]
    fn characters_cut_between_words_are_whole() {
        assert_eq!(decode_words("=?utf-8?Q?=C3?=\n =?utf-8?Q?=A9?="), "é");
    }

    #[test]
    fn words_within_quotes_and_with_blanks_are_decoded() {
        assert_eq!(decode_words("\"=?utf-8?Q?=C3=A9?=\" <a@b>"), "\"é\" <a@b>");
        assert_eq!(decode_words("=?utf-8?Q?a b?="), "a b");
    }

    #[test]
    fn what_is_no_word_stays() {
        for text in ["=?utf-8?X?a?=", "=?utf-8?Q?a", "=??Q?a?=", "a=?b", "=?utf-8?Q", "=?u t?Q?a?="] {
            assert_eq!(decode_words(text), text);
        }
        assert_eq!(decode_words("=?utf-8?Q?a =?utf-8?Q?b?="), "=?utf-8?Q?a b");
    }

    #[test]
    fn unknown_and_wrong_charsets_are_guessed() {
        assert_eq!(decode_words("=?cp437?Q?caf=C3=A9?="), "café");
        assert_eq!(decode(b"caf\xe9"), "café");
        assert_eq!(from_charset(b"caf\xc3\xa9", "us-ascii"), "café");
        assert_eq!(from_charset(b"caf\xe9", "'ISO-8859-1'"), "café");
    }

    #[test]
    fn values_are_nfc() {
        assert_eq!(decode("e\u{301}".as_bytes()), "\u{e9}");
        assert_eq!(decode(b"=?utf-8?Q?e=CC=81?="), "\u{e9}");
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
        assert_eq!(decode_words(&many).len(), 1_000_001);
        let starts = format!("{}{}", " =?a?q?".repeat(300_000), "?=x".repeat(300_000));
        assert!(decode_words(&starts).len() <= starts.len());
        let open = "=?utf-8?Q?a ".repeat(500_000);
        assert_eq!(decode_words(&open), open);
        let ends = format!("=?{}", "?=".repeat(1_000_000));
        assert_eq!(decode_words(&ends), ends);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(=\\?|\\?=|\\?|utf-8|Q|B|=|é|\\PC| ){0,40}") {
            decode_words(&text);
        }
    }
}
