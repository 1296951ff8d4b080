//! Tokens without a person, for organisations: with a client secret (RFC 6749 4.4), or with the key of a service account
//! (RFC 7523), which signs an assertion that names the mailbox.

use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;
use serde_json::json;

use super::store::HiddenText;
use crate::config::oauth::{Flow, SignIn};
use crate::config::secret::private_file;
use crate::error::{Error, Kind, Result};

/// The lifetime of an assertion, in seconds: the longest that Google accepts.
const ASSERTION_LIFETIME_SECONDS: i64 = 3600;
/// The grant type of a signed assertion.
pub(super) const SIGNED: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The key of a service account, in the format of Google's key file.
#[derive(Deserialize)]
pub(super) struct ServiceAccount {
    client_email: String,
    private_key: HiddenText,
    private_key_id: Option<String>,
}

impl ServiceAccount {
    /// The key for this sign-in; `None` if it uses none.
    pub(super) async fn of(it: &SignIn) -> Result<Option<Self>> {
        let Flow::Key(path) = &it.flow else { return Ok(None) };
        let from = format!("the key file {}", path.display());
        let text = private_file(path, &from).await?;
        // The text of serde's error could quote the key.
        let wrong = |_| Error::permanent(Kind::Config, format!("{from} is not that of a service account"));
        serde_json::from_slice(&text).map(Some).map_err(wrong)
    }

    /// The signed assertion (RFC 7519, RS256) for the mailbox of the sign-in.
    pub(super) fn signed(&self, it: &SignIn, now: i64) -> Result<Zeroizing<String>> {
        let wrong = || Error::permanent(Kind::Config, "the private key of the service account cannot be used");
        let der = PrivatePkcs8KeyDer::from_pem_slice(self.private_key.0.as_bytes()).map_err(|_| wrong())?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|e| wrong().because(e.to_string()))?;
        let mut head = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.private_key_id {
            head["kid"] = id.as_str().into();
        }
        let claims = json!({
            "iss": self.client_email,
            "sub": it.user,
            "scope": it.scope,
            "aud": it.endpoints.token,
            "iat": now,
            "exp": now.saturating_add(ASSERTION_LIFETIME_SECONDS),
        });
        let part = |json: &serde_json::Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let said = format!("{}.{}", part(&head), part(&claims));
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), said.as_bytes(), &mut signature).map_err(|_| wrong())?;
        Ok(Zeroizing::new(format!("{said}.{}", BASE64URL_NOPAD.encode(&signature))))
    }
}
