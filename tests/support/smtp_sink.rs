//! `smtp-sink` from the Postfix package: an SMTP and LMTP server that others wrote. It needs no root.
//!
//! ```ignore
//! let Some(sink) = SmtpSink::start(&["-8"]) else { return };
//! … port: sink.port …
//! assert_eq!(sink.messages(), [b"Subject: x\n\nhello\n"]);
//! ```

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Set where the tests must not go without it.
const REQUIRE: &str = "MAILSLUICE_REQUIRE_POSTFIX";
const DEADLINE: Duration = Duration::from_secs(20);

/// Stopped when dropped.
pub struct SmtpSink {
    pub port: u16,
    folder: TempDir,
    command: Command,
    process: Child,
}

/// One message as smtp-sink stored it.
#[derive(Debug)]
pub struct Dump {
    /// What stood in RCPT, without brackets.
    pub to: Vec<String>,
    pub message: Vec<u8>,
}

impl SmtpSink {
    /// With options of its own. `None`, with a line that says why, where it is not installed; a panic instead when
    /// `MAILSLUICE_REQUIRE_POSTFIX=1`.
    pub fn start(options: &[&str]) -> Option<Self> {
        let found = ["/usr/sbin/smtp-sink", "/usr/local/sbin/smtp-sink", "/usr/bin/smtp-sink"];
        let Some(program) = found.into_iter().find(|path| fs::exists(path).unwrap_or(false)) else {
            assert!(
                std::env::var_os(REQUIRE).is_none_or(|value| value != "1"),
                "{REQUIRE} is set, but there is no smtp-sink"
            );
            println!("SKIPPED: smtp-sink (of Postfix) is not installed");
            return None;
        };
        let folder = TempDir::with_prefix("smtp-sink-").unwrap();
        // As root it becomes somebody else.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        command.args(["-h", "sink.example", "-d"]).arg(folder.path().join("mail.")).args(options);
        command.arg(format!("127.0.0.1:{port}")).arg("100");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let sink = SmtpSink { port, folder, command, process };
        sink.await_it();
        Some(sink)
    }

    fn await_it(&self) {
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(begun.elapsed() < DEADLINE, "smtp-sink does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Killed, and started again on the same port.
    pub fn crash(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = self.command.spawn().unwrap();
        self.await_it();
    }

    /// In no order.
    pub fn dumps(&self) -> Vec<Dump> {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| dump(&fs::read(path).unwrap())).collect()
    }
}

/// Its own lines end with those of a Received field; it adds an empty line at the end.
fn dump(file: &[u8]) -> Dump {
    let text = String::from_utf8_lossy(file);
    let to = text.lines().filter_map(|line| line.strip_prefix("X-Rcpt-Args: <"));
    let to = to.filter_map(|rest| rest.split('>').next()).map(str::to_owned).collect();
    let received = file.windows(10).position(|window| window == b"\nReceived:").unwrap();
    let mut lines = file[received + 1..].split_inclusive(|byte| *byte == b'\n');
    let head: usize = lines.by_ref().take(3).map(<[u8]>::len).sum();
    let message = &file[received + 1 + head..];
    Dump { to, message: message.strip_suffix(b"\n").unwrap_or(message).to_vec() }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
