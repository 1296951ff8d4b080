//! A web server on loopback, with or without TLS, that has a few documents; and a server that does nothing but greet.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200, with this body.
    Body(Vec<u8>),
    /// 302 to this place.
    Moved(String),
    /// A body of zeros that is that long, in bytes.
    Long(usize),
    /// Nothing, for ever.
    Silence,
}

impl Answer {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Body(text.into().into_bytes())
    }
}

/// It answers until the program ends; what it does not have is a 404.
pub struct WebServer {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

/// `host/path`, without a query and without a port.
type Documents = Vec<(String, Answer)>;

impl WebServer {
    /// With TLS, if there is a certificate.
    pub fn start(tls: Option<Arc<ServerConfig>>, documents: &[(&str, Answer)]) -> Self {
        Self::start_with(tls, |_| {
            documents.iter().map(|(place, answer)| ((*place).to_owned(), answer.clone())).collect()
        })
    }

    /// The same, for documents that name the server's own port.
    pub fn start_with(tls: Option<Arc<ServerConfig>>, documents: impl FnOnce(u16) -> Documents) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (documents, requests) = (Arc::new(documents(port)), Arc::new(Mutex::new(Vec::new())));
        let noted = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (documents, noted, tls) = (Arc::clone(&documents), Arc::clone(&noted), tls.clone());
                thread::spawn(move || match tls {
                    Some(tls) => {
                        serve(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream), &documents, &noted)
                    }
                    None => serve(stream, &documents, &noted),
                });
            }
        });
        Self { port, requests }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host/path?query` of what was asked for.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut stream: impl Read + Write, documents: &Documents, noted: &Mutex<Vec<String>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let host =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("host: ").map(str::to_owned)).unwrap_or_default();
    let place = format!("{}{path}", host.split(':').next().unwrap_or_default());
    noted.lock().unwrap().push(place.clone());
    let wanted = place.split('?').next().unwrap_or_default();
    let answer = documents.iter().find(|(known, _)| known == wanted).map(|(_, answer)| answer);
    let head = |status: &str, length: usize, more: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n").into_bytes()
    };
    let sent = match answer {
        Some(Answer::Body(body)) => [head("200 OK", body.len(), ""), body.clone()].concat(),
        Some(Answer::Moved(to)) => head("302 Found", 0, &format!("Location: {to}\r\n")),
        Some(Answer::Long(length)) => [head("200 OK", *length, ""), vec![0; *length]].concat(),
        Some(Answer::Silence) => loop {
            thread::sleep(Duration::from_secs(60));
        },
        None => head("404 Not Found", 0, ""),
    };
    stream.write_all(&sent).ok();
    stream.flush().ok();
}

/// A server with TLS that says one line to everybody.
pub struct Greeter {
    port: u16,
}

impl Greeter {
    pub fn start(tls: Arc<ServerConfig>, greeting: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let tls = Arc::clone(&tls);
                thread::spawn(move || greet(stream, tls, greeting));
            }
        });
        Self { port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

fn greet(stream: TcpStream, tls: Arc<ServerConfig>, greeting: &str) {
    let mut stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
    stream.write_all(greeting.as_bytes()).ok();
    stream.flush().ok();
    stream.read_exact(&mut [0]).ok();
}
