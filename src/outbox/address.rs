//! Addresses for an envelope: written strictly, or not at all.
//!
//! An address from a header or a rule must not end the command that it is written into, nor add a parameter to it
//! (`reliability.md` I3, I4).

use std::borrow::Cow;

use crate::clean;
use crate::config::mailbox::flaw;
use crate::error::{Error, Kind, Result};
use crate::message::is_user_name;

/// A mailbox (RFC 5321 4.1.2, RFC 6531 3.3) that can be written between `<` and `>`. Its domain consists of A-labels (RFC 5890
/// 2.3.2.1), which every server accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox<'a>(Cow<'a, str>);

impl<'a> Mailbox<'a> {
    /// Accepts `local@domain` if [`flaw`] finds nothing wrong with it.
    pub fn parse(text: &'a str) -> Result<Self> {
        let refuse = |flaw: &str| {
            let shown = clean::short(text, 80);
            Error::permanent(Kind::Refused, format!("{shown} cannot be sent to a server: {flaw}"))
        };
        if let Some(flaw) = flaw(text) {
            return Err(refuse(flaw));
        }
        match text.rsplit_once('@').filter(|(_, domain)| !domain.is_ascii()) {
            None => Ok(Self(Cow::Borrowed(text))),
            Some((local, domain)) => {
                let domain = idna::domain_to_ascii(domain).map_err(|_| refuse("its domain is not a valid name"))?;
                let text = format!("{local}@{domain}");
                // IDNA maps some characters to a dot, a digit or a bracket.
                flaw(&text).map_or(Ok(()), |flaw| Err(refuse(flaw)))?;
                Ok(Self(Cow::Owned(text)))
            }
        }
    }

    /// The same for a recipient on an LMTP server, which may also be a user name without a domain: servers of one's own
    /// accept their users' login names.
    pub fn parse_local(text: &'a str) -> Result<Self> {
        if is_user_name(text) { Ok(Self(Cow::Borrowed(text))) } else { Self::parse(text) }
    }

    /// The address itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can be sent to a server without SMTPUTF8 (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// Whether a program could mistake it for an option, a command, a file or a list of addresses.
    pub fn looks_like_an_order(&self) -> bool {
        self.0.trim_start_matches(['"', '\\']).starts_with(['-', '|', '/', ':'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mailbox::MAX_ADDRESS_BYTES;

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
            "jürgen@xn--bcher-kva.example",
            "SRS0=x=y=example.org=u@example.com",
            &format!("{}@example.com", "x".repeat(MAX_ADDRESS_BYTES - 12)),
        ] {
            assert_eq!(Mailbox::parse(text).unwrap().as_str(), text);
        }
    }

    /// Facts from UTS #46 and RFC 5891, as other implementations have them.
    #[test]
    fn domains_leave_as_a_labels() {
        for (written, sent) in [
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
            ("ann@BÜCHER.Example", "ann@xn--bcher-kva.example"),
            ("ann@bu\u{308}cher.example", "ann@xn--bcher-kva.example"),
            ("ann@faß.example", "ann@xn--fa-hia.example"),
            ("ann@例え.テスト", "ann@xn--r8jz45g.xn--zckzah"),
            ("ann@例え。テスト", "ann@xn--r8jz45g.xn--zckzah"),
            ("ann@пример.испытание", "ann@xn--e1afmkfd.xn--80akhbyknj4f"),
            ("ann@ｅｘａｍｐｌｅ.com", "ann@example.com"),
            ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
            ("\"a@b\"@bücher.example", "\"a@b\"@xn--bcher-kva.example"),
            ("Ann@xn--bcher-kva.example", "Ann@xn--bcher-kva.example"),
        ] {
            assert_eq!(Mailbox::parse(written).unwrap().as_str(), sent);
        }
        for text in
            ["ann@bü..example", "ann@\u{fffd}.example", "ann@-ü-.example", "ann@bü＞cher.example", "ann@ü＠b.example"]
        {
            assert!(Mailbox::parse(text).is_err(), "{text}: {:?}", Mailbox::parse(text));
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
            &format!("{}@example.com", "x".repeat(MAX_ADDRESS_BYTES - 11)),
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
