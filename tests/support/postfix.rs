//! A private Postfix: a whole mail server that others wrote. It lives in a folder of its own and listens on loopback
//! alone, but only root can start it; [`super::smtp_sink`] needs no root.
//!
//! It takes mail for `a@x.example`, `b@x.example` and `ann1@x.example` to `ann40@x.example`, up to 1 MB, and files it into
//! Maildirs.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Set where the tests must not go without it.
const REQUIRE: &str = "MAILSLUICE_REQUIRE_POSTFIX";
const DEADLINE: Duration = Duration::from_secs(60);
/// Who owns the mail: Postfix's `virtual` refuses small numbers.
const OWNER: u32 = 65534;
/// People whose mail is answered.
const SENDERS: usize = 40;

/// Stopped when dropped.
pub struct Postfix {
    pub port: u16,
    folder: TempDir,
}

impl Postfix {
    /// `None`, with a line that says why, where it is not installed or there is no root; a panic instead when it is not
    /// installed and `MAILSLUICE_REQUIRE_POSTFIX=1`.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// The same with more lines in its `main.cf`.
    pub fn start_with(more: &str) -> Option<Self> {
        if !Path::new("/usr/sbin/postfix").exists() {
            assert!(
                std::env::var_os(REQUIRE).is_none_or(|value| value != "1"),
                "{REQUIRE} is set, but there is no Postfix"
            );
            println!("SKIPPED: Postfix is not installed");
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED: only root can start a Postfix");
            return None;
        }
        let folder = TempDir::with_prefix("postfix-").unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let postfix = Postfix { port, folder };
        postfix.write_files(more);
        let started = postfix.run(&["start"]);
        assert!(started.status.success(), "{}\n{}", String::from_utf8_lossy(&started.stderr), postfix.log());
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < DEADLINE, "{}", postfix.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(postfix)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_files(&self, more: &str) {
        for name in ["conf", "queue", "data", "mail"] {
            fs::create_dir(self.path(name)).unwrap();
            fs::set_permissions(self.path(name), Permissions::from_mode(0o755)).unwrap();
        }
        let owner = Command::new("id").args(["-u", "postfix"]).output().unwrap().stdout;
        let owner = String::from_utf8(owner).unwrap().trim().parse().unwrap();
        chown(self.path("data"), Some(owner), None).unwrap();
        chown(self.path("mail"), Some(OWNER), None).unwrap();
        let place = self.folder.path().display();
        let senders: String = (1..=SENDERS).map(|n| format!(", ann{n}@x.example=ann/")).collect();
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {place}/queue\ndata_directory = {place}/data\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
             setgid_group = postdrop\nmyhostname = postfix.example\nmydestination =\ninet_interfaces = 127.0.0.1\n\
             inet_protocols = ipv4\nmynetworks = 127.0.0.0/8\nmaillog_file = {place}/log\nmaillog_file_prefixes = {place}\n\
             alias_maps =\nalias_database =\nmessage_size_limit = 1000000\nvirtual_mailbox_domains = x.example\n\
             virtual_mailbox_base = {place}/mail\nvirtual_mailbox_maps = inline:{{a@x.example=a/, b@x.example=b/{senders}}}\n\
             virtual_uid_maps = static:{OWNER}\nvirtual_gid_maps = static:{OWNER}\nvirtual_mailbox_limit = 0\n\
             default_transport = error:nothing leaves this machine\n{more}\n"
        );
        fs::write(self.path("conf/main.cf"), main).unwrap();
        let mut master = format!("127.0.0.1:{} inet n - n - - smtpd\n", self.port);
        for (service, rest) in [
            ("cleanup unix", "n - n - 0 cleanup"),
            ("qmgr unix", "n - n 300 1 qmgr"),
            ("rewrite unix", "- - n - - trivial-rewrite"),
            ("bounce unix", "- - n - 0 bounce"),
            ("defer unix", "- - n - 0 bounce"),
            ("trace unix", "- - n - 0 bounce"),
            ("anvil unix", "- - n - 1 anvil"),
            ("proxymap unix", "- - n - - proxymap"),
            ("error unix", "- - n - - error"),
            ("virtual unix", "- n n - - virtual"),
            ("postlog unix-dgram", "n - n - 1 postlogd"),
        ] {
            master += &format!("{service} {rest}\n");
        }
        fs::write(self.path("conf/master.cf"), master).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("/usr/sbin/postfix").arg("-c").arg(self.path("conf")).args(arguments).output().unwrap()
    }

    /// Killed with all its processes, and started again on the same port.
    pub fn crash(&self) {
        self.run(&["abort"]);
        let begun = Instant::now();
        while !self.run(&["start"]).status.success() {
            assert!(begun.elapsed() < DEADLINE, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(begun.elapsed() < DEADLINE, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until so many messages stand in the Maildir, and returns them, in no order.
    pub fn mails(&self, user: &str, count: usize) -> Vec<Vec<u8>> {
        let folder = self.path("mail").join(user).join("new");
        let begun = Instant::now();
        loop {
            let files: Vec<PathBuf> =
                fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
            if files.len() >= count {
                return files.iter().map(|path| fs::read(path).unwrap()).collect();
            }
            assert!(begun.elapsed() < DEADLINE, "{} of {count} mails\n{}", files.len(), self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.run(&["stop"]);
    }
}
