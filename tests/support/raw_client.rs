//! A client that only sends and shows: for the tests of the servers themselves.

use super::tls;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub struct RawClient {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

impl RawClient {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        RawClient { stream: Box::new(stream), received: Vec::new() }
    }

    pub async fn start_tls(self) -> Self {
        assert!(self.received.is_empty(), "bytes before TLS: {:?}", String::from_utf8_lossy(&self.received));
        let name = ServerName::try_from("localhost").unwrap();
        let stream = tls::connector().connect(name, self.stream).await.unwrap();
        RawClient { stream: Box::new(stream), received: Vec::new() }
    }

    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Everything up to and with `end`, which must come.
    pub async fn read_until(&mut self, end: &str) -> String {
        let position = |bytes: &[u8]| bytes.windows(end.len()).position(|window| window == end.as_bytes());
        while position(&self.received).is_none() {
            assert!(self.read_more().await, "no {end:?} in {:?}", String::from_utf8_lossy(&self.received));
        }
        let length = position(&self.received).unwrap() + end.len();
        let text = self.received.drain(..length).collect();
        String::from_utf8(text).unwrap()
    }

    pub async fn line(&mut self) -> String {
        self.read_until("\r\n").await.trim_end().to_owned()
    }

    /// All that comes until the server closes.
    pub async fn rest(&mut self) -> String {
        while self.read_more().await {}
        String::from_utf8(std::mem::take(&mut self.received)).unwrap()
    }

    /// An IMAP command and all that answers it.
    pub async fn imap(&mut self, tag: &str, command: &str) -> String {
        self.send(format!("{tag} {command}\r\n")).await;
        let mut answer = String::new();
        loop {
            let line = self.line().await;
            answer += &line;
            if line.starts_with(&format!("{tag} ")) {
                return answer;
            }
            answer.push('|');
        }
    }

    /// A POP3 command and the first line of its reply.
    pub async fn pop3(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n")).await;
        self.line().await
    }

    /// A POP3 command and its reply of many lines.
    pub async fn pop3_lines(&mut self, command: &str) -> String {
        let first = self.pop3(command).await;
        let mut lines = vec![first];
        while lines.last().unwrap() != "." {
            lines.push(self.line().await);
        }
        lines.join("|")
    }

    async fn read_more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = timeout(DEADLINE, self.stream.read(&mut buffer)).await.expect("the server says nothing");
        // A cut inside TLS is an error to rustls and an end to us.
        let count = count.unwrap_or(0);
        self.received.extend_from_slice(&buffer[..count]);
        count > 0
    }
}
