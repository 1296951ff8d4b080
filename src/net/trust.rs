//! Whether a server's certificate is trusted: it is checked against the authorities of the system or of `ca_file`, or, with
//! `tls_pin` in the config, only against the hash of its public key (as in RFC 7469 2.4).

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use crate::config::{ClientCertificate, Pin, Server, Trust, secret};
use crate::error::{Error, Kind, Result};

/// The TLS client configuration for this server.
pub(super) fn client_config(server: &Server) -> Result<Arc<ClientConfig>> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let Trust { ca_file, pins, client, .. } = &server.trust;
    let client = client.as_ref();
    if !pins.is_empty() {
        return build(|_| Ok(Anchor::Pins(pins.clone())), client);
    }
    if let Some(path) = ca_file {
        let roots = roots_from(path)?;
        return build(|provider| authorities(roots, provider), client);
    }
    if let (Some(config), None) = (SYSTEM.get(), client) {
        return Ok(Arc::clone(config));
    }
    let roots = system_roots()?;
    let config = build(|provider| authorities(roots, provider), client)?;
    match client {
        Some(_) => Ok(config),
        None => Ok(Arc::clone(SYSTEM.get_or_init(|| config))),
    }
}

/// What the trust in a certificate is based on.
#[derive(Debug)]
enum Anchor {
    Authorities(Arc<WebPkiServerVerifier>),
    /// The key must match one of the pins; nothing else in the certificate matters, nor who signed it.
    Pins(Vec<Pin>),
}

#[derive(Debug)]
struct PinVerifier {
    anchor: Anchor,
    provider: Arc<CryptoProvider>,
}

/// A certificate that is not trusted: the reason, and the pin that would match it.
#[derive(Debug)]
pub(super) struct Unproven {
    pub(super) cause: rustls::Error,
    pub(super) shown: Option<Pin>,
    /// Whether the config has pins, and none of them matches.
    pub(super) is_pinned: bool,
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for Unproven {}

impl Unproven {
    /// The cause within a failed handshake, if the certificate was the cause.
    pub(super) fn within_error(error: &rustls::Error) -> Option<&Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => other.downcast_ref(),
            _ => None,
        }
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = pin_of(end_entity);
        let (verdict, is_pinned) = match &self.anchor {
            Anchor::Authorities(verifier) => {
                (verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now), false)
            }
            Anchor::Pins(pins) if pins.contains(&Pin::of_certificate(end_entity)) => {
                (Ok(ServerCertVerified::assertion()), true)
            }
            Anchor::Pins(pins) if shown.as_ref().is_some_and(|shown| pins.contains(shown)) => {
                (Ok(ServerCertVerified::assertion()), true)
            }
            Anchor::Pins(_) => (Err(CertificateError::ApplicationVerificationFailure.into()), true),
        };
        verdict.map_err(|cause| {
            let unproven = Unproven { cause, shown, is_pinned };
            CertificateError::Other(OtherError(Arc::new(unproven))).into()
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

pub(super) fn pin_of(certificate: &CertificateDer<'_>) -> Option<Pin> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    Some(Pin::of(&parsed.subject_public_key_info()))
}

fn authorities(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Anchor> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    verifier.map(Anchor::Authorities).map_err(|e| Error::permanent(Kind::Tls, "preparing TLS").because(e))
}

fn build(
    anchor: impl FnOnce(&Arc<CryptoProvider>) -> Result<Anchor>,
    client: Option<&ClientCertificate>,
) -> Result<Arc<ClientConfig>> {
    // The provider is named explicitly: with two of them in the dependency tree, the default one panics.
    let provider = Arc::new(ring::default_provider());
    let verifier = PinVerifier { anchor: anchor(&provider)?, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::permanent(Kind::Tls, "preparing TLS").because(e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some(ClientCertificate { certificate, key }) = client else {
        return Ok(Arc::new(config.with_no_client_auth()));
    };
    let unusable = |error| {
        let doing = format!("using the certificate of {} with the key of {}", certificate.display(), key.display());
        Error::permanent(Kind::Config, doing).because(error)
    };
    config.with_client_auth_cert(chain_from(certificate)?, key_from(key)?).map(Arc::new).map_err(unusable)
}

/// The user's client certificate, with its chain.
fn chain_from(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let failed =
        |error| Error::permanent(Kind::Config, format!("reading client_cert {}", path.display())).because(error);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(failed)?.collect();
    let chain = chain.map_err(failed)?;
    if chain.is_empty() {
        let doing = format!("reading client_cert {}: it holds no certificate", path.display());
        return Err(Error::permanent(Kind::Config, doing));
    }
    Ok(chain)
}

/// The private key of the client certificate. It is a secret like a password.
fn key_from(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let doing = format!("reading client_key {}", path.display());
    secret::check_file(path, &doing)?;
    PrivateKeyDer::from_pem_file(path).map_err(|e| Error::permanent(Kind::Config, doing).because(e))
}

fn system_roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let mut e = Error::permanent(Kind::Tls, "no trusted certificates on this system: install `ca-certificates`");
        if let Some(cause) = found.errors.into_iter().next() {
            e = e.because(cause);
        }
        return Err(e);
    }
    Ok(roots)
}

fn roots_from(path: &Path) -> Result<RootCertStore> {
    let doing = || format!("reading ca_file {}", path.display());
    let mut roots = RootCertStore::empty();
    let pem = CertificateDer::pem_file_iter(path).map_err(|e| Error::permanent(Kind::Tls, doing()).because(e))?;
    for certificate in pem {
        let certificate = certificate.map_err(|e| Error::permanent(Kind::Tls, doing()).because(e))?;
        roots.add(certificate).map_err(|e| Error::permanent(Kind::Tls, doing()).because(e))?;
    }
    if roots.is_empty() {
        return Err(Error::permanent(Kind::Tls, format!("{}: it holds no certificate", doing())));
    }
    Ok(roots)
}
