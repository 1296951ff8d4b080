//! Addresses as they are written into an envelope: strictly, or not at all.
//!
//! An address that comes from a header or a rule must not end the command it stands in, nor add a parameter to it
//! (`reliability.md` I3, I4).

use crate::clean;
use crate::config::mailbox::flaw;
use crate::error::{Error, Kind, Result};
use crate::message::is_user_name;

/// A mailbox (RFC 5321 4.1.2, RFC 6531 3.3) that can be put between `<` and `>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailbox<'a>(&'a str);

impl<'a> Mailbox<'a> {
    /// Takes `local@domain`, as [`flaw`] allows it.
    pub fn parse(text: &'a str) -> Result<Self> {
        match flaw(text) {
            None => Ok(Self(text)),
            Some(flaw) => {
                let shown = clean::short(text, 80);
                Err(Error::permanent(Kind::Refused, format!("{shown} cannot be written to a server: {flaw}")))
            }
        }
    }

    /// The same for a recipient of an LMTP server, which may also be a user of it, without a domain: servers of one's own
    /// take the name under which their user logs in.
    pub fn parse_local(text: &'a str) -> Result<Self> {
        if is_user_name(text) { Ok(Self(text)) } else { Self::parse(text) }
    }

    /// The address itself.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether a server needs SMTPUTF8 for it (RFC 6531).
    pub fn is_ascii(self) -> bool {
        self.0.is_ascii()
    }

    /// Whether a program could take it for an option, a command, a file or a list of addresses.
    pub fn looks_like_an_order(self) -> bool {
        self.0.trim_start_matches(['"', '\\']).starts_with(['-', '|', '/', ':'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mailbox::LONGEST;

    #[test]
    fn what_is_sent() {
        for text in [
            "a@b",
            "a.b+c=d@example.com",
            "a..b.@docomo.example",
            "\"a@b\"@example.com",
            "\"a\\\"b\"@example.com",
            "\"\"@example.com",
            "a@[192.0.2.1]",
            "a@[IPv6:2001:db8::1]",
            "jürgen@bücher.example",
            "SRS0=x=y=example.org=u@example.com",
            &format!("{}@example.com", "x".repeat(LONGEST - 12)),
        ] {
            assert_eq!(Mailbox::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn i3_what_is_not_sent() {
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a@b>\r\nRCPT TO:<c@d",
            "\"a\r\nDATA\"@b",
            "<a@b> SIZE=1",
            "<a@b>",
            "a@b NOTIFY=NEVER",
            "a@b\0",
            "a\u{85}b@c",
            "a@b\u{202e}c",
            "\"a@b",
            "a\"@b",
            "\"a\"b\"@c",
            "\"a\\\"@c",
            "\"a b\"@c",
            "\"a>b\"@c",
            "a,b@c",
            "a:b@c",
            "a@b@c",
            "@relay:a@b",
            "a@b..c",
            "a@-b",
            "a@[",
            "a@[]",
            "a@[1]2]",
            "a@[b\\c]",
            "a@b(c)",
            &format!("{}@example.com", "x".repeat(LONGEST - 11)),
        ] {
            let error = Mailbox::parse(text).unwrap_err();
            assert!(!error.is_transient());
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }

    #[test]
    fn i3_a_user_is_a_bare_name() {
        for text in ["me", "me+box", "j.doe", "_spool", "user-7", "me@example.com"] {
            assert_eq!(Mailbox::parse_local(text).unwrap().as_str(), text);
        }
        for text in ["", "-oQ", ".me", "me>", "me\r\nDATA", "me you", "|prog", "/etc/passwd", "mé", &"m".repeat(65)] {
            assert!(Mailbox::parse_local(text).is_err(), "{text}");
        }
    }

    #[test]
    fn i4_what_a_program_could_obey() {
        for text in ["-oQ/tmp@x", "-be@x", "|prog@x", "/etc/passwd@x", "\"|prog\"@x", "\":include:/etc/passwd\"@x"] {
            assert!(Mailbox::parse(text).unwrap().looks_like_an_order(), "{text}");
        }
        assert!(!Mailbox::parse("a-b/c|d@x").unwrap().looks_like_an_order());
    }
}
