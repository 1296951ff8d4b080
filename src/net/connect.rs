//! From a [`Server`] to a [`Stream`]: dial, shake hands.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::dial::dial;
use super::{Stream, deadline, within};
use crate::config::{Server, Tls};
use crate::error::{Error, Kind, Result};

/// Opens a connection as far as the server's `tls` says: for [`Tls::Implicit`] inside TLS, otherwise plain.
pub async fn connect(server: &Server) -> Result<Stream> {
    let tcp = dial(server).await?;
    match server.tls {
        Tls::Implicit => handshake(tcp, server).await,
        Tls::StartTls | Tls::None => Ok(Stream::plain(tcp)),
    }
}

/// Opens a connection to a socket of this machine.
pub async fn connect_unix(path: &Path) -> Result<Stream> {
    let place = format!("connecting to {}", path.display());
    within(deadline::CONNECT, &place, UnixStream::connect(path)).await.map(Stream::unix)
}

/// Turns a plain connection into TLS after STARTTLS or STLS. The caller has checked that the server sent
/// nothing after its reply: such bytes would be answers that an attacker put in before the handshake
/// (`reliability.md` T3).
pub async fn start_tls(stream: Stream, server: &Server) -> Result<Stream> {
    match stream.into_plain() {
        Some(tcp) => handshake(tcp, server).await,
        None => Err(Error::permanent(Kind::Protocol, "TLS inside TLS")),
    }
}

async fn handshake(tcp: TcpStream, server: &Server) -> Result<Stream> {
    let doing = format!("TLS with {}", server.host);
    let name = ServerName::try_from(server.host.clone())
        .map_err(|e| Error::permanent(Kind::Tls, format!("{doing}: not a host name")).because(e))?;
    let connector = TlsConnector::from(client_config(server.ca_file.as_deref())?);
    match tokio::time::timeout(deadline::TLS, connector.connect(name, tcp)).await {
        Ok(Ok(tls)) => Ok(Stream::tls(tls)),
        Ok(Err(e)) if is_about_trust(&e) => Err(Error::permanent(Kind::Tls, doing + advice(&e)).because(e)),
        Ok(Err(e)) => Err(Error::network(doing, e)),
        Err(_) => Err(Error::transient(Kind::Network, format!("{doing}: the handshake stalled"))),
    }
}

/// A certificate that does not hold, or no common version: somebody has to look, trying again is useless.
fn is_about_trust(error: &io::Error) -> bool {
    let Some(tls) = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) else { return false };
    matches!(
        tls,
        rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion)
    )
}

/// What a person can do about a certificate that does not hold. Going on without one is not among it.
fn advice(error: &io::Error) -> &'static str {
    use rustls::CertificateError::{NotValidForName, NotValidForNameContext, UnknownIssuer};
    match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(UnknownIssuer)) => {
            " (nobody this machine trusts has signed its certificate; `ca_file` names another authority)"
        }
        Some(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
            " (its certificate is for another name; `host` must be the name in it)"
        }
        _ => "",
    }
}

fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    match ca_file {
        Some(path) => build(roots_from(path)?),
        None => match SYSTEM.get() {
            Some(config) => Ok(Arc::clone(config)),
            None => {
                let config = build(system_roots()?)?;
                Ok(Arc::clone(SYSTEM.get_or_init(|| config)))
            }
        },
    }
}

fn build(roots: RootCertStore) -> Result<Arc<ClientConfig>> {
    // The provider is named here because two providers in one dependency tree make the default one a panic.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::permanent(Kind::Tls, "preparing TLS").because(e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
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
