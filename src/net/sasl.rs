//! The SASL mechanisms (RFC 4422) that IMAP, POP3 and SMTP share, without the syntax of a protocol.
//!
//! | mechanism | defined in | the secret |
//! |---|---|---|
//! | SCRAM-SHA-256-PLUS | RFC 7677, 9266 | is not sent; the server proves that it knows it; nobody can intercept the login |
//! | SCRAM-SHA-256, SCRAM-SHA-1 | RFC 7677, 5802 | is not sent; the server proves that it knows it |
//! | CRAM-MD5 | RFC 2195 | is not sent, but a hash that can be searched by brute force |
//! | PLAIN | RFC 4616 | is sent |
//! | LOGIN | draft-murchison-sasl-login | is sent |
//! | EXTERNAL | RFC 4422 A | is the private key of a client certificate, and is not sent |
//! | OAUTHBEARER | RFC 7628 | is an access token, and is sent |
//! | XOAUTH2 | Google, Microsoft | is an access token, and is sent |

use std::fmt;

use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use md5::Md5;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::scram::{Hash, Scram};
pub use crate::config::Mechanism;
use crate::error::{Error, Kind, Result};

/// The client's message in one step. It may hold a secret, so it is wiped when it is dropped.
pub type SaslWords = Zeroizing<Vec<u8>>;

/// Whether a login can be bound to its TLS connection (RFC 5929, RFC 9266), so that a man in the middle cannot
/// pass it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// There is no TLS, or an older version of it.
    Impossible,
    /// We support it, and the server does not offer it.
    NotOffered([u8; 32]),
    /// Both support it. The value is the `tls-exporter` data, which only the two ends of this connection know.
    Offered([u8; 32]),
}

/// What the choice of a mechanism depends on.
#[derive(Clone, Copy, Debug)]
pub struct MechanismChoice {
    /// The only allowed mechanism, if the user names one.
    pub only: Option<Mechanism>,
    /// Whether the secret is an access token and not a password.
    pub token: bool,
    /// Whether the connection is encrypted, or local to this machine.
    pub is_private: bool,
    /// The `tls-exporter` data of the TLS connection, if there is any.
    pub exported: Option<[u8; 32]>,
}

impl MechanismChoice {
    /// The offered mechanisms that can be used, the strongest first, and the channel binding for SCRAM.
    ///
    /// On a private connection PLAIN comes before CRAM-MD5: servers that store passwords hashed in another way
    /// offer CRAM-MD5 and then refuse the right password.
    pub fn among(&self, offers: impl Fn(&str) -> bool) -> Offered {
        use Mechanism::{
            CramMd5, External, Login, OauthBearer, Plain, ScramSha1, ScramSha256, ScramSha256Plus, Xoauth2,
        };
        let candidates: &[Mechanism] = match (&self.only, self.token, self.is_private) {
            (Some(External), ..) => &[External],
            (_, true, _) => &[OauthBearer, Xoauth2],
            (_, _, true) => &[ScramSha256Plus, ScramSha256, ScramSha1, Plain, Login, CramMd5],
            (_, _, false) => &[ScramSha256Plus, ScramSha256, ScramSha1, CramMd5, Plain, Login],
        };
        let is_bound = offers(ScramSha256Plus.name());
        let binding = match self.exported {
            None => Binding::Impossible,
            Some(exported) if is_bound => Binding::Offered(exported),
            Some(exported) => Binding::NotOffered(exported),
        };
        let fits = |one: &Mechanism| {
            offers(one.name())
                && self.only.is_none_or(|only| only == *one)
                && (*one != ScramSha256Plus || self.exported.is_some())
        };
        Offered { mechanisms: candidates.iter().copied().filter(fits).collect(), binding }
    }

    /// Whether the protocol's own login command, with user name and password, may be used. It may not if the user names another
    /// mechanism.
    pub fn has_login_command(&self) -> bool {
        !self.token && self.only.is_none_or(|only| only == Mechanism::Login)
    }

    /// The error text when no mechanism can be used.
    pub fn missing(&self) -> String {
        match self.only {
            Some(Mechanism::ScramSha256Plus) if self.exported.is_none() => {
                "SCRAM-SHA-256-PLUS, which `auth` asks for, needs TLS 1.3".to_owned()
            }
            Some(only) => format!("the server does not offer {}, which `auth` asks for", only.name()),
            None if self.token => "the server offers no login with an access token".to_owned(),
            None => "the server offers no login with a password".to_owned(),
        }
    }
}

/// The mechanisms that can be used with a server.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The strongest first.
    pub mechanisms: Vec<Mechanism>,
    /// The channel binding for SCRAM.
    pub binding: Binding,
}

/// Who logs in, and where.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The login name.
    pub user: &'a str,
    /// The password or the token.
    pub secret: &'a SecretString,
    /// The server's name, as it stands in the config.
    pub host: &'a str,
    /// The server's port.
    pub port: u16,
    /// The channel binding for SCRAM.
    pub binding: Binding,
}

impl Credentials<'_> {
    fn secret(&self) -> &str {
        self.secret.expose_secret()
    }
}

/// A login in progress.
pub struct Exchange(SaslState);

enum SaslState {
    /// Everything is in the initial response.
    Once(SaslWords),
    /// One answer for each challenge, last one first.
    OneByOne(Vec<SaslWords>),
    /// Everything is in the initial response; a challenge means that it was refused.
    Token {
        first: SaslWords,
        acknowledge: &'static [u8],
    },
    /// The password is hashed with the server's challenge.
    Hashed(Zeroizing<String>, String),
    Scram(Box<Scram>),
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange(…)")
    }
}

impl Exchange {
    /// Begins a login. User names and secrets that the mechanism cannot transmit are an error.
    pub fn begin(mechanism: Mechanism, who: &Credentials<'_>) -> Result<Self> {
        if who.user.is_empty() || who.user.chars().chain(who.secret().chars()).any(char::is_control) {
            return Err(Error::permanent(
                Kind::Config,
                "the user name or the password cannot be sent: control character",
            ));
        }
        Ok(Self(match mechanism {
            Mechanism::Plain => SaslState::Once(plain_words(who.user, who.secret())),
            Mechanism::Login => SaslState::OneByOne(vec![words(who.secret()), words(who.user)]),
            Mechanism::OauthBearer => {
                let name = gs2_name(who.user);
                let place = format!("host={}\x01port={}", who.host, who.port);
                let first = words(&format!("n,a={name},\x01{place}\x01auth=Bearer {}\x01\x01", who.secret()));
                SaslState::Token { first, acknowledge: b"\x01" }
            }
            Mechanism::Xoauth2 => {
                let first = words(&format!("user={}\x01auth=Bearer {}\x01\x01", who.user, who.secret()));
                SaslState::Token { first, acknowledge: b"" }
            }
            Mechanism::External => SaslState::Once(words(who.user)),
            Mechanism::CramMd5 => SaslState::Hashed(Zeroizing::new(who.secret().to_owned()), who.user.to_owned()),
            Mechanism::ScramSha256Plus => scram(Hash::Sha256, who, true)?,
            Mechanism::ScramSha256 => scram(Hash::Sha256, who, false)?,
            Mechanism::ScramSha1 => scram(Hash::Sha1, who, false)?,
        }))
    }

    /// The client's initial response; `None` if the server sends a challenge first.
    pub fn first_words(&self) -> Option<SaslWords> {
        match &self.0 {
            SaslState::Once(first) | SaslState::Token { first, .. } => Some(first.clone()),
            SaslState::OneByOne(_) | SaslState::Hashed(..) => None,
            SaslState::Scram(scram) => Some(words(&scram.first_words())),
        }
    }

    /// The client's answer to the server's challenge.
    pub fn answer(&mut self, question: &[u8]) -> Result<SaslWords> {
        match &mut self.0 {
            SaslState::Once(_) => Err(one_challenge_too_many()),
            SaslState::OneByOne(left) => left.pop().ok_or_else(one_challenge_too_many),
            // The challenge holds the reason; the refusal comes after this answer (RFC 7628 3.2.3).
            SaslState::Token { acknowledge, .. } => Ok(acknowledge.to_vec().into()),
            SaslState::Hashed(password, user) => {
                let answer = hashed(user, password, question)?;
                // There is no answer to a second challenge.
                self.0 = SaslState::OneByOne(Vec::new());
                Ok(answer)
            }
            SaslState::Scram(scram) => scram.answer(question),
        }
    }

    /// Call when the server says that the login succeeded. It is an error if the server had to prove itself and has not.
    pub fn done(&self) -> Result<()> {
        match &self.0 {
            SaslState::Scram(scram) => scram.done(),
            _ => Ok(()),
        }
    }
}

fn scram(hash: Hash, who: &Credentials<'_>, is_bound: bool) -> Result<SaslState> {
    Scram::begin(hash, who.user, who.secret(), who.binding, is_bound).map(|scram| SaslState::Scram(Box::new(scram)))
}

/// The longest challenge of CRAM-MD5, in bytes: it is a Message-ID, on one line.
const LONGEST_CHALLENGE_BYTES: usize = 1024;

/// The user name, and the HMAC-MD5 of the challenge with the password as key (RFC 2195 2).
fn hashed(user: &str, password: &str, challenge: &[u8]) -> Result<SaslWords> {
    let none = || Error::permanent(Kind::Protocol, "the server's challenge does not fit CRAM-MD5");
    if challenge.is_empty() || challenge.len() > LONGEST_CHALLENGE_BYTES {
        return Err(none());
    }
    let mut mac = Hmac::<Md5>::new_from_slice(password.as_bytes()).map_err(|_| none())?;
    mac.update(challenge);
    Ok(words(&format!("{user} {}", HEXLOWER.encode(&mac.finalize().into_bytes()))))
}

/// Escapes `=` and `,` in a user name, for GS2 headers and SCRAM (RFC 5802 5.1).
pub(super) fn gs2_name(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

fn plain_words(user: &str, password: &str) -> SaslWords {
    words(&format!("\0{user}\0{password}"))
}

fn words(text: &str) -> SaslWords {
    text.as_bytes().to_vec().into()
}

fn one_challenge_too_many() -> Error {
    Error::permanent(Kind::Protocol, "the server sent one login challenge too many")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(mechanism: Mechanism, user: &str, secret: &str) -> Result<Exchange> {
        let secret = SecretString::from(secret);
        Exchange::begin(
            mechanism,
            &Credentials { user, secret: &secret, host: "mx.example", port: 587, binding: Binding::Impossible },
        )
    }

    /// The mechanism that is tried first with these offers.
    fn first(choice: MechanismChoice, list: &[&str]) -> Option<Mechanism> {
        choice.among(|name| list.contains(&name)).mechanisms.first().copied()
    }

    const PRIVATE: MechanismChoice = MechanismChoice { only: None, token: false, is_private: true, exported: None };

    #[test]
    fn the_strongest_first() {
        use Mechanism::{CramMd5, External, Login, Plain, ScramSha1, ScramSha256, ScramSha256Plus, Xoauth2};
        let all = ["LOGIN", "PLAIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "EXTERNAL"];
        assert_eq!(first(PRIVATE, &all), Some(ScramSha256));
        assert_eq!(first(MechanismChoice { exported: Some([1; 32]), ..PRIVATE }, &all), Some(ScramSha256Plus));
        assert_eq!(first(PRIVATE, &all[..4]), Some(ScramSha1));
        assert_eq!(first(PRIVATE, &all[..3]), Some(Plain));
        assert_eq!(first(MechanismChoice { is_private: false, ..PRIVATE }, &all[..3]), Some(CramMd5), "others listen");
        assert_eq!(first(PRIVATE, &["LOGIN", "XOAUTH2"]), Some(Login));
        let token = MechanismChoice { token: true, ..PRIVATE };
        assert_eq!(first(token, &["PLAIN", "XOAUTH2"]), Some(Xoauth2));
        assert_eq!(first(token, &all), None);
        assert_eq!(first(MechanismChoice { only: Some(External), ..PRIVATE }, &all), Some(External));
        assert_eq!(first(PRIVATE, &["EXTERNAL"]), None, "only where it is asked for");
    }

    #[test]
    fn the_one_that_is_named_and_no_other() {
        for only in [Mechanism::Login, Mechanism::CramMd5, Mechanism::ScramSha1] {
            let choice = MechanismChoice { only: Some(only), ..PRIVATE };
            assert_eq!(first(choice, &["SCRAM-SHA-256", "PLAIN", only.name()]), Some(only));
            assert_eq!(first(choice, &["SCRAM-SHA-256", "PLAIN"]), None);
            assert!(choice.missing().contains(only.name()));
            assert_eq!(choice.has_login_command(), only == Mechanism::Login);
        }
        let bound = MechanismChoice { only: Some(Mechanism::ScramSha256Plus), ..PRIVATE };
        assert_eq!(first(bound, &["SCRAM-SHA-256-PLUS"]), None);
        assert!(bound.missing().contains("TLS 1.3"));
    }

    /// RFC 2195 2.
    #[test]
    fn cram_md5() {
        let mut cram = begin(Mechanism::CramMd5, "tim", "tanstaaftanstaaf").unwrap();
        assert!(cram.first_words().is_none());
        let answer = cram.answer(b"<1896.697170952@postoffice.reston.mci.net>").unwrap();
        assert_eq!(answer.as_slice(), b"tim b913a602c7eda7a495b4e6e7334d3890");
        assert!(cram.answer(b"again").is_err());
        for challenge in [b"".as_slice(), &[b'x'; 2000]] {
            assert!(begin(Mechanism::CramMd5, "tim", "x").unwrap().answer(challenge).is_err());
        }
    }

    #[test]
    fn external_says_the_name() {
        assert_eq!(begin(Mechanism::External, "me", "").unwrap().first_words().unwrap().as_slice(), b"me");
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
