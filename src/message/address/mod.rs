//! The address parser. It is used for fields of received mail, input of `sendmail`, rules and the config.
//!
//! It accepts RFC 5322 3.4 with the obsolete syntax (4.4), RFC 6532, and common deviations: unquoted names with commas
//! and dots, copied links, `;` instead of `,`. It accepts an address only if no other parser finds a different address
//! in the same text: it takes no word out of a quoted local part, and a comment does not join two domains. It keeps the
//! parts that it cannot read: for received mail it skips them ([`parse`]), but it refuses a list of recipients that has
//! one ([`ParsedAddresses::recipients`]).
//!
//! `lexer` makes tokens, `reader` makes the members of a list, and `spec` makes an address.

mod lexer;
mod list;
mod reader;
mod spec;

use std::borrow::Cow;

use super::words;
use crate::charsets::Unlabelled;

pub use list::{ParsedAddresses, Recipient, Unreadable, complete_addresses};

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
    /// The part before the last `@`.
    pub fn local_part(&self) -> &str {
        self.address.rsplit_once('@').map_or(&self.address, |(local, _)| local)
    }

    /// The part after the last `@`; empty if there is no `@`.
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Whether it has a domain. Some received mail has a bare name, such as `From: root`.
    pub fn has_domain(&self) -> bool {
        self.address.contains('@')
    }

    /// The local part before the first of the delimiter characters: `ann` of `ann+lists@example.org` with `+`
    /// (RFC 5233 4). The whole local part if there is no delimiter, or if it begins with one.
    pub fn user(&self, delimiters: &str) -> &str {
        self.split_local(delimiters).0
    }

    /// The local part after the first of the delimiter characters: `lists` of `ann+lists@example.org` with `+`
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

    /// The form for comparisons: lower case, without quotes around a local part that needs none. RFC 5321 2.4 allows
    /// local parts that differ in case only, but no provider has them.
    pub fn canonical(&self) -> String {
        let local = self.local_part();
        let bare = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let local = bare.filter(|inside| spec::is_dot_atom(inside)).unwrap_or(local).to_lowercase();
        match self.address.rsplit_once('@') {
            Some((_, domain)) => format!("{local}@{}", domain.to_lowercase()),
            None => local,
        }
    }

    /// The form for a header field: `Ann <ann@example.org>`, with the name in quotes if it needs them.
    pub fn written(&self) -> String {
        let Some(name) = &self.name else { return format!("<{}>", self.address) };
        let is_plain = name.split(' ').all(spec::is_atom);
        let name = if is_plain { Cow::Borrowed(name) } else { Cow::Owned(spec::quoted(name)) };
        format!("{name} <{}>", self.address)
    }
}

/// Whether it is a bare user name, which a local mail server accepts as a recipient: letters, digits and the characters
/// usual between them. Such a name can neither end a command nor be taken for an option.
pub fn is_user_name(text: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '=');
    // RFC 5321 4.5.3.1.1.
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && text.chars().all(is_inside)
}

/// The addresses in decoded text, including those in groups, at most a thousand. Skips what cannot be read. For a
/// header field, use [`super::Field::addresses`] instead.
pub fn parse(value: &str) -> Vec<Address> {
    ParsedAddresses::at_most(value, MAX_ADDRESSES).addresses()
}

/// The addresses in a raw field value.
pub(super) fn of_field(raw: &[u8], unlabelled: &Unlabelled) -> Vec<Address> {
    let line = words::unfold(raw);
    let mut found = parse(&words::legible(&line, unlabelled));
    for name in found.iter_mut().filter_map(|address| address.name.as_mut()) {
        if !name.is_ascii() || name.contains("=?") {
            *name = words::nfc(words::decode_words(name, unlabelled).into()).trim().to_owned();
        }
    }
    found
}

/// A raw field value as a list, with all of its members.
pub(super) fn list_of_field(raw: &[u8], unlabelled: &Unlabelled) -> ParsedAddresses {
    ParsedAddresses::read(&words::legible(&words::unfold(raw), unlabelled))
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
    fn names_without_a_domain_get_one() {
        let address = |name: &str| match name {
            "root" => Some("me@home.example".to_owned()),
            "nobody" => None,
            other => Some(format!("{other}@home.example")),
        };
        for (raw, completed) in [
            (" root\n", Some(" root <me@home.example>\n")),
            (" ann\n", Some(" ann@home.example\n")),
            (" Ann <ann>, b@c.example\n", Some(" Ann <ann@home.example>, b@c.example\n")),
            (" root (Cron Daemon)\n", Some(" me@home.example (Cron Daemon)\n")),
            (
                " \"Root, here\" <root>,\n ann,\n\troot\n",
                Some(" \"Root, here\" <me@home.example>,\n ann@home.example,\n\troot <me@home.example>\n"),
            ),
            (" friends: ann, bob@c.example;\n", Some(" friends: ann@home.example, bob@c.example;\n")),
            (" a@b.example\n", None),
            (" nobody\n", None),
            (" Doe, Jane <jane@x.example>\n", None),
            (" undisclosed-recipients:;\n", None),
        ] {
            let found = complete_addresses(raw.as_bytes(), &address).map(|value| String::from_utf8(value).unwrap());
            assert_eq!(found.as_deref(), completed, "{raw:?}");
        }
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

    /// Without its blanks and quotes, it would be a name.
    #[test]
    fn what_would_be_an_encoded_word_once_joined_is_no_address() {
        for text in [
            "=?utf-8?Q?J=2. C?=@x.example",
            "=?utf-8?Q?a(b).c?=@x.example",
            "=?utf-8?Q?a @ b . c?=",
            "<=?utf-8?Q?a . b?=@x.example>",
            "\"a b\"@=?utf-8?Q?c .d?=",
        ] {
            assert!(addresses(text).is_empty(), "{text}: {:?}", addresses(text));
            assert!(ParsedAddresses::read(text).recipients(&|_| false).is_err(), "{text}");
        }
        for text in [
            "\"=?utf-8?Q?a.b?=\"@x.example",
            "\"=?utf-8?Q?a..b?=\"@x.example",
            "\"=?utf-8?Q?a\"@b?=",
            "=?utf-8?Q?ab?=@x.example",
        ] {
            assert_eq!(addresses(text), [text]);
            assert_eq!(
                ParsedAddresses::read(text).recipients(&|_| false),
                Ok(vec![Recipient::Address(text.to_owned())])
            );
        }
    }

    /// Each address that is found parses to itself, and each recipient of a list is also among its addresses.
    #[test]
    fn fuzz_address_lists() {
        let known: [&[u8]; 8] = [
            b"Ann <a@b.example>, c@d.example",
            b"\"a@b.example\"@example.net, Friends: x@y.example;, ;",
            b"Doe, Jane (one, two) <@relay.example:jane@example.net>",
            b"=?utf-8?Q?J=C3=BCrgen=2C_X?= <j@x.example>; \xfcber@x.example",
            b"root, ann, \"quoted \\\" name\" <q@[127.0.0.1]>",
            b"user@good.example(x)evil.example, mailto:a@b.example",
            b"a . b @ c . d, <>, undisclosed-recipients:;",
            b"\"a b\"@x.example <second@x.example>\r\n\tfolded@x.example",
        ];
        crate::fuzz::try_changes("address-lists", &known, |raw| {
            let found = of_field(raw, &crate::charsets::NOTHING_SAID);
            for address in found.iter().filter(|address| address.has_domain()) {
                let again: Vec<Address> = parse(&address.written());
                assert!(again.len() == 1 && again[0].address == address.address, "{address:?} {again:?}");
            }
            let recipients = list_of_field(raw, &crate::charsets::NOTHING_SAID).recipients(&|name| name == "root");
            for recipient in recipients.iter().flatten() {
                let (Recipient::Address(address) | Recipient::Bare(address)) = recipient;
                let again = ParsedAddresses::read(&format!("<{address}>")).recipients(&|_| false);
                assert_eq!(again.as_deref(), Ok(std::slice::from_ref(recipient)));
            }
            (found.len().min(9), recipients.map(|all| all.len().min(9)).map_err(|bad| bad.len().min(9)))
        });
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "([<>:;,@()\"\\\\]|[a-c]|é| |=\\?utf-8\\?Q\\?a\\?=){0,40}") {
            parse(&text);
            of_field(text.as_bytes(), &crate::charsets::NOTHING_SAID);
        }
    }
}
