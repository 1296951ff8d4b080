//! The logins that protocols share (RFC 4422): what is said, without how a protocol wraps it.
//!
//! | mechanism | with | the secret |
//! |---|---|---|
//! | SCRAM-SHA-256 | RFC 7677 | stays here; the server proves that it knows it too |
//! | PLAIN | RFC 4616 | goes to the server |
//! | LOGIN | draft-murchison-sasl-login | goes to the server |
//! | OAUTHBEARER | RFC 7628 | is an access token, goes to the server |
//! | XOAUTH2 | Google, Microsoft | is an access token, goes to the server |

use std::fmt;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::scram::Scram;
use crate::error::{Error, Kind, Result};

/// What is said in one step. It may hold a secret, and is wiped when it goes.
pub type Words = Zeroizing<Vec<u8>>;

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 7677.
    ScramSha256,
    /// RFC 4616.
    Plain,
    /// User name and password, each on a question.
    Login,
    /// RFC 7628.
    OauthBearer,
    /// What Google and Microsoft had before RFC 7628.
    Xoauth2,
}

impl Mechanism {
    /// As servers list it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
        }
    }

    /// Those that the server offers for a password or a token, the strongest first.
    pub fn offered(token: bool, offers: impl Fn(&str) -> bool) -> Vec<Self> {
        let candidates: &[Self] =
            if token { &[Self::OauthBearer, Self::Xoauth2] } else { &[Self::ScramSha256, Self::Plain, Self::Login] };
        candidates.iter().copied().filter(|mechanism| offers(mechanism.name())).collect()
    }
}

/// Who logs in where.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The login name.
    pub user: &'a str,
    /// The password or the token.
    pub secret: &'a SecretString,
    /// The server's name, as it was asked for.
    pub host: &'a str,
    /// The server's port.
    pub port: u16,
}

impl Credentials<'_> {
    fn secret(&self) -> &str {
        self.secret.expose_secret()
    }
}

/// One login under way.
pub struct Exchange(State);

enum State {
    /// All is in the first words.
    Once(Words),
    /// The words are given one by one, each on a question.
    OneByOne(Vec<Words>),
    /// All is in the first words; a question means that they were not enough.
    Token {
        first: Words,
        acknowledge: &'static [u8],
    },
    Scram(Box<Scram>),
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange(…)")
    }
}

impl Exchange {
    /// Begins a login. User names and secrets that a mechanism cannot carry are an error.
    pub fn begin(mechanism: Mechanism, who: &Credentials<'_>) -> Result<Self> {
        if who.user.is_empty() || who.user.chars().chain(who.secret().chars()).any(char::is_control) {
            return Err(Error::permanent(
                Kind::Config,
                "the user name or the password cannot be sent: control character",
            ));
        }
        Ok(Self(match mechanism {
            Mechanism::Plain => State::Once(plain_words(who.user, who.secret())),
            Mechanism::Login => State::OneByOne(vec![words(who.secret()), words(who.user)]),
            Mechanism::OauthBearer => {
                let name = gs2_name(who.user);
                let place = format!("host={}\x01port={}", who.host, who.port);
                let first = words(&format!("n,a={name},\x01{place}\x01auth=Bearer {}\x01\x01", who.secret()));
                State::Token { first, acknowledge: b"\x01" }
            }
            Mechanism::Xoauth2 => {
                let first = words(&format!("user={}\x01auth=Bearer {}\x01\x01", who.user, who.secret()));
                State::Token { first, acknowledge: b"" }
            }
            Mechanism::ScramSha256 => State::Scram(Box::new(Scram::begin(who.user, who.secret())?)),
        }))
    }

    /// What the client says first; `None` when the server asks first.
    pub fn first_words(&self) -> Option<Words> {
        match &self.0 {
            State::Once(first) | State::Token { first, .. } => Some(first.clone()),
            State::OneByOne(_) => None,
            State::Scram(scram) => Some(words(&scram.first_words())),
        }
    }

    /// What the client says to the server's question.
    pub fn answer(&mut self, question: &[u8]) -> Result<Words> {
        match &mut self.0 {
            State::Once(_) => Err(asks_again()),
            State::OneByOne(left) => left.pop().ok_or_else(asks_again),
            // The question says why; the refusal itself comes after this answer (RFC 7628 3.2.3).
            State::Token { acknowledge, .. } => Ok(acknowledge.to_vec().into()),
            State::Scram(scram) => scram.answer(question),
        }
    }

    /// The server says that the login is done. Where it had to prove itself and has not, it is not.
    pub fn done(&self) -> Result<()> {
        match &self.0 {
            State::Scram(scram) => scram.done(),
            _ => Ok(()),
        }
    }
}

/// `=` and `,` in a name, for GS2 headers and SCRAM (RFC 5802 5.1).
pub(super) fn gs2_name(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

fn plain_words(user: &str, password: &str) -> Words {
    words(&format!("\0{user}\0{password}"))
}

fn words(text: &str) -> Words {
    text.as_bytes().to_vec().into()
}

fn asks_again() -> Error {
    Error::permanent(Kind::Protocol, "the server asks for more than the login has")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(mechanism: Mechanism, user: &str, secret: &str) -> Result<Exchange> {
        let secret = SecretString::from(secret);
        Exchange::begin(mechanism, &Credentials { user, secret: &secret, host: "mx.example", port: 587 })
    }

    #[test]
    fn the_strongest_first() {
        let offers = |list: &'static [&str]| move |name: &str| list.contains(&name);
        let first = |token, list| Mechanism::offered(token, offers(list)).first().copied();
        assert_eq!(first(false, &["LOGIN", "PLAIN", "SCRAM-SHA-256"]), Some(Mechanism::ScramSha256));
        assert_eq!(first(false, &["LOGIN", "XOAUTH2"]), Some(Mechanism::Login));
        assert_eq!(first(true, &["PLAIN", "XOAUTH2"]), Some(Mechanism::Xoauth2));
        assert_eq!(first(true, &["PLAIN", "LOGIN"]), None);
    }

    #[test]
    fn plain_and_login() {
        let mut plain = begin(Mechanism::Plain, "me", "pw").unwrap();
        assert_eq!(plain.first_words().unwrap().as_slice(), b"\0me\0pw");
        assert!(plain.answer(b"").is_err());
        let mut login = begin(Mechanism::Login, "me", "pw").unwrap();
        assert!(login.first_words().is_none());
        assert_eq!(login.answer(b"Username:").unwrap().as_slice(), b"me");
        assert_eq!(login.answer(b"anything").unwrap().as_slice(), b"pw");
        assert!(login.answer(b"again?").is_err());
    }

    #[test]
    fn tokens() {
        let mut bearer = begin(Mechanism::OauthBearer, "a,b", "tok").unwrap();
        let first = bearer.first_words().unwrap();
        assert_eq!(first.as_slice(), b"n,a=a=2Cb,\x01host=mx.example\x01port=587\x01auth=Bearer tok\x01\x01");
        assert_eq!(bearer.answer(b"{}").unwrap().as_slice(), b"\x01");
        let xoauth2 = begin(Mechanism::Xoauth2, "me", "tok").unwrap();
        assert_eq!(xoauth2.first_words().unwrap().as_slice(), b"user=me\x01auth=Bearer tok\x01\x01");
    }

    #[test]
    fn what_would_end_a_field_is_refused() {
        for (user, secret) in [("me\x01auth=Bearer x", "t"), ("me\0", "t"), ("", "t"), ("me", "t\r\nQUIT")] {
            assert!(begin(Mechanism::Xoauth2, user, secret).is_err());
        }
    }
}
