//! A text as the body of a mail: UTF-8, in the encoding that changes least (RFC 2045 6).

use crate::message::Entity;

/// The longest text that is sent, in bytes.
const LONGEST: usize = 256 * 1024;
/// Lines of 7bit text may be so long (RFC 5322 2.1.1).
const LINE: usize = 998;
/// Lines of quoted-printable and base64 (RFC 2045 6.7, 6.8).
const ENCODED_LINE: usize = 76;

/// The fields that describe the text, and the text. Line ends are LF.
pub(super) fn text_part(text: &str) -> String {
    let (encoding, body) = encoded(&with_plain_ends(text));
    format!("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n{body}")
}

/// The same for a text that is a MIME entity. What was checked when the rule was read is an entity still; if not, it is
/// sent as the text it is and gets no field of its own.
pub(super) fn entity_part(text: &str) -> String {
    let text = with_plain_ends(text);
    let Ok(entity) = Entity::parse(&text) else { return text_part(&text) };
    let as_it_is = || format!("{}\n", entity.body.trim_end_matches('\n'));
    let (encoding, body) = match &entity.encoding {
        Some(encoding) if entity.is_coded() => (encoding.as_str(), as_it_is()),
        // No encoding may hide the parts (RFC 2045 6.4).
        _ if entity.is_composite => (if text.is_ascii() { "7bit" } else { "8bit" }, as_it_is()),
        _ => encoded(entity.body),
    };
    format!("{}Content-Transfer-Encoding: {encoding}\n\n{body}", entity.fields)
}

fn with_plain_ends(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(LONGEST)];
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "")
}

/// The shortest encoding, and the text in it; of two that are equally short the one that people can read.
fn encoded(text: &str) -> (&'static str, String) {
    let text = text.trim_end_matches('\n');
    if text.is_ascii() && text.lines().all(|line| line.len() <= LINE) {
        return ("7bit", format!("{text}\n"));
    }
    let (quoted, base64) = (quoted_printable(text), base64(text));
    if base64.len() < quoted.len() { ("base64", base64) } else { ("quoted-printable", quoted) }
}

/// The line ends of a text are CRLF inside (RFC 2045 6.8).
fn base64(text: &str) -> String {
    let canonical = format!("{text}\n").replace('\n', "\r\n");
    let letters = data_encoding::BASE64.encode(canonical.as_bytes());
    let mut out = String::with_capacity(letters.len() + letters.len() / ENCODED_LINE + 1);
    let mut rest = letters.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(ENCODED_LINE));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out
}

fn quoted_printable(text: &str) -> String {
    let mut out = String::new();
    for line in text.split('\n') {
        let mut column = 0;
        let bytes = line.as_bytes();
        for (i, byte) in bytes.iter().enumerate() {
            let is_last = i + 1 == bytes.len();
            // A blank at the end of a line would be lost on the way.
            let is_bare = matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (matches!(byte, b' ' | b'\t') && !is_last);
            let piece = if is_bare { char::from(*byte).to_string() } else { format!("={byte:02X}") };
            let room = if is_last { ENCODED_LINE } else { ENCODED_LINE - 1 };
            if column + piece.len() > room {
                out.push_str("=\n");
                column = 0;
            }
            out.push_str(&piece);
            column += piece.len();
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Bytes, Message};
    use proptest::prelude::*;

    fn read_back(text: &str) -> String {
        let mail = format!("MIME-Version: 1.0\n{}", text_part(text));
        Message::new(Bytes::Memory(mail.into_bytes())).part_text(0, 1 << 20)
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        assert!(text_part("Back on Monday.\n").ends_with("7bit\n\nBack on Monday.\n"));
        assert!(text_part("Grüße aus dem Urlaub ").contains("\n\nGr=C3=BC=C3=9Fe aus dem Urlaub=20\n"));
        assert!(text_part("我不在").ends_with("base64\n\n5oiR5LiN5ZyoDQo=\n"));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,300}(\n\\PC{0,300}){0,5}") {
            let part = text_part(&text);
            prop_assert!(part.is_ascii() && part.lines().all(|line| line.len() <= LINE));
            let (came, wanted) = (read_back(&text).replace("\r\n", "\n"), unicode_normalization::UnicodeNormalization::nfc(text.as_str()).filter(|c| *c != '\0').collect::<String>());
            prop_assert_eq!(came.trim_end(), wanted.trim_end());
        }
    }
}
