//! The messages within a message: attached ones (RFC 2046 5.2.1), and those of a digest, whether it is made of parts
//! (RFC 2046 5.1.5) or of one text (RFC 1153).

use super::{Bytes, Message, Part, headers, to_lf};

/// So many messages within one are taken out of it.
pub const MAX_WITHIN: usize = 100;
/// So many bytes they may have together, for they are in memory.
pub const MAX_WITHIN_BYTES: usize = 64 * 1024 * 1024;
/// The hyphens behind what introduces a digest of one text, and between its messages (RFC 1153 3 and 4).
const AFTER_PREAMBLE: usize = 70;
const BETWEEN_MESSAGES: usize = 30;
/// What a digest of one text says of the text of its messages is true of them no more: here it is UTF-8.
const OF_ENCODING: [&str; 4] = ["Content-Type", "Content-Transfer-Encoding", "Content-Length", "MIME-Version"];

/// Which messages within one are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Every attached message.
    Attached,
    /// The messages of a digest, of whichever kind.
    Digest,
}

/// There are more of them, or they are bigger, than [`MAX_WITHIN`] and [`MAX_WITHIN_BYTES`] allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_WITHIN} messages are in it, or more than {} MiB of them", MAX_WITHIN_BYTES >> 20)]
pub struct TooMany;

impl Message {
    /// The messages within this one, in order, and not those within them. They have LF line ends.
    pub fn within(&self, which: Within) -> Result<Vec<Self>, TooMany> {
        let found = match which {
            Within::Attached => self.of_parts(|_| true)?,
            Within::Digest => match self.of_parts(|part| self.is_of_digest(part))? {
                none if none.is_empty() => self.of_text()?,
                found => found,
            },
        };
        Ok(found.into_iter().map(|bytes| Self::new(Bytes::Memory(bytes)).assuming(&self.assumed)).collect())
    }

    fn of_parts(&self, is_meant: impl Fn(&Part) -> bool) -> Result<Vec<Vec<u8>>, TooMany> {
        let parts = self.parts().iter().enumerate();
        let is_message = |part: &Part| part.is_message() || part.is_encoded_message();
        let is_one = |part: &Part| is_message(part) && !part.is_doubtful() && !self.is_inside_message(part);
        let mut found = Vec::new();
        let mut left = MAX_WITHIN_BYTES;
        for (index, _) in parts.filter(|(_, part)| is_one(part) && is_meant(part)) {
            let bytes = self.part_bytes(index, left.saturating_add(1));
            left = left.checked_sub(bytes.len()).ok_or(TooMany)?;
            // An empty one would be a message about which nothing is known.
            if !bytes.is_empty() {
                found.push(to_lf(&bytes));
            }
            if found.len() > MAX_WITHIN {
                return Err(TooMany);
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

    /// The messages of the first text that is a digest.
    fn of_text(&self) -> Result<Vec<Vec<u8>>, TooMany> {
        let mut texts = self.part_texts();
        for (index, _) in self.parts().iter().enumerate().filter(|(_, part)| part.content_type() == "text/plain") {
            let found = of_digest(&texts.text(index, MAX_WITHIN_BYTES));
            if found.len() > MAX_WITHIN {
                return Err(TooMany);
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}

/// The messages of a digest of one text (RFC 1153): behind the preamble, and between lines of hyphens that stand alone. What
/// has no From, such as the footer that Mailman puts there, is no message.
fn of_digest(text: &str) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<&str>> = Vec::new();
    let mut is_after_blank = false;
    let mut lines = text.lines().map(str::trim_end).peekable();
    while let Some(line) = lines.next() {
        let is_alone = is_after_blank && lines.peek().is_none_or(|next| next.is_empty());
        is_after_blank = line.is_empty();
        match pieces.last_mut() {
            None if is_alone && is_rule(line, AFTER_PREAMBLE) => pieces.push(Vec::new()),
            None => {}
            Some(_) if is_alone && is_rule(line, BETWEEN_MESSAGES) => pieces.push(Vec::new()),
            Some(piece) => piece.push(line),
        }
    }
    pieces.iter().filter_map(|piece| of_piece(piece)).take(MAX_WITHIN + 1).collect()
}

fn is_rule(line: &str, length: usize) -> bool {
    line.len() == length && line.bytes().all(|byte| byte == b'-')
}

fn of_piece(lines: &[&str]) -> Option<Vec<u8>> {
    let start = lines.iter().position(|line| !line.is_empty())?;
    let lines = &lines[start..];
    let end = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    let (head, body) = lines.split_at(end);
    let head = head.iter().flat_map(|line| [line, "\n"]).collect::<String>().into_bytes();
    let mut made = Vec::with_capacity(head.len());
    let mut has_from = false;
    for span in headers::spans(&head, usize::MAX, &mut Vec::new()) {
        let name = std::str::from_utf8(&head[span.name.clone()]).unwrap_or_default();
        has_from |= name.eq_ignore_ascii_case("From");
        if !OF_ENCODING.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            made.extend_from_slice(&head[span.whole()]);
        }
    }
    if !has_from {
        return None;
    }
    made.extend(b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n");
    let body: String = body.iter().flat_map(|line| [line, "\n"]).collect();
    let body = if body.is_empty() { "\n" } else { &body };
    made.extend_from_slice(body.trim_end_matches('\n').as_bytes());
    made.push(b'\n');
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, which: Within) -> Vec<String> {
        let message = Message::new(Bytes::Memory(text.as_bytes().to_vec()));
        let found = message.within(which).unwrap();
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
        assert!(found[1].ends_with("8bit\n\nText of two\n"), "{found:?}");
    }

    #[test]
    fn more_than_a_hundred_are_too_many() {
        let one = "--d\n\nSubject: x\n\ny\n\n";
        let text = |count| format!("Content-Type: multipart/digest; boundary=d\n\n{}--d--\n", one.repeat(count));
        let within = |count| Message::new(Bytes::Memory(text(count).into_bytes())).within(Within::Digest);
        assert_eq!(within(MAX_WITHIN).map(|all| all.len()), Ok(MAX_WITHIN));
        assert_eq!(within(MAX_WITHIN + 1).map(|all| all.len()), Err(TooMany));
    }
}
