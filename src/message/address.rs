//! Addresses in header fields (RFC 5322 3.4), as far as people's mail lets one read them.

use mailparse::{MailAddr, addrparse};

use super::words;

/// The most addresses taken from one field.
const MAX_ADDRESSES: usize = 1_000;

/// One mailbox: `Ann Example <ann@example.org>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The display name, if there is one.
    pub name: Option<String>,
    /// `local@domain` as written.
    pub address: String,
}

impl Address {
    /// What stands before the last `@`.
    pub fn local_part(&self) -> &str {
        self.address.rsplit_once('@').map_or(&self.address, |(local, _)| local)
    }

    /// What stands behind the last `@`; empty without one.
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The local part before the first of the delimiter characters: `ann` of `ann+lists@example.org` with `+`
    /// (RFC 5233 4). The whole local part without one, or where it begins with one.
    pub fn user(&self, delimiters: &str) -> &str {
        self.split_local(delimiters).0
    }

    /// The local part behind the first of the delimiter characters: `lists` of `ann+lists@example.org` with `+`
    /// (RFC 5233 4). Empty for `ann+@example.org`.
    pub fn detail(&self, delimiters: &str) -> Option<&str> {
        self.split_local(delimiters).1
    }

    fn split_local(&self, delimiters: &str) -> (&str, Option<&str>) {
        let local = self.local_part();
        match local.split_once(|c| delimiters.contains(c)) {
            Some((user, detail)) if !user.is_empty() => (user, Some(detail)),
            _ => (local, None),
        }
    }

    /// The form to compare by: lower case, and no quotes around a local part that needs none. RFC 5321 2.4 lets a
    /// local part differ by case; no provider does.
    pub fn canonical(&self) -> String {
        let local = self.local_part();
        let bare = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let local = bare.filter(|inside| is_dot_atom(inside)).unwrap_or(local).to_lowercase();
        match self.address.rsplit_once('@') {
            Some((_, domain)) => format!("{local}@{}", domain.to_lowercase()),
            None => local,
        }
    }
}

/// Whether it is the bare name of a user, as a server of one's own takes it for its recipient: letters, digits and what
/// stands between them in such names. Nothing of it can end a command or be taken for an option.
pub fn is_user_name(text: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '=');
    // RFC 5321 4.5.3.1.1.
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && text.chars().all(is_inside)
}

/// RFC 5322 3.2.3, and 8-bit text (RFC 6532 3.2).
fn is_dot_atom(text: &str) -> bool {
    let is_atext = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// The addresses in a decoded text, groups opened. Where the syntax is broken, everything that looks like `a@b`
/// is taken. Those of a header field are better asked of the field ([`super::Field::addresses`]).
pub fn parse(value: &str) -> Vec<Address> {
    let Ok(list) = addrparse(value) else { return anything_like_an_address(value) };
    let mut found = Vec::new();
    for entry in list.iter() {
        match entry {
            MailAddr::Single(one) => found.push(of(one)),
            MailAddr::Group(group) => found.extend(group.addrs.iter().map(of)),
        }
        if found.len() >= MAX_ADDRESSES {
            found.truncate(MAX_ADDRESSES);
            break;
        }
    }
    found
}

/// The addresses in a raw field value.
pub(super) fn of_field(raw: &[u8]) -> Vec<Address> {
    let line = words::unfold(raw);
    let mut found = parse(&words::guessed(&line));
    for name in found.iter_mut().filter_map(|address| address.name.as_mut()) {
        if !name.is_ascii() || name.contains("=?") {
            *name = words::nfc(words::decode_words(name).into()).trim().to_owned();
        }
    }
    found
}

fn of(one: &mailparse::SingleInfo) -> Address {
    Address { name: one.display_name.clone(), address: one.addr.trim().to_owned() }
}

/// Spam and old mailing-list software write fields no grammar accepts; their addresses still matter to rules.
fn anything_like_an_address(value: &str) -> Vec<Address> {
    value
        .split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '"' | '(' | ')'))
        .filter(|word| word.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty()))
        .take(MAX_ADDRESSES)
        .map(|word| Address { name: None, address: word.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses(value: &str) -> Vec<String> {
        parse(value).into_iter().map(|a| a.address).collect()
    }

    fn address(address: &str) -> Address {
        Address { name: None, address: address.to_owned() }
    }

    #[test]
    fn names_groups_and_comments() {
        assert_eq!(addresses("Ann <a@b.example>, c@d.example"), ["a@b.example", "c@d.example"]);
        assert_eq!(addresses("Friends: a@b.example, c@d.example;"), ["a@b.example", "c@d.example"]);
        assert_eq!(parse("Ann <a@b.example>")[0].name.as_deref(), Some("Ann"));
    }

    #[test]
    fn broken_lists_still_give_addresses() {
        assert_eq!(addresses("\"unbalanced <a@b.example>"), ["a@b.example"]);
    }

    #[test]
    fn user_and_detail() {
        let both = |a: &str, d: &str| (address(a).user(d).to_owned(), address(a).detail(d).map(str::to_owned));
        assert_eq!(both("ann+lists+x@b", "+"), ("ann".into(), Some("lists+x".into())));
        assert_eq!(both("ann-lists@b", "+-"), ("ann".into(), Some("lists".into())));
        assert_eq!(both("ann+@b", "+"), ("ann".into(), Some(String::new())));
        assert_eq!(both("ann@b+c", "+"), ("ann".into(), None));
        assert_eq!(both("+ann@b", "+"), ("+ann".into(), None));
        assert_eq!(both("ann", ""), ("ann".into(), None));
    }

    #[test]
    fn canonical_form() {
        assert_eq!(address("\"Ann.B\"@Example.ORG").canonical(), "ann.b@example.org");
        assert_eq!(address("\"ann b\"@example.org").canonical(), "\"ann b\"@example.org");
        assert_eq!(address("\"\"@example.org").canonical(), "\"\"@example.org");
        assert_eq!(address("Root").canonical(), "root");
    }

    #[test]
    fn e8_address_bombs_are_linear() {
        for bomb in [";", "(", "<a@b,", "\\", "a:", "\"", "a@b;", "()", ",", "<", ">", "a@b (", "a:b@c;"] {
            let found = parse(&bomb.repeat(100_000));
            assert!(found.len() <= MAX_ADDRESSES, "{bomb}: {}", found.len());
        }
        assert_eq!(parse(&"a@b, ".repeat(500_000)).len(), MAX_ADDRESSES);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "([<>:;,@()\"\\\\]|[a-c]|é| |=\\?utf-8\\?Q\\?a\\?=){0,40}") {
            parse(&text);
            of_field(text.as_bytes());
        }
    }
}
