//! Trust for what is fetched over https, the same as for servers of mail.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::error::{Error, Kind, Result};

/// TLS with the authorities of a PEM file, or with the system's.
///
/// # Errors
///
/// [`Kind::Tls`] where the file cannot be read, or holds something else.
pub fn tls_config(ca_file: Option<&Path>) -> Result<TlsConfig> {
    ca_file.map_or_else(|| Ok(of_the_system()), |path| authorities_in(path).map(|found| trusting(&found)))
}

/// TLS with the system's authorities.
pub fn of_the_system() -> TlsConfig {
    trusting(&rustls_native_certs::load_native_certs().certs)
}

fn trusting(authorities: &[CertificateDer<'_>]) -> TlsConfig {
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
