//! Plays one exact dialog, however strange: for what no decent server would say. The little language it is written
//! in is described in [`super::script`].
//!
//! Nothing waits longer than the deadline: 10 s, or what [`ScriptedServer::start_with_deadline`] was told.
//!
//! ```ignore
//! let server = ScriptedServer::start(include_str!("dialogs/login.txt"));
//! … port: server.port() …
//! server.finish().unwrap();          // or: mismatch in line 4, expected …, got …
//! ```

use super::script::{Section, Step, Tags, matches, parse, with_tags};
use super::tls::{self, Certificate};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(10);
const MAX_LINE: usize = 16 * 1024 * 1024;
const POLL: Duration = Duration::from_millis(2);

/// Ends when dropped or finished.
pub struct ScriptedServer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// No more clients are expected.
    finishing: Arc<AtomicBool>,
    dropped: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl ScriptedServer {
    /// Panics when the script itself is wrong.
    pub fn start(script: &str) -> Self {
        Self::start_with_deadline(script, DEADLINE)
    }

    pub fn from_file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let script = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::start(&script)
    }

    pub fn start_with_deadline(script: &str, deadline: Duration) -> Self {
        let script = parse(script).unwrap_or_else(|problem| panic!("the script is wrong: {problem}"));
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let (finishing, dropped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let connections = Arc::new(AtomicUsize::new(0));
        let stage = Stage {
            socket,
            deadline,
            connections: connections.clone(),
            finishing: finishing.clone(),
            dropped: dropped.clone(),
        };
        let thread = Some(std::thread::spawn(move || stage.play_all(&script)));
        ScriptedServer { address, connections, finishing, dropped, thread }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits for the end of the script and says where the client left it, with the dialog up to there.
    pub fn finish(mut self) -> Result<(), String> {
        self.finishing.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().expect("the server's thread panicked")
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // The test did not ask for the report, and may be failing for a better reason.
            let _ = thread.join();
        }
    }
}

struct Stage {
    socket: TcpListener,
    deadline: Duration,
    connections: Arc<AtomicUsize>,
    finishing: Arc<AtomicBool>,
    dropped: Arc<AtomicBool>,
}

impl Stage {
    fn play_all(&self, script: &[Section]) -> Result<(), String> {
        for (index, section) in script.iter().enumerate() {
            let Some(stream) = self.next_client(|| false) else {
                return Err(format!("connection {} (line {}) never came", index + 1, section.line));
            };
            let mut player = Player::new(stream, self.deadline);
            player.play(section).map_err(|problem| format!("{problem}\n{}", player.transcript()))?;
        }
        match self.next_client(|| self.finishing.load(Ordering::SeqCst)) {
            Some(_) => Err(format!("connection {} came, which is not in the script", script.len() + 1)),
            None => Ok(()),
        }
    }

    /// The deadline runs only once the test waits for the end: until then it may still be preparing.
    fn next_client(&self, give_up: impl Fn() -> bool) -> Option<TcpStream> {
        let mut end = None;
        loop {
            if let Ok((stream, _)) = self.socket.accept() {
                self.connections.fetch_add(1, Ordering::SeqCst);
                return Some(stream);
            }
            if self.finishing.load(Ordering::SeqCst) && end.is_none() {
                end = Some(Instant::now() + self.deadline);
            }
            let late = end.is_some_and(|end| Instant::now() > end);
            if late || give_up() || self.dropped.load(Ordering::SeqCst) {
                return None;
            }
            std::thread::sleep(POLL);
        }
    }
}

/// One connection, on its way through its section.
struct Player {
    stream: Stream,
    deadline: Duration,
    received: Vec<u8>,
    tags: Tags,
    dialog: Vec<String>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>),
    /// Between the two, and after a reset.
    Gone,
}

impl Player {
    fn new(stream: TcpStream, deadline: Duration) -> Self {
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(deadline)).unwrap();
        stream.set_write_timeout(Some(deadline)).unwrap();
        let stream = Stream::Plain(stream);
        Player { stream, deadline, received: Vec::new(), tags: Tags::new(), dialog: Vec::new() }
    }

    fn play(&mut self, section: &Section) -> Result<(), String> {
        for (line, step) in &section.steps {
            let goes_on = self.step(step).map_err(|problem| format!("line {line}: {problem}"))?;
            if !goes_on {
                return Ok(());
            }
        }
        self.close();
        Ok(())
    }

    /// Says whether the connection still stands.
    fn step(&mut self, step: &Step) -> Result<bool, String> {
        match step {
            Step::Send(text) => self.send(text)?,
            Step::Expect(pattern) => self.expect(pattern)?,
            Step::Pause(time) => std::thread::sleep(*time),
            Step::Tls => self.start_tls()?,
            Step::Eof => return self.expect_eof().map(|()| false),
            Step::Ignore => {
                self.drain();
                return Ok(false);
            }
            Step::Close => {
                self.close();
                return Ok(false);
            }
            Step::Reset => {
                self.reset();
                return Ok(false);
            }
            Step::Flood(text) => {
                self.flood(text);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn send(&mut self, text: &[u8]) -> Result<(), String> {
        let text = with_tags(text, &self.tags);
        self.note("S", &text);
        self.write(&text).map_err(|error| format!("the client takes no more: {error}"))
    }

    fn expect(&mut self, pattern: &str) -> Result<(), String> {
        let line = self.read_line().map_err(|problem| format!("expected {pattern:?}, but {problem}"))?;
        self.note("C", &line);
        if matches(pattern, &line, &mut self.tags) {
            return Ok(());
        }
        Err(format!("mismatch\n  expected: {pattern}\n  got:      {}", shown(&line)))
    }

    fn expect_eof(&mut self) -> Result<(), String> {
        match self.read_more() {
            Ok(0) if self.received.is_empty() => Ok(()),
            Ok(_) => Err(format!("expected the client to close, got {}", shown(&self.received))),
            Err(error) if is_timeout(&error) => Err(format!("the client did not close within {:?}", self.deadline)),
            Err(_) => Ok(()), // it closed, if not politely
        }
    }

    fn start_tls(&mut self) -> Result<(), String> {
        let Stream::Plain(tcp) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err("TLS inside TLS".to_owned());
        };
        if !self.received.is_empty() {
            return Err(format!("the client sent {} before its handshake", shown(&self.received)));
        }
        let connection = rustls::ServerConnection::new(tls::server_config(Certificate::Valid)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| format!("no TLS handshake: {error}"))?;
        }
        self.note("-", b"TLS");
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    fn flood(&mut self, text: &[u8]) {
        let end = Instant::now() + self.deadline;
        let chunk = with_tags(text, &self.tags).repeat(64 * 1024 / text.len().max(1) + 1);
        while Instant::now() < end && self.write(&chunk).is_ok() {}
        self.stream = Stream::Gone;
    }

    /// Ends the sending, then waits for the client: dropping unread bytes would reset the connection.
    fn close(&mut self) {
        match &mut self.stream {
            Stream::Plain(tcp) => _ = tcp.shutdown(Shutdown::Write),
            Stream::Tls(tls) => {
                tls.conn.send_close_notify();
                let _ = tls.flush();
                let _ = tls.sock.shutdown(Shutdown::Write);
            }
            Stream::Gone => {}
        }
        self.drain();
    }

    fn drain(&mut self) {
        let end = Instant::now() + self.deadline;
        while Instant::now() < end && self.read_more().is_ok_and(|count| count > 0) {
            self.received.clear();
        }
    }

    /// A socket that is set to linger for no time is closed by a reset.
    fn reset(&mut self) {
        let stream = std::mem::replace(&mut self.stream, Stream::Gone);
        let tcp = match &stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &tls.sock,
            Stream::Gone => return,
        };
        if let Ok(tcp) = tcp.try_clone() {
            tcp.set_nonblocking(true).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            let _entered = runtime.enter();
            tokio::net::TcpStream::from_std(tcp).unwrap().set_zero_linger().unwrap();
        }
    }

    fn read_line(&mut self) -> Result<Vec<u8>, String> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.received[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.received.drain(..=searched + end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            searched = self.received.len();
            if searched > MAX_LINE {
                return Err("the line does not end".to_owned());
            }
            match self.read_more() {
                Ok(0) => return Err(format!("the client closed{}", after(&self.received))),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {
                    return Err(format!("nothing came within {:?}{}", self.deadline, after(&self.received)));
                }
                Err(error) => return Err(format!("reading failed: {error}")),
            }
        }
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let count = match &mut self.stream {
            Stream::Plain(tcp) => tcp.read(&mut buffer)?,
            Stream::Tls(tls) => tls.read(&mut buffer)?,
            Stream::Gone => 0,
        };
        self.received.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes),
            Stream::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
            Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn note(&mut self, who: &str, text: &[u8]) {
        self.dialog.push(format!("  {who} {}", shown(text)));
    }

    fn transcript(&self) -> String {
        format!("the dialog so far:\n{}", self.dialog.join("\n"))
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn after(received: &[u8]) -> String {
    if received.is_empty() { String::new() } else { format!(" after {}", shown(received)) }
}

/// On one line, and not all of a big one.
fn shown(text: &[u8]) -> String {
    let start = &text[..text.len().min(300)];
    let more = if start.len() < text.len() { format!("… ({} bytes)", text.len()) } else { String::new() };
    format!("{}{more}", start.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::ScriptedServer;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    /// Sends all of it and returns all that came.
    fn talk(server: &ScriptedServer, text: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn a_dialog_over_two_connections() {
        let server = ScriptedServer::start(
            "# first\nS: * OK hi\nC: <tag> LOGIN * \"a b\"\npause 1ms\nS~ <tag> \nS: OK\nC: <tag1> X **\nC: <tag2> Y\n\
             S: <tag2> OK <tag1> OK\n--- connection\n\nS: * BYE\nC: end\nclose\n",
        );
        let answer = talk(&server, "a1 LOGIN me \"a b\"\r\na2 X any thing\r\na3 Y\r\n");
        assert_eq!(answer, "* OK hi\r\na1 OK\r\na3 OK a2 OK\r\n");
        assert_eq!(talk(&server, "end\n"), "* BYE\r\n");
        assert_eq!(server.connections(), 2);
        server.finish().unwrap();
    }

    #[test]
    fn a_mismatch_is_told_with_its_line_and_the_dialog() {
        let server = ScriptedServer::start("S: +OK\nC: USER me\nS: +OK\n");
        talk(&server, "CAPA\r\n");
        let report = server.finish().unwrap_err();
        assert_eq!(
            report,
            "line 2: mismatch\n  expected: USER me\n  got:      CAPA\nthe dialog so far:\n  S +OK\\r\\n\n  C CAPA"
        );
    }

    #[test]
    fn silence_and_absence_are_told() {
        let deadline = Duration::from_millis(50);
        let server = ScriptedServer::start_with_deadline("C: x\n", deadline);
        let silent = TcpStream::connect(server.address()).unwrap();
        assert!(server.finish().unwrap_err().starts_with("line 1: expected \"x\", but nothing came within 50ms"));
        drop(silent);

        let server = ScriptedServer::start_with_deadline("eof\n--- connection\nclose\n", deadline);
        drop(TcpStream::connect(server.address()).unwrap());
        assert_eq!(server.finish().unwrap_err(), "connection 2 (line 2) never came");

        let server = ScriptedServer::start("close\n");
        talk(&server, "");
        drop(TcpStream::connect(server.address()).unwrap());
        assert!(server.finish().unwrap_err().contains("connection 2 came"));
    }

    #[test]
    fn eof_ignore_reset_and_flood() {
        let server = ScriptedServer::start("eof\n");
        talk_and_leave(&server, "word");
        assert!(server.finish().unwrap_err().contains("expected the client to close, got word"));

        let server = ScriptedServer::start("ignore\n");
        talk_and_leave(&server, "word");
        server.finish().unwrap();

        let server = ScriptedServer::start("S: hello\nC: x\nreset\n");
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let mut seven = [0; 7];
        stream.read_exact(&mut seven).unwrap();
        stream.write_all(b"x\r\n").unwrap();
        assert_eq!(stream.read(&mut seven).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        server.finish().unwrap();

        let server = ScriptedServer::start("flood * X\\r\\n\n");
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let mut much = vec![0; 1_000_000];
        stream.read_exact(&mut much).unwrap();
        assert!(much.starts_with(b"* X\r\n* X\r\n"));
        drop(stream);
        server.finish().unwrap();
    }

    fn talk_and_leave(server: &ScriptedServer, text: &str) {
        TcpStream::connect(server.address()).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[tokio::test]
    async fn tls_begins_where_the_script_says() {
        use super::super::raw_client::RawClient;
        let server = ScriptedServer::start("S: * OK\nC: <tag> STARTTLS\nS: <tag> OK\ntls\nC: hi\nS: ho\n");
        let mut client = RawClient::connect(server.address()).await;
        client.line().await;
        client.imap("a", "STARTTLS").await;
        let mut client = client.start_tls().await;
        client.send("hi\r\n").await;
        assert_eq!(client.line().await, "ho");
        drop(client);
        server.finish().unwrap();
    }
}
