//! `tls_pin`: the SHA-256 of a public key (its SubjectPublicKeyInfo, RFC 7469 2.4), which stays when a certificate is renewed.

use std::fmt;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

const PREFIX: &str = "sha256:";

/// The hash of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// Of a key as it stands in a certificate.
    pub fn of(key_info: &[u8]) -> Self {
        Self(Sha256::digest(key_info).into())
    }

    /// `sha256:` and the hash in base64.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let hash = BASE64.decode(text.strip_prefix(PREFIX)?.as_bytes()).ok()?;
        hash.try_into().ok().map(Self)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_copied() {
        let pin = Pin::of(b"a key");
        assert_eq!(Pin::parse(&pin.to_string()), Some(pin));
        for text in
            ["", "sha256:", "sha256:YQ==", "sha1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "sha256:47DEQpj8"]
        {
            assert_eq!(Pin::parse(text), None, "{text}");
        }
    }
}
