//! From a [`Server`] to a [`Stream`]: connect and do the TLS handshake.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::dial::dial;
use super::heard::HeardBytes;
use super::trust::{Unproven, client_config};
use super::{Stream, deadline, mistaken, within};
use crate::config::{Server, Tls};
use crate::error::{Error, Kind, Result};

/// Opens a connection: inside TLS for [`Tls::Implicit`], otherwise plain.
pub async fn connect(server: &Server) -> Result<Stream> {
    let tcp = dial(server).await?;
    match server.tls {
        Tls::Implicit => handshake(tcp, server).await,
        Tls::StartTls | Tls::None => {
            mistaken::speaks_first(&tcp, server).await?;
            Ok(Stream::plain(tcp))
        }
    }
}

/// The same for addresses that are already known, one after the other. It does not check for a server that expects TLS at once.
pub async fn connect_at(server: &Server, addresses: &[SocketAddr]) -> Result<Stream> {
    let place = format!("connecting to {} port {}", server.host, server.port);
    let tcp = within(deadline::CONNECT, &place, TcpStream::connect(addresses)).await?;
    match server.tls {
        Tls::Implicit => handshake(tcp, server).await,
        Tls::StartTls | Tls::None => Ok(Stream::plain(tcp)),
    }
}

/// Connects to a Unix socket.
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

/// Whether the server answers a TLS handshake, even with a certificate that is not trusted.
pub(super) async fn answers_handshake(server: &Server) -> bool {
    let Ok(tcp) = dial(server).await else { return false };
    let Ok((connector, name)) = connector(server, "") else { return false };
    match connector.connect(name, HeardBytes::new(tcp)).into_fallible().await {
        Ok(_) => true,
        Err((error, _)) => is_about_trust(&error),
    }
}

fn connector(server: &Server, doing: &str) -> Result<(TlsConnector, ServerName<'static>)> {
    let name = server.trust.name.clone().unwrap_or_else(|| server.host.clone());
    let name = ServerName::try_from(name)
        .map_err(|e| Error::permanent(Kind::Tls, format!("{doing}: not a host name")).because(e))?;
    Ok((TlsConnector::from(client_config(server)?), name))
}

async fn handshake(tcp: TcpStream, server: &Server) -> Result<Stream> {
    let doing = format!("TLS with {}", server.host);
    let (connector, name) = connector(server, &doing)?;
    let shaken = connector.connect(name, HeardBytes::new(tcp)).into_fallible();
    match tokio::time::timeout(deadline::TLS, shaken).await {
        Ok(Ok(tls)) => Ok(Stream::tls(tls)),
        Ok(Err((e, heard))) => {
            let mistaken = mistaken::without_tls(heard.beginning(), server);
            Err(mistaken.filter(|_| server.tls == Tls::Implicit).unwrap_or_else(|| failed(doing, e)))
        }
        Err(_) => Err(Error::transient(Kind::Network, format!("{doing}: the handshake stalled"))),
    }
}

fn failed(doing: String, error: io::Error) -> Error {
    match rustls_error(&error).and_then(Unproven::within_error) {
        Some(unproven) => {
            let failed = Error::permanent(Kind::Tls, doing).because(in_words(&unproven.cause));
            failed.helped_by(advice(unproven))
        }
        None if is_about_trust(&error) => Error::permanent(Kind::Tls, doing).because(error),
        None => Error::network(doing, error),
    }
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// A certificate that is not trusted, or no common TLS version: a person has to act, and retrying does not help.
fn is_about_trust(error: &io::Error) -> bool {
    matches!(
        rustls_error(error),
        Some(
            rustls::Error::InvalidCertificate(_)
                | rustls::Error::NoCertificatesPresented
                | rustls::Error::PeerIncompatible(_)
                | rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion)
        )
    )
}

/// Why a certificate is not trusted. rustls has sentences for most causes, but only identifiers for these.
fn in_words(cause: &rustls::Error) -> String {
    use rustls::CertificateError::{ApplicationVerificationFailure, BadEncoding, BadSignature, Revoked, UnknownIssuer};
    let rustls::Error::InvalidCertificate(why) = cause else { return cause.to_string() };
    match why {
        UnknownIssuer => "nobody this machine trusts has signed its certificate".to_owned(),
        ApplicationVerificationFailure => "its key matches none of the pins in `tls_pin`".to_owned(),
        BadSignature => "the signature of its certificate is wrong".to_owned(),
        BadEncoding => "its certificate cannot be read".to_owned(),
        Revoked => "its certificate was revoked".to_owned(),
        _ => cause.to_string(),
    }
}

/// What a person can do about a certificate that is not trusted. Ignoring it is not an option.
fn advice(unproven: &Unproven) -> String {
    use rustls::CertificateError::{NotValidForName, NotValidForNameContext, UnknownIssuer};
    let why = match &unproven.cause {
        _ if unproven.is_pinned => "either the certificate was renewed, or somebody intercepts the connection; ",
        rustls::Error::InvalidCertificate(UnknownIssuer) => "`ca_file` names another authority; ",
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "its certificate is for another name; `host` or `tls_name` must be the name in it; "
        }
        _ => "",
    };
    match &unproven.shown {
        Some(pin) => {
            format!("{why}if you know that this key is your server's, `tls_pin: {pin}` trusts it and no other")
        }
        None => why.trim_end_matches("; ").to_owned(),
    }
}
