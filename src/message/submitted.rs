//! Reads messages that local programs submit, as sendmail does. It is stricter than for received mail: otherwise, lines
//! of the text could become header fields, and addresses in quoted text could become recipients.

use memchr::memmem;

use super::{Bytes, Message, is_field_name, parse_addresses, to_lf};

/// The submitted message, without an mbox line before it, up to a line with a lone dot unless `ignore_dots` is set. An
/// empty line is inserted after the header if it is missing. In the header, NULs are removed and lone CRs become
/// blanks. The body stays unchanged.
pub fn submitted(given: &[u8], ignore_dots: bool) -> Vec<u8> {
    let mut bytes = to_lf(without_mbox_lines(given));
    if !ignore_dots {
        cut_at_dot(&mut bytes);
    }
    let end = end_of_header(&bytes);
    let (header, body) = bytes.split_at(end);
    // Some servers read a lone CR as a line end, and the text after it as a field.
    let plain = header.iter().map(|byte| if *byte == b'\r' { b' ' } else { *byte });
    let mut message: Vec<u8> = plain.filter(|byte| *byte != 0).collect();
    if !message.is_empty() && !message.ends_with(b"\n") {
        message.push(b'\n');
    }
    if !body.is_empty() && !body.starts_with(b"\n") {
        message.push(b'\n');
    }
    message.extend_from_slice(body);
    message
}

/// Removes the line `From sender date` that Postfix and sendmail put before a message that they pipe to a program. It
/// does not belong to the message, and with its date, a second attempt would look like a different message.
pub fn without_mbox_line(bytes: &[u8]) -> &[u8] {
    if bytes.starts_with(b"From ") { without_line(bytes) } else { bytes }
}

/// The envelope sender in that line. An MTA that pipes to a program often gives it nowhere else. `Some("")` is the null
/// sender of bounces. `None` if there is no such line, or if it names a local user.
fn mbox_sender(bytes: &[u8]) -> Option<&str> {
    let line = bytes.strip_prefix(b"From ")?;
    let line = &line[..memchr::memchr(b'\n', line)?];
    let sender = std::str::from_utf8(line).ok()?.split_whitespace().next()?;
    match sender {
        "MAILER-DAEMON" | "<>" => Some(""),
        _ => match parse_addresses(sender).as_slice() {
            [one] if one.has_domain() && one.address == sender => Some(sender),
            _ => None,
        },
    }
}

/// The Return-Path field to add (RFC 5321 4.4) if the MTA gives the envelope sender only in an mbox line; otherwise
/// empty.
pub fn return_path(start: &[u8]) -> String {
    let has_one = || Message::new(Bytes::Memory(without_mbox_line(start).to_vec())).first("Return-Path").is_some();
    match mbox_sender(start).filter(|_| !has_one()) {
        Some(sender) => format!("Return-Path: <{sender}>\n"),
        None => String::new(),
    }
}

/// A message for `deliver`: without the mbox line, and with a Return-Path if only that line named the sender.
pub fn as_delivered(bytes: &[u8]) -> Vec<u8> {
    [return_path(bytes).as_bytes(), without_mbox_line(bytes)].concat()
}

/// Removes mbox lines, also in the quoted form `>From …`, which programs take from mbox files.
fn without_mbox_lines(mut bytes: &[u8]) -> &[u8] {
    while bytes.starts_with(b"From ") || bytes.starts_with(b">From ") {
        bytes = without_line(bytes);
    }
    bytes
}

fn without_line(bytes: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', bytes).map_or(&[], |end| &bytes[end + 1..])
}

/// Ends the message at a line that consists of a dot.
fn cut_at_dot(bytes: &mut Vec<u8>) {
    if bytes.starts_with(b".\n") {
        bytes.clear();
    } else if let Some(at) = memmem::find(bytes, b"\n.\n") {
        bytes.truncate(at + 1);
    }
}

/// The position of the first line that neither is nor continues a field, as in Postfix, Exim and sendmail. If text
/// begins with a word and a colon, its first line is a field.
fn end_of_header(bytes: &[u8]) -> usize {
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let continues = at > 0 && (line.starts_with(b" ") || line.starts_with(b"\t"));
        if !continues && !is_field(line) {
            break;
        }
        at += line.len();
    }
    at
}

fn is_field(line: &[u8]) -> bool {
    let colon = memchr::memchr(b':', line);
    let name = colon.and_then(|colon| std::str::from_utf8(&line[..colon]).ok());
    // RFC 5322 4.5 allows blanks before the colon.
    name.is_some_and(|name| is_field_name(name.trim_end_matches([' ', '\t']).replace('\0', "").as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_ends_at_the_first_line_that_is_no_field() {
        for (given, sent) in [
            ("Subject: x\n\nbody\n", "Subject: x\n\nbody\n"),
            ("Subject: backup done\nall is well\nreally\n", "Subject: backup done\n\nall is well\nreally\n"),
            ("Error: disk is full\nPlease look\n", "Error: disk is full\n\nPlease look\n"),
            ("done\n", "\ndone\n"),
            ("\nTo: a line of the text\n", "\nTo: a line of the text\n"),
            (" indented\nTo: text\n", "\n indented\nTo: text\n"),
            ("Subject: x\n folded\nTo : a@b.example\n\nx\n", "Subject: x\n folded\nTo : a@b.example\n\nx\n"),
            ("Subject: only a header", "Subject: only a header\n"),
            ("Subject: x\r\nTo: a@b.example\r\n\r\nbody", "Subject: x\nTo: a@b.example\n\nbody"),
            ("From ann@x.example Mon Jan  1 00:00:00 2026\n>From b Mon\nSubject: x\n\ny\n", "Subject: x\n\ny\n"),
            ("Subject: x\n>From the text\n", "Subject: x\n\n>From the text\n"),
            ("Sub\0ject: a\0b\n\nc\0d\n", "Subject: ab\n\nc\0d\n"),
            ("Subject: hi\rBcc: a@b.example\r\rbody\n\nx\n", "Subject: hi Bcc: a@b.example  body\n\nx\n"),
            ("", ""),
        ] {
            let message = submitted(given.as_bytes(), true);
            assert_eq!(String::from_utf8(message).unwrap(), sent, "{given:?}");
        }
    }

    #[test]
    fn a_lone_dot_ends_the_message_unless_told() {
        let given = b"A: b\n\nx\n.\ny\n";
        assert_eq!(submitted(given, false), b"A: b\n\nx\n");
        assert_eq!(submitted(given, true), given);
        assert_eq!(submitted(b".\nx\n", false), b"");
    }
}
