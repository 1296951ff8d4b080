//! A line between the program and a server that breaks: one read in a hundred is the last one, or a long time coming.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::support::rough_line::Random;

/// One of so many connections, and of so many reads from the server, goes wrong.
const ONE_IN: u64 = 100;
/// The longest that a line says nothing and then goes on.
const LONGEST_STALL: u64 = 20_000;
/// Our system gives up a connection where it misses acknowledgements for so long, as the program has asked it to
/// (`src/net/alive.rs`),
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
/// and one where nothing is said after so long.
const SILENT: Duration = Duration::from_secs(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Half of what was on its way comes, then the end.
    Cut,
    Reset,
    /// Nothing comes for a while.
    Stall,
    /// Nothing comes any more in either direction, and nobody says so, but that nothing is acknowledged.
    HalfOpen,
    /// What is sent is acknowledged, and nothing is ever answered.
    Mute,
}

impl Fault {
    const ALL: [Fault; 5] = [Fault::Cut, Fault::Reset, Fault::Stall, Fault::HalfOpen, Fault::Mute];
}

/// What broke, and from when on the line could be used again, or made anew.
pub type Broken = (Instant, Fault);

pub struct Line {
    pub host: String,
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    random: Mutex<Random>,
    broken: Mutex<Vec<Broken>>,
    is_rough: AtomicBool,
    connections: Mutex<Vec<Weak<Connection>>>,
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Nothing goes through it any more.
    is_dead: AtomicBool,
    /// When the client first spoke on a dead line.
    spoke_in_vain: OnceLock<Instant>,
    /// Its end is a reset, which goes out when nobody holds it any more.
    is_reset: AtomicBool,
}

impl Line {
    /// At this address of the machine, to the server on that port of it.
    pub fn new(host: &str, server: u16, seed: u64) -> Self {
        let socket = TcpListener::bind((host, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server,
            random: Mutex::new(Random::new(seed)),
            broken: Mutex::default(),
            is_rough: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in socket.incoming() {
                let shared = Arc::clone(&serving);
                // A client that is gone already is none.
                client.and_then(|client| shared.begin(client)).ok();
            }
        });
        Self { host: host.to_owned(), port, shared }
    }

    /// From now on it breaks, or from now on all is well, and what is dead is reset.
    pub fn storm(&self, is_rough: bool) {
        self.shared.is_rough.store(is_rough, Ordering::SeqCst);
        if !is_rough {
            let connections = self.shared.connections.lock().unwrap();
            let dead = |connection: &Arc<Connection>| connection.is_dead.load(Ordering::SeqCst);
            connections.iter().filter_map(Weak::upgrade).filter(dead).for_each(|connection| connection.reset());
        }
    }

    pub fn broken(&self) -> Vec<Broken> {
        self.shared.broken.lock().unwrap().clone()
    }
}

impl Shared {
    fn begin(self: Arc<Self>, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", self.server))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let connection = Arc::new(Connection {
            client,
            server,
            is_dead: AtomicBool::default(),
            spoke_in_vain: OnceLock::new(),
            is_reset: AtomicBool::default(),
        });
        let mut connections = self.connections.lock().unwrap();
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Arc::downgrade(&connection));
        drop(connections);
        let (up, down) = (Arc::clone(&connection), connection);
        // Whatever ends one way ends the other.
        std::thread::spawn(move || {
            up.pass_up().ok();
            up.end();
        });
        std::thread::spawn(move || {
            self.pass_down(&down).ok();
            if !down.is_dead.load(Ordering::SeqCst) {
                down.end();
            }
        });
        Ok(())
    }

    fn pass_down(&self, connection: &Arc<Connection>) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = (&connection.server).read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            let bytes = &buffer[..count];
            if connection.is_dead.load(Ordering::SeqCst) {
                continue;
            }
            match self.fate() {
                None => (&connection.client).write_all(bytes)?,
                Some(Fault::Cut) => {
                    self.note(Fault::Cut);
                    return (&connection.client).write_all(&bytes[..count / 2]);
                }
                Some(Fault::Reset) => {
                    self.note(Fault::Reset);
                    connection.reset();
                    return Ok(());
                }
                Some(Fault::Stall) => {
                    let time = self.random.lock().unwrap().below(LONGEST_STALL);
                    std::thread::sleep(Duration::from_millis(time));
                    self.note(Fault::Stall);
                    (&connection.client).write_all(bytes)?;
                }
                Some(fault @ (Fault::HalfOpen | Fault::Mute)) => {
                    connection.is_dead.store(true, Ordering::SeqCst);
                    self.note(fault);
                    if fault == Fault::HalfOpen {
                        connection.until_it_is_given_up();
                        return Ok(());
                    }
                }
            }
        }
    }

    fn fate(&self) -> Option<Fault> {
        if !self.is_rough.load(Ordering::SeqCst) {
            return None;
        }
        let drawn = self.random.lock().unwrap().below(ONE_IN * Fault::ALL.len() as u64);
        Fault::ALL.get(usize::try_from(drawn).unwrap()).copied()
    }

    fn note(&self, fault: Fault) {
        self.broken.lock().unwrap().push((Instant::now(), fault));
    }
}

impl Connection {
    fn pass_up(&self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = (&self.client).read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            match self.is_dead.load(Ordering::SeqCst) {
                true => _ = self.spoke_in_vain.set(Instant::now()),
                false => (&self.server).write_all(&buffer[..count])?,
            }
        }
    }

    /// By the client, or by our system in its place.
    fn until_it_is_given_up(self: &Arc<Self>) {
        let since = Instant::now();
        let is_given_up = |at: &Instant| at.elapsed() >= UNACKNOWLEDGED;
        while Arc::strong_count(self) > 1 {
            if since.elapsed() >= SILENT || self.spoke_in_vain.get().is_some_and(is_given_up) {
                return self.reset();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn end(&self) {
        self.server.shutdown(Shutdown::Both).ok();
        if !self.is_reset.load(Ordering::SeqCst) {
            self.client.shutdown(Shutdown::Both).ok();
        }
    }

    /// Ends it as a machine does that knows nothing of it.
    fn reset(&self) {
        self.is_reset.store(true, Ordering::SeqCst);
        set_socket_linger(&self.client, Some(Duration::ZERO)).ok();
        // Both who read wake up, and nothing is said yet.
        self.client.shutdown(Shutdown::Read).ok();
        self.server.shutdown(Shutdown::Both).ok();
    }
}
