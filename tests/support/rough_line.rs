//! A rough line between the program and an SMTP server, whoever wrote that: it breaks, and it answers in the server's
//! place that now is not the time. It notes what the server took, and whether the program was told so.
//!
//! ```ignore
//! let line = RoughLine::to(server.port(), seed);
//! … port: line.port() …
//! line.calm();
//! assert!(line.taken().iter().all(|mail| mail.told));
//! ```

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::smtp_server::Taken;

const PATIENCE: Duration = Duration::from_secs(20);

/// What the server took, or may have taken.
#[derive(Clone, Debug)]
pub struct Passed {
    pub mail: Taken,
    /// The server said so, and that was passed on.
    pub told: bool,
    /// The server said so.
    pub sure: bool,
}

/// Numbers by xorshift: the same seed, the same storm.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// What becomes of a command.
#[derive(PartialEq)]
enum Fate {
    Passed,
    /// Refused for now, and the server never sees it.
    NotNow,
    /// 421, and the end.
    GoingDown,
    Cut,
    /// The server gets it, and its reply is lost.
    ReplyLost,
}

struct Shared {
    server: u16,
    random: Mutex<Random>,
    passed: Mutex<Vec<Passed>>,
    hook: Mutex<Option<Hook>>,
    calm: AtomicBool,
    connections: AtomicUsize,
}

type Hook = Box<dyn FnMut(usize) + Send>;

pub struct RoughLine {
    port: u16,
    shared: Arc<Shared>,
}

impl RoughLine {
    /// To the server on that port of this machine. It need not run all the time.
    pub fn to(server: u16, seed: u64) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server,
            random: Mutex::new(Random::new(seed)),
            passed: Mutex::default(),
            hook: Mutex::default(),
            calm: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in socket.incoming() {
                let (shared, client) = (Arc::clone(&serving), client.unwrap());
                let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                // Whatever ends it ends both sides.
                std::thread::spawn(move || _ = shared.pass(client, number));
            }
        });
        RoughLine { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on everything is passed on.
    pub fn calm(&self) {
        self.shared.calm.store(true, Ordering::SeqCst);
    }

    /// In the order in which the server took it.
    pub fn passed(&self) -> Vec<Passed> {
        lock(&self.shared.passed).clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Does something at each command and each final dot, with the number of the connection, before it is passed on.
    pub fn at_command(&self, hook: impl FnMut(usize) + Send + 'static) {
        *lock(&self.shared.hook) = Some(Box::new(hook));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

/// One side of the line.
struct End {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl End {
    fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(End { reader: BufReader::new(stream.try_clone()?), writer: stream })
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.ends_with(b"\n") { Ok(line) } else { Err(broken()) }
    }

    fn reply(&mut self) -> io::Result<Vec<u8>> {
        let mut reply = Vec::new();
        loop {
            let line = self.line()?;
            reply.extend_from_slice(&line);
            if line.get(3) != Some(&b'-') {
                return Ok(reply);
            }
        }
    }
}

impl Shared {
    /// About a fifth of all commands fails.
    fn fate(&self, command: &[u8]) -> Fate {
        if self.calm.load(Ordering::SeqCst) {
            return Fate::Passed;
        }
        let can_be_refused = [&b"MAIL"[..], b"RCPT", b"DATA", b"."].iter().any(|verb| command.starts_with(verb));
        match lock(&self.random).below(100) {
            0..3 => Fate::GoingDown,
            3..6 => Fate::Cut,
            6..12 if command == b".\r\n" => Fate::ReplyLost,
            6..20 if can_be_refused => Fate::NotNow,
            _ => Fate::Passed,
        }
    }

    fn pass(&self, client: TcpStream, number: usize) -> io::Result<()> {
        let mut client = End::of(client)?;
        let mut server = End::of(TcpStream::connect((Ipv4Addr::LOCALHOST, self.server))?)?;
        client.writer.write_all(&server.reply()?)?;
        let mut mail = Taken::default();
        loop {
            let command = client.line()?;
            self.comes(number);
            match self.fate(&command) {
                Fate::Passed | Fate::ReplyLost => {}
                Fate::NotNow => {
                    client.writer.write_all(b"451 4.3.0 not now\r\n")?;
                    continue;
                }
                Fate::GoingDown => return client.writer.write_all(b"421 4.3.2 going down\r\n"),
                Fate::Cut => return Ok(()),
            }
            server.writer.write_all(&command)?;
            let reply = server.reply()?;
            let text = String::from_utf8_lossy(&command).trim_end().to_owned();
            if text.starts_with("MAIL") {
                mail = Taken { mail: text.clone(), connection: number, ..Taken::default() };
            } else if text.starts_with("RCPT") && reply.starts_with(b"250") {
                mail.to.extend(text.split(['<', '>']).nth(1).map(str::to_owned));
            }
            client.writer.write_all(&reply)?;
            if text.starts_with("DATA")
                && reply.starts_with(b"354")
                && !self.message(&mut client, &mut server, &mail)?
            {
                return Ok(());
            }
        }
    }

    /// The message and what is said to it. Whether the line goes on.
    fn message(&self, client: &mut End, server: &mut End, mail: &Taken) -> io::Result<bool> {
        let mut mail = mail.clone();
        loop {
            let line = client.line()?;
            if line == b".\r\n" {
                break;
            }
            server.writer.write_all(&line)?;
            mail.wire.extend(line);
        }
        self.comes(mail.connection);
        let fate = self.fate(b".\r\n");
        match fate {
            Fate::Passed | Fate::ReplyLost => {}
            // Without its dot the server has no message.
            Fate::NotNow => return client.writer.write_all(b"451 4.3.0 not now\r\n").map(|()| false),
            Fate::GoingDown => return client.writer.write_all(b"421 4.3.2 going down\r\n").map(|()| false),
            Fate::Cut => return Ok(false),
        }
        server.writer.write_all(b".\r\n")?;
        let Ok(reply) = server.reply() else {
            // The server died at it.
            lock(&self.passed).push(Passed { mail, told: false, sure: false });
            return Ok(false);
        };
        let told = fate == Fate::Passed;
        if reply.starts_with(b"250") {
            // Before it is said: the test looks as soon as the program has heard it.
            lock(&self.passed).push(Passed { mail, told, sure: true });
        }
        if told {
            client.writer.write_all(&reply)?;
        }
        Ok(told)
    }

    fn comes(&self, number: usize) {
        if let Some(hook) = lock(&self.hook).as_mut() {
            hook(number);
        }
    }
}
