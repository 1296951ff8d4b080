//! Makes a message acceptable for a relay: encodes parts that need it and folds long fields.
//!
//! SMTP allows lines of [`LONGEST_LINE`] bytes (RFC 5321 4.5.3.1.6), and bytes that are not ASCII only if the server
//! has 8BITMIME (RFC 6152). A line must not begin with NULs and a dot, because some servers drop the NULs. Parts that
//! break these limits are encoded one by one (RFC 2045 6). Their content stays the same, and nothing else of the
//! message changes. A message within the limits is sent byte for byte, without this module.
//!
//! `plan` decides what happens to each part, `coder` encodes bodies as a stream, `fields` and `words` handle header
//! blocks. Only header blocks are held in memory, and the time is linear in the size of the message.
//!
//! Signed or encrypted parts are not changed (RFC 1847 2.1), nor are parts that must not be encoded or are ambiguous.
//! They are sent unchanged, as sendmail and Exim do, and [`Fitted::left`] says why.

mod coder;
mod fields;
mod measures;
mod plan;
mod reader;
mod words;

use std::fmt;
use std::io::{self, Read};

use self::coder::{Coder, Coding};
use super::Message;

/// The longest line in bytes, without its line end.
pub const LONGEST_LINE: usize = 998;

/// How a message is sent to a relay.
#[derive(Debug)]
pub struct Fitted {
    steps: Vec<FitStep>,
    changes: FitChanges,
    left: Option<LeftReason>,
}

/// What is done with the next bytes of the message.
#[derive(Debug)]
enum FitStep {
    /// Send them unchanged.
    Keep(u64),
    /// Leave them out.
    Drop(u64),
    /// Insert these.
    Put(Vec<u8>),
    /// Encode them.
    Code(u64, Coding),
}

/// How a message was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FitChanges {
    quoted: bool,
    base64: bool,
    wrapped: bool,
    shortened: bool,
    replaced: bool,
    folded: bool,
    words: bool,
}

/// Why a part of a message was not changed although a relay may refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftReason {
    /// A part is signed or encrypted.
    Signed,
    /// A part has a type or an encoding that must not be encoded (RFC 2045 6.4).
    Uncodable,
    /// The structure of the message is ambiguous.
    Unclear,
    /// A header field cannot be folded, or has bytes that cannot be encoded.
    Field,
}

impl fmt::Display for LeftReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signed => "a part of it is signed or encrypted",
            Self::Uncodable => "a part of it may not be encoded",
            Self::Unclear => "its parts cannot be told apart",
            Self::Field => "a field of its header cannot be written otherwise",
        })
    }
}

impl Message {
    /// The message for a server that accepts lines of [`LONGEST_LINE`] bytes and, if `eight_bit`, bytes that are not
    /// ASCII. It has no lines that begin with NULs and a dot, as far as its parts may be encoded.
    ///
    /// # Errors
    /// The file with the message cannot be read.
    pub fn fitted(&self, eight_bit: bool) -> io::Result<Fitted> {
        plan::plan(self, eight_bit)
    }
}

/// A text in quoted-printable (RFC 2045 6.7).
pub fn quoted_printable(text: &str) -> String {
    coded(text, Coding::Quote)
}

/// A text in base64 (RFC 2045 6.8), without a final line end.
pub fn base64_text(text: &str) -> String {
    coded(text, Coding::Base64 { is_text: true })
}

fn coded(text: &str, coding: Coding) -> String {
    let (mut coder, mut out) = (Coder::new(coding), Vec::with_capacity(2 * text.len()));
    coder.feed(text.as_bytes(), &mut out);
    coder.end(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

impl Fitted {
    /// The bytes to be sent. `message` must be the message that this was made for.
    ///
    /// # Errors
    /// The file with the message cannot be opened.
    pub fn reader<'a>(&'a self, message: &'a Message) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(Box::new(reader::MessageReader::new(&self.steps, message.reader()?)))
    }

    /// A description of the changes for users; `None` if there are none.
    pub fn changes(&self) -> Option<String> {
        let FitChanges { quoted, base64, wrapped, shortened, replaced, folded, words } = self.changes;
        let all = [
            (quoted, "quoted-printable"),
            (base64, "base64"),
            (wrapped, "lines wrapped"),
            (shortened, "boundary lines shortened"),
            (replaced, "stray bytes replaced"),
            (folded, "fields folded"),
            (words, "fields encoded"),
        ];
        let done: Vec<&str> = all.into_iter().filter(|(is_done, _)| *is_done).map(|(_, what)| what).collect();
        (!done.is_empty()).then(|| done.join(", "))
    }

    /// Why something was not changed although the server may refuse it; `None` if everything fits.
    pub fn left(&self) -> Option<LeftReason> {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Bytes;

    fn fit(bytes: &[u8], eight_bit: bool) -> (Vec<u8>, Fitted) {
        let message = message(bytes);
        let fitted = message.fitted(eight_bit).unwrap();
        let mut new = Vec::new();
        fitted.reader(&message).unwrap().read_to_end(&mut new).unwrap();
        (new, fitted)
    }

    fn message(bytes: &[u8]) -> Message {
        Message::new(Bytes::Memory(bytes.to_vec()))
    }

    /// The lines as they are on the wire: CRs before a line end belong to it, other CRs become blanks.
    fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let without_crs = |line: &'_ [u8]| line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        bytes.split(|byte| *byte == b'\n').map(move |line| &line[..without_crs(line)])
    }

    fn fits(bytes: &[u8], eight_bit: bool) -> bool {
        lines(bytes).all(|line| line.len() <= LONGEST_LINE) && (eight_bit || bytes.is_ascii())
    }

    fn has_hidden_dot(bytes: &[u8]) -> bool {
        lines(bytes).any(|line| line.starts_with(b"\0") && line.iter().find(|byte| **byte != 0) == Some(&b'.'))
    }

    fn has_lone_cr(bytes: &[u8]) -> bool {
        lines(bytes).any(|line| line.contains(&b'\r'))
    }

    /// The type and the content of each part, with all line ends alike.
    fn content(bytes: &[u8]) -> Vec<(String, bool, Vec<u8>)> {
        let message = message(bytes);
        let content = |index: usize| {
            let part = &message.parts()[index];
            let body = if part.is_container() { Vec::new() } else { message.part_bytes(index, 10_000_000) };
            let is_text = part.content_type().starts_with("text/");
            let body = body.into_iter().filter(|byte| !(is_text && *byte == b'\r')).collect();
            (part.content_type().to_owned(), part.is_container(), body)
        };
        (0..message.parts().len()).map(content).collect()
    }

    /// Lines that occur in messages, in any order.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let words = [
            "",
            "",
            "Content-Type: text/plain",
            "Content-Type: text/html; charset=utf-8",
            "Content-Type: image/png",
            "Content-Type: multipart/mixed; boundary=b",
            "Content-Type: multipart/alternative; boundary=bb",
            "Content-Type: multipart/signed; boundary=s",
            "Content-Type: message/rfc822",
            "MIME-Version: 1.0",
            "Content-Transfer-Encoding: 8bit",
            "Content-Transfer-Encoding: base64",
            "Content-Transfer-Encoding: quoted-printable",
            "Content-Type: application/pkcs7-mime",
            "--b",
            "--b--",
            "--bb",
            "--bb--",
            "--s",
            "--s--",
            "--b junk",
            "Subject: Gr\u{fc}\u{df}e",
            "From: \"J\u{f6}rg\" <j@x>",
            "To: a@b,c@d",
            " more",
            "text",
            "text =",
            "=3D=",
            "a = b  ",
            "=C3",
            "QUJD",
            "-----BEGIN PGP MESSAGE-----",
            "\u{e4}\u{f6}\u{fc}",
            "\r",
            "x\ry",
            "\0.",
            "no field",
        ];
        let any = proptest::collection::vec(any::<u8>(), 0..12);
        let known = proptest::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec());
        let long = (proptest::sample::select(vec!["x", "ab ", "=", "= ", "=4", "\u{e4}", "-", ","]), 300usize..1500)
            .prop_map(|(word, times)| word.repeat(times).into_bytes());
        prop_oneof![6 => known, 1 => any, 1 => long]
    }

    #[test]
    fn fuzz_changed_messages_fit_or_have_their_reason() {
        let known: [&[u8]; 6] = [
            include_bytes!("../../../tests/leaving/parts.eml"),
            include_bytes!("../../../tests/leaving/names.eml"),
            include_bytes!("../../../tests/leaving/message-within.eml"),
            include_bytes!("../../../tests/leaving/signed-with-footer.eml"),
            include_bytes!("../../../tests/leaving/long-fields.eml"),
            include_bytes!("../../../tests/leaving/a-line-like-a-boundary.eml"),
        ];
        crate::fuzz::try_changes("leaving", &known, |bytes| {
            let (new, fitted) = fit(bytes, false);
            assert!(fits(&new, false) || fitted.left().is_some());
            let kinds =
                |bytes: &[u8]| message(bytes).parts().iter().map(|p| p.content_type().to_owned()).collect::<Vec<_>>();
            assert_eq!(kinds(bytes), kinds(&new));
            let (again, fitted_again) = fit(&new, false);
            assert!(again == new && fitted_again.changes().is_none(), "once is enough");
            (fitted.changes(), fitted.left().map(|left| left.to_string()), kinds(&new).len())
        });
    }

    /// The body stays in its file, which may have a different header block.
    #[test]
    fn a_message_in_a_file_is_encoded_like_one_in_memory() {
        let (head, body) = ("Subject: x\n\n", "Gr\u{fc}\u{df}e, ".repeat(100_000));
        let (new_head, file) = ("X-New: 1\nSubject: x\n\n", format!("{head}{body}"));
        let opener: crate::message::Opener = {
            let file = file.clone();
            std::sync::Arc::new(move |_| Ok(Box::new(io::Cursor::new(file.clone().into_bytes()))))
        };
        let (path, length) = (std::path::PathBuf::from("x"), file.len() as u64);
        let spooled = Bytes::Spooled { head: head.into(), path: path.clone(), length };
        let length = (new_head.len() + body.len()) as u64;
        let rehead = Bytes::Rehead { head: new_head.into(), path, body_at: head.len() as u64, length };
        for (bytes, head) in [(spooled, head), (rehead, new_head)] {
            let message = Message::with_opener(bytes, opener.clone());
            let (fitted, mut new) = (message.fitted(false).unwrap(), Vec::new());
            fitted.reader(&message).unwrap().read_to_end(&mut new).unwrap();
            assert!(new == fit(format!("{head}{body}").as_bytes(), false).0);
            assert!(new.starts_with(head.trim_end().as_bytes()) && fits(&new, false));
        }
    }

    /// The result does not depend on how a body is cut into pieces.
    #[test]
    fn pieces_of_any_length_are_encoded_the_same() {
        let text = "=C3=BC = \u{fc}  \n=\n= \nA=4\n\rb= \r\r\n\r".repeat(60);
        for coding in [
            Coding::Quote,
            Coding::Base64 { is_text: true },
            Coding::Requote { eight_bit: false },
            Coding::Rewrap { other: Some(b'?') },
            Coding::Between { other: Some(b'?') },
        ] {
            let whole = coded(&text, coding);
            for length in 1..9 {
                let (mut coder, mut out) = (Coder::new(coding), Vec::new());
                text.as_bytes().chunks(length).for_each(|piece| coder.feed(piece, &mut out));
                coder.end(&mut out);
                assert_eq!(String::from_utf8_lossy(&out), whole, "{coding:?} {length}");
            }
        }
    }

    /// Encoding would destroy what other mail readers take for parts.
    #[test]
    fn a_message_whose_parts_are_in_doubt_stays() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doubts");
        let cases = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for path in cases.filter(|path| path.extension().is_some_and(|extension| extension == "eml")) {
            let text = std::fs::read_to_string(&path).unwrap();
            let (head, body) = text.split_once("\n\n").unwrap();
            // Umlauts in every line that is text.
            let is_text = |line: &&str| !line.is_empty() && !line.starts_with("--") && !line.contains([':', '=']);
            let with_umlauts = |line: &str| if is_text(&line) { format!("{line} \u{fc}") } else { line.to_owned() };
            let body = body.split('\n').map(with_umlauts).collect::<Vec<_>>().join("\n");
            let body = format!("\u{e4}\n{body}\n\u{f6}\n");
            let bytes = format!("Subject: Gr\u{fc}\u{df}e\n{head}\n\n{body}").into_bytes();
            let (new, fitted) = fit(&bytes, false);
            assert!(new.ends_with(format!("\n\n{body}").as_bytes()), "{}", path.display());
            // Other readers end a header block at a boundary and take the rest for text.
            let is_kept = head.contains("\n--");
            assert_eq!(new.starts_with(b"Subject: =?utf-8?Q?"), !is_kept, "{}", path.display());
            assert_eq!(fitted.left(), Some(LeftReason::Unclear), "{}", path.display());
            assert_eq!(content(&bytes), content(&new), "{}", path.display());
        }
    }

    /// It is unclear which field counts, and what one reader decodes would be literal content for another.
    #[test]
    fn a_part_with_two_fields_that_describe_it_stays() {
        let part = |fields: &str| format!("MIME-Version: 1.0\n{fields}\n\nGr\u{fc}\u{df}e\n").into_bytes();
        for fields in [
            "Content-Type: application/pdf\nContent-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64",
            "Content-Type: application/pdf\nContent-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: 8bit",
            "Content-Type: text/plain\nContent-Type: text/html",
            "Content-Type: text/plain\nMime-Version: 1.0",
        ] {
            let (new, fitted) = fit(&part(fields), false);
            assert_eq!(
                (String::from_utf8(new), fitted.left()),
                (String::from_utf8(part(fields)), Some(LeftReason::Unclear))
            );
        }
    }

    #[test]
    fn what_is_too_long_of_a_boundary_line_is_dropped() {
        let message = |line: &str| {
            format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{line}\n\nx\n--b--\n").into_bytes()
        };
        let blanks = " ".repeat(1500);
        for (line, expected) in [
            (format!("--b{blanks}"), format!("--b{}", " ".repeat(64))),
            (format!("--b{blanks}junk"), format!("--b{}junk", " ".repeat(64))),
            (format!("--b {}", "x".repeat(1500)), format!("--b {}", "x".repeat(994))),
        ] {
            let (new, fitted) = fit(&message(&line), true);
            assert_eq!(String::from_utf8(new), String::from_utf8(message(&expected)));
            assert_eq!((fitted.changes().as_deref(), fitted.left()), (Some("boundary lines shortened"), None));
            assert_eq!(content(&message(&line)), content(&message(&expected)));
        }
    }

    #[test]
    fn bytes_that_are_replaced_are_named() {
        let stray = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n\u{fc}\n--b\n\nx\n--b--\n";
        let base64 = "MIME-Version: 1.0\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\nQUJD\u{fc}\n";
        for text in [stray, base64] {
            let (new, fitted) = fit(text.as_bytes(), false);
            assert_eq!(String::from_utf8(new).unwrap(), text.replace('\u{fc}', "??"));
            assert_eq!(fitted.changes().as_deref(), Some("stray bytes replaced"));
        }
    }

    /// This holds for any number of them, and wherever a line is cut.
    #[test]
    fn no_lone_cr_is_left_in_what_is_encoded() {
        let old_lines = "QUJD\r".repeat(300);
        let part = |encoding: &str, body: &str| {
            format!("MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: {encoding}\n\n{body}X\n")
        };
        let stray = |before: &str| {
            format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{before}\n--b\n\nx\n--b--\n")
        };
        for (text, changes) in [
            (part("base64", &old_lines), "lines wrapped, stray bytes replaced"),
            (part("base64", "QUJD\rQUJD"), "stray bytes replaced"),
            (part("quoted-printable", &old_lines), "lines wrapped"),
            (part("quoted-printable", "a=\rb =4\r= \r c"), "lines wrapped"),
            (part("8bit", &old_lines), "base64"),
            (stray(&old_lines), "lines wrapped, stray bytes replaced"),
            (stray(&format!("--x{}", " \r".repeat(600))), "boundary lines shortened, stray bytes replaced"),
        ] {
            let (new, fitted) = fit(text.as_bytes(), true);
            assert_eq!((fitted.changes().as_deref(), fitted.left()), (Some(changes), None), "{text:?}");
            assert!(!new.contains(&b'\r') && fits(&new, true), "{:?}", String::from_utf8_lossy(&new));
            assert_eq!(content(text.as_bytes()), content(&new));
            assert!(fit(&new, true).0 == new);
        }
        let (new, _) = fit(part("quoted-printable", "a\rb=\rc \r d").as_bytes(), true);
        assert_eq!(message(&new).part_bytes(0, 100), b"a\rb=\rc \r dX\n");
    }

    /// On the wire it becomes a blank, and anything may follow it.
    #[test]
    fn a_boundary_with_a_lone_cr_behind_it_divides_as_it_does_on_the_wire() {
        let message = |behind: &str| {
            format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b{behind}\n\nx\n--b--\n")
        };
        let (new, _) = fit(message("\rjunk").as_bytes(), true);
        assert_eq!(String::from_utf8(new).unwrap(), message(" junk"));
        assert_eq!(content(message("\rjunk").as_bytes()), content(message(" junk").as_bytes()));
    }

    /// A server that drops the NULs would take the dot for the end of the mail.
    #[test]
    fn a_dot_behind_nuls_is_encoded() {
        let mime = |kind: &str, encoding: &str| {
            format!("MIME-Version: 1.0\nContent-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n")
        };
        for head in ["\n".to_owned(), mime("image/png", "8bit"), mime("text/plain", "quoted-printable")] {
            let text = format!("{head}before\n\0\0.\nbehind\n");
            let (new, fitted) = fit(text.as_bytes(), true);
            assert!(!new.contains(&0) && fitted.left().is_none(), "{head}");
            assert_eq!(message(&new).part_bytes(0, 100), b"before\n\0\0.\nbehind\n", "{head}");
        }
        let (new, fitted) = fit(b"\nx\n\0y.\n", true);
        assert_eq!((new.as_slice(), fitted.changes()), (&b"\nx\n\0y.\n"[..], None));
    }

    proptest! {
        /// The encoded body is within all limits, wherever a line is cut.
        #[test]
        fn what_is_encoded_need_not_be_encoded_again(
            pieces in proptest::collection::vec((proptest::sample::select(b"\r\n\0.- =4x,\xff".to_vec()), prop_oneof![4 => 1usize..3, 1 => 60usize..1100]), 0..12),
        ) {
            let bytes: Vec<u8> = pieces.iter().flat_map(|(byte, times)| std::iter::repeat_n(*byte, *times)).collect();
            for coding in [
                Coding::Quote,
                Coding::Base64 { is_text: true },
                Coding::Base64 { is_text: false },
                Coding::Requote { eight_bit: false },
                Coding::Rewrap { other: Some(b'?') },
                Coding::Between { other: Some(b'?') },
            ] {
                // Such a body is never passed to the coder.
                let is_left = matches!(coding, Coding::Rewrap { .. } | Coding::Between { .. }) && has_hidden_dot(&bytes);
                if is_left {
                    continue;
                }
                let (mut coder, mut new) = (Coder::new(coding), Vec::new());
                coder.feed(&bytes, &mut new);
                coder.end(&mut new);
                let shown = String::from_utf8_lossy(&new);
                prop_assert!(fits(&new, false) && !has_lone_cr(&new) && !has_hidden_dot(&new), "{coding:?} {shown:?}");
                let has_divider = |bytes: &[u8]| lines(bytes).any(|line| line.starts_with(b"--"));
                prop_assert!(has_divider(&bytes) || !has_divider(&new), "{coding:?} {shown:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn whatever_it_is_it_fits_or_has_its_reason_and_its_content(
            lines in proptest::collection::vec(line(), 0..30),
            eight_bit in any::<bool>(),
        ) {
            let bytes = lines.join(&b'\n');
            let (new, fitted) = fit(&bytes, eight_bit);
            prop_assert!(fits(&new, eight_bit) || fitted.left().is_some());
            prop_assert_eq!(content(&bytes), content(&new), "{}", String::from_utf8_lossy(&new));
            if fits(&bytes, eight_bit) && !has_hidden_dot(&bytes) && !has_lone_cr(&bytes) {
                prop_assert_eq!(&new, &bytes);
            }
            let (again, fitted_again) = fit(&new, eight_bit);
            prop_assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&new));
            prop_assert_eq!(fitted_again.changes(), None);
            prop_assert!(new.len() <= 5 * bytes.len() + 10_000);
        }
    }
}
