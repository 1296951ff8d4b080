//! A TCP connection that keeps the first bytes it received: when a TLS handshake fails, they show what the server speaks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How many bytes are kept.
const KEPT_BYTES: usize = 64;

#[derive(Debug)]
pub(super) struct HeardBytes {
    tcp: TcpStream,
    beginning: Vec<u8>,
}

impl HeardBytes {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, beginning: Vec::new() }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// The first bytes that were received.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.beginning
    }
}

impl AsyncRead for HeardBytes {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.tcp).poll_read(cx, buf);
        let room = KEPT_BYTES - this.beginning.len();
        if room > 0 {
            let fresh = &buf.filled()[before..];
            this.beginning.extend_from_slice(&fresh[..fresh.len().min(room)]);
        }
        polled
    }
}

impl AsyncWrite for HeardBytes {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
