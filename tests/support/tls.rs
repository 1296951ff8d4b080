//! Certificates that nobody else trusts: a throwaway CA, made once per process, and servers' certificates good
//! and bad.
//!
//! ```ignore
//! let ca_file = tls::write_ca(sandbox.home());      // for `ca_file:` in the config
//! let server = ImapServer::start(&mailbox, ImapOptions::tls(Security::Implicit(Certificate::Expired)));
//! ```

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What a server shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// By the CA, for localhost and 127.0.0.1.
    #[default]
    Valid,
    Expired,
    NotYetValid,
    /// By the CA, for another host.
    WrongName,
    /// By the CA, for smtp.firm.example.
    Firm,
    /// For localhost, but by no CA.
    SelfSigned,
    /// The same as `openssl req -x509` makes it: it says that it is an authority.
    SelfSignedAuthority,
}

const ALL: [Certificate; 7] = {
    use Certificate::{Expired, Firm, NotYetValid, SelfSigned, SelfSignedAuthority, Valid, WrongName};
    [Valid, Expired, NotYetValid, WrongName, Firm, SelfSigned, SelfSignedAuthority]
};

struct Authority {
    ca: CertifiedIssuer<'static, KeyPair>,
    ca_pem: String,
    servers: Vec<Pem>,
    client: Pem,
}

/// A certificate and its key as text.
#[derive(Clone)]
pub struct Pem {
    pub certificate: String,
    pub key: String,
}

pub fn ca_pem() -> &'static str {
    &authority().ca_pem
}

/// Writes `ca.pem` into the folder and returns its path.
pub fn write_ca(folder: &Path) -> PathBuf {
    let path = folder.join("ca.pem");
    std::fs::write(&path, ca_pem()).unwrap();
    path
}

/// Writes a certificate by the CA for the user `me` and its key into the folder, in one file that is the owner's alone.
pub fn write_client(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let Pem { certificate, key } = &authority().client;
    let path = folder.join("client.pem");
    std::fs::write(&path, format!("{certificate}{key}")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// For servers that are not ours and read files.
pub fn pem(certificate: Certificate) -> &'static Pem {
    let index = ALL.iter().position(|known| *known == certificate).unwrap();
    &authority().servers[index]
}

pub fn acceptor(certificate: Certificate) -> TlsAcceptor {
    TlsAcceptor::from(server_config(certificate))
}

pub fn server_config(certificate: Certificate) -> Arc<ServerConfig> {
    config_of(pem(certificate))
}

/// A good certificate by the CA, for these hosts.
pub fn server_config_for(names: &[&str]) -> Arc<ServerConfig> {
    let params = lasting(names.iter().map(|name| (*name).to_owned()).collect());
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority().ca).unwrap().pem();
    config_of(&Pem { certificate, key: key.serialize_pem() })
}

fn config_of(Pem { certificate, key }: &Pem) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    // By name: another crate in the same binary may have chosen another default provider.
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// A client that trusts the CA and nothing else.
pub fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "mailsluice test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Authority {
            ca_pem: ca.pem(),
            servers: ALL.iter().map(|kind| make_server(*kind, &ca)).collect(),
            client: make_client(&ca),
            ca,
        }
    })
}

fn make_client(ca: &CertifiedIssuer<'_, KeyPair>) -> Pem {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "me");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    Pem { certificate: params.signed_by(&key, ca).unwrap().pem(), key: key.serialize_pem() }
}

fn make_server(kind: Certificate, ca: &CertifiedIssuer<'_, KeyPair>) -> Pem {
    let names = match kind {
        Certificate::WrongName => vec!["elsewhere.example".to_owned()],
        Certificate::Firm => vec!["smtp.firm.example".to_owned()],
        _ => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
    };
    let mut params = lasting(names);
    match kind {
        Certificate::Expired => params.not_after = date_time_ymd(2021, 1, 1),
        Certificate::NotYetValid => params.not_before = date_time_ymd(2119, 1, 1),
        Certificate::SelfSignedAuthority => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        _ => {}
    }
    let key = KeyPair::generate().unwrap();
    let certificate = match kind {
        Certificate::SelfSigned | Certificate::SelfSignedAuthority => params.self_signed(&key),
        _ => params.signed_by(&key, ca),
    };
    Pem { certificate: certificate.unwrap().pem(), key: key.serialize_pem() }
}

fn lasting(names: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}

#[cfg(test)]
mod tests {
    use super::{Certificate, acceptor, connector};
    use rustls::pki_types::ServerName;
    use std::io;

    async fn handshake(certificate: Certificate, name: &'static str) -> io::Result<()> {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let server = tokio::spawn(acceptor(certificate).accept(server).into_fallible());
        let outcome = connector().connect(ServerName::try_from(name).unwrap(), client).await;
        server.abort();
        outcome.map(|_| ())
    }

    #[tokio::test]
    async fn only_the_valid_certificate_passes() {
        handshake(Certificate::Valid, "localhost").await.unwrap();
        handshake(Certificate::Valid, "127.0.0.1").await.unwrap();
        for (bad, reason) in [
            (Certificate::Expired, "Expired"),
            (Certificate::NotYetValid, "NotValidYet"),
            (Certificate::WrongName, "NotValidForName"),
            (Certificate::SelfSigned, "UnknownIssuer"),
        ] {
            let error = handshake(bad, "localhost").await.unwrap_err();
            assert!(format!("{error:?}").contains(reason), "{bad:?}: {error:?}");
        }
    }
}
