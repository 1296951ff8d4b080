//! A name server on loopback, over UDP, that knows what it is told and nothing else.
//!
//! ```ignore
//! let dns = DnsServer::start(&[
//!     ("firm.example", Record::Mx(10, "aspmx.l.google.com")),
//!     ("_imaps._tcp.firm.example", Record::Srv(0, 1, 993, "imap.firm.example")),
//!     ("imap.firm.example", Record::Loopback),
//! ]);
//! ```

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// A record of a name.
#[derive(Clone, Copy, Debug)]
pub enum Record {
    Mx(u16, &'static str),
    /// Priority, weight, port, target.
    Srv(u16, u16, u16, &'static str),
    Txt(&'static str),
    Cname(&'static str),
    /// A: 127.0.0.1.
    Loopback,
    /// Whoever asks for the name, for whatever, waits for ever.
    Silence,
}

impl Record {
    /// Its type, where it has one (RFC 1035 3.2.2, RFC 2782).
    fn kind(self) -> Option<u16> {
        match self {
            Self::Loopback => Some(1),
            Self::Cname(_) => Some(5),
            Self::Mx(..) => Some(15),
            Self::Txt(_) => Some(16),
            Self::Srv(..) => Some(33),
            Self::Silence => None,
        }
    }

    fn data(self) -> Vec<u8> {
        match self {
            Self::Loopback => vec![127, 0, 0, 1],
            Self::Cname(target) => name(target),
            Self::Mx(preference, host) => [preference.to_be_bytes().to_vec(), name(host)].concat(),
            Self::Srv(priority, weight, port, target) => {
                [priority.to_be_bytes(), weight.to_be_bytes(), port.to_be_bytes()]
                    .concat()
                    .into_iter()
                    .chain(name(target))
                    .collect()
            }
            Self::Txt(text) => text
                .as_bytes()
                .chunks(255)
                .flat_map(|part| [&[u8::try_from(part.len()).unwrap()], part].concat())
                .collect(),
            Self::Silence => Vec::new(),
        }
    }
}

/// As it stands in a message (RFC 1035 3.1); `.` is the root.
fn name(text: &str) -> Vec<u8> {
    let labels = text.trim_end_matches('.').split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

/// It answers until the program ends.
pub struct DnsServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl DnsServer {
    pub fn start(zone: &[(&'static str, Record)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (zone, asked) = (zone.to_vec(), Arc::new(Mutex::new(Vec::new())));
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let Some(question) = Question::read(&buffer[..length]) else { continue };
                noted.lock().unwrap().push(question.name.clone());
                if let Some(answer) = question.answer(&zone) {
                    socket.send_to(&answer, from).ok();
                }
            }
        });
        Self { address, asked }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The names that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

struct Question {
    id: [u8; 2],
    name: String,
    kind: u16,
    /// Name, type and class as they came.
    bytes: Vec<u8>,
}

impl Question {
    fn read(message: &[u8]) -> Option<Self> {
        let (mut at, mut labels) = (12, Vec::new());
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
        let id = message.get(..2)?.try_into().ok()?;
        Some(Self { id, name: labels.join("."), kind, bytes: message.get(12..at + 4)?.to_vec() })
    }

    /// `None`: silence.
    fn answer(&self, zone: &[(&'static str, Record)]) -> Option<Vec<u8>> {
        let of_name: Vec<Record> =
            zone.iter().filter(|(name, _)| *name == self.name).map(|(_, record)| *record).collect();
        if of_name.iter().any(|record| record.kind().is_none()) {
            return None;
        }
        let is_wanted = |record: &&Record| record.kind() == Some(self.kind) || matches!(record, Record::Cname(_));
        let records: Vec<&Record> = of_name.iter().filter(is_wanted).collect();
        // A response with recursion; a name of which nothing is known does not exist.
        let code = if of_name.is_empty() { 3 } else { 0 };
        let count = u16::try_from(records.len()).unwrap().to_be_bytes();
        let mut message = [&self.id[..], &[0x81, 0x80 | code], &[0, 1], &count, &[0, 0, 0, 0], &self.bytes].concat();
        for record in records {
            let data = record.data();
            message.extend([0xc0, 12]);
            message.extend(record.kind().unwrap().to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60]);
            message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend(data);
        }
        Some(message)
    }
}
