//! Parses replies and capabilities. No I/O.

use crate::clean;
use crate::error::{Error, Kind, Result};
use crate::secrets::Secrets;

/// The most lines of one reply (`reliability.md` P7).
const MAX_LINES: usize = 100;
/// The longest line of a reply, in bytes. RFC 5321 4.5.3.1.5 allows 512.
pub(super) const MAX_LINE_BYTES: usize = 1000;

/// A complete reply (RFC 5321 4.2). Its text is for people and is not parsed any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SmtpReply {
    pub(super) code: u16,
    /// The lines without their codes, with control characters escaped. At least one.
    pub(super) lines: Vec<String>,
}

impl SmtpReply {
    /// 2yz.
    pub(super) fn is_ok(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz.
    pub(super) fn is_temporary(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz.
    pub(super) fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The code and the text on one line.
    pub(super) fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
        let text = lines.fold(self.code.to_string(), |text, line| text + " " + line);
        clean::short(&text, 500)
    }

    /// The error for a refusal: 4yz is transient, everything else permanent.
    pub(super) fn refusal(&self, doing: &str) -> Error {
        let doing = format!("{doing} was refused");
        match self.is_temporary() {
            true => Error::transient(Kind::Refused, doing),
            false => Error::permanent(Kind::Refused, doing),
        }
        .said(self.text())
    }

    /// The error for a reply that the protocol does not allow at this point.
    pub(super) fn out_of_place(&self, doing: &str) -> Error {
        Error::permanent(Kind::Protocol, format!("{doing}: the server's answer makes no sense here")).said(self.text())
    }
}

/// A reply that is being read, line by line.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    code: Option<u16>,
    lines: Vec<String>,
}

impl Gathering {
    /// Adds a line, whose secrets are removed. Returns the reply when it is complete.
    pub(super) fn add_line(&mut self, line: &[u8], secrets: &Secrets) -> Result<Option<SmtpReply>> {
        let not_smtp = || not_smtp(&secrets.hushed(line));
        let (code, is_last, text) = split(line).ok_or_else(not_smtp)?;
        if self.code.is_some_and(|begun| begun != code) || self.lines.len() == MAX_LINES {
            return Err(not_smtp());
        }
        self.code = Some(code);
        self.lines.push(clean::line(&secrets.hushed(text)));
        Ok(is_last.then(|| SmtpReply { code, lines: std::mem::take(&mut self.lines) }))
    }
}

/// Splits a line into its code (200 to 599), whether it is the last one, and its text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !(b'2'..=b'5').contains(&digits[0]) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, true, b"")),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

fn not_smtp(line: &[u8]) -> Error {
    Error::permanent(Kind::Protocol, "the server does not answer like an SMTP server").said(line)
}

/// A server's capabilities, from its reply to EHLO or LHLO (RFC 5321 4.1.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// RFC 1870, with the size of the largest message if the server names it.
    pub(super) size: Option<Option<u64>>,
    /// RFC 2920.
    pub(super) pipelining: bool,
    /// RFC 6152.
    pub(super) eight_bit: bool,
    /// RFC 6531.
    pub(super) utf8: bool,
    /// RFC 3461.
    pub(super) dsn: bool,
    /// RFC 3207.
    pub(super) starttls: bool,
    /// RFC 4954, upper-case.
    pub(super) auth: Vec<String>,
}

impl Capabilities {
    /// Parses the reply to EHLO. Its first line is the server's name.
    pub(super) fn of(reply: &SmtpReply) -> Self {
        let mut found = Self::default();
        for line in reply.lines.iter().skip(1) {
            // Before RFC 2554 servers wrote `AUTH=LOGIN`.
            let line = line.to_ascii_uppercase().replacen("AUTH=", "AUTH ", 1);
            let mut words = line.split_ascii_whitespace();
            match words.next().unwrap_or_default() {
                "SIZE" => found.size = Some(words.next().and_then(|n| n.parse().ok()).filter(|limit| *limit > 0)),
                "PIPELINING" => found.pipelining = true,
                "8BITMIME" => found.eight_bit = true,
                "SMTPUTF8" => found.utf8 = true,
                "DSN" => found.dsn = true,
                "STARTTLS" => found.starttls = true,
                "AUTH" => found.auth.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        found
    }

    /// Whether the server offers a login mechanism of this name.
    pub(super) fn offers_login(&self, name: &str) -> bool {
        self.auth.iter().any(|offered| offered == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(lines: &[&str]) -> Result<Option<SmtpReply>> {
        let mut gathering = Gathering::default();
        let mut last = None;
        for line in lines {
            last = gathering.add_line(line.as_bytes(), &Secrets::default())?;
        }
        Ok(last)
    }

    #[test]
    fn replies_of_one_line_and_more() {
        assert_eq!(gather(&["250 ok"]).unwrap().unwrap().text(), "250 ok");
        assert_eq!(gather(&["250"]).unwrap().unwrap().text(), "250");
        assert_eq!(
            gather(&["550-5.1.1 no", "550-", "550 such\x1b user"]).unwrap().unwrap().text(),
            "550 5.1.1 no such\\u{1b} user"
        );
        assert_eq!(gather(&["250-a"]).unwrap(), None);
    }

    #[test]
    fn p7_what_is_no_reply() {
        for line in ["25", "", "999 x", "100 x", "2x0 x", "250x", "+OK", "* OK", "\u{ff12}50 x"] {
            assert!(gather(&[line]).is_err(), "{line}");
        }
        assert!(gather(&["250-a", "550 b"]).is_err(), "the code changes");
        assert!(gather(&vec!["250-x"; MAX_LINES]).unwrap().is_none());
        assert!(gather(&vec!["250-x"; MAX_LINES + 1]).is_err());
    }

    #[test]
    fn capabilities() {
        let lines = ["mx hello", "size 1000", "PIPELINING", "8bitmime", "AUTH PLAIN login", "AUTH=SCRAM-SHA-256", "X"];
        let reply = SmtpReply { code: 250, lines: lines.map(str::to_owned).to_vec() };
        let found = Capabilities::of(&reply);
        assert_eq!(found.size, Some(Some(1000)));
        assert!(found.pipelining && found.eight_bit && !found.utf8 && !found.dsn && !found.starttls);
        assert!(["PLAIN", "LOGIN", "SCRAM-SHA-256"].iter().all(|name| found.offers_login(name)));
        for (line, size) in [("SIZE", Some(None)), ("SIZE 0", Some(None)), ("SIZE x", Some(None)), ("DSN", None)] {
            let lines = vec!["STARTTLS".to_owned(), line.to_owned()];
            assert_eq!(Capabilities::of(&SmtpReply { code: 250, lines }).size, size, "{line}");
        }
    }
}
