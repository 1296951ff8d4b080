//! A connection that may or may not be inside TLS, and that does not wait for ever.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::deadline;
use super::heard::Heard;
use super::pace::Pace;

/// A connection over TCP, plain or inside TLS, or to a socket of this machine. Reading from it fails when the peer is
/// silent for too long.
#[derive(Debug)]
pub struct Stream {
    wire: Wire,
    pace: Pace,
}

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<Heard>>),
    Unix(UnixStream),
}

impl Stream {
    /// Before STARTTLS, or to a loopback address.
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self { wire: Wire::Plain(tcp), pace: Pace::new(deadline::GREETING) }
    }

    /// Inside TLS.
    pub(super) fn tls(tls: TlsStream<Heard>) -> Self {
        Self { wire: Wire::Tls(Box::new(tls)), pace: Pace::new(deadline::GREETING) }
    }

    /// To a socket of this machine.
    pub(super) fn unix(socket: UnixStream) -> Self {
        Self { wire: Wire::Unix(socket), pace: Pace::new(deadline::GREETING) }
    }

    /// Our own address on it, if it is over TCP.
    pub fn local_address(&self) -> Option<IpAddr> {
        let address = match &self.wire {
            Wire::Plain(tcp) => tcp.local_addr(),
            Wire::Tls(tls) => tls.get_ref().0.tcp().local_addr(),
            Wire::Unix(_) => return None,
        };
        address.ok().map(|address| address.ip())
    }

    /// Whether it is inside TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.wire, Wire::Tls(_))
    }

    /// The TCP connection underneath, if it is not inside TLS.
    pub(super) fn into_plain(self) -> Option<TcpStream> {
        match self.wire {
            Wire::Plain(tcp) => Some(tcp),
            Wire::Tls(_) | Wire::Unix(_) => None,
        }
    }

    /// A reply is awaited; no silence in it may be longer than `limit`.
    pub fn expect_within(&mut self, limit: Duration) {
        self.pace.expect_within(limit);
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = match &mut this.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Wire::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Wire::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
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
        match &mut self.get_mut().wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Wire::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Wire::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Wire::Unix(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Wire::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
