//! Makes one `local@domain` of its tokens (RFC 5322 3.4.1 and 4.4).

use super::Address;
use super::lexer::{Lexer, Token, TokenKind, content, is_atext};

/// The address that consists of all these tokens. Blanks and comments may surround the words and the dots, but only a
/// dot joins two words: `a@b.example(x)c.example` is not an address, because parsers disagree about it. Neither are
/// parts that would be an encoded word when joined: `=?utf-8?Q?a . b?=@c.example`.
pub(super) fn address(tokens: &[Token<'_>]) -> Option<String> {
    let words: Vec<&Token<'_>> = tokens.iter().filter(|token| token.kind != TokenKind::Comment).collect();
    let at = words.iter().position(|token| token.is(b'@'))?;
    let (local, domain) = (local(&words[..at])?, domain(&words[at + 1..])?);
    let forms = [local.bare(), local.in_quotes()];
    let mut addresses = forms.into_iter().flatten().map(|local| format!("{local}@{domain}"));
    addresses.find(|address| !has_encoded_word(address))
}

/// Whether a part of it is an encoded word, and so a name.
fn has_encoded_word(address: &str) -> bool {
    address.contains("=?") && Lexer::new(address).any(|token| token.kind == TokenKind::Encoded)
}

/// A local part.
struct Local {
    /// Its content without quotes.
    content: String,
    is_quoted: bool,
}

impl Local {
    /// The written form, if it needs no quotes (RFC 5321 4.1.2).
    fn bare(&self) -> Option<String> {
        (!self.is_quoted || is_dot_atom(&self.content)).then(|| self.content.clone())
    }

    /// The written form if it needs quotes. `None` if it was written without quotes.
    fn in_quotes(&self) -> Option<String> {
        self.is_quoted.then(|| quoted(&self.content))
    }
}

/// A local part of words and dots. Dots may be anywhere, because such addresses exist (docomo, au).
fn local(words: &[&Token<'_>]) -> Option<Local> {
    let mut text = String::new();
    let mut is_quoted = false;
    for (place, word) in words.iter().enumerate() {
        let follows_word = place > 0 && !words[place - 1].is(b'.');
        match word.kind {
            TokenKind::Special(b'.') => text.push('.'),
            TokenKind::Atom if !follows_word => text.push_str(word.text),
            TokenKind::Quoted if !follows_word => {
                is_quoted = true;
                text.push_str(&content(word.text));
            }
            _ => return None,
        }
    }
    (is_quoted || has_word(&text)).then_some(Local { content: text, is_quoted })
}

/// The content as a quoted string.
pub(super) fn quoted(content: &str) -> String {
    let mut out = String::with_capacity(content.len() + 2);
    out.push('"');
    for c in content.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// A domain: atoms with dots before, between and after them, or a literal with a network address (RFC 5321 4.1.3). The
/// trailing dot of the DNS root is removed.
fn domain(words: &[&Token<'_>]) -> Option<String> {
    if let [one] = words
        && one.kind == TokenKind::Literal
    {
        let text: String = one.text.chars().filter(|c| !c.is_whitespace()).collect();
        let is_number = |c: char| c.is_ascii_alphanumeric() || "[]:.-".contains(c);
        return text.chars().all(is_number).then_some(text);
    }
    let mut text = String::new();
    for (place, word) in words.iter().enumerate() {
        let follows_word = place > 0 && !words[place - 1].is(b'.');
        match word.kind {
            TokenKind::Special(b'.') => text.push('.'),
            TokenKind::Atom if !follows_word => text.push_str(word.text),
            _ => return None,
        }
    }
    has_word(&text).then(|| text.trim_end_matches('.').to_owned())
}

fn has_word(text: &str) -> bool {
    text.bytes().any(|byte| byte != b'.')
}

/// Whether the text is a dot-atom (RFC 5322 3.2.3, RFC 6532 3.2).
pub(super) fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(is_atom)
}

pub(super) fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_atext)
}

/// A local part without a domain: one word, or several with dots between them. `None` for an encoded word, which is a
/// name.
pub(super) fn bare(tokens: &[Token<'_>]) -> Option<String> {
    let words: Vec<&Token<'_>> = tokens.iter().filter(|token| token.kind != TokenKind::Comment).collect();
    let is_plain = |word: &&Token<'_>| matches!(word.kind, TokenKind::Atom | TokenKind::Special(b'.'));
    let local = local(&words)?.content;
    (words.iter().all(is_plain) && !local.contains("=?")).then_some(local)
}

impl Address {
    /// Removes the quotes of a local part of atext and dots only. The owners of `"a..b"@docomo.example` write it
    /// without quotes.
    pub(super) fn plain(self) -> Self {
        let Some((local, domain)) = self.address.rsplit_once('@') else { return self };
        let inside = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let is_plain = |inside: &&str| !inside.is_empty() && inside.chars().all(|c| c == '.' || is_atext(c));
        let inside = inside.filter(is_plain).filter(|inside| has_word(inside));
        match inside.map(|inside| format!("{inside}@{domain}")).filter(|address| !has_encoded_word(address)) {
            Some(address) => Self { address, name: self.name },
            None => self,
        }
    }
}
