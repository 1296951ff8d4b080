//! `tls_pin`: the SHA-256 of a public key (its SubjectPublicKeyInfo, RFC 7469 2.4), which stays when a certificate is renewed, or
//! of a certificate, as other programs print its fingerprint.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};

const KEY: &str = "sha256:";
const CERTIFICATE: &str = "cert-sha256:";

/// What a server must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The hash of its public key.
    Key([u8; 32]),
    /// The hash of its certificate.
    Certificate([u8; 32]),
}

impl Pin {
    /// Of a key as it stands in a certificate.
    pub fn of(key_info: &[u8]) -> Self {
        Self::Key(Sha256::digest(key_info).into())
    }

    /// Of a certificate in DER.
    pub fn of_certificate(der: &[u8]) -> Self {
        Self::Certificate(Sha256::digest(der).into())
    }

    /// `sha256:` and the hash of a key in base64, or `cert-sha256:` and that of a certificate in hexadecimal digits, with colons
    /// between them or without.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix(CERTIFICATE) {
            let hash = HEXLOWER_PERMISSIVE.decode(digits.replace(':', "").as_bytes()).ok()?;
            return hash.try_into().ok().map(Self::Certificate);
        }
        let hash = BASE64.decode(text.strip_prefix(KEY)?.as_bytes()).ok()?;
        hash.try_into().ok().map(Self::Key)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(hash) => write!(f, "{KEY}{}", BASE64.encode(hash)),
            Self::Certificate(hash) => write!(f, "{CERTIFICATE}{}", HEXLOWER.encode(hash)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_copied() {
        for pin in [Pin::of(b"a key"), Pin::of_certificate(b"a certificate")] {
            assert_eq!(Pin::parse(&pin.to_string()), Some(pin));
        }
        let colons = "cert-sha256:".to_owned() + &["AB"; 32].join(":");
        assert_eq!(Pin::parse(&colons), Some(Pin::Certificate([0xab; 32])));
        for text in [
            "",
            "sha256:",
            "sha256:YQ==",
            "sha1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "sha256:47DEQpj8",
            "cert-sha256:ab",
            "cert-sha256:",
        ] {
            assert_eq!(Pin::parse(text), None, "{text}");
        }
    }
}
