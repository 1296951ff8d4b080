//! Commands with non-ASCII text, which must be sent as literals because quoted strings are 7-bit (RFC 3501 9).

use imap_proto::RequestId;

use super::raw;
use super::session::{ImapSession, TaggedRefusal};
use crate::error::Result;

impl ImapSession {
    /// Sends a command whose words and quoted strings may contain anything. The inner `Err` is the server's refusal of a literal.
    pub(super) async fn send_with_literals(&mut self, command: &str) -> Result<Result<RequestId, TaggedRefusal>> {
        let lines = lines_of(command, self.can("LITERAL+"));
        let mut lines = lines.iter();
        let tag = self.send(lines.next().map_or("", String::as_str)).await?;
        for line in lines {
            if let Some(refusal) = self.wait_continuation(&tag).await? {
                return Ok(Err(refusal));
            }
            self.write(format!("{line}\r\n").as_bytes()).await?;
        }
        Ok(Ok(tag))
    }
}

/// The command, split where the server has to send a continuation. With LITERAL+ (RFC 7888) it does not have to.
fn lines_of(command: &str, has_plus: bool) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut rest = command;
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(end_of_word(rest));
        rest = behind;
        let Some(line) = lines.last_mut() else { break };
        if word.is_ascii() {
            line.push_str(word);
            continue;
        }
        let text = text_of(word);
        // Private characters that stand for bytes are sent as those bytes.
        let length = raw::to_bytes(&text).len();
        line.push_str(&format!("{{{length}{}}}", if has_plus { "+" } else { "" }));
        match has_plus {
            true => line.push_str(&format!("\r\n{text}")),
            false => lines.push(text),
        }
    }
    lines
}

/// The end of the word or quoted string at the start of `text`. A separator is a word of its own.
fn end_of_word(text: &str) -> usize {
    let mut chars = text.char_indices();
    match chars.next() {
        Some((_, '"')) => {
            let mut is_escaped = false;
            let is_end = |c: char| {
                let is_end = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            };
            text[1..].find(is_end).map_or(text.len(), |at| at + 2)
        }
        Some((_, ' ' | '(' | ')')) => 1,
        _ => text.find([' ', '(', ')', '"']).unwrap_or(text.len()),
    }
}

/// The content of a word or a quoted string.
fn text_of(word: &str) -> String {
    let Some(quoted) = word.strip_prefix('"') else { return word.to_owned() };
    let quoted = quoted.strip_suffix('"').unwrap_or(quoted);
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ascii_is_a_literal() {
        let command = r#"UID SEARCH SUBJECT "Gr\"üße" (FROM "a \"b\"") TEXT ü SEEN"#;
        let lines = ["UID SEARCH SUBJECT {8}", r#"Gr"üße (FROM "a \"b\"") TEXT {2}"#, "ü SEEN"];
        assert_eq!(lines_of(command, false), lines);
        let joined = "UID SEARCH SUBJECT {8+}\r\nGr\"üße (FROM \"a \\\"b\\\"\") TEXT {2+}\r\nü SEEN";
        assert_eq!(lines_of(command, true), [joined]);
        let kept = raw::from_bytes(b"FROM \xfc");
        assert_eq!(lines_of(&kept, false), ["FROM {1}", &raw::from_bytes(b"\xfc")]);
        assert_eq!(lines_of("UID SEARCH ALL", false), ["UID SEARCH ALL"]);
        assert_eq!(lines_of("TEXT \"ü", false), ["TEXT {2}", "ü"]);
    }
}
