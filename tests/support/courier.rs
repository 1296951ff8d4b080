//! A private Courier: its IMAP and POP3 servers as Debian has them, unpacked by `tests/install`, behind a door of ours that lets everybody in. Courier's own
//! door needs root; what it does behind it is the same: it gives the connection to a server in the user's home.
//!
//! ```ignore
//! let Some(courier) = Courier::start() else { return };
//! courier.add("INBOX.Sent", b"Subject: hello\r\n\r\nworld\r\n");
//! … host 127.0.0.1, port courier.imap or courier.pop3, any user and password …
//! assert_eq!(courier.count("INBOX"), 0);
//! ```

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

/// Set where the tests must not go without it.
const REQUIRE: &str = "MAILSLUICE_REQUIRE_COURIER";
const IMAPD: &str = "usr/bin/imapd";
const POP3D: &str = "usr/lib/courier/courier/courierpop3d";
/// As Debian's /etc/courier/imapd has it.
const CAPABILITY: &str = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE";

/// One mailbox. Its servers end with their connections.
pub struct Courier {
    home: TempDir,
    pub imap: u16,
    pub pop3: u16,
    added: AtomicUsize,
}

impl Courier {
    /// `None`, with a line that says why, where Courier is not installed; a panic instead when `MAILSLUICE_REQUIRE_COURIER=1`.
    pub fn start() -> Option<Self> {
        if let Some(missing) = [IMAPD, POP3D].iter().find(|program| !is_whole(program)) {
            let missing = unpacked(missing).display().to_string();
            assert!(
                std::env::var_os(REQUIRE).is_none_or(|value| value != "1"),
                "{REQUIRE} is set, but {missing} is missing"
            );
            println!("SKIPPED: {missing} is missing");
            return None;
        }
        let home = TempDir::with_prefix("courier-").unwrap();
        let open = |door: fn(TcpStream, &Path)| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let (port, home) = (listener.local_addr().unwrap().port(), home.path().to_owned());
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let home = home.clone();
                    std::thread::spawn(move || door(stream, &home));
                }
            });
            port
        };
        let (imap, pop3) = (open(imap_door), open(pop3_door));
        let courier = Self { home, imap, pop3, added: AtomicUsize::new(0) };
        courier.add_folder("INBOX");
        Some(courier)
    }

    /// The Maildir of a folder, by the name that the server gives it.
    fn folder(&self, name: &str) -> PathBuf {
        let maildir = self.home.path().join("Maildir");
        name.strip_prefix("INBOX").filter(|rest| !rest.is_empty()).map_or(maildir.clone(), |rest| maildir.join(rest))
    }

    pub fn add_folder(&self, name: &str) {
        let folder = self.folder(name);
        ["cur", "new", "tmp"].iter().for_each(|sub| std::fs::create_dir_all(folder.join(sub)).unwrap());
        if name != "INBOX" {
            std::fs::write(folder.join("maildirfolder"), "").unwrap();
        }
    }

    /// A message as it stands in a Maildir, with LF line ends.
    pub fn add(&self, folder: &str, message: &[u8]) {
        let n = self.added.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.M{n}.box,S={}", 1_700_000_000 + n, message.len());
        std::fs::write(self.folder(folder).join("new").join(name), message).unwrap();
    }

    /// As another client does it that reads the Maildir itself.
    pub fn remove_all(&self, folder: &str) {
        for sub in ["new", "cur"] {
            let files = std::fs::read_dir(self.folder(folder).join(sub)).unwrap();
            files.for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
        }
    }

    /// How many messages stand in a folder.
    pub fn count(&self, folder: &str) -> usize {
        let files = |sub: &str| std::fs::read_dir(self.folder(folder).join(sub)).unwrap().count();
        files("new") + files("cur")
    }
}

/// Where it has its libraries, one after the other: those of Debian stand in a folder of the machine's kind.
fn libraries() -> std::ffi::OsString {
    let lib = unpacked("usr/lib");
    let of_kind = std::fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path());
    std::env::join_paths([lib.join("courier-authlib"), lib.clone()].into_iter().chain(of_kind)).unwrap()
}

/// Whether the program can be loaded; it ends at once without a connection.
fn is_whole(program: &str) -> bool {
    let mut command = Command::new(unpacked(program));
    command.env_clear().env("LD_LIBRARY_PATH", libraries()).arg("/nowhere");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // The dynamic loader that lacks a library says 127.
    command.status().is_ok_and(|status| status.code() != Some(127))
}

/// Where a file of its packages is.
fn unpacked(file: &str) -> PathBuf {
    Path::new(option_env!("CARGO_TARGET_TMPDIR").unwrap_or("/nowhere")).join("courier").join(file)
}

/// One line, read by bytes: what comes behind it is for the server.
fn line(stream: &mut TcpStream) -> Option<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte).ok()? == 1 {
        match byte[0] {
            b'\n' => return Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
            byte => line.push(byte),
        }
    }
    None
}

fn server(stream: TcpStream, program: &str, home: &Path, environment: &[(&str, &str)]) {
    let socket = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
    let mut command = Command::new(unpacked(program));
    command.arg("Maildir").current_dir(home).env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin");
    command.env("LD_LIBRARY_PATH", libraries());
    command.envs([("AUTHENTICATED", "me"), ("AUTHADDR", "me"), ("TCPREMOTEIP", "127.0.0.1"), ("TCPREMOTEPORT", "1")]);
    command.envs(environment.iter().copied());
    let child = command.stdin(socket()).stdout(socket()).stderr(Stdio::null()).spawn();
    drop((command, stream));
    child.unwrap().wait().unwrap();
}

fn imap_door(mut stream: TcpStream, home: &Path) {
    let greeting = format!("* OK [CAPABILITY {CAPABILITY} ACL] Courier-IMAP ready.\r\n");
    let mut told = stream.write_all(greeting.as_bytes());
    while let (Ok(()), Some(line)) = (&told, line(&mut stream)) {
        let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
        if command.to_ascii_uppercase().starts_with("LOGIN ") {
            let environment = [
                ("IMAPLOGINTAG", tag),
                ("PROTOCOL", "IMAP"),
                ("IMAP_CAPABILITY", CAPABILITY),
                ("IMAP_KEYWORDS", "1"),
                ("IMAP_TRASHFOLDERNAME", "Trash"),
            ];
            return server(stream, IMAPD, home, &environment);
        }
        told = stream.write_all(format!("{tag} NO Log in first.\r\n").as_bytes());
    }
}

fn pop3_door(mut stream: TcpStream, home: &Path) {
    let mut told = stream.write_all(b"+OK Hello there.\r\n");
    let mut utf8 = "0";
    while let (Ok(()), Some(line)) = (&told, line(&mut stream)) {
        let reply = match line.split(' ').next().unwrap_or_default() {
            "CAPA" => {
                "+OK Here's what I can do:\r\nTOP\r\nUSER\r\nLOGIN-DELAY 10\r\nPIPELINING\r\nUIDL\r\nUTF8 USER\r\n\
                 IMPLEMENTATION Courier Mail Server\r\n.\r\n"
            }
            "UTF8" => {
                utf8 = "1";
                "+OK UTF8 enabled\r\n"
            }
            "USER" => "+OK Password required.\r\n",
            "PASS" => return server(stream, POP3D, home, &[("PROTOCOL", "POP3"), ("UTF8", utf8)]),
            _ => "-ERR Invalid command.\r\n",
        };
        told = stream.write_all(reply.as_bytes());
    }
}
