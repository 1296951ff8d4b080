//! Writes text as the value of a header field. Whatever the text contains, the result is exactly one field.

use std::borrow::Cow;

use super::words::hex_digit;

/// Only this many bytes of a text are written; the rest is cut (`reliability.md` I2).
pub const MAX_COMPOSED: usize = 8 * 1024;

/// Lines are folded at this length, if they have blanks. RFC 5322 2.1.1 allows 78, but a line with an encoded word may
/// have only 76 (RFC 2047 2).
const FOLDED_LINE_CHARS: usize = 76;
/// No line is longer than this, not counting its line end, even without blanks (RFC 5322 2.1.1).
const MAX_LINE_BYTES: usize = 998;
/// The longest encoded word (RFC 2047 2).
const MAX_ENCODED_WORD_BYTES: usize = 75;
/// The length of an encoded word with one character of the longest encoding, 12 letters.
const SHORTEST_WORD_BYTES: usize = WORD_START.len() + 12 + WORD_END.len();

/// Fields with addresses, in which a name may be quoted (RFC 5322 3.6.2, 3.6.3, 3.6.6).
const ADDRESS_FIELDS: [&str; 11] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
];

const WORD_START: &str = "=?utf-8?Q?";
const WORD_END: &str = "?=";

/// Whether this is a valid field name (RFC 5322 2.2) that is short enough to leave room for a value on its line.
pub fn is_field_name(name: &str) -> bool {
    (1..=76).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

/// Whether a field of that name is a list of addresses.
pub fn has_addresses(name: &str) -> bool {
    ADDRESS_FIELDS.iter().any(|field| field.eq_ignore_ascii_case(name))
}

/// The whole field with its line ends. Control characters become blanks. Text that is not ASCII, or looks like an
/// encoded word, becomes encoded words (RFC 2047).
pub fn field(name: &str, value: &str) -> String {
    let value = harmless(value);
    let mut line = HeaderLine { out: format!("{name}:"), column: name.len() + 1 };
    let has_names = has_addresses(name);
    let mut pieces = HeaderPieces { rest: &value, has_names }.peekable();
    while let Some(piece) = pieces.next() {
        if !must_encode(&piece) {
            line.word(&piece);
            continue;
        }
        // Neighbours are encoded together, because a reader drops the blanks between two encoded words.
        let mut run = piece.into_owned();
        while let Some(next) = pieces.next_if(|next| must_encode(next)) {
            run.push(' ');
            run.push_str(&next);
        }
        encoded(&run, &mut line);
    }
    line.out.push('\n');
    line.out
}

/// The words of a value. In a field of addresses, a quoted name that must be encoded is one piece without its quotes,
/// because an encoded word must not be within a quoted string (RFC 2047 5).
struct HeaderPieces<'v> {
    rest: &'v str,
    has_names: bool,
}

impl<'v> Iterator for HeaderPieces<'v> {
    type Item = Cow<'v, str>;

    fn next(&mut self) -> Option<Cow<'v, str>> {
        self.rest = self.rest.trim_ascii_start();
        if self.rest.is_empty() {
            return None;
        }
        if let Some((name, rest)) = quoted_name(self.rest).filter(|(name, _)| self.has_names && must_encode(name)) {
            self.rest = rest;
            return Some(Cow::Owned(name));
        }
        let end = self.rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Cow::Borrowed(word))
    }
}

/// The quoted name at the beginning, and the text after it. `None` for `"x"@y`, which is an address.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('"')?;
    let mut name = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let rest = &inside[at + 1..];
                let ends = rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_whitespace() || c == '<');
                let name = name.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
                return (ends && !name.is_empty()).then_some((name, rest));
            }
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            c => name.push(c),
        }
    }
    None
}

/// The value cut to the maximum length, on one line: CR, LF, NUL and all other control characters except tab become
/// blanks.
fn harmless(value: &str) -> String {
    let cut = &value[..value.floor_char_boundary(MAX_COMPOSED)];
    cut.chars()
        .map(|c| if c.is_control() && c != '\t' || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect()
}

/// Whether a word is not ASCII, may look like an encoded word, or is too long for a line.
fn must_encode(word: &str) -> bool {
    !word.is_ascii() || word.contains("=?") || word.len() > MAX_LINE_BYTES - 100
}

/// Writes words and folds lines.
struct HeaderLine {
    out: String,
    column: usize,
}

impl HeaderLine {
    /// Writes one word, on a new line if it does not fit. The first word always stays on the line of the field name,
    /// because a line must not consist of blanks only.
    fn word(&mut self, word: &str) {
        let is_first = self.out.ends_with(':');
        if !is_first && self.column + 1 + word.len() > FOLDED_LINE_CHARS {
            self.out.push('\n');
            self.column = 0;
        }
        self.out.push(' ');
        self.out.push_str(word);
        self.column += 1 + word.len();
    }
}

/// Writes a text as encoded words of at most [`MAX_ENCODED_WORD_BYTES`] bytes, cut between characters. If the text
/// begins the value, the first word is shortened to fit after the field name, but holds at least one character.
fn encoded(text: &str, line: &mut HeaderLine) {
    let mut word = WORD_START.to_owned();
    let is_first = line.out.ends_with(':');
    let mut most = if is_first {
        FOLDED_LINE_CHARS.saturating_sub(line.column + 1).max(SHORTEST_WORD_BYTES)
    } else {
        MAX_ENCODED_WORD_BYTES
    };
    for c in text.chars() {
        let letter = q(c);
        if word.len() + letter.len() + WORD_END.len() > most {
            word.push_str(WORD_END);
            line.word(&word);
            WORD_START.clone_into(&mut word);
            most = MAX_ENCODED_WORD_BYTES;
        }
        word.push_str(&letter);
    }
    word.push_str(WORD_END);
    line.word(&word);
}

/// One character in the Q encoding. Only letters and digits stay as they are, which is safe everywhere (RFC 2047 5).
fn q(c: char) -> String {
    match c {
        ' ' => "_".to_owned(),
        c if c.is_ascii_alphanumeric() => c.to_string(),
        c => {
            let mut bytes = [0; 4];
            let bytes = c.encode_utf8(&mut bytes).bytes();
            bytes.flat_map(|b| ['=', hex_digit(b >> 4), hex_digit(b & 15)]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(is_field_name("X-A_b!") && is_field_name(&"x".repeat(76)));
        for bad in ["", "X:", "X Y", "X\n", "é", "X\0", &"x".repeat(77)] {
            assert!(!is_field_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn plain_values_are_folded_and_controls_blanks() {
        assert_eq!(field("X", " a\r\nBcc: b\0c\td "), "X: a Bcc: b c d\n");
        assert_eq!(field("X", ""), "X:\n");
        let long = field("X", &"word ".repeat(40));
        assert!(long.lines().all(|line| line.len() <= FOLDED_LINE_CHARS) && long.lines().count() == 3, "{long}");
    }

    #[test]
    fn other_values_are_encoded_in_whole_characters() {
        assert_eq!(field("Subject", "see 請求 書 now"), "Subject: see =?utf-8?Q?=E8=AB=8B=E6=B1=82_=E6=9B=B8?= now\n");
        let long = field("X", &"請".repeat(200));
        assert!(long.lines().all(|line| line.len() <= FOLDED_LINE_CHARS), "{long}");
        assert!(long.lines().all(|line| line.matches("=E8=AB=8B").count() * 9 + 14 >= line.len() - 2), "{long}");
        assert!(field("X", "=?utf-8?Q?a?=").contains("=3D=3F"));
    }

    #[test]
    fn a_quoted_name_is_encoded_without_its_quotes() {
        for (value, expected) in [
            ("\"Jörg M. (Büro)\" <a@b>", "=?utf-8?Q?J=C3=B6rg_M=2E_=28B=C3=BCro=29?= <a@b>"),
            ("\"Jörg \\\"M\\\"\"<a@b>", "=?utf-8?Q?J=C3=B6rg_=22M=22?= <a@b>"),
            ("Jörg <a@b>", "=?utf-8?Q?J=C3=B6rg?= <a@b>"),
            ("\"M, Ann\" <a@b>, \"Ö\" <c@d>", "\"M, Ann\" <a@b>, =?utf-8?Q?=C3=96?= <c@d>"),
            ("\"a b\"@c", "\"a b\"@c"),
        ] {
            assert_eq!(field("From", value), format!("From: {expected}\n"));
        }
        assert_eq!(field("Subject", "\"Ö\" x"), "Subject: =?utf-8?Q?=22=C3=96=22?= x\n");
    }

    #[test]
    fn values_are_cut() {
        assert!(field("X", &"x".repeat(10_000_000)).len() < 2 * MAX_COMPOSED);
        assert!(field("X", &"é".repeat(10_000_000)).len() < 8 * MAX_COMPOSED);
        assert!(field("X", &"x".repeat(5_000)).lines().all(|line| line.len() <= MAX_LINE_BYTES));
    }
}
