//! Protects the IMAP parser from hostile input.
//!
//! imap-proto recurses without a limit: a thousand parentheses overflow a 2 MiB stack. And 40 bytes are enough to announce a
//! literal of 500 MB. So the bytes of a server are checked before they are stored: lines, literals and nesting are bounded,
//! and the end of a reply is found without the parser.

use std::io;

use crate::source::WINDOW;

/// The longest line outside literals. A SEARCH reply with 50,000 ten-digit UIDs fits several times.
const MAX_LINE_BYTES: usize = 2 * 1024 * 1024;
/// The most bytes in the literals of one reply: twice the window in which big messages are fetched.
const MAX_LITERAL_BYTES: u64 = 2 * WINDOW;
/// The deepest nesting of parentheses.
const MAX_DEPTH: u32 = 64;
/// Untagged replies that are free text up to their end. The parser goes by these letters, whatever follows them.
const TEXT_REPLIES: [&[u8]; 5] = [b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"];
/// How many bytes at the start of a reply are needed to tell its kind: `* PREAUTH`.
const KIND_PREFIX_BYTES: usize = 9;
/// Follows the framing of the bytes that a server sends.
#[derive(Debug, Default)]
pub(super) struct Checker {
    /// How many bytes of the current literal are still to come.
    literal: u64,
    /// The line continues after a literal, even an empty one.
    continues: bool,
    /// The bytes of all literals of the reply so far.
    literals: u64,
    beginning: [u8; KIND_PREFIX_BYTES],
    line: usize,
    depth: u32,
    quoted: bool,
    escaped: bool,
    announcement: Announcement,
}

/// How much of `{123}` CR LF has been seen at the end of a line.
#[derive(Clone, Copy, Debug, Default)]
enum Announcement {
    #[default]
    None,
    Digits(u64),
    Closed(u64),
    Cr(u64),
}

impl Checker {
    /// Whether a reply has begun and has not ended.
    pub(super) fn is_inside(&self) -> bool {
        self.line > 0
    }

    /// Checks `bytes` up to the end of the reply. Returns how many bytes it used and whether the reply has ended.
    pub(super) fn check(&mut self, bytes: &[u8]) -> io::Result<(usize, bool)> {
        let mut at = 0;
        while at < bytes.len() {
            if self.literal > 0 {
                let skip = usize::try_from(self.literal).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.literal -= skip as u64;
                at += skip;
                continue;
            }
            self.byte(bytes[at])?;
            at += 1;
            if self.line == 0 {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    fn byte(&mut self, byte: u8) -> io::Result<()> {
        self.line += 1;
        if self.line > MAX_LINE_BYTES {
            return Err(out_of_bounds("a line longer than 2 MiB"));
        }
        if let Some(place) = self.beginning.get_mut(self.line - 1) {
            *place = byte;
        }
        self.announcement = self.announce(byte)?;
        match byte {
            b'\n' => {
                // A literal does not end the line, nor the nesting.
                if !std::mem::take(&mut self.continues) {
                    (self.line, self.depth, self.literals) = (0, 0, 0);
                }
                (self.quoted, self.escaped) = (false, false);
            }
            _ if self.escaped => self.escaped = false,
            b'\\' if self.quoted => self.escaped = true,
            b'"' => self.quoted = !self.quoted,
            b'(' if !self.quoted => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(out_of_bounds("parentheses nested more than 64 deep"));
                }
            }
            b')' if !self.quoted => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }

    /// Whether the reply is text: tagged, a continuation, or one of [`TEXT_REPLIES`].
    fn is_text(&self) -> bool {
        let beginning = &self.beginning[..self.line.min(KIND_PREFIX_BYTES)];
        let Some(word) = beginning.strip_prefix(b"* ") else { return true };
        TEXT_REPLIES.iter().any(|text| word.get(..text.len()).is_some_and(|w| w.eq_ignore_ascii_case(text)))
    }

    fn announce(&mut self, byte: u8) -> io::Result<Announcement> {
        Ok(match (self.announcement, byte) {
            (_, b'{') if !self.quoted => Announcement::Digits(0),
            (Announcement::Digits(n), b'0'..=b'9') => {
                Announcement::Digits(n.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
            }
            (Announcement::Digits(n), b'+') => Announcement::Digits(n),
            (Announcement::Digits(n), b'}') => Announcement::Closed(n),
            (Announcement::Closed(n), b'\r') => Announcement::Cr(n),
            (Announcement::Cr(n), b'\n') => {
                self.literals = self.literals.saturating_add(n);
                if self.literals > MAX_LITERAL_BYTES {
                    return Err(out_of_bounds("a literal larger than was asked for"));
                }
                // For the parser this is text, and the reply ends here. If it were taken for a literal, the bytes after it
                // would not be checked.
                if self.is_text() {
                    return Err(out_of_bounds("a text that ends like a literal"));
                }
                (self.literal, self.continues) = (n, true);
                Announcement::None
            }
            _ => Announcement::None,
        })
    }
}

fn out_of_bounds(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks one reply after another.
    fn check_with(checker: &mut Checker, bytes: &[u8]) -> io::Result<()> {
        let mut at = 0;
        while at < bytes.len() {
            at += checker.check(&bytes[at..])?.0;
        }
        Ok(())
    }

    fn check(bytes: &[u8]) -> io::Result<()> {
        check_with(&mut Checker::default(), bytes)
    }

    #[test]
    fn ordinary_replies_pass_whatever_is_inside_literals_and_quotes() {
        check(b"* 1 FETCH (UID 1 BODY[] {12}\r\n((((((((((((\r\n FLAGS (\\Seen))\r\n").unwrap();
        let quoted = format!("* LIST () \"/\" \"{}\"\r\n", "(".repeat(100));
        check(quoted.as_bytes()).unwrap();
        let many = "* 1 FETCH (UID 1)\r\n".repeat(200_000);
        check(many.as_bytes()).unwrap();
    }

    #[test]
    fn bombs_are_refused_before_the_parser_sees_them() {
        let nest = format!("* 1 FETCH (BODYSTRUCTURE {}", "(".repeat(1_000));
        assert!(check(nest.as_bytes()).is_err());
        for size in ["2147483648", "4294967295", "18446744073709551615", "99999999999999999999", "500000000"] {
            assert!(check(format!("* 1 FETCH (BODY[] {{{size}}}\r\n").as_bytes()).is_err(), "{size}");
        }
        assert!(check(&vec![b'x'; MAX_LINE_BYTES + 1]).is_err());
    }

    #[test]
    fn the_literals_of_one_reply_are_bounded_together() {
        let mut checker = Checker::default();
        check_with(&mut checker, b"* 1 FETCH (BODY[] {9000000}\r\n").unwrap();
        check_with(&mut checker, &vec![b'x'; 9_000_000]).unwrap();
        assert!(check_with(&mut checker, b" BODY[] {9000000}\r\n").is_err());
        let mut checker = Checker::default();
        for _ in 0..2 {
            check_with(&mut checker, b"* 1 FETCH (BODY[] {9000000}\r\n").unwrap();
            check_with(&mut checker, &vec![b'x'; 9_000_000]).unwrap();
            check_with(&mut checker, b")\r\n").unwrap();
        }
    }

    #[test]
    fn text_that_ends_like_a_literal_hides_nothing_behind_it() {
        for text in ["* OK {9}", "* no x{9}", "* BYEBYE {9}", "* PREAUTH {9}", "+ {9}", "m1 OK {9}", "* bad [X ({9}"] {
            assert!(check(format!("{text}\r\n").as_bytes()).is_err(), "{text}");
        }
        for data in ["* LIST () NIL {9}", "* 1 FETCH (BODY[] {9}", "* NAMESPACE {9}"] {
            check(format!("{data}\r\n").as_bytes()).unwrap();
        }
    }

    #[test]
    fn every_split_is_followed_alike() {
        let bytes = b"* 1 FETCH (BODY[] {3}\r\n(((\r\n)\r\n* OK {5}x (\r\n";
        for cut in 0..bytes.len() {
            let mut checker = Checker::default();
            check_with(&mut checker, &bytes[..cut]).unwrap();
            check_with(&mut checker, &bytes[cut..]).unwrap();
            assert_eq!((checker.literal, checker.depth, checker.line), (0, 0, 0), "{cut}");
        }
    }

    #[test]
    fn a_literal_of_no_bytes_does_not_end_its_reply() {
        let reply = b"* 1 FETCH (BODY[] {0}\r\n UID 1)\r\n";
        assert_eq!(Checker::default().check(reply).unwrap(), (reply.len(), true));
    }
}
