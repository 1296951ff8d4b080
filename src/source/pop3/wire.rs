//! Parses replies and listings. No I/O.

use crate::clean;
use crate::error::{Error, Kind, Result};
use crate::refusal::{RefusalMeaning, meaning};
use crate::secrets::Secrets;

/// The longest UIDL that is used unchanged. RFC 1939 allows 70 octets; longer ones occur, and the caller hashes them.
pub(super) const LONGEST_UIDL_BYTES: usize = 255;

/// The first line of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pop3Reply {
    /// `+OK text`.
    Ok(String),
    /// `-ERR text`, with its response code if it has one (RFC 2449, RFC 3206).
    Err(String),
    /// `+ text`: the server waits for the next line of an AUTH.
    Continue(String),
}

impl Pop3Reply {
    fn parse(line: &[u8]) -> Result<Self> {
        let text = |rest: &[u8]| clean::line(rest.trim_ascii());
        if let Some(rest) = line.strip_prefix(b"+OK") {
            Ok(Self::Ok(text(rest)))
        } else if line.starts_with(b"-ERR") {
            Ok(Self::Err(text(line)))
        } else if line == b"+" || line.starts_with(b"+ ") {
            Ok(Self::Continue(text(&line[1..])))
        } else {
            Err(Error::permanent(Kind::Protocol, "the server does not answer like a POP3 server").said(line))
        }
    }

    /// Parses a reply, with the secrets removed from `-ERR` and invalid lines, which are shown to people. `+OK` is not shown.
    pub(super) fn hushed(line: &[u8], secrets: &Secrets) -> Result<Self> {
        match Self::parse(line) {
            Ok(reply @ (Self::Ok(_) | Self::Continue(_))) => Ok(reply),
            Ok(Self::Err(_)) | Err(_) => Self::parse(&secrets.hushed(line)),
        }
    }

    pub(super) fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }

    /// The text of `+OK`, or `-ERR` as an error of this command.
    pub(super) fn accepted(self, verb: &str) -> Result<String> {
        match self {
            Self::Ok(text) => Ok(text),
            Self::Err(line) => Err(refused(verb, &line)),
            Self::Continue(_) => {
                Err(Error::permanent(Kind::Protocol, format!("{verb}: the server asks for more input")))
            }
        }
    }
}

/// The error for `-ERR` instead of a greeting.
pub(super) fn greeting_refused(line: &str) -> Error {
    not_done("the server refused the connection".to_owned(), line)
}

/// The error for `-ERR` to a command other than a login. It is permanent only if its code says so.
pub(super) fn refused(verb: &str, line: &str) -> Error {
    not_done(format!("{verb} was refused"), line)
}

/// The same if some of many commands were refused. `line` is the first of the refusals.
pub(super) fn refused_for(verb: &str, refused: usize, of: usize, line: &str) -> Error {
    not_done(format!("{verb} was refused for {refused} of {of} messages"), line)
}

fn not_done(doing: String, line: &str) -> Error {
    if meaning(line) == RefusalMeaning::Final {
        return Error::permanent(Kind::Refused, doing).said(line);
    }
    Error::transient(Kind::Refused, doing).said(line)
}

/// Parses a line of a LIST reply: number and size. An invalid size is unknown; the message exists all the same.
pub(super) fn list_line(line: &[u8]) -> Option<(u32, Option<u64>)> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_ascii_whitespace();
    let number = number(words.next()?.as_bytes())?;
    Some((number, words.next().and_then(|size| size.parse().ok())))
}

/// A message number. They begin at 1.
fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|number| *number > 0)
}

/// Parses a line of a UIDL reply: number and id. The id may have any bytes, even blanks. Some small servers send several
/// blanks or tabs before it.
pub(super) fn uidl_line(line: &[u8]) -> Option<(u32, &[u8])> {
    let blank = memchr::memchr2(b' ', b'\t', line)?;
    let number = number(&line[..blank])?;
    let id = line[blank + 1..].trim_ascii();
    (!id.is_empty()).then_some((number, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        assert_eq!(Pop3Reply::parse(b"+OK ready").unwrap(), Pop3Reply::Ok("ready".into()));
        assert_eq!(Pop3Reply::parse(b"-ERR [AUTH] no").unwrap(), Pop3Reply::Err("-ERR [AUTH] no".into()));
        assert_eq!(Pop3Reply::parse(b"+ ").unwrap(), Pop3Reply::Continue(String::new()));
        assert!(Pop3Reply::parse(b"* OK IMAP4rev1").is_err());
    }

    #[test]
    fn listing_lines_with_odd_ids() {
        assert_eq!(list_line(b"3 1200"), Some((3, Some(1200))));
        for unknown in ["3", "3 x", "3 -1", "3 99999999999999999999", "3 \u{fc}"] {
            assert_eq!(list_line(unknown.as_bytes()), Some((3, None)), "{unknown}");
        }
        assert_eq!(list_line(b"3 18446744073709551615"), Some((3, Some(u64::MAX))), "not plausible, but a number");
        for nothing in ["x", "", "0 12", "-1 12", "4294967296 12"] {
            assert_eq!(list_line(nothing.as_bytes()), None, "{nothing}");
        }
        assert_eq!(uidl_line(b"0 zero"), None);
        assert_eq!(uidl_line(b"3 <a b@c>"), Some((3, &b"<a b@c>"[..])));
        assert_eq!(uidl_line(b"3 \xff\xfe"), Some((3, &b"\xff\xfe"[..])));
        assert_eq!(uidl_line(b"3 "), None);
        assert_eq!(uidl_line(b"3\t a\tb"), Some((3, &b"a\tb"[..])));
    }

    #[test]
    fn fuzz_listing_lines() {
        let known: [&[u8]; 6] =
            [b"3 1200", b"3 <a b@c>", b"3\t a\tb", b"+OK 2 messages", b"-ERR [SYS/TEMP] not now", b"+ \xff\xfe"];
        crate::fuzz::try_changes("pop3-lines", &known, |bytes| {
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            if let Some((number, id)) = uidl_line(line) {
                assert!(number > 0 && !id.is_empty() && id.trim_ascii() == id);
            }
            let listed = list_line(line);
            assert!(listed.is_none_or(|(number, _)| number > 0));
            let reply = Pop3Reply::parse(line).ok().map(|reply| std::mem::discriminant(&reply));
            (listed.map(|(_, size)| size.is_some()), uidl_line(line).is_some(), reply)
        });
    }
}
