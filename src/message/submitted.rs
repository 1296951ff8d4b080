//! What a program of the user gives to be sent, read as sendmail reads it: leniency that is right for received mail would put
//! lines of a text into its header, and quoted people among its recipients.

use memchr::memmem;

use super::{Bytes, Message, is_field_name, parse_addresses, to_lf};

/// The message in what was given: without the line of an mbox before it, up to a line with a lone dot unless `ignore_dots`,
/// with an empty line where its header ends. A header has no NUL and no lone CR; of a body nothing is taken.
pub fn submitted(given: &[u8], ignore_dots: bool) -> Vec<u8> {
    let mut bytes = to_lf(without_mbox_lines(given));
    if !ignore_dots {
        cut_at_dot(&mut bytes);
    }
    let end = end_of_header(&bytes);
    let (header, body) = bytes.split_at(end);
    // A lone CR would be a line end on the wire, and what stands behind it a field.
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

/// Without what Postfix and sendmail put before a message that they pipe to a program, `From sender date`. It is no part of the
/// mail, and its date would make a second attempt look like other mail.
pub fn without_mbox_line(bytes: &[u8]) -> &[u8] {
    if bytes.starts_with(b"From ") { without_line(bytes) } else { bytes }
}

/// The envelope sender in that line: an MTA that pipes to a program names it there, and often nowhere else. `Some("")` is the
/// empty one of bounces. `None`: there is no such line, or it names a login of this machine.
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

/// The envelope sender as the field that final delivery adds (RFC 5321 4.4), where an MTA says it in an mbox line alone;
/// otherwise nothing.
pub fn return_path(start: &[u8]) -> String {
    let has_one = || Message::new(Bytes::Memory(without_mbox_line(start).to_vec())).first("Return-Path").is_some();
    match mbox_sender(start).filter(|_| !has_one()) {
        Some(sender) => format!("Return-Path: <{sender}>\n"),
        None => String::new(),
    }
}

/// A message as `deliver` takes it: without that line, and with a Return-Path where the sender stood in it alone.
pub fn as_delivered(bytes: &[u8]) -> Vec<u8> {
    [return_path(bytes).as_bytes(), without_mbox_line(bytes)].concat()
}

/// The same of what programs take out of mbox files, where that line may be quoted: `>From …`.
fn without_mbox_lines(mut bytes: &[u8]) -> &[u8] {
    while bytes.starts_with(b"From ") || bytes.starts_with(b">From ") {
        bytes = without_line(bytes);
    }
    bytes
}

fn without_line(bytes: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', bytes).map_or(&[], |end| &bytes[end + 1..])
}

/// A line with nothing but a dot ends the message.
fn cut_at_dot(bytes: &mut Vec<u8>) {
    if bytes.starts_with(b".\n") {
        bytes.clear();
    } else if let Some(at) = memmem::find(bytes, b"\n.\n") {
        bytes.truncate(at + 1);
    }
}

/// Where the first line stands that is no field and continues none, as Postfix, Exim and sendmail have it. Text that begins
/// with a word and a colon has one field for its header.
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
    // RFC 5322 4.5 has blanks before the colon.
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
