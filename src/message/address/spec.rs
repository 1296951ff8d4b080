//! One `local@domain` from its tokens (RFC 5322 3.4.1 and 4.4).

use super::Address;
use super::lexer::{Lexer, Token, TokenKind, content, is_atext};

/// The address that the tokens are, all of them. Blanks and comments may stand around the words and the dots; only a dot
/// joins two words: `a@b.example(x)c.example` is no address, for readers disagree about it. What would be a name once its parts
/// are joined is none either: `=?utf-8?Q?a . b?=@c.example`.
pub(super) fn address(tokens: &[Token<'_>]) -> Option<String> {
    let words: Vec<&Token<'_>> = tokens.iter().filter(|token| token.kind != TokenKind::Comment).collect();
    let at = words.iter().position(|token| token.is(b'@'))?;
    let (local, domain) = (local(&words[..at])?, domain(&words[at + 1..])?);
    let forms = [local.bare(), local.in_quotes()];
    let mut addresses = forms.into_iter().flatten().map(|local| format!("{local}@{domain}"));
    addresses.find(|address| !has_encoded_word(address))
}

/// Whether a part of it is read as an encoded word, which is a name.
fn has_encoded_word(address: &str) -> bool {
    address.contains("=?") && Lexer::new(address).any(|token| token.kind == TokenKind::Encoded)
}

/// A local part.
struct Local {
    /// What it is, without quotes.
    content: String,
    is_quoted: bool,
}

impl Local {
    /// As it is written where it needs no quotes (RFC 5321 4.1.2).
    fn bare(&self) -> Option<String> {
        (!self.is_quoted || is_dot_atom(&self.content)).then(|| self.content.clone())
    }

    /// As it is written where it needs them. Where there were none, none are put.
    fn in_quotes(&self) -> Option<String> {
        self.is_quoted.then(|| quoted(&self.content))
    }
}

/// Words and dots. Dots may stand anywhere: such addresses exist (docomo, au).
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

/// In quotes.
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

/// Atoms with dots between, around and behind them, or a literal with a network address (RFC 5321 4.1.3). The dot of the root is no part of it.
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

/// RFC 5322 3.2.3, RFC 6532 3.2.
pub(super) fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(is_atom)
}

pub(super) fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_atext)
}

/// A local part alone: one word, or several with dots between. An encoded word is a name.
pub(super) fn bare(tokens: &[Token<'_>]) -> Option<String> {
    let words: Vec<&Token<'_>> = tokens.iter().filter(|token| token.kind != TokenKind::Comment).collect();
    let is_plain = |word: &&Token<'_>| matches!(word.kind, TokenKind::Atom | TokenKind::Special(b'.'));
    let local = local(&words)?.content;
    (words.iter().all(is_plain) && !local.contains("=?")).then_some(local)
}

impl Address {
    /// The same without the quotes of a local part that holds nothing but letters and dots: `"a..b"@docomo.example`, as
    /// everybody names it whom it belongs to.
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
