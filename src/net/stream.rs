//! A connection with or without TLS or compression, on which a silent peer is an error.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::{ClientConnection, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::deadline;
use super::deflate::Deflate;
use super::heard::HeardBytes;
use super::pace::ReplyPace;

/// A connection over TCP, plain or inside TLS, or to a Unix socket. Reading fails when the peer is silent for too long.
#[derive(Debug)]
pub struct Stream {
    wire: Transport,
    pace: ReplyPace,
    /// Set when both sides compress.
    deflate: Option<Box<Deflate>>,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<HeardBytes>>),
    Unix(UnixStream),
}

impl Stream {
    fn over(wire: Transport) -> Self {
        Self { wire, pace: ReplyPace::new(deadline::GREETING), deflate: None }
    }

    /// A plain connection: before STARTTLS, or to a loopback address.
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self::over(Transport::Plain(tcp))
    }

    /// A connection inside TLS.
    pub(super) fn tls(tls: TlsStream<HeardBytes>) -> Self {
        Self::over(Transport::Tls(Box::new(tls)))
    }

    /// A connection to a Unix socket.
    pub(super) fn unix(socket: UnixStream) -> Self {
        Self::over(Transport::Unix(socket))
    }

    /// Our own address, if the connection uses TCP.
    pub fn local_address(&self) -> Option<IpAddr> {
        let address = match &self.wire {
            Transport::Plain(tcp) => tcp.local_addr(),
            Transport::Tls(tls) => tls.get_ref().0.tcp().local_addr(),
            Transport::Unix(_) => return None,
        };
        address.ok().map(|address| address.ip())
    }

    /// Whether the peer is this machine.
    pub fn is_loopback(&self) -> bool {
        let peer = match &self.wire {
            Transport::Plain(tcp) => tcp.peer_addr(),
            Transport::Tls(tls) => tls.get_ref().0.tcp().peer_addr(),
            Transport::Unix(_) => return true,
        };
        peer.is_ok_and(|peer| peer.ip().to_canonical().is_loopback())
    }

    /// Starts compression. `early`: compressed bytes that were already read.
    pub fn deflate(&mut self, early: &[u8]) {
        self.deflate = Some(Box::new(Deflate::new(early)));
    }

    /// Whether the connection is inside TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.wire, Transport::Tls(_))
    }

    /// The `tls-exporter` data, to bind a login to this TLS connection (RFC 9266). Only with TLS 1.3: in older versions it is
    /// safe only with an extension that we do not check for.
    pub fn exported(&self) -> Option<[u8; 32]> {
        let connection = self.tls_connection()?;
        if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return None;
        }
        connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()
    }

    /// The TLS session, if there is one.
    pub(super) fn tls_connection(&self) -> Option<&ClientConnection> {
        match &self.wire {
            Transport::Tls(tls) => Some(tls.get_ref().1),
            Transport::Plain(_) | Transport::Unix(_) => None,
        }
    }

    /// The TCP connection underneath, if it is a plain one.
    pub(super) fn into_plain(self) -> Option<TcpStream> {
        match self.wire {
            Transport::Plain(tcp) => Some(tcp),
            Transport::Tls(_) | Transport::Unix(_) => None,
        }
    }

    /// A reply is expected; no silence in it may be longer than `limit`.
    pub fn expect_within(&mut self, limit: Duration) {
        self.pace.expect_within(limit);
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = match &mut this.deflate {
            Some(deflate) => deflate.poll_read(cx, &mut this.wire, buf),
            None => Pin::new(&mut this.wire).poll_read(cx, buf),
        };
        match polled {
            Poll::Pending => this.pace.poll_silence(cx).map(Err),
            Poll::Ready(Ok(())) => Poll::Ready(this.pace.arrived(buf.filled().len() - before)),
            failed => failed,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match &mut this.deflate {
            Some(deflate) => deflate.poll_write(cx, &mut this.wire, bytes),
            None => Pin::new(&mut this.wire).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(deflate) = &mut this.deflate {
            ready!(deflate.poll_send(cx, &mut this.wire))?;
        }
        Pin::new(&mut this.wire).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(deflate) = &mut this.deflate {
            ready!(deflate.poll_send(cx, &mut this.wire))?;
        }
        Pin::new(&mut this.wire).poll_shutdown(cx)
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
