//! Puts mail into a server's folders by APPEND, as other clients do. A server that tells of news tells of this; of files that
//! appear in its Maildirs it may not.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A connection for each user, kept.
pub struct ImapWriter {
    port: u16,
    password: String,
    sessions: Mutex<HashMap<String, Arc<Mutex<BufReader<TcpStream>>>>>,
}

impl ImapWriter {
    /// To the server on that port of this machine, in the clear.
    pub fn new(port: u16, password: &str) -> Self {
        ImapWriter { port, password: password.to_owned(), sessions: Mutex::default() }
    }

    /// Lone LF becomes CRLF. Returns when the server had the message.
    pub fn append(&self, user: &str, folder: &str, message: impl AsRef<[u8]>) -> Instant {
        let session = self.session(user);
        let mut session = session.lock().unwrap();
        let mut literal = super::mailbox::to_crlf(message.as_ref());
        say(&mut session, format!("a APPEND \"{folder}\" {{{}}}\r\n", literal.len()).as_bytes());
        answer(&mut session, "+");
        literal.extend_from_slice(b"\r\n");
        let came = Instant::now();
        say(&mut session, &literal);
        answer(&mut session, "a OK");
        came
    }

    pub fn create(&self, user: &str, folder: &str) {
        let session = self.session(user);
        let mut session = session.lock().unwrap();
        say(&mut session, format!("a CREATE \"{folder}\"\r\n").as_bytes());
        answer(&mut session, "a OK");
    }

    fn session(&self, user: &str) -> Arc<Mutex<BufReader<TcpStream>>> {
        let mut sessions = self.sessions.lock().unwrap();
        let session = sessions.entry(user.to_owned()).or_insert_with(|| {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
            stream.set_nodelay(true).unwrap();
            let mut session = BufReader::new(stream);
            answer(&mut session, "* OK");
            say(&mut session, format!("a LOGIN {user} {}\r\n", self.password).as_bytes());
            answer(&mut session, "a OK");
            Arc::new(Mutex::new(session))
        });
        Arc::clone(session)
    }
}

fn say(session: &mut BufReader<TcpStream>, bytes: &[u8]) {
    session.get_mut().write_all(bytes).unwrap();
}

/// Reads up to the line that begins so.
fn answer(session: &mut BufReader<TcpStream>, begin: &str) {
    let mut line = String::new();
    while !line.starts_with(begin) {
        line.clear();
        let count = session.read_line(&mut line).unwrap();
        assert!(count > 0 && !line.starts_with("a NO") && !line.starts_with("a BAD"), "{line}");
    }
}
