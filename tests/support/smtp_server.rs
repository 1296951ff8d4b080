//! An SMTP (RFC 5321) or LMTP (RFC 2033) server that collects what it is given, on a port or a socket of its own. It
//! behaves, unless [`SmtpOptions`] say otherwise.
//!
//! ```ignore
//! let server = SmtpServer::start(SmtpOptions::default());
//! … port: server.port() …
//! assert_eq!(server.mails()[0].to, ["you@example.com"]);
//! assert_eq!(server.mails()[0].wire, b"Subject: x\r\n\r\nhello\r\n");
//! ```
//!
//! How the end of a message is recognised can be chosen ([`Eyes`]): servers differ, and a message that is one for the
//! strict and two for the lax has smuggled the second one in.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::smtp_login::Login;
use super::smtp_session::Session;
use super::tls;
use super::wire::Security;

const PATIENCE: Duration = Duration::from_secs(20);

/// How the end of a message is recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eyes {
    /// CRLF `.` CRLF and nothing else.
    #[default]
    Strict,
    /// A CR before a LF is nothing: LF `.` LF ends a message.
    LaxLf,
    /// CR, LF and CRLF are all line ends.
    LaxCr,
    /// As [`Eyes::LaxLf`], and NULs are dropped first.
    DropsNul,
}

#[derive(Clone)]
pub struct SmtpOptions {
    pub lmtp: bool,
    pub security: Security,
    /// The lines of the reply to EHLO. STARTTLS is added by the server.
    pub capabilities: Vec<String>,
    /// EHLO is not known.
    pub only_helo: bool,
    /// What AUTH and its answers are compared with.
    pub login: Option<Login>,
    pub eyes: Eyes,
    /// A reply in place of the usual one, by the beginning of the command: `RCPT TO:<no@x>`, `MAIL`, `DATA`, `.`,
    /// `greeting`; for LMTP `.2` is the second reply after the data. `close` instead of a reply closes, `hang` says nothing.
    pub replies: BTreeMap<String, String>,
    /// The connection ends in place of this reply, counted over all connections from 1, the greeting included.
    pub cut_at_reply: Option<usize>,
    /// … or in the middle of it.
    pub half_a_reply: bool,
    /// Sent in the clear right behind the 220 to STARTTLS.
    pub injection: String,
    /// Before every reply.
    pub delay: Duration,
    /// The connection is closed after so many mails.
    pub mails_per_connection: Option<usize>,
    /// So many recipients are taken for one mail; the next ones get this reply.
    pub recipients_per_mail: Option<(usize, &'static str)>,
    /// A message with a line over 998 bytes is refused, as Exchange and qmail do.
    pub refuses_long_lines: bool,
}

impl Default for SmtpOptions {
    /// SMTP in the clear with all it knows, without login.
    fn default() -> Self {
        let capabilities = ["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 10000000"];
        SmtpOptions {
            lmtp: false,
            security: Security::Plain,
            capabilities: capabilities.map(str::to_owned).to_vec(),
            only_helo: false,
            login: None,
            eyes: Eyes::Strict,
            replies: BTreeMap::new(),
            cut_at_reply: None,
            half_a_reply: false,
            injection: String::new(),
            delay: Duration::ZERO,
            mails_per_connection: None,
            recipients_per_mail: None,
            refuses_long_lines: false,
        }
    }
}

impl SmtpOptions {
    pub fn lmtp() -> Self {
        SmtpOptions { lmtp: true, ..Self::default() }
    }

    pub fn without(mut self, capability: &str) -> Self {
        self.capabilities.retain(|known| known.split(' ').next() != Some(capability));
        self
    }

    pub fn with(mut self, capability: &str) -> Self {
        self.capabilities.push(capability.to_owned());
        self
    }

    /// This reply to commands that begin so.
    pub fn reply(mut self, command: &str, reply: &str) -> Self {
        self.replies.insert(command.to_owned(), reply.to_owned());
        self
    }
}

/// One message that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The whole MAIL command.
    pub mail: String,
    /// The addresses of the accepted recipients.
    pub to: Vec<String>,
    /// What came after DATA, without the end.
    pub wire: Vec<u8>,
    /// The number of the connection it came over, from 1.
    pub connection: usize,
}

impl Taken {
    /// The message as a strict server stores it: dots unstuffed, CRLF turned into LF.
    pub fn message(&self) -> Vec<u8> {
        let lines = self.wire.split_inclusive(|byte| *byte == b'\n');
        let one = |line: &[u8]| {
            let line = line.strip_prefix(b".").unwrap_or(line);
            line.strip_suffix(b"\r\n").map_or(line.to_vec(), |text| [text, b"\n"].concat())
        };
        lines.flat_map(one).collect()
    }
}

/// Ends when dropped.
pub struct SmtpServer {
    address: Option<SocketAddr>,
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) options: SmtpOptions,
    pub(super) mails: Mutex<Vec<Taken>>,
    pub(super) commands: Mutex<Vec<String>>,
    /// Replies that hold for now, before those of the options.
    pub(super) moods: Mutex<BTreeMap<String, String>>,
    /// Called with each command before its reply.
    pub(super) hook: Mutex<Option<Hook>>,
    pub(super) replies: AtomicUsize,
    connections: AtomicUsize,
    /// The most commands that came before the first of them was answered.
    pub(super) ahead: AtomicUsize,
    stopped: AtomicBool,
}

type Hook = Box<dyn FnMut(&str) + Send>;

impl SmtpServer {
    pub fn start(options: SmtpOptions) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let server = Self::new(Some(address), options);
        let shared = server.shared.clone();
        std::thread::spawn(move || {
            for stream in socket.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                shared.clone().serve(Stream::Plain(stream));
            }
        });
        server
    }

    /// On a socket of this machine.
    pub fn start_unix(path: &Path, options: SmtpOptions) -> Self {
        let socket = UnixListener::bind(path).unwrap();
        let server = Self::new(None, options);
        let shared = server.shared.clone();
        std::thread::spawn(move || {
            for stream in socket.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                shared.clone().serve(Stream::Unix(stream));
            }
        });
        server
    }

    fn new(address: Option<SocketAddr>, options: SmtpOptions) -> Self {
        let shared = Shared {
            options,
            mails: Mutex::default(),
            commands: Mutex::default(),
            moods: Mutex::default(),
            hook: Mutex::default(),
            replies: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            ahead: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        };
        SmtpServer { address, shared: Arc::new(shared) }
    }

    pub fn port(&self) -> u16 {
        self.address.unwrap().port()
    }

    /// Everything that was taken, in order.
    pub fn mails(&self) -> Vec<Taken> {
        lock(&self.shared.mails).clone()
    }

    pub fn count(&self) -> usize {
        lock(&self.shared.mails).len()
    }

    pub fn last(&self) -> Taken {
        lock(&self.shared.mails).last().unwrap().clone()
    }

    /// Every command as it came; answers to AUTH are not among them.
    pub fn commands(&self) -> Vec<String> {
        lock(&self.shared.commands).clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The most commands that lay there together when one of them was answered.
    pub fn most_ahead(&self) -> usize {
        self.shared.ahead.load(Ordering::SeqCst)
    }

    /// From now on these replies, as in [`SmtpOptions::replies`], before those of the options; `taken` to `.` takes the
    /// message and closes without a word. Empty: as at the start.
    pub fn mood(&self, replies: &[(&str, &str)]) {
        let all = replies.iter().map(|(command, reply)| ((*command).to_owned(), (*reply).to_owned()));
        *lock(&self.shared.moods) = all.collect();
    }

    /// Does something when a command has come, before its reply.
    pub fn at_command(&self, hook: impl FnMut(&str) + Send + 'static) {
        *lock(&self.shared.hook) = Some(Box::new(hook));
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the one that waits for clients.
        let _ = self.address.map(TcpStream::connect);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(super) enum Stream {
    Plain(TcpStream),
    Unix(std::os::unix::net::UnixStream),
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>),
    Gone,
}

impl Stream {
    pub(super) fn reader(&mut self) -> &mut dyn Read {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Unix(stream) => stream,
            Stream::Tls(stream) => stream,
            Stream::Gone => panic!("the stream is gone"),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::Gone => Ok(()),
        }
    }

    pub(super) fn start_tls(&mut self, security: Security) {
        let (Security::StartTls(certificate) | Security::Implicit(certificate)) = security else { return };
        if let Stream::Plain(tcp) = std::mem::replace(self, Stream::Gone) {
            let connection = rustls::ServerConnection::new(tls::server_config(certificate)).unwrap();
            *self = Stream::Tls(Box::new(rustls::StreamOwned::new(connection, tcp)));
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// What the two ends of TLS 1.3 share (RFC 9266).
    pub(super) fn exported(&self) -> Option<[u8; 32]> {
        let Stream::Tls(stream) = self else { return None };
        stream.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()
    }
}

impl Shared {
    fn serve(self: Arc<Self>, mut stream: Stream) {
        let number = self.connections.fetch_add(1, Ordering::SeqCst) + 1;
        std::thread::spawn(move || {
            if matches!(self.options.security, Security::Implicit(_)) {
                stream.start_tls(self.options.security);
            }
            let mut session = Session::new(&self, stream, number);
            // The client went away, or a fault ends it.
            let _ = session.run();
        });
    }
}
