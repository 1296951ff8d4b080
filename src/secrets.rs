//! Removes the secrets of a login from everything that a person may read, because servers may repeat them.

use std::borrow::Cow;
use std::fmt;

use data_encoding::BASE64_NOPAD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::refusal::is_said_in_refusals;

/// The text that replaces a secret.
const REPLACEMENT: &[u8] = b"(secret)";
/// Shorter secrets are not searched for, because they would match anything.
const SHORTEST_BYTES: usize = 4;

/// The password or token of a connection, in the forms in which it is sent.
#[derive(Default)]
pub struct Secrets {
    /// The secret itself, and as a quoted string (RFC 3501 9).
    plain: Vec<Zeroizing<Vec<u8>>>,
    /// The characters that every base64 text with the secret contains, for each of its three possible alignments.
    base64: Vec<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// The secrets of a login that is about to be sent. A secret that is shorter than four bytes, or that occurs in ordinary
    /// refusals, is not searched for: removing it would reveal it, and would make the refusal unreadable.
    pub fn of(secret: &SecretString) -> Self {
        let secret = secret.expose_secret();
        if secret.len() < SHORTEST_BYTES || is_said_in_refusals(secret) {
            return Self::default();
        }
        let quoted = secret.replace('\\', "\\\\").replace('"', "\\\"");
        let plain = [quoted, secret.to_owned()].map(|form| Zeroizing::new(form.into_bytes()));
        let base64 = (0..3).filter_map(|place| in_base64(secret.as_bytes(), place)).collect();
        Self { plain: plain.into(), base64 }
    }

    /// A server's text without the secrets.
    pub fn hushed<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut text = Cow::Borrowed(text);
        for form in &self.plain {
            replace(&mut text, form, |_, found| found);
        }
        for form in &self.base64 {
            replace(&mut text, form, whole_word);
        }
        text
    }
}

/// The base64 characters that depend on the secret alone, if it begins at this position of a group of three bytes.
fn in_base64(secret: &[u8], place: usize) -> Option<Zeroizing<Vec<u8>>> {
    let shifted = Zeroizing::new([&[0; 2][..place], secret].concat());
    let digits = Zeroizing::new(BASE64_NOPAD.encode(&shifted));
    // The first and the last character may also contain bits of the text around the secret.
    let (first, end) = ((place * 8).div_ceil(6), shifted.len() * 8 / 6);
    let inside = digits.as_bytes().get(first..end)?;
    (inside.len() >= SHORTEST_BYTES).then(|| Zeroizing::new(inside.to_vec()))
}

/// The whole base64 word around a match, because the user name may come before the secret.
fn whole_word(text: &[u8], found: (usize, usize)) -> (usize, usize) {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let before = text[..found.0].iter().rev().take_while(|byte| is_digit(byte)).count();
    let behind = text[found.1..].iter().take_while(|byte| is_digit(byte)).count();
    (found.0 - before, found.1 + behind)
}

/// Replaces every match, extended by `reach`, by [`REPLACEMENT`].
fn replace(text: &mut Cow<'_, [u8]>, form: &[u8], reach: impl Fn(&[u8], (usize, usize)) -> (usize, usize)) {
    let mut out = Vec::new();
    let mut done = 0;
    for at in memchr::memmem::find_iter(text, form) {
        if at < done {
            continue;
        }
        let (start, end) = reach(text, (at, at + form.len()));
        out.extend_from_slice(&text[done..start.max(done)]);
        out.extend_from_slice(REPLACEMENT);
        done = end;
    }
    if done > 0 {
        out.extend_from_slice(&text[done..]);
        *text = Cow::Owned(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hushed(secret: &str, said: &str) -> String {
        String::from_utf8(Secrets::of(&secret.into()).hushed(said.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn a_repeated_secret_is_taken_out() {
        for said in ["535 no: open sesame", "535 no: b3BlbiBzZXNhbWU=", "535 no: AG1lAG9wZW4gc2VzYW1l"] {
            assert_eq!(hushed("open sesame", said), "535 no: (secret)");
        }
        assert_eq!(hushed("a\"b\\c", "LOGIN \"me\" \"a\\\"b\\\\c\""), "LOGIN \"me\" \"(secret)\"");
        assert_eq!(hushed("", "no"), "no");
        assert_eq!(hushed("Password", "invalid password"), "invalid password");
    }

    #[test]
    fn a_secret_in_base64_is_found_whatever_stands_around_it() {
        for secret in ["open sesame", "p\u{e4}ss=", "hunter2", "ya29.a0AfB_by-x"] {
            for (before, behind) in
                [("", ""), ("a", "b"), ("ab", "cd"), ("user=me\x01auth=Bearer ", "\x01\x01"), ("abcd", "")]
            {
                let text = data_encoding::BASE64.encode(format!("{before}{secret}{behind}").as_bytes());
                assert_eq!(hushed(secret, &format!("<{text}> {secret}.")), "<(secret)> (secret).", "{before} {secret}");
            }
        }
    }
}
