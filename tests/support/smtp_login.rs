//! The server's side of AUTH for [`super::smtp_server`]: PLAIN, LOGIN, CRAM-MD5, SCRAM, EXTERNAL, OAUTHBEARER and
//! XOAUTH2.

use std::io;

use ring::{digest, hmac, pbkdf2};

use super::base64;

/// Who may log in.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    /// The password or the token.
    pub secret: String,
    /// SCRAM: the server shows a wrong signature, as one that does not know the password.
    pub is_impostor: bool,
}

impl Login {
    pub fn new(user: &str, secret: &str) -> Self {
        Login { user: user.to_owned(), secret: secret.to_owned(), is_impostor: false }
    }

    fn is(&self, user: &str, secret: &str) -> bool {
        self.user == user && self.secret == secret
    }
}

/// Asks and says whether the login was right.
pub fn serve(
    login: &Login,
    mechanism: &str,
    initial: Option<String>,
    exported: Option<[u8; 32]>,
    mut ask: impl FnMut(&str) -> io::Result<String>,
) -> io::Result<bool> {
    if mechanism == "LOGIN" {
        let user = text(&ask("VXNlcm5hbWU6")?);
        let password = text(&ask("UGFzc3dvcmQ6")?);
        return Ok(login.is(&user, &password));
    }
    if mechanism == "CRAM-MD5" {
        let challenge = "<17.4711@mx.example>";
        let answer = text(&ask(&base64::encode(challenge.as_bytes()))?);
        return Ok(answer == format!("{} {}", login.user, hmac_md5(login.secret.as_bytes(), challenge.as_bytes())));
    }
    let first = match initial {
        Some(initial) => initial,
        None => ask("")?,
    };
    match mechanism {
        "PLAIN" => Ok(base64::plain_login(&first).is_some_and(|(user, password)| login.is(&user, &password))),
        "XOAUTH2" => {
            let right = format!("user={}\x01auth=Bearer {}\x01\x01", login.user, login.secret);
            token(text(&first) == right, "", &mut ask)
        }
        "OAUTHBEARER" => {
            let first = text(&first);
            let is_right = first.starts_with(&format!("n,a={},\x01host=", login.user))
                && first.ends_with(&format!("\x01auth=Bearer {}\x01\x01", login.secret));
            token(is_right, "AQ==", &mut ask)
        }
        "SCRAM-SHA-1" => scram(login, &SHA_1, &text(&first), b"", &mut ask),
        "SCRAM-SHA-256" => scram(login, &SHA_256, &text(&first), b"", &mut ask),
        "SCRAM-SHA-256-PLUS" => scram(login, &SHA_256, &text(&first), &exported.unwrap(), &mut ask),
        // The certificate was looked at before, somewhere else.
        "EXTERNAL" => Ok(text(&first) == login.user),
        _ => Ok(false),
    }
}

/// A wrong token is explained, and the explanation acknowledged, before it is refused.
fn token(is_right: bool, ack: &str, ask: &mut impl FnMut(&str) -> io::Result<String>) -> io::Result<bool> {
    if !is_right {
        let explained = ask(&base64::encode(b"{\"status\":\"401\"}"))?;
        assert_eq!(explained, ack, "the client acknowledges");
    }
    Ok(is_right)
}

/// What a SCRAM is made of.
struct Hash {
    digest: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

static SHA_1: Hash = Hash {
    digest: &digest::SHA1_FOR_LEGACY_USE_ONLY,
    hmac: hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
    pbkdf2: pbkdf2::PBKDF2_HMAC_SHA1,
};
static SHA_256: Hash = Hash { digest: &digest::SHA256, hmac: hmac::HMAC_SHA256, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256 };

/// `exported`: what the connection has to be bound to, for the mechanism with -PLUS.
fn scram(
    login: &Login,
    hash: &Hash,
    first: &str,
    exported: &[u8],
    ask: &mut impl FnMut(&str) -> io::Result<String>,
) -> io::Result<bool> {
    let headers: &[&str] = if exported.is_empty() { &["n,,", "y,,"] } else { &["p=tls-exporter,,"] };
    let Some(header) = headers.iter().find(|header| first.starts_with(**header)) else { return Ok(false) };
    let bare = &first[header.len()..];
    let (user, nonce) = bare.split_once(",r=").unwrap_or_default();
    let (salt, nonce) = (b"salty", format!("{nonce}server"));
    let server_first = format!("r={nonce},s={},i=4096", base64::encode(salt));
    let last = text(&ask(&base64::encode(server_first.as_bytes()))?);
    let (without_proof, proof) = last.rsplit_once(",p=").unwrap_or_default();
    let mut salted = vec![0; hash.digest.output_len()];
    let iterations = std::num::NonZeroU32::new(4096).unwrap();
    pbkdf2::derive(hash.pbkdf2, iterations, salt, login.secret.as_bytes(), &mut salted);
    let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hash.hmac, key), text).as_ref().to_vec();
    let signed = format!("{bare},{server_first},{without_proof}");
    let stored = digest::digest(hash.digest, &sign(&salted, b"Client Key"));
    let signature = sign(stored.as_ref(), signed.as_bytes());
    let client_key: Vec<u8> =
        base64::decode(proof).unwrap_or_default().iter().zip(&signature).map(|(a, b)| a ^ b).collect();
    let bound = base64::encode(&[header.as_bytes(), exported].concat());
    let is_right = digest::digest(hash.digest, &client_key).as_ref() == stored.as_ref()
        && user == format!("n={}", login.user)
        && without_proof == format!("c={bound},r={nonce}");
    if !is_right {
        return Ok(false);
    }
    let key = if login.is_impostor { b"no".to_vec() } else { sign(&salted, b"Server Key") };
    ask(&base64::encode(format!("v={}", base64::encode(&sign(&key, signed.as_bytes()))).as_bytes()))?;
    Ok(true)
}

/// RFC 2104 with MD5, written out: the client has a library for it.
fn hmac_md5(key: &[u8], text: &[u8]) -> String {
    use md5::{Digest, Md5};
    let key = if key.len() > 64 { Md5::digest(key).to_vec() } else { key.to_vec() };
    let pad = |with: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect::<Vec<u8>>();
    let inner = Md5::digest([&pad(0x36), text].concat());
    let outer = Md5::digest([pad(0x5c), inner.to_vec()].concat());
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(answer: &str) -> String {
    String::from_utf8_lossy(&base64::decode(answer).unwrap_or_default()).into_owned()
}
