//! A connection that may or may not be inside TLS, and that does not wait for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::deadline;
use super::pace::Pace;

/// A TCP connection, plain or inside TLS. Reading from it fails when the peer is silent for too long.
#[derive(Debug)]
pub struct Stream {
    wire: Wire,
    pace: Pace,
}

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Before STARTTLS, or to a loopback address.
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self { wire: Wire::Plain(tcp), pace: Pace::new(deadline::GREETING) }
    }

    /// Inside TLS.
    pub(super) fn tls(tls: TlsStream<TcpStream>) -> Self {
        Self { wire: Wire::Tls(Box::new(tls)), pace: Pace::new(deadline::GREETING) }
    }

    /// The connection underneath, if it is not inside TLS.
    pub(super) fn into_plain(self) -> Option<TcpStream> {
        match self.wire {
            Wire::Plain(tcp) => Some(tcp),
            Wire::Tls(_) => None,
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
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
