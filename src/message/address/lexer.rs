//! The tokens of an address list (RFC 5322 3.2, RFC 6532 3.2), each byte is read a fixed number of times.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A run of atext.
    Atom,
    /// An encoded word (RFC 2047) that contains characters not allowed in an atom: some senders do not encode a comma.
    Encoded,
    /// A quoted string with its quotes.
    Quoted,
    /// A comment with its brackets.
    Comment,
    /// A domain literal with its brackets.
    Literal,
    /// One of `< > , ; : @ .`
    Special(u8),
    /// A quote or bracket that is never closed.
    Open,
    /// Any other character, for instance a bracket in a name.
    Stray,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: TokenKind,
    /// The text of the token, unchanged.
    pub(super) text: &'t str,
    /// Where it begins.
    pub(super) at: usize,
    /// Whether a blank precedes it.
    pub(super) is_apart: bool,
}

impl Token<'_> {
    pub(super) fn is(&self, special: u8) -> bool {
        self.kind == TokenKind::Special(special)
    }

    /// Where it ends.
    pub(super) fn end(&self) -> usize {
        self.at + self.text.len()
    }
}

/// Whether the character is atext (RFC 5322 3.2.3), or neither ASCII nor a blank (RFC 6532 3.2).
pub(super) fn is_atext(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) } else { !is_blank(c) }
}

/// Blanks of all scripts, and invisible marks. They separate words and belong to no word.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// Reads the text once. At the start of a quoted string, a comment or a literal it searches for the end. If there is no
/// end, it does not search for one of that kind again, so the time stays linear.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    no_quote_ends: bool,
    no_comment_ends: bool,
    no_literal_ends: bool,
    is_behind_at: bool,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, no_quote_ends: false, no_comment_ends: false, no_literal_ends: false, is_behind_at: false }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// The kind and the length of the token that begins here.
    fn piece(&mut self, first: char) -> (TokenKind, usize) {
        let rest = self.rest();
        let ended = match first {
            '"' if !self.no_quote_ends => {
                let end = quoted(rest);
                self.no_quote_ends = end.is_none();
                end.map(|end| (TokenKind::Quoted, end))
            }
            '(' if !self.no_comment_ends => {
                let end = comment(rest);
                self.no_comment_ends = end.is_none();
                end.map(|end| (TokenKind::Comment, end))
            }
            '[' if self.is_behind_at && !self.no_literal_ends => {
                let end = literal(rest);
                self.no_literal_ends = end.is_none();
                end.map(|end| (TokenKind::Literal, end))
            }
            '=' => encoded(rest).map(|end| (TokenKind::Encoded, end)),
            _ => None,
        };
        ended.unwrap_or_else(|| match first {
            '"' | '(' => (TokenKind::Open, 1),
            '<' | '>' | ',' | ';' | ':' | '@' | '.' => (TokenKind::Special(first as u8), 1),
            c if is_atext(c) => (TokenKind::Atom, rest.find(|c| !is_atext(c)).unwrap_or(rest.len())),
            other => (TokenKind::Stray, other.len_utf8()),
        })
    }
}

impl<'t> Iterator for Lexer<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        let before = self.at;
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_blank).len();
        let is_apart = self.at > before;
        let first = self.rest().chars().next()?;
        let (kind, length) = self.piece(first);
        let token = Token { kind, text: &self.rest()[..length], at: self.at, is_apart };
        self.at += length;
        if kind != TokenKind::Comment {
            self.is_behind_at = token.is(b'@');
        }
        Some(token)
    }
}

/// The length of the quoted string at the beginning.
fn quoted(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The length of the comment at the beginning; comments nest.
fn comment(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (1, 1_usize);
    while depth > 0 {
        at += memchr::memchr3(b'(', b')', b'\\', bytes.get(at..)?)?;
        match bytes[at] {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => at += 1,
        }
        at += 1;
    }
    Some(at)
}

/// The length of the domain literal at the beginning.
fn literal(text: &str) -> Option<usize> {
    let end = 1 + memchr::memchr3(b'[', b']', b'\\', &text.as_bytes()[1..])?;
    (text.as_bytes()[end] == b']').then_some(end + 1)
}

/// The length of an encoded word at the beginning that is not an atom. It ends at its fourth `?`, so no text is read
/// twice.
fn encoded(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("=?")?;
    let mut parts = inside.splitn(4, '?');
    let (charset, encoding, word) = (parts.next()?, parts.next()?, parts.next()?);
    let is_one = !charset.is_empty()
        && charset.chars().all(is_atext)
        && matches!(encoding, "B" | "b" | "Q" | "q")
        && !word.contains(is_blank)
        && !word.chars().all(is_atext)
        && parts.next()?.starts_with('=');
    is_one.then(|| 2 + charset.len() + 3 + word.len() + 2)
}

/// The content of a quoted string or a comment, with the escapes undone.
pub(super) fn content(text: &str) -> String {
    let inside = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    let mut out = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}
