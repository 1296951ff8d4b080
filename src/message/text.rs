//! The text of a message that rules search: decoded to Unicode, with HTML converted to text.

use std::io::{BufRead, Read};

use super::bytes::{Bytes, Walker};
use super::part::Part;
use super::transfer::{self, Decoded};
use super::violations::note;
use super::{Message, Violation, html, words};

/// At most this many bytes of decoded text are searched in one message (`reliability.md` E9).
pub const MAX_TEXT: usize = 10 * 1024 * 1024;
/// At most this many bytes of encoded text are read for it.
pub const MAX_TEXT_INPUT: u64 = 32 * 1024 * 1024;

/// At most this many bytes of a spooled message are skipped again to reach the texts of doubtful parts, which may be
/// before the current position.
const MAX_PASSED_AGAIN: u64 = 256 * 1024 * 1024;

/// The texts of a message, and their violations.
#[derive(Debug, Default)]
pub(super) struct MessageText {
    text: String,
    pub(super) violations: Vec<Violation>,
}

impl Message {
    /// All text parts in their order, joined: `text/*` and XHTML, including attachments and attached messages. They are
    /// decoded, and HTML is converted to text, at the first call. At most [`MAX_TEXT`] bytes.
    pub fn text(&self) -> &str {
        &self.text.get_or_init(|| self.gather_text()).text
    }

    fn gather_text(&self) -> MessageText {
        let mut all = MessageText::default();
        let mut places = TextPlaces::of(self);
        let mut input_left = MAX_TEXT_INPUT;
        for part in self.parts().iter().filter(|part| part.is_text()) {
            let mut body = part.body();
            let length = body.end - body.start;
            body.end = body.start + length.min(input_left);
            let walker = match places.walker(body.start) {
                Ok(walker) => walker,
                Err(violation) => {
                    note(&mut all.violations, violation);
                    break;
                }
            };
            let decoded = decode(walker, part, body, MAX_TEXT.saturating_sub(all.text.len()));
            if decoded.has_failed {
                note(&mut all.violations, Violation::Unreadable);
            }
            all.append(&self.as_text(part, &decoded.bytes));
            if decoded.is_cut || length > input_left || all.text.len() >= MAX_TEXT {
                note(&mut all.violations, Violation::TextTooLong);
                break;
            }
            input_left -= length;
        }
        all
    }

    fn as_text(&self, part: &Part, bytes: &[u8]) -> String {
        let label = part.parameter("charset").unwrap_or_default();
        let text = words::from_charset(bytes, label, &self.unlabelled_in_text(part, bytes));
        if part.is_html() { html::to_text(&text) } else { text }
    }

    /// The text of one part that is not a container, at most `max` bytes: decoded to Unicode, with HTML converted to
    /// text. Empty if the part does not exist or cannot be read.
    pub fn part_text(&self, index: usize, max: usize) -> String {
        let Some(part) = self.parts().get(index).filter(|part| !part.is_container()) else { return String::new() };
        let mut text = self.as_text(part, &self.part_bytes(index, max));
        text.truncate(text.floor_char_boundary(max));
        text
    }

    /// Reads the texts of several parts in one pass.
    pub fn part_texts(&self) -> PartTexts<'_> {
        PartTexts { message: self, places: TextPlaces::of(self), input_left: MAX_TEXT_INPUT, output_left: MAX_TEXT }
    }

    /// The bytes of one part that is not a multipart, at most `max`. Base64 and quoted-printable are decoded, the
    /// charset is not converted. For an attached message, the whole message. Empty if the part does not exist; only the
    /// beginning if it cannot be read to its end.
    pub fn part_bytes(&self, index: usize, max: usize) -> Vec<u8> {
        let is_whole = |part: &&Part| !part.is_container() || part.is_message();
        let Some(part) = self.parts().get(index).filter(is_whole) else { return Vec::new() };
        match self.opener.walker(&self.bytes) {
            Ok(mut walker) => decode(&mut walker, part, part.body(), max).bytes,
            Err(_) => Vec::new(),
        }
    }

    /// The number of lines in the body, as far as it can be read.
    pub fn body_lines(&self) -> u64 {
        let range = self.body_at()..self.opener.visible(&self.bytes);
        let Ok(mut walker) = self.opener.walker(&self.bytes) else { return 0 };
        let Ok(mut reader) = walker.range(&range) else { return 0 };
        let (mut lines, mut is_open) = (0, false);
        while let Ok(piece) = reader.fill_buf()
            && !piece.is_empty()
        {
            lines += memchr::memchr_iter(b'\n', piece).count() as u64;
            is_open = !piece.ends_with(b"\n");
            let length = piece.len();
            reader.consume(length);
        }
        lines + u64::from(is_open)
    }

    /// The raw body, at most `max` bytes, as far as it can be read.
    pub fn raw_body(&self, max: usize) -> Vec<u8> {
        let mut body = Vec::new();
        let range = self.body_at()..self.opener.visible(&self.bytes);
        if let Ok(mut walker) = self.opener.walker(&self.bytes)
            && let Ok(reader) = walker.range(&range)
        {
            // If reading fails, the bytes read before the error are kept.
            _ = reader.take(max as u64).read_to_end(&mut body);
        }
        body
    }
}

/// Reads the texts of parts one after the other, in one pass over the message. Their total size is limited as in
/// [`Message::text`]; texts beyond the limit are empty.
#[derive(Debug)]
pub struct PartTexts<'m> {
    message: &'m Message,
    places: TextPlaces<'m>,
    input_left: u64,
    output_left: usize,
}

impl PartTexts<'_> {
    /// The text of one part, at most `max` bytes; see [`Message::part_text`]. Must be called for the parts in their
    /// order.
    pub fn text(&mut self, index: usize, max: usize) -> String {
        let Some(part) = self.message.parts().get(index) else { return String::new() };
        let mut body = part.body();
        let Ok(walker) = self.places.walker(body.start) else { return String::new() };
        let length = (body.end - body.start).min(self.input_left);
        body.end = body.start + length;
        self.input_left -= length;
        let max = max.min(self.output_left);
        let mut text = self.message.as_text(part, &decode(walker, part, body, max).bytes);
        text.truncate(text.floor_char_boundary(max));
        self.output_left -= text.len();
        text
    }
}

/// Whether the texts of all doubtful parts of a message can be read within the limits, even if no other texts are read.
pub(super) fn can_be_read(message: &Message, parts: &[Part]) -> bool {
    let cost = |part: &Part| TextPlaces::cost(message, part.body().start);
    let texts = parts.iter().filter(|part| part.is_doubtful() && part.is_text());
    texts.map(cost).fold(0_u64, u64::saturating_add) <= MAX_PASSED_AGAIN
}

/// A walker that starts again to reach bytes before its position. Only doubtful parts need that.
#[derive(Debug)]
pub(super) struct TextPlaces<'m> {
    message: &'m Message,
    walker: Option<Walker<'m>>,
    again_left: u64,
}

impl<'m> TextPlaces<'m> {
    pub(super) fn of(message: &'m Message) -> Self {
        Self { message, walker: message.opener.walker(&message.bytes).ok(), again_left: MAX_PASSED_AGAIN }
    }

    /// The number of bytes to skip to start again for a position.
    fn cost(message: &Message, start: u64) -> u64 {
        if matches!(message.bytes, Bytes::Memory(_)) { 0 } else { start }
    }

    /// A walker for this position. Fails if the message cannot be read, or if too many bytes were skipped.
    pub(super) fn walker(&mut self, start: u64) -> Result<&mut Walker<'m>, Violation> {
        if self.walker.as_ref().is_some_and(|walker| walker.at() > start) {
            let left = self.again_left.checked_sub(Self::cost(self.message, start));
            self.again_left = left.ok_or(Violation::TooManyParts)?;
            self.walker = self.message.opener.walker_near(&self.message.bytes, start).ok();
        }
        self.walker.as_mut().ok_or(Violation::Unreadable)
    }
}

impl MessageText {
    fn append(&mut self, text: &str) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        let room = MAX_TEXT.saturating_sub(self.text.len());
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
    }
}

pub(super) fn decode(walker: &mut Walker<'_>, part: &Part, body: std::ops::Range<u64>, max: usize) -> Decoded {
    match walker.range(&body) {
        Ok(reader) => transfer::decode(reader, part.transfer(), max),
        Err(_) => Decoded { has_failed: true, ..Decoded::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::Path;
    use std::sync::Arc;

    fn message(text: &[u8]) -> Message {
        Message::new(Bytes::Memory(text.to_vec()))
    }

    #[test]
    fn texts_of_all_parts_in_order() {
        let message = message(
            b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: text/plain; charset=iso-8859-1\n\
              Content-Transfer-Encoding: quoted-printable\n\ncaf=E9\n--a\nContent-Type: text/html\n\
              Content-Transfer-Encoding: base64\n\nPHA+SGkgPGI+dGhlcmU8L2I+\n--a\nContent-Type: image/png\n\nno\n\
              --a\nContent-Type: text/x-patch\nContent-Disposition: attachment\n\n+line\n--a--\n",
        );
        assert_eq!(message.text(), "café\nHi there\n+line");
        assert_eq!(message.part_text(2, 100), "Hi there");
        assert_eq!(message.part_text(1, 4), "caf");
        let mut texts = message.part_texts();
        assert_eq!(
            (texts.text(1, 4), texts.text(2, 100), texts.text(9, 100)),
            ("caf".into(), "Hi there".into(), "".into())
        );
        assert_eq!(message.part_bytes(1, 100), b"caf\xe9");
        assert_eq!(message.part_bytes(0, 100), b"");
        assert_eq!(message.part_bytes(9, 100), b"");
        assert_eq!(message.violations(), []);
    }

    #[test]
    fn an_attached_message_is_a_part_with_bytes() {
        let message = message(
            b"Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a\nContent-Type: message/rfc822; name=in.eml\n\n\
              Subject: in\n\ninner\n\n--a--\n",
        );
        assert_eq!(message.part_bytes(2, 100), b"Subject: in\n\ninner\n");
        assert_eq!(message.part_bytes(2, 7), b"Subject");
        assert_eq!(message.part_bytes(3, 100), b"inner\n");
        assert_eq!((message.part_text(2, 100), message.text()), (String::new(), "x\ninner\n"));
    }

    #[test]
    fn the_raw_body_is_as_it_stands() {
        assert_eq!(message(b"A: b\n\nx=3D\n").raw_body(100), b"x=3D\n");
        assert_eq!(message(b"A: b\n\nx=3D\n").raw_body(1), b"x");
        assert_eq!(message(b"\nbody").raw_body(9), b"body");
        assert_eq!(message(b"A: b").raw_body(9), b"");
    }

    #[test]
    fn e9_text_is_bounded_and_said_to_be() {
        let mut big = b"Subject: x\n\n".to_vec();
        big.resize(MAX_TEXT + 100, b'x');
        let message = message(&big);
        assert_eq!(message.text().len(), MAX_TEXT);
        assert_eq!(message.violations(), [Violation::TextTooLong]);
    }

    #[test]
    fn e9_charset_bombs_are_bounded() {
        for (charset, piece) in
            [("iso-2022-jp", "\x1b$B\x1b(B"), ("utf-7", "+AOk-"), ("gb18030", "\u{81}0"), ("utf-16", "\u{1}")]
        {
            let text = format!("Content-Type: text/plain; charset={charset}\n\n{}", piece.repeat(500_000));
            assert!(message(text.as_bytes()).text().len() <= MAX_TEXT, "{charset}");
        }
    }

    fn spooled(all: &'static [u8], length: u64) -> Message {
        let bytes = Bytes::Spooled { head: all[..12].to_vec(), path: "x".into(), length };
        Message::with_opener(bytes, Arc::new(move |_: &Path| Ok(Box::new(all) as Box<dyn Read + Send>)))
    }

    #[test]
    fn spooled_messages_are_read_through_their_opener() {
        let all = b"Subject: x\n\nthe body\n";
        assert_eq!(spooled(all, 21).text(), "the body\n");
        assert_eq!(spooled(all, 21).raw_body(3), b"the");
        let closed = Message::new(spooled(all, 21).bytes().clone());
        assert_eq!((closed.text(), closed.parts()[0].body()), ("", 12..12));
    }

    const TWICE: &str = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--more\n--b\nContent-Type: text/plain\n\
                         Content-Type: text/html\n\ntwice\n--b--\n";

    fn in_a_file(text: &'static str) -> Message {
        let bytes = Bytes::Spooled { head: text[..43].into(), path: "x".into(), length: text.len() as u64 };
        Message::with_opener(bytes, Arc::new(move |_: &Path| Ok(Box::new(text.as_bytes()) as Box<dyn Read + Send>)))
    }

    #[test]
    fn doubtful_parts_are_read_again_as_far_as_the_bound_allows() {
        for (message, again, read) in
            [(message(TWICE.as_bytes()), 0, 2), (in_a_file(TWICE), 1_000, 2), (in_a_file(TWICE), 10, 1)]
        {
            let mut texts = message.part_texts();
            texts.places.again_left = again;
            let backwards = (0..message.parts().len()).rev();
            let found = backwards.filter(|index| texts.text(*index, 100).trim() == "twice").count();
            assert_eq!(found, read, "{again}");
        }
    }

    #[test]
    fn what_could_not_be_read_again_is_too_many_parts() {
        let message = in_a_file(TWICE);
        let mut far = message.parts().to_vec();
        assert!(can_be_read(&message, &far));
        far.iter_mut().for_each(|part| part.body.start += MAX_PASSED_AGAIN / 2);
        assert!(!can_be_read(&message, &far));
        let in_memory = self::message(TWICE.as_bytes());
        assert!(can_be_read(&in_memory, &far));
    }

    #[test]
    fn a_spool_that_cannot_be_read_is_noted() {
        let bytes =
            Bytes::Spooled { head: b"Content-Transfer-Encoding: base64\n\n".to_vec(), path: "x".into(), length: 99 };
        let message = Message::with_opener(bytes, Arc::new(|_: &Path| Err(io::ErrorKind::NotFound.into())));
        assert_eq!(message.text(), "");
        assert_eq!(message.parts().len(), 1);
        assert_eq!(message.violations(), [Violation::Unreadable]);
        assert!(message.reader().is_err());
    }
}
