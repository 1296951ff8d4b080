//! Where the browser returns to: a port of this machine (RFC 8252 7.3), open for one answer.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::stop::is_stopping;

/// How long a person may take in the browser.
pub const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long a connection may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest request head that is read, in bytes.
const MAX_REQUEST_BYTES: usize = 16 * 1024;
/// How many connections may be open at a time. Browsers open some in advance.
const MOST_CONNECTIONS: usize = 32;
const ACCEPT_POLL: Duration = Duration::from_millis(20);
/// How many ports are tried until one is free on both addresses.
const MOST_PORTS_TRIED: u32 = 20;

/// A port on 127.0.0.1 and, if the machine has it, on ::1, because `localhost` may mean either.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<TcpListener>,
    port: u16,
}

/// What a request was, by its path.
#[derive(Debug)]
pub enum CallbackPage<T> {
    /// The answer that we wait for.
    Answer(T),
    /// Anything else.
    Other,
}

impl Listener {
    /// Opens this port, or any free one.
    pub fn open(port: Option<u16>) -> Result<Self> {
        let failed = |e| Error::transient(Kind::Network, "opening a port for the browser").because(e);
        let mut tried = 0;
        loop {
            let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).map_err(failed)?;
            let found = first.local_addr().map_err(failed)?.port();
            let second = TcpListener::bind((Ipv6Addr::LOCALHOST, found));
            tried += 1;
            match second {
                // Another program would receive the answer.
                Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
                    if port.is_some() || tried >= MOST_PORTS_TRIED {
                        return Err(failed(e));
                    }
                }
                second => {
                    // Without IPv6 there is no ::1.
                    let sockets: Vec<TcpListener> = std::iter::once(first).chain(second.ok()).collect();
                    sockets.iter().try_for_each(|socket| socket.set_nonblocking(true)).map_err(failed)?;
                    return Ok(Self { sockets, port: found });
                }
            }
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the answer. Blocks.
    pub fn wait<T>(self, limit: Duration, page: impl Fn(&str) -> CallbackPage<T>) -> Result<T> {
        let until = Instant::now() + limit;
        let (requests, heard) = mpsc::channel();
        let open = Arc::new(AtomicUsize::new(0));
        while Instant::now() < until && !is_stopping() {
            for socket in &self.sockets {
                if let Ok((stream, from)) = socket.accept()
                    && open.load(Ordering::SeqCst) < MOST_CONNECTIONS
                {
                    read_request(stream, from, requests.clone(), Arc::clone(&open));
                }
            }
            let Ok((path, stream)) = heard.recv_timeout(ACCEPT_POLL) else { continue };
            match page(&path) {
                CallbackPage::Answer(answer) => {
                    respond(stream, "200 OK", DONE_PAGE);
                    return Ok(answer);
                }
                CallbackPage::Other => respond(stream, "404 Not Found", OTHER_PAGE),
            }
        }
        Err(Error::transient(
            Kind::Network,
            format!("the browser did not return within {} minutes", limit.as_secs() / 60),
        ))
    }
}

const DONE_PAGE: &str =
    "mailsluice has received the answer. You can close this page; the terminal says whether you are signed in.\n";
const OTHER_PAGE: &str = "This is not the answer that mailsluice is waiting for.\n";

/// Reads a request on its own thread, so that a silent connection does not delay the others.
fn read_request(
    stream: TcpStream,
    from: SocketAddr,
    requests: mpsc::Sender<(String, TcpStream)>,
    open: Arc<AtomicUsize>,
) {
    if !from.ip().is_loopback() {
        return;
    }
    open.fetch_add(1, Ordering::SeqCst);
    let read = move || {
        if let Some(path) = requested_path(&stream) {
            requests.send((path, stream)).ok();
        }
        open.fetch_sub(1, Ordering::SeqCst);
    };
    // If no thread can be started, the browser tries again.
    std::thread::Builder::new().name("browser".to_owned()).spawn(read).ok();
}

fn requested_path(mut stream: &TcpStream) -> Option<String> {
    let until = Instant::now() + REQUEST_TIMEOUT;
    stream.set_nonblocking(false).ok()?;
    let (mut read, mut piece) = (Vec::new(), [0; 1024]);
    while !read.windows(2).any(|two| two == b"\r\n") && read.len() < MAX_REQUEST_BYTES {
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&piece[..count]),
        }
    }
    let line = String::from_utf8_lossy(&read).lines().next().map(str::to_owned)?;
    let mut words = line.split(' ');
    let is_get = words.next() == Some("GET");
    words.next().filter(|path| is_get && path.starts_with('/')).map(str::to_owned)
}

fn respond(mut stream: TcpStream, status: &str, text: &str) {
    let head = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close";
    let answer = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    stream.set_write_timeout(Some(REQUEST_TIMEOUT)).ok();
    // A browser that is gone needs no answer.
    stream.write_all(answer.as_bytes()).ok();
    stream.shutdown(std::net::Shutdown::Write).ok();
    // Unread input would make the kernel send a reset, and the answer could be lost.
    stream.set_read_timeout(Some(Duration::from_millis(200))).ok();
    let mut rest = [0; 4096];
    for _ in 0..8 {
        match stream.read(&mut rest) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_connection_that_says_nothing_and_wrong_answers_hold_up_nobody() {
        let listener = Listener::open(None).unwrap();
        let port = listener.port();
        let page =
            |path: &str| if path == "/?right" { CallbackPage::Answer(path.to_owned()) } else { CallbackPage::Other };
        let waiting = std::thread::spawn(move || listener.wait(SIGN_IN_TIMEOUT, page));
        let _silent = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(ask(port, "GET /favicon.ico HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        let answer = ask(port, "GET /?right HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("no-store"), "{answer}");
        assert_eq!(waiting.join().unwrap().unwrap(), "/?right");
    }

    #[test]
    fn whoever_does_not_come_is_not_waited_for() {
        let listener = Listener::open(None).unwrap();
        let error = listener.wait(Duration::from_millis(50), |_| CallbackPage::<()>::Other).unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}
