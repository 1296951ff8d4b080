//! Plays one exact dialog, however strange: for what no decent server would say.
//!
//! ```text
//! # IMAP: a literal that is longer than announced
//! S: * OK hi
//! C: <tag> LOGIN * *
//! S: <tag> OK in
//! C: <tag> SELECT INBOX
//! S: * 1 EXISTS
//! S: <tag> OK [READ-WRITE] done
//! C: <tag> UID FETCH **
//! S~ * 1 FETCH (UID 1 BODY[] {2}\r\nab
//! pause 100ms
//! S: cd)
//! close
//! --- connection
//! S: * BYE come back later
//! eof
//! ```
//!
//! | line | meaning |
//! |---|---|
//! | `S: text` | the server sends the text and CRLF |
//! | `S~ text` | the server sends the text as it is |
//! | `C: words` | the client must send this line (CRLF or LF); see below |
//! | `eof` | the client must close now, without another byte |
//! | `ignore` | whatever the client sends is read and dropped until it closes |
//! | `close` | the server closes; also at the end of each connection |
//! | `reset` | the server resets the connection |
//! | `pause 100ms` | nothing is done for that time (`ms` or `s`) |
//! | `flood text` | the text again and again, until the client closes |
//! | `tls` | the TLS handshake happens now, with a valid certificate |
//! | `--- connection` | what follows is said to the next client that connects |
//! | `# …`, empty | a comment |
//!
//! In a `C:` line `*` stands for any one word, `**` at its end for all the rest, and `<tag>` for any word, which is
//! then sent where an `S` line says `<tag>`. `<tag1>`, `<tag2>`, … are further ones. Escapes in all texts: `\r \n \t
//! \0 \\ \xNN` and `\{repeat 1000 text}`, whose text may have escapes but no `}` (that is `\x7d`).
//!
//! Nothing waits longer than the deadline: 10 s, or what [`ScriptedServer::start_with_deadline`] was told.
//!
//! ```ignore
//! let server = ScriptedServer::start(include_str!("dialogs/login.txt"));
//! … port: server.port() …
//! server.finish().unwrap();          // or: mismatch in line 4, expected …, got …
//! ```

use super::tls::{self, Certificate};
use std::collections::BTreeMap;
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

struct Section {
    line: usize,
    steps: Vec<(usize, Step)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Send(Vec<u8>),
    Expect(String),
    Eof,
    Ignore,
    Close,
    Reset,
    Pause(Duration),
    Flood(Vec<u8>),
    Tls,
}

fn parse(script: &str) -> Result<Vec<Section>, String> {
    let mut sections = vec![Section { line: 1, steps: Vec::new() }];
    for (index, line) in script.lines().enumerate() {
        let number = index + 1;
        if line.trim_end() == "--- connection" {
            sections.push(Section { line: number, steps: Vec::new() });
        } else if let Some(step) = parse_step(line).map_err(|problem| format!("line {number}: {problem}"))? {
            sections.last_mut().unwrap().steps.push((number, step));
        }
    }
    // A file may begin with its first `--- connection`.
    if sections.len() > 1 && sections[0].steps.is_empty() {
        sections.remove(0);
    }
    Ok(sections)
}

fn parse_step(line: &str) -> Result<Option<Step>, String> {
    // Without its end of line only: a space at the end may be meant.
    let (word, text) = line.split_once(' ').unwrap_or((line, ""));
    Ok(Some(match word.trim_end() {
        "" => return Ok(None),
        word if word.starts_with('#') => return Ok(None),
        "S:" => Step::Send([unescape(text)?, b"\r\n".to_vec()].concat()),
        "S~" => Step::Send(unescape(text)?),
        "C:" => {
            pattern_words(text).try_for_each(|word| unescape(word).map(|_| ()))?;
            Step::Expect(text.to_owned())
        }
        "eof" => Step::Eof,
        "ignore" => Step::Ignore,
        "close" => Step::Close,
        "reset" => Step::Reset,
        "pause" => Step::Pause(parse_duration(text).ok_or(format!("{text:?} is not a time like 100ms"))?),
        "flood" => Step::Flood(unescape(text)?),
        "tls" => Step::Tls,
        _ => return Err(format!("not understood: {line:?}")),
    }))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let letter = escape.chars().next().ok_or("a backslash at the end")?;
        rest = &escape[letter.len_utf8()..];
        match letter {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let digits = rest.get(..2).ok_or("\\x wants two digits")?;
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| format!("\\x{digits} is no byte"))?);
                rest = &rest[2..];
            }
            '{' => {
                let (inside, after) = rest.split_once('}').ok_or("\\{ without }")?;
                bytes.extend(repeated(inside)?);
                rest = after;
            }
            other => return Err(format!("unknown escape \\{other}")),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// The inside of `\{repeat 1000 text}`.
fn repeated(inside: &str) -> Result<Vec<u8>, String> {
    let parts = inside.strip_prefix("repeat ").and_then(|rest| rest.split_once(' '));
    let (count, text) = parts.ok_or(format!("not understood: \\{{{inside}}}"))?;
    let count = count.parse::<usize>().map_err(|_| format!("{count:?} is not a number"))?;
    Ok(unescape(text)?.repeat(count))
}

fn pattern_words(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split(' ')
}

type Tags = BTreeMap<String, Vec<u8>>;

/// Compares word by word, and learns the tags when all of it fits.
fn matches(pattern: &str, line: &[u8], tags: &mut Tags) -> bool {
    let mut words = line.split(|byte| *byte == b' ');
    let mut learned = Tags::new();
    for wanted in pattern_words(pattern) {
        if wanted == "**" {
            tags.extend(learned);
            return true;
        }
        let Some(word) = words.next() else { return false };
        if is_tag(wanted) && !word.is_empty() {
            learned.insert(wanted.to_owned(), word.to_vec());
        } else if wanted != "*" && unescape(wanted).as_deref() != Ok(word) {
            return false;
        }
    }
    tags.extend(learned);
    words.next().is_none()
}

fn is_tag(word: &str) -> bool {
    let inside = word.strip_prefix("<tag").and_then(|rest| rest.strip_suffix('>'));
    inside.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn with_tags(text: &[u8], tags: &Tags) -> Vec<u8> {
    let mut text = text.to_vec();
    for (name, tag) in tags {
        let mut from = 0;
        while let Some(at) = text[from..].windows(name.len()).position(|window| window == name.as_bytes()) {
            text.splice(from + at..from + at + name.len(), tag.iter().copied());
            from += at + tag.len();
        }
    }
    text
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
    use super::{ScriptedServer, Tags, matches, parse, unescape};
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

    #[test]
    fn escapes() {
        assert_eq!(unescape("a\\r\\n\\0\\\\\\x7d\\{repeat 3 (\\x2a}z").unwrap(), b"a\r\n\0\\}(*(*(*z");
        for bad in ["\\", "\\q", "\\x1", "\\xgg", "\\{repeat x y}", "\\{repeat 3 y", "\\{often 3 y}"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_compared_one_by_one() {
        let mut tags = Tags::new();
        for (pattern, line, expected) in [
            ("A * C", "A B C", true),
            ("A * C", "A B B C", false),
            ("A **", "A B C", true),
            ("A", "A ", false),
            ("\\x2a", "*", true),
            ("\\x2a", "x", false),
            ("<tag> X", "t1 X", true),
        ] {
            assert_eq!(matches(pattern, line.as_bytes(), &mut tags), expected, "{pattern} | {line}");
        }
        assert_eq!(tags["<tag>"], b"t1");
    }

    #[test]
    fn a_wrong_script_is_refused() {
        assert_eq!(parse("S: x\nsend x\n").err(), Some("line 2: not understood: \"send x\"".to_owned()));
        assert!(parse("pause soon").is_err());
        assert!(parse("C: \\q").is_err());
    }
}
