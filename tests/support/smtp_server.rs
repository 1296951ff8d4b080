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

use super::smtp_login::{self, Login};
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

struct Shared {
    options: SmtpOptions,
    mails: Mutex<Vec<Taken>>,
    commands: Mutex<Vec<String>>,
    /// Called with each command before its reply.
    hook: Mutex<Option<Hook>>,
    replies: AtomicUsize,
    connections: AtomicUsize,
    /// The most commands that came before the first of them was answered.
    ahead: AtomicUsize,
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

enum Stream {
    Plain(TcpStream),
    Unix(std::os::unix::net::UnixStream),
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>),
    Gone,
}

impl Stream {
    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Unix(stream) => stream,
            Stream::Tls(stream) => stream,
            Stream::Gone => panic!("the stream is gone"),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::Gone => Ok(()),
        }
    }

    fn start_tls(&mut self, security: Security) {
        let (Security::StartTls(certificate) | Security::Implicit(certificate)) = security else { return };
        if let Stream::Plain(tcp) = std::mem::replace(self, Stream::Gone) {
            let connection = rustls::ServerConnection::new(tls::server_config(certificate)).unwrap();
            *self = Stream::Tls(Box::new(rustls::StreamOwned::new(connection, tcp)));
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }
}

impl Shared {
    fn serve(self: Arc<Self>, mut stream: Stream) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        std::thread::spawn(move || {
            if matches!(self.options.security, Security::Implicit(_)) {
                stream.start_tls(self.options.security);
            }
            let mut session =
                Session { shared: &self, stream, received: Vec::new(), taken: None, authenticated: false, mails: 0 };
            // The client went away, or a fault ends it.
            let _ = session.run();
        });
    }
}

struct Session<'s> {
    shared: &'s Shared,
    stream: Stream,
    received: Vec<u8>,
    /// Between MAIL and the end of the data.
    taken: Option<Taken>,
    authenticated: bool,
    mails: usize,
}

fn end() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

impl Session<'_> {
    fn run(&mut self) -> io::Result<()> {
        self.answer("greeting", "220 mx.example ESMTP")?;
        loop {
            let line = self.line()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            lock(&self.shared.commands).push(line.clone());
            let ahead = 1 + self.received.iter().filter(|byte| **byte == b'\n').count();
            self.shared.ahead.fetch_max(ahead, Ordering::SeqCst);
            if let Some(hook) = lock(&self.shared.hook).as_mut() {
                hook(&line);
            }
            if !self.command(&line)? {
                return Ok(());
            }
        }
    }

    /// Says whether the session goes on.
    fn command(&mut self, line: &str) -> io::Result<bool> {
        let options = &self.shared.options;
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" if !options.lmtp && !options.only_helo => _ = self.hello(line)?,
            "LHLO" if options.lmtp => _ = self.hello(line)?,
            "HELO" if !options.lmtp => _ = self.answer(line, "250 mx.example")?,
            "STARTTLS" => _ = self.start_tls(line)?,
            "AUTH" => _ = self.auth(line)?,
            "RSET" => {
                self.taken = None;
                self.answer(line, "250 as before")?;
            }
            "QUIT" => {
                self.answer(line, "221 bye")?;
                return Ok(false);
            }
            "MAIL" if options.login.is_some() && !self.authenticated => {
                _ = self.answer(line, "530 5.7.0 log in first")?
            }
            "MAIL" if self.taken.is_some() => _ = self.answer(line, "503 one at a time")?,
            "MAIL" => {
                if self.answer(line, "250 sender ok")? {
                    self.taken = Some(Taken { mail: line.to_owned(), ..Taken::default() });
                }
            }
            "RCPT" if self.taken.is_none() => _ = self.answer(line, "503 MAIL first")?,
            "RCPT" => {
                if self.answer(line, "250 recipient ok")? {
                    let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                    self.taken.as_mut().unwrap().to.push(address);
                }
            }
            "DATA" => _ = self.data(line)?,
            _ => _ = self.answer(line, "500 what?")?,
        };
        Ok(true)
    }

    fn hello(&mut self, line: &str) -> io::Result<bool> {
        let mut lines = vec!["250-mx.example".to_owned()];
        lines.extend(self.shared.options.capabilities.iter().map(|line| format!("250-{line}")));
        if matches!(self.shared.options.security, Security::StartTls(_)) && !self.stream.is_tls() {
            lines.push("250-STARTTLS".to_owned());
        }
        let all = lines.join("\r\n") + "\r\n250 HELP";
        self.taken = None;
        self.answer(line, &all)
    }

    fn start_tls(&mut self, line: &str) -> io::Result<bool> {
        let text = format!("220 go\r\n{}", self.shared.options.injection);
        let began = self.answer(line, text.trim_end_matches("\r\n"))?;
        if began {
            self.received.clear();
            self.stream.start_tls(self.shared.options.security);
        }
        Ok(began)
    }

    fn auth(&mut self, line: &str) -> io::Result<bool> {
        let Some(login) = self.shared.options.login.clone() else { return self.answer(line, "502 no login here") };
        let mut words = line.split(' ').skip(1).map(str::to_owned);
        if self.reply_to(line).is_some() {
            return self.answer(line, "");
        }
        let (mechanism, initial) = (words.next().unwrap_or_default(), words.next());
        let accepted = smtp_login::serve(&login, &mechanism, initial, |question| {
            self.stream.write(format!("334 {question}\r\n").as_bytes())?;
            let answer = self.line()?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        })?;
        self.authenticated = accepted;
        self.answer(line, if accepted { "235 welcome" } else { "535 5.7.8 wrong user or password" })
    }

    fn data(&mut self, line: &str) -> io::Result<bool> {
        if self.taken.as_ref().is_none_or(|taken| taken.to.is_empty())
            && !self.shared.options.replies.contains_key("DATA")
        {
            return self.answer(line, "554 no valid recipients");
        }
        let usual = "354 go on";
        let reply = self.reply_to(line).unwrap_or_else(|| usual.to_owned());
        self.answer(line, usual)?;
        if !reply.starts_with('3') {
            return Ok(true);
        }
        let wire = self.message()?;
        let mut taken = self.taken.take().unwrap_or_default();
        taken.wire = wire;
        let count = if self.shared.options.lmtp { taken.to.len() } else { 1 };
        for number in 1..=count {
            let name = if number > 1 { format!(".{number}") } else { ".".to_owned() };
            let is_taken = self.reply_to(&name).is_none_or(|reply| reply.starts_with('2'));
            if number == 1 && is_taken && !taken.to.is_empty() {
                // Before the reply: the test looks as soon as that has come.
                lock(&self.shared.mails).push(taken.clone());
            }
            self.answer(&name, "250 2.0.0 taken")?;
        }
        self.mails += 1;
        if self.shared.options.mails_per_connection.is_some_and(|most| self.mails >= most) {
            Err(end())
        } else {
            Ok(true)
        }
    }

    fn message(&mut self) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        let mut is_start = true;
        loop {
            let (text, line_end) = self.data_line()?;
            let seen: Vec<u8> = match self.shared.options.eyes {
                Eyes::DropsNul => text.iter().copied().filter(|byte| *byte != 0).collect(),
                _ => text.clone(),
            };
            let is_strict_end = line_end == b"\r\n" && (is_start || message.ends_with(b"\r\n"));
            if seen == b"." && (self.shared.options.eyes != Eyes::Strict || is_strict_end) {
                return Ok(message);
            }
            is_start = false;
            message.extend(text);
            message.extend(line_end);
        }
    }

    /// A line and its end, as these eyes see lines.
    fn data_line(&mut self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let with_cr = self.shared.options.eyes == Eyes::LaxCr;
        let mut from = 0;
        loop {
            let is_end = |byte: &u8| *byte == b'\n' || (with_cr && *byte == b'\r');
            let found = self.received[from..].iter().position(is_end).map(|at| from + at);
            let length = match found {
                Some(at) if self.received[at] == b'\n' => Some(at + 1),
                // A LF may follow.
                Some(at) if at + 1 < self.received.len() => Some(at + 1 + usize::from(self.received[at + 1] == b'\n')),
                _ => None,
            };
            if let Some(length) = length {
                let line: Vec<u8> = self.received.drain(..length).collect();
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                let text = text.strip_suffix(b"\r").unwrap_or(text).to_vec();
                let line_end = line[text.len()..].to_vec();
                return Ok((text, line_end));
            }
            from = found.unwrap_or(self.received.len());
            self.read_more()?;
        }
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=at).collect();
                return Ok(line.trim_ascii_end().to_vec());
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let read = self.stream.reader().read(&mut buffer)?;
        self.received.extend_from_slice(&buffer[..read]);
        if read == 0 { Err(end()) } else { Ok(()) }
    }

    fn reply_to(&self, command: &str) -> Option<String> {
        let replies = &self.shared.options.replies;
        // `.` is not the beginning of `.2`.
        let fits =
            |key: &&String| if command.starts_with('.') { *key == command } else { command.starts_with(&***key) };
        replies.keys().filter(fits).max_by_key(|key| key.len()).map(|key| replies[key].clone())
    }

    /// The usual reply or another one. Says whether the command was taken.
    fn answer(&mut self, command: &str, usual: &str) -> io::Result<bool> {
        std::thread::sleep(self.shared.options.delay);
        let number = self.shared.replies.fetch_add(1, Ordering::SeqCst) + 1;
        let reply = self.reply_to(command).unwrap_or_else(|| usual.to_owned());
        if self.shared.options.cut_at_reply == Some(number) {
            if self.shared.options.half_a_reply {
                self.stream.write(&reply.as_bytes()[..reply.len() / 2])?;
            }
            return Err(end());
        }
        match reply.as_str() {
            "close" => return Err(end()),
            "hang" => loop {
                self.read_more()?;
            },
            text => self.stream.write(format!("{text}\r\n").as_bytes())?,
        }
        Ok(reply.starts_with('2'))
    }
}
