//! The messages within a message: attached messages (RFC 2046 5.2.1), and the messages of a digest, which consists of
//! parts (RFC 2046 5.1.5) or of one text (RFC 1153).

use std::ops::Range;

use super::{Bytes, MAX_TEXT, Message, Part, Violation, headers, to_lf};

/// How many messages are taken out of one message.
pub const MAX_WITHIN: usize = 100;
/// How many bytes they may have together, because they are kept in memory.
pub const MAX_WITHIN_BYTES: usize = 64 * 1024 * 1024;
/// The number of hyphens after the preamble of a text digest (RFC 1153 3).
const HYPHENS_AFTER_PREAMBLE: usize = 70;
/// The number of hyphens between its messages (RFC 1153 4).
const HYPHENS_BETWEEN_MESSAGES: usize = 30;
/// Fields that describe the encoding of a message in a text digest. They are dropped, because the text is UTF-8 now.
const ENCODING_FIELDS: [&str; 4] = ["Content-Type", "Content-Transfer-Encoding", "Content-Length", "MIME-Version"];

/// Which messages are taken out of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Every attached message.
    Attached,
    /// The messages of a digest of either kind.
    Digest,
}

/// Why a message is not split: a part of it would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSplit {
    /// See [`MAX_WITHIN`] and [`MAX_WITHIN_BYTES`].
    #[error("more than {MAX_WITHIN} messages are in it, or more than {} MiB of them", MAX_WITHIN_BYTES >> 20)]
    TooMany,
    /// It has more parts than are read, is broken, cannot be read to its end, or readers disagree about its parts.
    #[error("not all that is in it can be told for sure")]
    Doubtful,
}

/// The result of splitting a message.
#[derive(Debug, Default)]
pub struct Apart {
    /// The messages within it in order, without those nested in them. They have LF line ends.
    pub messages: Vec<Message>,
    /// Whether it contains nothing else. The introduction of a digest does not count.
    pub is_all: bool,
}

impl Message {
    /// Splits the message.
    pub fn within(&self, which: Within) -> Result<Apart, NotSplit> {
        let (found, is_all) = match which {
            Within::Attached => (self.of_parts(|_| true)?, self.has_nothing_besides(|_| false, false)),
            Within::Digest => match self.of_parts(|part| self.is_of_digest(part))? {
                none if none.is_empty() => (self.of_text()?, self.has_nothing_besides(|_| false, true)),
                found => (found, self.has_nothing_besides(|part| self.is_of_digest(part), true)),
            },
        };
        Ok(Apart { messages: found.into_iter().map(|bytes| self.message_within(bytes)).collect(), is_all })
    }

    /// Whether it contains nothing but messages. A digest may also have plain text around its messages.
    fn has_nothing_besides(&self, is_of_digest: impl Fn(&Part) -> bool, may_have_text: bool) -> bool {
        let is_message = |part: &Part| part.is_message() || part.is_encoded_message();
        let mut texts = self.part_texts();
        self.parts().iter().enumerate().all(|(index, part)| {
            let is_taken = self.is_inside_message(part) || is_message(part) && (!may_have_text || is_of_digest(part));
            let is_introduction = may_have_text
                && part.content_type() == "text/plain"
                && !part.is_attachment()
                && !self.is_of_digest(part);
            part.is_container() && !is_message(part)
                || is_taken
                || is_introduction
                || part.content_type() == "text/plain" && texts.text(index, MAX_TEXT).trim().is_empty()
        })
    }

    fn message_within(&self, bytes: Vec<u8>) -> Self {
        Self { nested: self.nested + 1, ..Self::new(Bytes::Memory(bytes)).assuming(&self.assumed) }
    }

    fn of_parts(&self, is_meant: impl Fn(&Part) -> bool) -> Result<Vec<Vec<u8>>, NotSplit> {
        let is_message = |part: &Part| part.is_message() || part.is_encoded_message();
        let is_one = |part: &Part| is_message(part) && !self.is_inside_message(part) && is_meant(part);
        let parts: Vec<_> = self.parts().iter().enumerate().filter(|(_, part)| is_one(part)).collect();
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let is_doubtful = |violation: &Violation| violation.is_doubt() || HIDES_PARTS.contains(violation);
        if self.structure().violations.iter().any(is_doubtful) || parts.iter().any(|(_, part)| part.is_doubtful()) {
            return Err(NotSplit::Doubtful);
        }
        let mut found = Vec::new();
        let mut left = MAX_WITHIN_BYTES;
        for (index, part) in parts {
            let bytes = self.part_bytes(index, left.saturating_add(1));
            left = left.checked_sub(bytes.len()).ok_or(NotSplit::TooMany)?;
            if (bytes.len() as u64) < part.size() {
                return Err(NotSplit::Doubtful);
            }
            // An empty part would become a message without any content.
            if !bytes.is_empty() {
                found.push(to_lf(&bytes));
            }
            if found.len() > MAX_WITHIN {
                return Err(NotSplit::TooMany);
            }
        }
        Ok(found)
    }

    fn is_of_digest(&self, part: &Part) -> bool {
        let parent = part.parent.and_then(|parent| self.parts().get(parent));
        parent.is_some_and(|parent| parent.content_type() == "multipart/digest")
    }

    fn is_inside_message(&self, part: &Part) -> bool {
        let parent_of = |part: &Part| part.parent.and_then(|parent| self.parts().get(parent));
        std::iter::successors(parent_of(part), |part| parent_of(part)).any(Part::is_message)
    }

    /// The messages in the first text part that is a digest.
    fn of_text(&self) -> Result<Vec<Vec<u8>>, NotSplit> {
        for (index, part) in self.parts().iter().enumerate() {
            if part.content_type() != "text/plain" || part.is_doubtful() {
                continue;
            }
            let found = of_digest(&self.part_text(index, MAX_TEXT));
            if found.is_empty() {
                continue;
            }
            return match found.len() {
                // Its end may be missing.
                _ if part.size() >= MAX_TEXT as u64 => Err(NotSplit::Doubtful),
                0..=MAX_WITHIN => Ok(found),
                _ => Err(NotSplit::TooMany),
            };
        }
        Ok(Vec::new())
    }
}

/// Violations that can hide a message or a piece of one.
const HIDES_PARTS: [Violation; 8] = [
    Violation::TooManyParts,
    Violation::TooDeep,
    Violation::PartHeaderTooLarge,
    Violation::NoBoundary,
    Violation::NoBoundaryLine,
    Violation::UnterminatedMultipart,
    Violation::BrokenBase64,
    Violation::Unreadable,
];

/// The messages of a text digest (RFC 1153), which are separated by lines of hyphens after the preamble. A section
/// without From belongs to the message before it: it is the footer of Mailman, or the rest of a text that contains such
/// a line.
fn of_digest(text: &str) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let (mut at, mut is_after_blank, mut is_begun) = (0, false, false);
    for line in text.split_inclusive('\n') {
        let (start, bare) = (at, line.trim_end());
        at += line.len();
        let length = if is_begun { HYPHENS_BETWEEN_MESSAGES } else { HYPHENS_AFTER_PREAMBLE };
        let is_alone = is_after_blank && is_rule(bare, length) && starts_blank(&text[at..]);
        is_after_blank = bare.is_empty();
        if is_alone {
            pieces.iter_mut().last().into_iter().for_each(|piece| piece.end = start);
            pieces.push(at..text.len());
            is_begun = true;
        }
    }
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for piece in pieces {
        match (of_piece(&text[piece.clone()]), messages.last_mut()) {
            (Some(message), _) => messages.push(message),
            (None, Some(last)) => {
                let rest = text[piece].trim_end();
                last.extend_from_slice(format!("\n{}\n{rest}\n", "-".repeat(HYPHENS_BETWEEN_MESSAGES)).as_bytes());
            }
            // The text before the first message has no From, so this is not a digest.
            (None, None) => return Vec::new(),
        }
        if messages.len() > MAX_WITHIN {
            break;
        }
    }
    messages
}

fn starts_blank(text: &str) -> bool {
    text.lines().next().is_none_or(|line| line.trim_end().is_empty())
}

fn is_rule(line: &str, length: usize) -> bool {
    line.len() == length && line.bytes().all(|byte| byte == b'-')
}

fn of_piece(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_start_matches(['\n', '\r']);
    let end = text.find("\n\n").map_or(text.len(), |end| end + 1);
    let (head, body) = (&text.as_bytes()[..end], &text[end..]);
    let mut made = Vec::with_capacity(text.len() + 100);
    let mut has_from = false;
    for span in headers::spans(head, usize::MAX, &mut Vec::new()) {
        let name = std::str::from_utf8(&head[span.name.clone()]).unwrap_or_default();
        has_from |= name.eq_ignore_ascii_case("From");
        if !ENCODING_FIELDS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            made.extend_from_slice(&head[span.whole()]);
        }
    }
    if !has_from {
        return None;
    }
    if !made.ends_with(b"\n") {
        made.push(b'\n');
    }
    made.extend(b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n");
    made.extend(if body.is_empty() { b"\n" } else { body.trim_end_matches('\n').as_bytes() });
    made.push(b'\n');
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, which: Within) -> Vec<String> {
        let message = Message::new(Bytes::Memory(text.as_bytes().to_vec()));
        let found = message.within(which).unwrap().messages;
        found.iter().map(|message| String::from_utf8_lossy(message.bytes().beginning()).into_owned()).collect()
    }

    const PARTS: &str = "Content-Type: multipart/mixed; boundary=o\n\n--o\n\nHello\n\n\
        --o\nContent-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: one\n\n1\n\n\
        --d\n\nSubject: two\nContent-Type: message/rfc822\n\nSubject: inner\n\n2\n\n--d--\n\n\
        --o\nContent-Type: message/rfc822\n\nSubject: beside\n\n3\n\n--o--\n";

    #[test]
    fn the_parts_of_a_digest_and_every_attached_message() {
        let digest = found(PARTS, Within::Digest);
        assert_eq!(digest[0], "Subject: one\n\n1\n");
        assert_eq!(digest[1], "Subject: two\nContent-Type: message/rfc822\n\nSubject: inner\n\n2\n");
        assert_eq!(digest.len(), 2, "{digest:?}");
        let attached = found(PARTS, Within::Attached);
        assert_eq!(attached.len(), 3, "{attached:?}");
        assert_eq!(attached[2], "Subject: beside\n\n3\n");
        assert_eq!(found("Subject: x\n\nno other\n", Within::Attached), Vec::<String>::new());
    }

    #[test]
    fn what_else_is_in_it_is_known() {
        let is_all =
            |text: &str, which| Message::new(Bytes::Memory(text.as_bytes().to_vec())).within(which).unwrap().is_all;
        let mixed = |parts: &str| format!("Content-Type: multipart/mixed; boundary=o\n\n{parts}--o--\n");
        let message = "--o\nContent-Type: message/rfc822\n\nSubject: x\n\ny\n";
        let digest = "--o\nContent-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: x\n\ny\n--d--\n";
        let (text, pdf) = ("--o\n\nHello\n", "--o\nContent-Type: application/pdf\n\nx\n");
        assert!(
            is_all(&mixed(message), Within::Attached)
                && is_all(&mixed(&format!("--o\n\n \n{message}")), Within::Attached)
        );
        assert!(!is_all(&mixed(&format!("{text}{message}")), Within::Attached));
        assert!(is_all(&mixed(&format!("{text}{digest}{text}")), Within::Digest));
        assert!(!is_all(&mixed(&format!("{digest}{pdf}")), Within::Digest));
        assert!(!is_all(&mixed(&format!("{digest}{message}")), Within::Digest));
        let odd = "Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: x\n\ny\n--d\nContent-Type: text/plain\n\nz\n--d--\n";
        assert!(!is_all(odd, Within::Digest));
    }

    #[test]
    fn an_attached_message_in_base64_has_ordinary_line_ends() {
        let encoded = data_encoding::BASE64.encode(b"Subject: in\r\n\r\ninner\r\n");
        let text = format!("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{encoded}\n");
        assert_eq!(found(&text, Within::Attached), ["Subject: in\n\ninner\n"]);
    }

    #[test]
    fn the_messages_of_a_text() {
        let (long, short) = ("-".repeat(70), "-".repeat(30));
        let text = format!(
            "Subject: Digest\nContent-Type: text/plain; charset=iso-8859-1\n\nToday's Topics:\n\n   1. one\n\n{long}\n\n\
             Message: 1\nFrom: ann@example.org\nSubject: one\nContent-Type: text/plain; charset=\"koi8-r\"\n\nText\n{short}\nof one\n\n\
             {short}\n\nFrom: bob@example.org\nSubject: two\n\nText of two\n\n{short}\n\n\
             Subject: Digest Footer\n\nfooter\n\n{short}\n\nEnd of Digest\n"
        );
        let found = found(&text, Within::Digest);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("Message: 1\nFrom: ann@example.org\nSubject: one\nMIME-Version: 1.0\n"),
            "{found:?}"
        );
        assert!(found[0].ends_with(&format!("8bit\n\nText\n{short}\nof one\n")), "{found:?}");
        let rest =
            format!("8bit\n\nText of two\n\n{short}\n\nSubject: Digest Footer\n\nfooter\n\n{short}\n\nEnd of Digest\n");
        assert!(found[1].ends_with(&rest), "{found:?}");
    }

    /// A line of hyphens in a text does not end the message, because no From follows.
    #[test]
    fn no_text_is_cut_off_behind_hyphens() {
        let (long, short) = ("-".repeat(70), "-".repeat(30));
        let text = format!("Subject: D\n\nTopics\n\n{long}\n\nFrom: a@b.example\n\nabove\n\n{short}\n\nbelow\n");
        let found = found(&text, Within::Digest);
        assert!(found.len() == 1 && found[0].contains("above") && found[0].contains("below"), "{found:?}");
    }

    #[test]
    fn what_is_broken_or_in_doubt_is_not_taken_apart() {
        let part = "--d\nContent-Type: message/rfc822\n\nSubject: x\n\ny\n";
        let head = "Content-Type: multipart/mixed; boundary=d\n\n";
        for (text, why) in [
            (format!("{head}{part}"), "its end is missing"),
            (format!("{head}{part}--d--more\n"), "readers disagree where it ends"),
            (format!("{head}{}--d--\n", part.repeat(501)), "it has more parts than are looked at"),
            (
                format!(
                    "{head}--d\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVj*!\n--d--\n"
                ),
                "what is encoded is broken",
            ),
        ] {
            let message = Message::new(Bytes::Memory(text.into_bytes()));
            assert!(message.within(Within::Attached).is_err(), "{why}");
        }
    }

    #[test]
    fn more_than_a_hundred_are_too_many() {
        let one = "--d\n\nSubject: x\n\ny\n\n";
        let text = |count| format!("Content-Type: multipart/digest; boundary=d\n\n{}--d--\n", one.repeat(count));
        let within = |count| Message::new(Bytes::Memory(text(count).into_bytes())).within(Within::Digest);
        assert_eq!(within(MAX_WITHIN).map(|all| all.messages.len()).ok(), Some(MAX_WITHIN));
        assert_eq!(within(MAX_WITHIN + 1).err(), Some(NotSplit::TooMany));
    }
}
