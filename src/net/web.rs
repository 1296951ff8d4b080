//! TLS settings for HTTPS. They trust the same authorities as mail connections do.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::error::{Error, Kind, Result};

/// TLS that trusts the authorities of a PEM file, or those of the system.
///
/// # Errors
///
/// [`Kind::Tls`] if the file cannot be read, or contains anything but certificates.
pub fn tls_config(ca_file: Option<&Path>) -> Result<TlsConfig> {
    ca_file
        .map_or_else(|| Ok(system_tls_config()), |path| authorities_in(path).map(|found| tls_config_trusting(&found)))
}

/// TLS that trusts the system's authorities.
pub fn system_tls_config() -> TlsConfig {
    tls_config_trusting(&rustls_native_certs::load_native_certs().certs)
}

fn tls_config_trusting(authorities: &[CertificateDer<'_>]) -> TlsConfig {
    let roots: Vec<Certificate<'static>> =
        authorities.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

fn authorities_in(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let failed = |e| Error::permanent(Kind::Tls, format!("reading {}", path.display())).because(e);
    CertificateDer::pem_file_iter(path).map_err(failed)?.map(|certificate| certificate.map_err(failed)).collect()
}
