//! The one reader of addresses: in fields of received mail, in what `sendmail` gets, in rules and in the config.
//!
//! It knows RFC 5322 3.4 with its obsolete syntax (4.4) and RFC 6532, and what people's mail makes of them: names with commas
//! and dots without quotes, links that were copied, `;` for `,`. Whatever it takes for an address is one for every reader, or
//! none: no word is taken out of a quoted local part, and no comment joins two domains. What it cannot read is kept: of
//! received mail the rest is taken ([`parse`]), and a list of recipients is refused ([`List::recipients`]).
//!
//! `lexer` makes tokens, `reader` members of a list, `spec` an address.

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
    /// What stands before the last `@`.
    pub fn local_part(&self) -> &str {
        self.address.rsplit_once('@').map_or(&self.address, |(local, _)| local)
    }

    /// What stands behind the last `@`; empty without one.
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Whether it is more than a name: received mail has `From: root`.
    pub fn has_domain(&self) -> bool {
        self.address.contains('@')
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
        let local = bare.filter(|inside| spec::is_dot_atom(inside)).unwrap_or(local).to_lowercase();
        match self.address.rsplit_once('@') {
            Some((_, domain)) => format!("{local}@{}", domain.to_lowercase()),
            None => local,
        }
    }

    /// As it stands in a field: `Ann <ann@example.org>`, the name in quotes where it needs them.
    pub fn written(&self) -> String {
        let Some(name) = &self.name else { return format!("<{}>", self.address) };
        let is_plain = name.split(' ').all(spec::is_atom);
        let name = if is_plain { Cow::Borrowed(name) } else { Cow::Owned(spec::quoted(name)) };
        format!("{name} <{}>", self.address)
    }
}

/// Whether it is the bare name of a user, as a server of one's own takes it for its recipient: letters, digits and what
/// stands between them in such names. Nothing of it can end a command or be taken for an option.
pub fn is_user_name(text: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '=');
    // RFC 5321 4.5.3.1.1.
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && text.chars().all(is_inside)
}

/// The addresses in a decoded text, groups opened, at most a thousand; what cannot be read is passed over. Those of a header
/// field are better asked of the field ([`super::Field::addresses`]).
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

    /// Without its blanks and quotes it would be a name.
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

    /// What is taken for an address is one by itself as well, and what a list is sent to is part of what is read of it.
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
