//! APOP (RFC 1939 section 7): the client sends a digest of the server's greeting and the password instead of the password.
//!
//! MD5 is broken: an attacker who can forge greetings can recover the first characters of a password with colliding ones
//! (CVE-2007-1558). Such greetings contain bytes that no Message-ID has, so only a well-formed timestamp is answered. On a plain
//! connection APOP is better than sending the password; inside TLS it adds nothing.

use md5::{Digest, Md5};
use secrecy::zeroize::Zeroizing;

/// The longest greeting that may carry a timestamp (RFC 2449 4).
const LONGEST_GREETING_BYTES: usize = 512;

/// The timestamp in a greeting: `<PROCESS.CLOCK@HOST>`. Anything that is not a valid Message-ID is ignored.
pub fn timestamp(greeting: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(greeting).ok().filter(|text| text.len() <= LONGEST_GREETING_BYTES)?;
    let start = text.find('<')?;
    let end = start + text[start..].find('>')?;
    let (left, right) = text[start + 1..end].split_once('@')?;
    let is_word = |word: &str| {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
        !word.is_empty() && word.bytes().all(is_fine)
    };
    (is_word(left) && is_word(right)).then(|| &text[start..=end])
}

/// The digest that APOP sends after the user name.
pub fn digest(timestamp: &str, password: &str) -> String {
    let text = Zeroizing::new(format!("{timestamp}{password}"));
    data_encoding::HEXLOWER.encode(&Md5::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard() {
        let found = timestamp(b"POP3 server ready <1896.697170952@dbc.mtview.ca.us>").unwrap();
        assert_eq!(digest(found, "tanstaaf"), "c4c9334bac560ecc979e58001b3e22fb");
    }

    #[test]
    fn greetings_that_could_be_made_to_collide_are_not_answered() {
        for greeting in ["ready", "<>", "<a>", "<a@>", "<@b>", "<a b@c>", "<a\u{e9}@b>", "<a@b", "<a@b\0>", "<a@b@c>"] {
            assert_eq!(timestamp(greeting.as_bytes()), None, "{greeting}");
        }
        assert_eq!(timestamp(b"<\xff@b>"), None);
        assert_eq!(timestamp(&[b"<a@".as_slice(), &[b'b'; 600], b">"].concat()), None);
    }
}
