//! A text as the body of a message: UTF-8, in the encoding that changes it least (RFC 2045 6).

use crate::message::{Entity, LONGEST_LINE, base64_text, quoted_printable};

/// The longest text that is sent, in bytes.
const LONGEST_TEXT_BYTES: usize = 256 * 1024;

/// The text with the header fields that describe it. Line ends are LF.
pub(super) fn text_part(text: &str) -> String {
    let (encoding, body) = encoded(&with_plain_ends(text));
    format!("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n{body}")
}

/// The same for a text that is a MIME entity. This was checked when the rule was read; if it is not one after all, it is
/// sent as plain text.
pub(super) fn entity_part(text: &str) -> String {
    let text = with_plain_ends(text);
    let Ok(entity) = Entity::parse(&text) else { return text_part(&text) };
    let as_it_is = || format!("{}\n", entity.body.trim_end_matches('\n'));
    let (encoding, body) = match &entity.encoding {
        Some(encoding) if entity.is_coded() => (encoding.as_str(), as_it_is()),
        // A composite entity must not be encoded (RFC 2045 6.4).
        _ if entity.is_composite => (if text.is_ascii() { "7bit" } else { "8bit" }, as_it_is()),
        _ => encoded(entity.body),
    };
    format!("{}Content-Transfer-Encoding: {encoding}\n\n{body}", entity.fields)
}

fn with_plain_ends(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(LONGEST_TEXT_BYTES)];
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "")
}

/// The text in the shortest encoding. If two are equally short, the readable one is used.
fn encoded(text: &str) -> (&'static str, String) {
    let text = text.trim_end_matches('\n');
    if text.is_ascii() && text.lines().all(|line| line.len() <= LONGEST_LINE) {
        return ("7bit", format!("{text}\n"));
    }
    let text = format!("{text}\n");
    let (quoted, base64) = (quoted_printable(&text), base64_text(&text) + "\n");
    if base64.len() < quoted.len() { ("base64", base64) } else { ("quoted-printable", quoted) }
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
            prop_assert!(part.is_ascii() && part.lines().all(|line| line.len() <= LONGEST_LINE));
            let (came, wanted) = (read_back(&text).replace("\r\n", "\n"), unicode_normalization::UnicodeNormalization::nfc(text.as_str()).filter(|c| *c != '\0').collect::<String>());
            prop_assert_eq!(came.trim_end(), wanted.trim_end());
        }
    }
}
