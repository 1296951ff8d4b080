//! The network side that the IMAP and POP3 servers share: a listener on loopback with a thread of its own, and a
//! connection that can be cut, chopped into single bytes and turned into TLS.

use super::faults::Faults;
use super::tls::{self, Certificate};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// No test waits longer than this for a client that went away without closing.
const LINGER: Duration = Duration::from_secs(2);
/// What is gathered before it is written, so that a long listing is not one write per line.
const CHUNK: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// No TLS at all, and none offered.
    #[default]
    Plain,
    /// TLS from the first byte.
    Implicit(Certificate),
    /// Begins in the clear, offers STARTTLS or STLS and takes no password before it.
    StartTls(Certificate),
}

/// What a server does with one connection. `Ok` ends it cleanly, [`cut`] abruptly.
pub trait Protocol: Clone + Send + 'static {
    fn serve(&self, conn: &mut Conn) -> impl Future<Output = io::Result<()>> + Send;
}

/// The error with which a server says that a fault ends the connection here.
pub fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, Cut)
}

#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut by a fault")
    }
}

impl std::error::Error for Cut {}

fn is_cut(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Cut>())
}

/// A running server. Ends, with all its connections, when dropped.
pub struct Listener {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// On a free port of 127.0.0.1, in a thread of its own: usable from plain tests and from async ones.
    pub fn start(protocol: impl Protocol, security: Security, faults: &Faults) -> Self {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel();
        let (count, faults) = (connections.clone(), faults.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let socket = TcpListener::from_std(socket).unwrap();
                tokio::select! {
                    () = accept_all(socket, protocol, security, faults, count) => {}
                    _ = stopped => {}
                }
            });
        });
        Listener { address, connections, stop: Some(stop), thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many clients have connected so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let outcome = thread.join();
            // A panic here would hide the one that made the test fail.
            assert!(outcome.is_ok() || std::thread::panicking(), "the server's thread panicked");
        }
    }
}

async fn accept_all(
    socket: TcpListener,
    protocol: impl Protocol,
    security: Security,
    faults: Faults,
    count: Arc<AtomicUsize>,
) {
    loop {
        let Ok((stream, _)) = socket.accept().await else { continue };
        count.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(serve_one(protocol.clone(), Conn::new(stream, security, faults.clone())));
    }
}

async fn serve_one(protocol: impl Protocol, mut conn: Conn) {
    if let Security::Implicit(certificate) = conn.security
        && conn.start_tls(certificate).await.is_err()
    {
        return;
    }
    let outcome = protocol.serve(&mut conn).await;
    match outcome {
        Ok(()) => conn.close(true).await,
        Err(error) if is_cut(&error) => conn.close(false).await,
        Err(_) => {} // the client went away
    }
}

/// One client's connection. What is sent is gathered until [`Conn::flush`].
pub struct Conn {
    /// Empty only while TLS begins.
    stream: Option<BufReader<Stream>>,
    out: Vec<u8>,
    pub security: Security,
    pub faults: Faults,
    /// The replies to the command at hand are not to be sent.
    pub swallow: bool,
}

impl Conn {
    fn new(stream: TcpStream, security: Security, faults: Faults) -> Self {
        // Each write its own segment: the split-up faults are about segments.
        stream.set_nodelay(true).ok();
        let stream = Some(BufReader::new(Stream::Plain(stream)));
        Conn { stream, out: Vec::new(), security, faults, swallow: false }
    }

    fn stream(&mut self) -> &mut BufReader<Stream> {
        self.stream.as_mut().expect("the connection was lost when TLS failed")
    }

    pub fn is_tls(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| matches!(stream.get_ref(), Stream::Tls(_)))
    }

    /// One line without its CRLF or LF. An error at the end of the stream, or when it is longer than `limit`.
    pub async fn read_line(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.stream().take(limit as u64).read_until(b'\n', &mut line).await?;
        if line.pop() != Some(b'\n') {
            let kind = if line.len() + 1 >= limit { io::ErrorKind::InvalidData } else { io::ErrorKind::UnexpectedEof };
            return Err(kind.into());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    pub async fn read_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream().read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    /// Until the client has sent something or closed. Reads nothing, so it may be given up halfway.
    pub async fn wait_readable(&mut self) -> io::Result<()> {
        self.stream().fill_buf().await.map(|_| ())
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        if self.swallow {
            return Ok(());
        }
        self.out.extend_from_slice(bytes.as_ref());
        if self.out.len() >= CHUNK { self.flush().await } else { Ok(()) }
    }

    /// Not a reply but a request to go on: goes out even while replies are swallowed.
    pub async fn send_now(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.out.extend_from_slice(bytes.as_ref());
        self.flush().await
    }

    pub async fn flush(&mut self) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.out);
        if out.is_empty() {
            return Ok(());
        }
        if self.faults.has_habit("lf-only") {
            out.retain(|byte| *byte != b'\r');
        }
        let (allowed, ends) = self.faults.allow_bytes(out.len());
        self.write(&out[..allowed]).await?;
        if ends { Err(cut()) } else { Ok(()) }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let piece = if self.faults.one_byte_segments() { 1 } else { bytes.len().max(1) };
        for segment in bytes.chunks(piece) {
            self.stream().write_all(segment).await?;
            self.stream().flush().await?;
        }
        Ok(())
    }

    /// Sends and ends the connection there.
    pub async fn send_and_cut(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.send(bytes).await?;
        self.flush().await?;
        Err(cut())
    }

    /// Reads without a word until the client gives up.
    pub async fn hang(&mut self) -> io::Result<()> {
        let mut ignored = [0; 4096];
        while self.stream().read(&mut ignored).await? > 0 {}
        Ok(())
    }

    /// The server's half of STARTTLS. What the client sent in the clear before its handshake is dropped.
    pub async fn start_tls(&mut self, certificate: Certificate) -> io::Result<()> {
        let Some(Stream::Plain(tcp)) = self.stream.take().map(BufReader::into_inner) else {
            return Err(io::Error::other("TLS inside TLS"));
        };
        let tls = tls::acceptor(certificate).accept(tcp).await?;
        self.stream = Some(BufReader::new(Stream::Tls(Box::new(tls))));
        Ok(())
    }

    /// Closes the sending side, then waits for the client to close its own: a socket dropped with bytes unread
    /// would reset the connection, and the client could lose what it was sent before.
    async fn close(&mut self, cleanly: bool) {
        let Some(stream) = self.stream.as_mut() else { return };
        let stream = stream.get_mut();
        let closed = match &mut *stream {
            // Around TLS, without its goodbye: that is what a cut looks like.
            Stream::Tls(tls) if !cleanly => tls.get_mut().0.shutdown().await,
            stream => stream.shutdown().await,
        };
        if closed.is_ok() {
            let mut ignored = [0; 4096];
            let drained = async { while stream.read(&mut ignored).await.is_ok_and(|count| count > 0) {} };
            let _ = timeout(LINGER, drained).await;
        }
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
