//! What can be learnt about a server from outside: its addresses, which of them answer, and its TLS certificate.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::{Stream, deadline, within};
use crate::clean;
use crate::config::Pin;
use crate::error::{Error, Kind, Result};

/// How long to wait for one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many addresses of a name are looked at.
const MOST_ADDRESSES: usize = 32;
/// How many names of a certificate are reported.
const MOST_NAMES: usize = 5;

/// The addresses of a host.
pub async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let doing = format!("looking up {host}");
    let found: Vec<SocketAddr> =
        within(deadline::CONNECT, &doing, tokio::net::lookup_host((host, port))).await?.take(MOST_ADDRESSES).collect();
    match found.is_empty() {
        true => Err(Error::transient(Kind::Network, format!("{doing}: the name has no address"))),
        false => Ok(found),
    }
}

/// How long each address takes to accept a connection. All are tried at the same time.
pub async fn connect_times(addresses: &[SocketAddr]) -> Vec<(SocketAddr, Result<Duration>)> {
    let mut tried = JoinSet::new();
    for (number, address) in addresses.iter().copied().enumerate() {
        tried.spawn(async move { (number, address, connect_time(address).await) });
    }
    let mut ended = tried.join_all().await;
    ended.sort_by_key(|(number, ..)| *number);
    ended.into_iter().map(|(_, address, answered)| (address, answered)).collect()
}

async fn connect_time(address: SocketAddr) -> Result<Duration> {
    let begun = Instant::now();
    within(CONNECT_TIMEOUT, &address.to_string(), TcpStream::connect(address)).await.map(|_| begun.elapsed())
}

/// Whether an address belongs to this machine or a private network, where no mail provider can be.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
    }
}

/// What a TLS handshake showed.
#[derive(Clone, Debug)]
pub struct ShownTls {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The server's own certificate, where it can be read.
    pub certificate: Option<CertificateFacts>,
    /// How many certificates it sent.
    pub sent: usize,
}

/// The content of a certificate.
#[derive(Clone, Debug)]
pub struct CertificateFacts {
    /// The names that it is valid for, or the first of them.
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// Until when it is valid.
    pub until: Timestamp,
    /// The pin of its key.
    pub pin: Pin,
}

impl Stream {
    /// What the TLS handshake showed, if the connection uses TLS.
    pub fn shown(&self) -> Option<ShownTls> {
        let connection = self.tls_connection()?;
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        };
        let chain = connection.peer_certificates().unwrap_or_default();
        Some(ShownTls { version, certificate: chain.first().and_then(facts), sent: chain.len() })
    }
}

/// Reads a certificate (RFC 5280).
fn facts(der: &CertificateDer<'_>) -> Option<CertificateFacts> {
    let certificate = Certificate::from_der(der).ok()?;
    let inner = certificate.tbs_certificate();
    let until = inner.validity().not_after.to_unix_duration().as_secs();
    let names = inner.get_extension::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
    let name = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(clean::short(name.as_str(), 80)),
        _ => None,
    };
    Some(CertificateFacts {
        names: names.iter().filter_map(name).take(MOST_NAMES).collect(),
        issuer: clean::short(&inner.issuer().to_string(), 120),
        until: Timestamp::from_second(i64::try_from(until).ok()?).ok()?,
        pin: super::trust::pin_of(der)?,
    })
}
