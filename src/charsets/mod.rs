//! Charsets by the names that mail uses, and conversion to Unicode.
//!
//! encoding_rs knows the charsets of browsers under the labels that browsers accept. Mail has more labels for these
//! charsets (a table) and some other charsets (our own decoders). All code here is linear in its input.

mod dos;
mod labels;
pub mod mutf7;
mod shifted;
mod utf32;
mod utf7;

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, ISO_2022_JP, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};

/// How many bytes the detector looks at, from the first that is not ASCII.
const MAX_DETECTED_BYTES: usize = 64 * 1024;
/// The longest character, in bytes: in GB 18030 and UTF-8.
const MAX_CHARACTER_BYTES: usize = 4;
/// Begins the escape sequences that switch the character set in ISO 2022.
pub const ESCAPE: u8 = 0x1b;

/// A charset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset(CharsetKind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CharsetKind {
    /// A charset of browsers.
    Web(&'static Encoding),
    Utf7,
    Utf32(utf32::ByteOrder),
    Iso2022Kr,
    Hz,
    Dos(dos::CodePage),
}

impl Charset {
    /// The charset for a label, in any case and with or without quotes. `None` for an unknown label, and for one without
    /// information: `us-ascii` and `unknown-8bit` do not say what 8-bit bytes mean, but many programs send 8-bit text under these
    /// names, or without any.
    pub fn named(label: &str) -> Option<Self> {
        let label = label.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';'));
        if ["us-ascii", "ascii", "ansi_x3.4-1968"].iter().any(|name| label.eq_ignore_ascii_case(name)) {
            return None;
        }
        match Encoding::for_label(label.as_bytes()) {
            Some(web) if web != REPLACEMENT && web != X_USER_DEFINED => Some(Self(CharsetKind::Web(web))),
            _ => labels::find(label).map(Self),
        }
    }

    /// The charset's name in mail. `None` for 7-bit charsets, whose text looks like other text, and for charsets with several
    /// bytes for each letter: neither can occur in a raw header field.
    pub fn label(self) -> Option<&'static str> {
        match self.0 {
            CharsetKind::Web(web) => Some(web.name()),
            CharsetKind::Dos(page) => Some(page.label()),
            CharsetKind::Utf7 | CharsetKind::Utf32(_) | CharsetKind::Iso2022Kr | CharsetKind::Hz => None,
        }
    }

    /// The length of the first character.
    pub fn first_character(self, bytes: &[u8]) -> usize {
        let is_one = |length: &usize| bytes.get(..*length).is_some_and(|bytes| self.decode(bytes).1);
        (1..=MAX_CHARACTER_BYTES).find(is_one).unwrap_or(1)
    }

    /// Whether ASCII bytes keep their meaning, as in every charset that can occur in raw header fields. Not so in UTF-16 and
    /// UTF-32.
    pub fn keeps_ascii(self) -> bool {
        const SAMPLE: &str = "a.b";
        match self.0 {
            CharsetKind::Web(web) => !is_utf16(web),
            _ => self.decode(SAMPLE.as_bytes()).0 == SAMPLE,
        }
    }

    /// The bytes in Unicode, and whether all of them were valid. Invalid ones become U+FFFD.
    pub fn decode(self, bytes: &[u8]) -> (Cow<'_, str>, bool) {
        let (text, makes_sense) = match self.0 {
            CharsetKind::Web(web) if is_ascii_labelled_utf16(web, bytes) => (String::from_utf8_lossy(bytes), true),
            CharsetKind::Web(web) => {
                let web = if is_utf16(web) { Encoding::for_bom(bytes).map_or(web, |(found, _)| found) } else { web };
                let (text, has_errors) = web.decode_with_bom_removal(bytes);
                return (text, !has_errors);
            }
            CharsetKind::Utf7 => (utf7::decode(bytes).into(), true),
            CharsetKind::Utf32(order) => (utf32::decode(bytes, order).into(), true),
            CharsetKind::Iso2022Kr => shifted::iso_2022_kr(bytes),
            CharsetKind::Hz => shifted::hz(bytes),
            CharsetKind::Dos(page) => (dos::decode(bytes, page).into(), true),
        };
        let makes_sense = makes_sense && !text.contains(char::REPLACEMENT_CHARACTER);
        (text, makes_sense)
    }

    /// Whether every byte is valid, so that decoding can never rule this charset out.
    pub fn takes_everything(self) -> bool {
        (0x80..=0xff).all(|byte| self.decode(&[byte]).1)
    }

    /// Whether its text consists of 7-bit bytes that look like other text.
    fn is_escaped(self) -> bool {
        matches!(self.0, CharsetKind::Iso2022Kr) || self.0 == CharsetKind::Web(ISO_2022_JP)
    }
}

/// Whether bytes that are declared as UTF-16 are ASCII: web forms and ticket systems do that. In UTF-16 every line end and blank
/// has a zero byte.
fn is_ascii_labelled_utf16(web: &'static Encoding, bytes: &[u8]) -> bool {
    is_utf16(web) && bytes.is_ascii() && memchr::memchr(0, bytes).is_none()
}

fn is_utf16(web: &'static Encoding) -> bool {
    web == UTF_16LE || web == UTF_16BE
}

/// Decodes bytes in the charset with this label. If they are not valid in it but are valid UTF-8, they are UTF-8. If the label
/// has no information, `unlabelled` decides.
pub fn decode<'b>(bytes: &'b [u8], label: &str, unlabelled: &Unlabelled) -> Cow<'b, str> {
    let Some(charset) = Charset::named(label) else { return unlabelled.decode(bytes) };
    match (charset.decode(bytes), std::str::from_utf8(bytes)) {
        ((_, false), Ok(utf8)) if !bytes.is_ascii() => Cow::Borrowed(utf8),
        ((text, _), _) => text,
    }
}

/// Candidates for the charset of bytes without a label.
#[derive(Clone, Debug, Default)]
pub struct Unlabelled {
    /// The charset that is declared nearby.
    pub declared: Option<Charset>,
    /// The charsets that the user's config assumes, the most likely first.
    pub assumed: Vec<Charset>,
}

/// No information about the charset.
pub static NOTHING_SAID: Unlabelled = Unlabelled { declared: None, assumed: Vec::new() };

impl Unlabelled {
    /// Decodes bytes: as UTF-8 if they are valid or damaged UTF-8; otherwise in the first declared or assumed charset in which
    /// they are valid; otherwise in the one that a detector guesses.
    pub fn decode<'b>(&self, bytes: &'b [u8]) -> Cow<'b, str> {
        if let Some(charset) = self.escaped(bytes) {
            return charset.decode(bytes).0;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text.trim_start_matches('\u{feff}')),
            Err(_) => self.choose(bytes).decode(bytes).0,
        }
    }

    /// The charset of bytes that are not valid UTF-8.
    pub fn choose(&self, bytes: &[u8]) -> Charset {
        if let Some((web, _)) = Encoding::for_bom(bytes) {
            return Charset(CharsetKind::Web(web));
        }
        if is_damaged_utf8(bytes) {
            return Charset(CharsetKind::Web(UTF_8));
        }
        let fits = |charset: &Charset| charset.decode(bytes).1;
        self.candidates().find(fits).unwrap_or_else(|| detected(bytes))
    }

    /// A candidate that uses escape sequences, if the bytes contain them and are valid in it.
    fn escaped(&self, bytes: &[u8]) -> Option<Charset> {
        memchr::memchr(ESCAPE, bytes)?;
        self.candidates().find(|charset| charset.is_escaped() && charset.decode(bytes).1)
    }

    fn candidates(&self) -> impl Iterator<Item = Charset> {
        self.declared.into_iter().chain(self.assumed.iter().copied())
    }
}

/// Whether this is UTF-8 that a program has cut, or to which it has added foreign bytes. There must be three valid characters
/// for each invalid place: in other charsets about one character in six looks like valid UTF-8 by chance.
fn is_damaged_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good >= bad.saturating_mul(3)
}

/// The guess of the detector. There always is one.
fn detected(bytes: &[u8]) -> Charset {
    let start = bytes.iter().position(|b| !b.is_ascii()).unwrap_or(0).saturating_sub(2);
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(&bytes[start..bytes.len().min(start + MAX_DETECTED_BYTES)], true);
    Charset(CharsetKind::Web(detector.guess(None, Utf8Detection::Deny)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by(label: &str, bytes: &[u8]) -> String {
        decode(bytes, label, &NOTHING_SAID).into_owned()
    }

    #[test]
    fn a_charset_that_does_not_fit_gives_way_to_utf_8() {
        for label in ["iso-2022-jp", "iso-2022-kr", "euc-kr", "utf-16", "hz-gb-2312"] {
            assert_eq!(by(label, "請求書".as_bytes()), "請求書", "{label}");
        }
        assert_eq!(by("utf-16", b"Please confirm the order 4711"), "Please confirm the order 4711");
        assert_eq!(by("utf-16", b"\xfe\xff\0a"), "a");
        assert_eq!(by("iso-8859-1", "é".as_bytes()), "Ã©", "it fits");
    }

    #[test]
    fn labels_say_what_they_are_of() {
        for name in ["gb2312", "big5", "iso-8859-1", "koi8-r", "cp437", "cp850", "cp858", "gb18030", "macroman"] {
            let charset = Charset::named(name).unwrap();
            assert_eq!(charset.label().and_then(Charset::named), Some(charset), "{name}");
        }
        let gb = Charset::named("gb18030").unwrap();
        assert_eq!(
            [&b"a"[..], b"\xb1\xa8\xbc", b"\x81\x30\x81\x30a", b"\xff"].map(|b| gb.first_character(b)),
            [1, 2, 4, 1]
        );
    }

    #[test]
    fn labels_that_say_nothing() {
        for label in ["us-ascii", "ascii", "unknown-8bit", "x-user-defined", "", "iso-2022-cn", "no such thing", "-"] {
            assert_eq!(Charset::named(label), None, "{label}");
        }
        assert!(Charset::named(" \"UTF-8\"; ").is_some());
    }

    #[test]
    fn damaged_utf_8_stays_utf_8() {
        let unlabelled = Unlabelled { declared: Charset::named("koi8-r"), ..Unlabelled::default() };
        let mut cut = "они жена".as_bytes().to_vec();
        cut.pop();
        assert_eq!(unlabelled.decode(&cut), "они жен\u{fffd}");
    }

    #[test]
    fn the_declared_charset_then_the_assumed_ones_then_a_guess() {
        let gbk = b"\xb1\xa8\xbc\xdb\xb5\xa5";
        let named = |labels: &[&str]| labels.iter().map(|label| Charset::named(label).unwrap()).collect();
        let koi = Unlabelled { declared: Charset::named("koi8-r"), assumed: named(&["gbk"]) };
        assert_eq!(koi.decode(b"\xf0\xd2\xc9\xd7\xc5\xd4"), "Привет");
        let with = |declared, assumed| Unlabelled { declared, assumed: named(assumed) }.decode(gbk).into_owned();
        assert_eq!(with(Charset::named("gb2312"), &["koi8-r"]), "报价单");
        assert_eq!(with(Charset::named("utf-8"), &["iso-2022-jp", "gb18030"]), "报价单");
        assert_eq!(Unlabelled::default().decode(b"caf\xe9"), "café");
        assert_eq!(Unlabelled::default().decode(b"Gr\xfc\xdfe aus K\xf6ln"), "Grüße aus Köln");
        let long = Unlabelled::default()
            .decode(b"\xd6\xd0\xb9\xfa\xb5\xe7\xd7\xd3\xd3\xca\xbc\xfe\xb1\xa8\xbc\xdb\xb5\xa5")
            .into_owned();
        assert_eq!(long, "中国电子邮件报价单");
        assert_eq!(koi.decode(b"\x1b$BF|K\\\x1b(B"), "\x1b$BF|K\\\x1b(B", "nobody says so");
        let jp = Unlabelled { declared: Charset::named("iso-2022-jp"), ..Unlabelled::default() };
        assert_eq!(jp.decode(b"\x1b$BF|K\\\x1b(B"), "日本");
    }

    #[test]
    fn e9_a_hostile_text_is_linear() {
        for piece in [&b"\x0e\x0f"[..], b"~{", b"~", b"\x1b$)C", b"\xff", b"\xc3", b"\x1b", b"a\xe9", b"+AOk-"] {
            for label in ["iso-2022-kr", "hz", "utf-32", "cp437", "gbk", "iso-2022-jp", "utf-7", ""] {
                assert!(by(label, &piece.repeat(300_000)).len() <= 12 * 300_000, "{label}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), label in "(utf-32|cp437|iso-2022-kr|hz|cp950|utf-7|x)") {
            by(&label, &bytes);
        }
    }

    #[test]
    fn header_fields_are_in_no_charset_that_changes_ascii() {
        for (label, keeps) in
            [("utf-16le", false), ("utf-16", false), ("utf-32", false), ("gb18030", true), ("iso-2022-jp", true)]
        {
            assert_eq!(Charset::named(label).unwrap().keeps_ascii(), keeps, "{label}");
        }
        let raw = b"Content-Type: application/x; charset=utf-16le\nContent-Disposition: attachment; filename=\"rechnungX\xfc.exe\"\n\nMZ\n";
        let message = crate::message::Message::new(crate::message::Bytes::Memory(raw.to_vec()));
        assert!(message.parts()[0].file_name().is_some_and(|name| name.ends_with(".exe")), "{:?}", message.parts()[0]);
    }
}
