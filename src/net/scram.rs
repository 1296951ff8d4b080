//! SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, RFC 7677); the latter can also be bound to the TLS connection by `tls-exporter`
//! (RFC 9266).
//!
//! HMAC and PBKDF2 come from `ring`, which TLS uses already.

use std::num::NonZeroU32;

use data_encoding::BASE64;
use ring::rand::SecureRandom;
use ring::{digest, hmac, pbkdf2};
use secrecy::zeroize::Zeroizing;
use unicode_normalization::UnicodeNormalization;

use super::sasl::{Binding, SaslWords, gs2_name};
use crate::error::{Error, Kind, Result};

/// Fewer iterations make a stolen password database cheap to search (RFC 7677 section 4); more would keep us busy for minutes.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=2_000_000;
/// The hash function of the mechanism.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hash {
    /// For old servers. It is broken against collisions, but not in the way that SCRAM uses it.
    Sha1,
    Sha256,
}

impl Hash {
    fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        }
    }
}

/// The GS2 header and the channel binding data (RFC 5802 6). `is_bound`: the mechanism is the -PLUS variant.
///
/// `y` tells the server that we support channel binding and saw no offer of it. A server that did offer it then knows that
/// somebody removed the offer.
fn gs2(binding: Binding, is_bound: bool) -> (&'static str, Vec<u8>) {
    match binding {
        Binding::Offered(exported) if is_bound => ("p=tls-exporter,,", exported.to_vec()),
        Binding::NotOffered(_) => ("y,,", Vec::new()),
        Binding::Offered(_) | Binding::Impossible => ("n,,", Vec::new()),
    }
}

/// One login from the client's side.
pub(super) struct Scram {
    hash: Hash,
    gs2: &'static str,
    bound: Vec<u8>,
    user: String,
    nonce: String,
    password: Zeroizing<String>,
    step: ScramStep,
}

enum ScramStep {
    /// The client's first message is sent, or about to be.
    First,
    /// The proof is sent; the server must answer with its signature of this text.
    Proved { server_key: hmac::Key, signed: String },
    /// The server has proved itself.
    Verified,
}

impl Scram {
    pub(super) fn begin(hash: Hash, user: &str, password: &str, binding: Binding, is_bound: bool) -> Result<Self> {
        let mut random = [0; 18];
        let filled = ring::rand::SystemRandom::new().fill(&mut random);
        filled.map_err(|_| Error::transient(Kind::Auth, "the system provides no random bytes"))?;
        let (gs2, bound) = gs2(binding, is_bound);
        Ok(Self { hash, gs2, bound, ..Self::with_nonce(user, password, BASE64.encode(&random)) })
    }

    fn with_nonce(user: &str, password: &str, nonce: String) -> Self {
        let user = gs2_name(&prepared(user));
        let password = Zeroizing::new(prepared(password));
        Self { hash: Hash::Sha256, gs2: "n,,", bound: Vec::new(), user, nonce, password, step: ScramStep::First }
    }

    pub(super) fn first_words(&self) -> String {
        format!("{}{}", self.gs2, self.first_bare())
    }

    fn first_bare(&self) -> String {
        format!("n={},r={}", self.user, self.nonce)
    }

    pub(super) fn answer(&mut self, question: &[u8]) -> Result<SaslWords> {
        let question = std::str::from_utf8(question).map_err(|_| self.violation("not text"))?;
        match &self.step {
            ScramStep::First => self.prove(question),
            ScramStep::Proved { server_key, signed } => {
                verify(server_key, signed, question)?;
                self.step = ScramStep::Verified;
                Ok(SaslWords::default())
            }
            ScramStep::Verified => Err(self.violation("it continues after the end")),
        }
    }

    pub(super) fn done(&self) -> Result<()> {
        match self.step {
            ScramStep::Verified => Ok(()),
            _ => Err(impostor()),
        }
    }

    /// Answers the server's first message with the client's final message (RFC 5802 section 3).
    fn prove(&mut self, server_first: &str) -> Result<SaslWords> {
        let challenge = Challenge::parse(server_first, &self.nonce).map_err(|what| self.violation(what))?;
        let hash = self.hash;
        let mut salted = Zeroizing::new(vec![0; hash.digest().output_len()]);
        let password = self.password.as_bytes();
        pbkdf2::derive(hash.pbkdf2(), challenge.iterations, &challenge.salt, password, salted.as_mut());
        let salted = hmac::Key::new(hash.hmac(), salted.as_ref());
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = hmac::Key::new(hash.hmac(), digest::digest(hash.digest(), client_key.as_ref()).as_ref());
        let bound = BASE64.encode(&[self.gs2.as_bytes(), &self.bound].concat());
        let without_proof = format!("c={bound},r={}", challenge.nonce);
        let signed = format!("{},{server_first},{without_proof}", self.first_bare());
        let signature = hmac::sign(&stored_key, signed.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let server_key = hmac::Key::new(hash.hmac(), hmac::sign(&salted, b"Server Key").as_ref());
        self.step = ScramStep::Proved { server_key, signed };
        Ok(format!("{without_proof},p={}", BASE64.encode(&proof)).into_bytes().into())
    }

    fn violation(&self, what: &str) -> Error {
        Error::permanent(Kind::Protocol, format!("the server does not speak {}: {what}", self.hash.name()))
    }
}

/// `r=…,s=…,i=…` (RFC 5802 5.1).
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl<'a> Challenge<'a> {
    /// The error says what is wrong with it.
    fn parse(text: &'a str, ours: &str) -> Result<Self, &'static str> {
        let mut fields = text.split(',');
        // A first field `m=` is a mandatory extension, which we do not know.
        let mut field = |name: &str| fields.next().and_then(|field| field.strip_prefix(name));
        let (nonce, salt, iterations) = (field("r="), field("s="), field("i="));
        let nonce = nonce.filter(|nonce| nonce.len() > ours.len() && nonce.starts_with(ours));
        let nonce = nonce.ok_or("not our nonce")?;
        let salt = salt.and_then(|salt| BASE64.decode(salt.as_bytes()).ok()).filter(|salt| !salt.is_empty());
        let iterations = iterations.and_then(|number| number.parse().ok()).filter(|number| ITERATIONS.contains(number));
        Ok(Self {
            nonce,
            salt: salt.ok_or("no salt")?,
            iterations: iterations.and_then(NonZeroU32::new).ok_or("too few or too many iterations")?,
        })
    }
}

/// Checks `v=…`, the server's proof that it knows the password, or returns the error of `e=…`.
fn verify(server_key: &hmac::Key, signed: &str, server_final: &str) -> Result<()> {
    let field = server_final.split(',').next().unwrap_or_default();
    if let Some(error) = field.strip_prefix("e=") {
        return Err(Error::permanent(Kind::Auth, "the server refuses the login").said(error));
    }
    let signature = field.strip_prefix("v=").and_then(|text| BASE64.decode(text.as_bytes()).ok()).unwrap_or_default();
    hmac::verify(server_key, signed.as_bytes(), &signature).map_err(|_| impostor())
}

/// SASLprep (RFC 4013), as far as it affects text that people type: other spaces become spaces, invisible characters are
/// removed, and the rest is normalised to NFKC.
fn prepared(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let visible = text.chars().filter(|c| !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'));
    visible.map(|c| if c.is_whitespace() { ' ' } else { c }).nfkc().collect()
}

fn impostor() -> Error {
    Error::permanent(Kind::Auth, "the server has not proved that it knows the password")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn scram() -> Scram {
        Scram::with_nonce("user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_owned())
    }

    /// RFC 7677 section 3.
    #[test]
    fn the_example_of_the_rfc() {
        let mut scram = scram();
        assert_eq!(scram.first_words(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let answer = scram.answer(SERVER_FIRST.as_bytes()).unwrap();
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(answer.as_slice(), expected.as_bytes());
        assert!(scram.done().is_err(), "the server has proved nothing yet");
        assert!(scram.answer(SERVER_FINAL.as_bytes()).unwrap().is_empty());
        scram.done().unwrap();
        assert!(scram.answer(b"").is_err());
    }

    /// RFC 5802 section 5.
    #[test]
    fn the_example_with_sha_1() {
        let nonce = "fyko+d2lbbFgONRv9qkxdawL".to_owned();
        let mut scram = Scram { hash: Hash::Sha1, ..Scram::with_nonce("user", "pencil", nonce) };
        let first = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        let expected = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
        assert_eq!(scram.answer(first).unwrap().as_slice(), expected.as_bytes());
        assert!(scram.answer(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").unwrap().is_empty());
        scram.done().unwrap();
    }

    /// RFC 5802 6, RFC 9266: the proof repeats the GS2 header, together with the channel binding data.
    #[test]
    fn a_login_is_bound_to_its_connection() {
        let exported = [7; 32];
        for (binding, is_bound, said, repeated) in [
            (
                Binding::Offered(exported),
                true,
                "p=tls-exporter,,",
                [b"p=tls-exporter,,".as_slice(), &exported].concat(),
            ),
            (Binding::Offered(exported), false, "n,,", b"n,,".to_vec()),
            (Binding::NotOffered(exported), false, "y,,", b"y,,".to_vec()),
            (Binding::Impossible, false, "n,,", b"n,,".to_vec()),
        ] {
            let mut scram = Scram::begin(Hash::Sha256, "user", "pencil", binding, is_bound).unwrap();
            assert!(scram.first_words().starts_with(&format!("{said}n=user,r=")));
            let first = format!("r={}more,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", scram.nonce);
            let answer = scram.answer(first.as_bytes()).unwrap();
            assert!(answer.starts_with(format!("c={},", BASE64.encode(&repeated)).as_bytes()));
        }
    }

    #[test]
    fn a_server_that_does_not_know_the_password() {
        for last in ["v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "v=", "", "v=AAAA", "e=invalid-proof"] {
            let mut scram = scram();
            scram.answer(SERVER_FIRST.as_bytes()).unwrap();
            assert_eq!(scram.answer(last.as_bytes()).unwrap_err().kind(), Kind::Auth, "{last}");
            assert!(scram.done().is_err());
        }
    }

    #[test]
    fn challenges_that_are_none() {
        let nonce = "rOprNGfwEbeRWgbNEkqO";
        for first in [
            "r=somebodyElse,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".to_owned(),
            format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
            format!("r={nonce}x,s=,i=4096"),
            format!("r={nonce}x,s=%%,i=4096"),
            format!("r={nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1"),
            format!("r={nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000"),
            format!("r={nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ=="),
            format!("m=ext,r={nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
            String::new(),
        ] {
            assert!(scram().answer(first.as_bytes()).is_err(), "{first}");
        }
        assert!(scram().answer(b"\xff").is_err());
    }

    #[test]
    fn names_and_passwords_are_prepared() {
        assert_eq!(prepared("a\u{ad}b\u{a0}\u{2168}"), "ab IX");
        assert_eq!(Scram::with_nonce("a,b=c", "", "N".to_owned()).first_words(), "n,,n=a=2Cb=3Dc,r=N");
    }
}
