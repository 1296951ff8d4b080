//! A list of addresses, member by member (RFC 5322 3.4 and 4.4).

use std::ops::Range;

use super::lexer::{Lexer, Token, TokenKind, content};
use super::{Address, spec};

/// Error messages show at most this many bytes of a member that could not be read.
const MAX_SHOWN_BYTES: usize = 200;

/// One member of an address list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) what: MemberKind,
    /// Whether a comma ends it. If so, the next member may continue its name.
    pub(super) ends_at_comma: bool,
    /// The original text, shortened.
    pub(super) text: String,
    /// The position of its bare name, if it has no domain.
    pub(super) bare_at: Option<Range<usize>>,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MemberKind {
    /// `local@domain`, or a local part in brackets or with a comment. The flag says whether its name precedes it; if
    /// not, the name is in a comment after it.
    Mailbox(Address, bool),
    /// A single word: `root`, or a part of a name that contains a comma.
    Bare(String),
    /// Words without an address: a part of a name that contains a comma, in display form.
    Words(String),
    /// Anything else, with its address if all parsers would find the same one.
    Torn(Option<Address>),
}

/// The members of a list, at most `most` of them, including the members of groups. Skips empty members.
pub(super) fn members(text: &str, most: usize) -> Vec<Member> {
    let mut reader = AddressReader { text, tokens: Vec::new(), angle: Angle::None, is_rest: false, found: Vec::new() };
    for token in Lexer::new(text) {
        reader.take(token);
        if reader.found.len() >= most {
            reader.found.truncate(most);
            return reader.found;
        }
    }
    reader.finish(false);
    reader.found.truncate(most);
    reader.found
}

/// The position in the current member relative to its angle brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Angle {
    None,
    /// After `<`.
    Open,
    /// After `<@`: commas belong to the route up to its colon (RFC 5322 4.4).
    Route,
    /// After `>`.
    Closed,
}

#[derive(Debug)]
struct AddressReader<'t> {
    text: &'t str,
    tokens: Vec<Token<'t>>,
    angle: Angle,
    /// Whether the current member is the rest of a member that was cut.
    is_rest: bool,
    found: Vec<Member>,
}

impl<'t> AddressReader<'t> {
    fn take(&mut self, token: Token<'t>) {
        match (self.angle, token.kind) {
            (Angle::Route, TokenKind::Special(b',')) => self.tokens.push(token),
            (_, TokenKind::Special(b',' | b';')) => self.finish(token.is(b',')),
            (Angle::None, TokenKind::Special(b':')) if self.is_phrase() => self.begin_group(),
            (Angle::Closed, kind) if kind != TokenKind::Comment => {
                // A token after `>` means that a comma is missing before it.
                self.tear();
                self.take(token);
            }
            (Angle::Open | Angle::Route, TokenKind::Special(b'<')) => {
                self.tear();
                self.take(token);
            }
            _ => self.push(token),
        }
    }

    fn push(&mut self, token: Token<'t>) {
        self.angle = match (self.angle, token.kind) {
            (Angle::None, TokenKind::Special(b'<')) => Angle::Open,
            (Angle::Open | Angle::Route, TokenKind::Special(b'>')) => Angle::Closed,
            (Angle::Open, TokenKind::Special(b'@')) if self.tokens.last().is_some_and(|last| last.is(b'<')) => {
                Angle::Route
            }
            (Angle::Route, TokenKind::Special(b':')) => Angle::Open,
            (angle, _) => angle,
        };
        self.tokens.push(token);
    }

    /// Whether the tokens so far may be the name of a group.
    fn is_phrase(&self) -> bool {
        let is_word = |token: &Token<'_>| token.kind != TokenKind::Comment;
        self.tokens.iter().any(is_word) && self.tokens.iter().all(is_of_phrase)
    }

    /// Drops the name of the group: it belongs to no address, and no name continues into the group.
    fn begin_group(&mut self) {
        self.tokens.clear();
        self.part();
    }

    /// Ends the member at a separator or the end of the text.
    fn finish(&mut self, at_comma: bool) {
        let what = match self.what() {
            // In `<ann@example.org> junk`, `junk` is neither a member nor the beginning of a name.
            Some(MemberKind::Bare(_) | MemberKind::Words(_)) if self.is_rest => Some(MemberKind::Torn(None)),
            what => what,
        };
        self.end(what, at_comma);
        self.is_rest = false;
    }

    /// Ends the member although there is no separator.
    fn tear(&mut self) {
        let what = self.what().map(torn);
        self.end(what, false);
        self.is_rest = true;
    }

    fn end(&mut self, what: Option<MemberKind>, ends_at_comma: bool) {
        if let (Some(what), Some(first), Some(last)) = (what, self.tokens.first(), self.tokens.last()) {
            let text = &self.text[first.at..last.end()];
            let text = text[..text.floor_char_boundary(MAX_SHOWN_BYTES)].to_owned();
            let bare_at = bare_at(&what, &self.tokens);
            self.found.push(Member { what, ends_at_comma, text, bare_at });
        } else if !ends_at_comma {
            self.part();
        }
        self.tokens.clear();
        self.angle = Angle::None;
    }

    /// Ends the name at the beginning or the end of a group: `Doe, friends: Jane <jane@example.org>;`.
    fn part(&mut self) {
        if let Some(last) = self.found.last_mut() {
            last.ends_at_comma = false;
        }
    }

    /// What the tokens of the member are. `None` if there are only comments.
    fn what(&self) -> Option<MemberKind> {
        let tokens = self.tokens.as_slice();
        if tokens.iter().all(|token| token.kind == TokenKind::Comment) {
            return None;
        }
        Some(match tokens.iter().position(|token| token.is(b'<')) {
            Some(open) => in_brackets(&tokens[..open], &tokens[open + 1..]),
            None if tokens.iter().any(|token| token.is(b'@')) => without_brackets(tokens),
            None => words(tokens),
        })
    }
}

/// The position of the name of a member without a domain.
fn bare_at(what: &MemberKind, tokens: &[Token<'_>]) -> Option<Range<usize>> {
    let has_domain = match what {
        MemberKind::Bare(_) => false,
        MemberKind::Mailbox(address, _) => address.has_domain(),
        MemberKind::Words(_) | MemberKind::Torn(_) => true,
    };
    let begin = tokens.iter().position(|token| token.is(b'<')).map_or(0, |open| open + 1);
    let end = tokens.iter().position(|token| token.is(b'>')).unwrap_or(tokens.len());
    let mut name = tokens.get(begin..end)?.iter().filter(|token| token.kind != TokenKind::Comment);
    let first = name.next().filter(|_| !has_domain)?;
    Some(first.at..name.next_back().unwrap_or(first).end())
}

fn torn(what: MemberKind) -> MemberKind {
    match what {
        MemberKind::Mailbox(address, _) => {
            MemberKind::Torn(Some(address).filter(|address| address.address.contains('@')))
        }
        MemberKind::Bare(_) => MemberKind::Torn(None),
        other => other,
    }
}

/// `name <address> (comment)`.
fn in_brackets(before: &[Token<'_>], behind: &[Token<'_>]) -> MemberKind {
    let close = behind.iter().position(|token| token.is(b'>'));
    let (inside, after) = behind.split_at(close.unwrap_or(behind.len()));
    let name = name(before);
    let has_name = name.is_some();
    let name = name.or_else(|| last_comment(after));
    let inside = without_scheme(without_route(inside));
    let what = match spec::address(inside).or_else(|| spec::bare(inside)) {
        Some(address) => MemberKind::Mailbox(Address { name, address }, has_name),
        None => MemberKind::Torn(None),
    };
    let is_phrase = |token| is_of_phrase(token) && token.kind != TokenKind::Encoded;
    // If a comma should have been encoded, other parsers read two addresses.
    let is_whole = close.is_some() && (before.iter().all(is_phrase) || is_same(before, inside));
    match is_whole {
        true => what,
        // All parsers agree about a name with an `@` or an open quote. After a stray `>` or `:` they differ.
        false if before.iter().all(|token| is_of_phrase(token) || token.is(b'@') || token.kind == TokenKind::Open) => {
            torn(what)
        }
        false => MemberKind::Torn(None),
    }
}

/// `ann@example.org <ann@example.org>`, which some programs write without quotes around the name.
fn is_same(before: &[Token<'_>], inside: &[Token<'_>]) -> bool {
    match (spec::address(before), spec::address(inside)) {
        (Some(name), Some(address)) => name.eq_ignore_ascii_case(&address),
        _ => false,
    }
}

/// Removes an obsolete source route: `@a.example,@b.example:ann@c.example` (RFC 5322 4.4).
fn without_route<'a, 't>(inside: &'a [Token<'t>]) -> &'a [Token<'t>] {
    let is_route = inside.first().is_some_and(|first| first.is(b'@'));
    let colon = inside.iter().position(|token| token.is(b':')).filter(|_| is_route);
    let hosts = colon.map(|colon| &inside[..colon]);
    let is_host = |host: &[Token<'_>]| host.first().is_none_or(|at| at.is(b'@')) && !host.is_empty();
    match (hosts, colon) {
        (Some(hosts), Some(colon)) if hosts.split(|token| token.is(b',')).any(is_host) => &inside[colon + 1..],
        _ => inside,
    }
}

/// Removes the scheme of a copied link: `mailto:ann@example.org`.
fn without_scheme<'a, 't>(inside: &'a [Token<'t>]) -> &'a [Token<'t>] {
    match inside {
        [scheme, colon, rest @ ..] if scheme.text.eq_ignore_ascii_case("mailto") && colon.is(b':') => rest,
        _ => inside,
    }
}

/// `address (name)`, or an address among words.
fn without_brackets(tokens: &[Token<'_>]) -> MemberKind {
    if let Some(address) = spec::address(tokens) {
        return MemberKind::Mailbox(Address { name: last_comment(tokens), address }, false);
    }
    MemberKind::Torn(address_among_words(tokens))
}

/// `Ann Example ann@example.org`: the tokens without blanks between them around the only `@`.
fn address_among_words(tokens: &[Token<'_>]) -> Option<Address> {
    let at = tokens.iter().position(|token| token.is(b'@'))?;
    let starts = (0..at).rev().find(|place| tokens[*place].is_apart).unwrap_or(0);
    let ends = (at + 1..tokens.len()).find(|place| tokens[*place].is_apart).unwrap_or(tokens.len());
    let (before, behind) = (&tokens[..starts], &tokens[ends..]);
    let are_words = before.iter().chain(behind).all(is_of_phrase);
    // In `"a" "b"@example.org` it is unclear where the local part begins.
    let is_plain = tokens[starts..ends].iter().all(|token| token.kind != TokenKind::Quoted);
    let address = spec::address(&tokens[starts..ends]).filter(|_| are_words && is_plain)?;
    (!ends_a_word(&address)).then(|| Address { name: name(before), address })
}

/// Whether an encoded word ends in the address that began before it: `=?utf-8?Q?a. b?=@example.org` cut at the blank.
fn ends_a_word(address: &str) -> bool {
    address.find("?=").is_some_and(|end| address.find("=?").is_none_or(|begin| begin > end))
}

/// The kind of a member without an address.
fn words(tokens: &[Token<'_>]) -> MemberKind {
    match (spec::bare(tokens), last_comment(tokens), name(tokens)) {
        (Some(address), name @ Some(_), _) => MemberKind::Mailbox(Address { name, address }, false),
        (Some(word), None, _) => MemberKind::Bare(word),
        (None, _, Some(words)) if tokens.iter().all(is_of_phrase) => MemberKind::Words(words),
        _ => MemberKind::Torn(None),
    }
}

/// Whether the token can be a part of a name, even if the grammar does not allow it.
fn is_of_phrase(token: &Token<'_>) -> bool {
    match token.kind {
        TokenKind::Special(special) => special == b'.',
        TokenKind::Open => false,
        TokenKind::Stray => !token.text.contains(|c: char| c.is_control()),
        TokenKind::Atom | TokenKind::Encoded | TokenKind::Quoted | TokenKind::Comment | TokenKind::Literal => true,
    }
}

/// The words of a phrase, with one blank where the original has any.
fn name(tokens: &[Token<'_>]) -> Option<String> {
    let mut name = String::new();
    let mut is_apart = false;
    for token in tokens {
        is_apart |= token.is_apart || token.kind == TokenKind::Comment;
        if token.kind == TokenKind::Comment {
            continue;
        }
        if is_apart && !name.is_empty() {
            name.push(' ');
        }
        is_apart = false;
        match token.kind {
            TokenKind::Quoted => name.push_str(&content(token.text)),
            _ => name.push_str(token.text),
        }
    }
    not_empty(&name)
}

fn last_comment(tokens: &[Token<'_>]) -> Option<String> {
    tokens.last().filter(|last| last.kind == TokenKind::Comment).and_then(|last| not_empty(&content(last.text)))
}

fn not_empty(name: &str) -> Option<String> {
    Some(name.trim()).filter(|name| !name.is_empty()).map(str::to_owned)
}
