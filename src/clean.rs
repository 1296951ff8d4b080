//! Makes foreign bytes safe for a log line or a terminal.
//!
//! Everything that a server, a sender or a file name can choose passes through here before a person reads it:
//! one event stays on one line, no escape sequence reaches the terminal, and no direction mark reorders the text.

/// How much foreign text is shown, in bytes of the original (`reliability.md` L2).
pub const SHOWN_BYTES: usize = 1024;

/// The text as one printable line: control characters, C1, bidirectional marks and line separators are escaped; a long text is
/// cut.
pub fn line(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let mut out = String::with_capacity(cut.len());
    for chunk in cut.trim_ascii_end().utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_unsafe(c) {
                out.extend(c.escape_unicode());
            } else {
                out.push(c);
            }
        }
        for b in chunk.invalid() {
            out.push_str(&format!("\\x{b:02x}"));
        }
    }
    if bytes.len() > SHOWN_BYTES {
        out.push('…');
    }
    out
}

/// The text as with [`line()`], shortened to at most `width` characters.
pub fn short(text: &str, width: usize) -> String {
    let text = line(text.as_bytes());
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Characters that can move the cursor, start an escape sequence, break the line or reverse the text.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_line_ends_become_text() {
        assert_eq!(line(b"a\r\nb\x1b[2J\x9b"), "a\\u{d}\\u{a}b\\u{1b}[2J\\x9b");
        assert_eq!(line("abc\u{202e}txt".as_bytes()), "abc\\u{202e}txt");
    }

    #[test]
    fn long_text_is_cut() {
        assert!(line(&[b'x'; 10_000_000]).len() < SHOWN_BYTES + 8);
        assert_eq!(short("abcdef", 4), "abc…");
    }
}
