//! A text as the body of a mail: UTF-8, in the encoding that changes least (RFC 2045 6).

/// The longest text that is sent, in bytes.
const LONGEST: usize = 256 * 1024;
/// Lines of 7bit text may be so long (RFC 5322 2.1.1).
const LINE: usize = 998;
/// Lines of quoted-printable text (RFC 2045 6.7).
const QUOTED_LINE: usize = 76;

/// The fields that describe the text, and the text. Line ends are LF.
pub(super) fn text_part(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(LONGEST)];
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "");
    let text = text.trim_end_matches('\n');
    let is_plain = text.is_ascii() && text.lines().all(|line| line.len() <= LINE);
    let (encoding, body) =
        if is_plain { ("7bit", format!("{text}\n")) } else { ("quoted-printable", quoted_printable(text)) };
    format!("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n{body}")
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
            let room = if is_last { QUOTED_LINE } else { QUOTED_LINE - 1 };
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
        assert!(text_part("Grüße ").contains("Gr=C3=BC=C3=9Fe=20\n"));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,300}(\n\\PC{0,300}){0,5}") {
            let part = text_part(&text);
            prop_assert!(part.is_ascii() && part.lines().all(|line| line.len() <= LINE));
            let (came, wanted) = (read_back(&text), unicode_normalization::UnicodeNormalization::nfc(text.as_str()).filter(|c| *c != '\0').collect::<String>());
            prop_assert_eq!(came.trim_end(), wanted.trim_end());
        }
    }
}
