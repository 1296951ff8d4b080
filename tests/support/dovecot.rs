//! A private Dovecot: the same tests against a server that others wrote.
//!
//! ```ignore
//! let Some(dovecot) = Dovecot::start() else { return };
//! dovecot.add("me", "INBOX", b"Subject: hello\r\n\r\nworld\r\n");
//! … host 127.0.0.1, port dovecot.ports.imaps, any user, password "pass", ca_file dovecot.ca_file() …
//! assert_eq!(dovecot.doveadm(&["search", "-u", "me", "mailbox", "INBOX", "all"]).lines().count(), 1);
//! ```
//!
//! Everything it has is in a folder of its own that goes with it. It runs as the user of the test; as root its mail
//! belongs to the user `mail`.

use super::tls::{self, Certificate};
use rustix::process::{Pid, Signal, getgid, getuid, kill_process};
use std::fs::{self, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const PASSWORD: &str = "pass";
/// Set where the tests must not go without it.
const REQUIRE: &str = "MAILSLUICE_REQUIRE_DOVECOT";
const DEADLINE: Duration = Duration::from_secs(20);

/// Stopped when dropped.
pub struct Dovecot {
    folder: TempDir,
    pub ports: Ports,
    owner: Owner,
    added: AtomicUsize,
    master: Option<Child>,
}

/// On 127.0.0.1. The plain ones offer STARTTLS and STLS.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub imap: u16,
    pub imaps: u16,
    pub pop3: u16,
    pub pop3s: u16,
}

/// Whom the processes and the mail belong to.
#[derive(Clone, Debug)]
struct Owner {
    user: String,
    group: String,
    uid: u32,
    gid: u32,
    is_root: bool,
}

impl Dovecot {
    /// `None`, with a line that says why, where no usable Dovecot is installed; a panic instead when
    /// `MAILSLUICE_REQUIRE_DOVECOT=1`.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// The same one, which compresses IMAP (RFC 4978).
    pub fn start_compressing() -> Option<Self> {
        Self::start_with("protocol imap {\n  mail_plugins = $mail_plugins imap_zlib\n}\n")
    }

    /// The same one with every mechanism that it has, and with certificates of clients: EXTERNAL is for whom one names.
    pub fn start_with_every_login() -> Option<Self> {
        Self::start_with(
            "auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256 external
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes
passdb {
  driver = static
  args = nopassword=yes
  mechanisms = external
}
",
        )
    }

    /// The same one, which takes access tokens (`xoauth2`, `oauthbearer`) that this address knows (RFC 7662).
    pub fn start_asking(introspection: &str, mechanisms: &str) -> Option<Self> {
        Self::start_with(&format!(
            "auth_mechanisms = $auth_mechanisms {mechanisms}\npassdb {{\n  driver = oauth2\n  mechanisms = {mechanisms}\n  \
             args = FOLDER/oauth2.conf.ext\n}}\n##{introspection}"
        ))
    }

    fn start_with(more: &str) -> Option<Self> {
        match Self::try_start(more) {
            Ok(dovecot) => Some(dovecot),
            Err(reason) if std::env::var_os(REQUIRE).is_some_and(|value| value == "1") => {
                panic!("{REQUIRE} is set, but {reason}")
            }
            Err(reason) => {
                println!("SKIPPED: {reason}");
                None
            }
        }
    }

    fn try_start(more: &str) -> Result<Self, String> {
        check_version()?;
        let owner = Owner::find()?;
        let folder = TempDir::with_prefix("dovecot-").unwrap();
        // The mail user must get through to the mail.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let mut dovecot = Dovecot { folder, ports: Ports::free(), owner, added: AtomicUsize::new(0), master: None };
        dovecot.write_files(more);
        dovecot.launch()?;
        Ok(dovecot)
    }

    pub fn ca_file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The user's INBOX; other folders are `.name` in it (Maildir++).
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.path("homes").join(user).join("Maildir")
    }

    /// A message in `new/`, byte for byte. Makes the folder when it is not there; `/` between the levels.
    pub fn add(&self, user: &str, folder: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let maildir = self.folder_path(user, folder);
        for sub in ["tmp", "new", "cur"] {
            self.make_folder(&maildir.join(sub));
        }
        // In the order they were added, which is that of their names.
        let number = self.added.fetch_add(1, Ordering::SeqCst);
        let name = format!("{}.M{number:06}.test", super::date::now());
        let (staged, path) = (maildir.join("tmp").join(&name), maildir.join("new").join(&name));
        fs::write(&staged, bytes).unwrap();
        self.give(&staged);
        fs::rename(staged, &path).unwrap();
        path
    }

    /// A port in the clear behind which it has no NOTIFY.
    pub fn imap_without_notify(&self) -> u16 {
        let (socket, server) = (TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), self.ports.imap);
        let port = socket.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for client in socket.incoming() {
                // Where one of the two is gone there is nothing to pass on.
                client.and_then(|client| pass_without_notify(client, server)).ok();
            }
        });
        port
    }

    /// How many messages are in the folder, by its files.
    pub fn count(&self, user: &str, folder: &str) -> usize {
        let maildir = self.folder_path(user, folder);
        let files = |sub: &str| fs::read_dir(maildir.join(sub)).map_or(0, Iterator::count);
        files("new") + files("cur")
    }

    /// The output of Dovecot's own tool on this instance.
    pub fn doveadm(&self, arguments: &[&str]) -> String {
        let output = Command::new("doveadm").arg("-c").arg(self.config()).args(arguments).output().unwrap();
        assert!(output.status.success(), "doveadm {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.path(name)).unwrap_or_default();
        read("startup.log") + &read("dovecot.log")
    }

    fn folder_path(&self, user: &str, folder: &str) -> PathBuf {
        match folder {
            "INBOX" => self.maildir(user),
            folder => self.maildir(user).join(format!(".{}", folder.replace('/', "."))),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("dovecot.conf")
    }

    fn write_files(&self, more: &str) {
        let pem = tls::pem(Certificate::Valid);
        tls::write_ca(self.folder.path());
        fs::write(self.path("server.pem"), &pem.certificate).unwrap();
        fs::write(self.path("server.key"), &pem.key).unwrap();
        fs::set_permissions(self.path("server.key"), Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(self.path("run")).unwrap();
        self.make_folder(&self.path("homes"));
        let (more, asks) = more.split_once("##").unwrap_or((more, ""));
        let asking = format!(
            "introspection_mode = auth\nintrospection_url = {asks}\nforce_introspection = yes\nactive_attribute = \
             active\nactive_value = true\nusername_attribute = email\ntimeout_msecs = 5000\n"
        );
        fs::write(self.path("oauth2.conf.ext"), asking).unwrap();
        let more = more.replace("FOLDER", &self.folder.path().display().to_string());
        let config = config_2_3(self.folder.path(), &self.ports, &self.owner) + &more;
        fs::write(self.config(), config).unwrap();
    }

    /// With all folders above it that are missing, and all of them the mail user's.
    fn make_folder(&self, path: &Path) {
        if path.is_dir() {
            return;
        }
        self.make_folder(path.parent().unwrap());
        fs::create_dir(path).unwrap();
        self.give(path);
    }

    fn give(&self, path: &Path) {
        if self.owner.is_root {
            chown(path, Some(self.owner.uid), Some(self.owner.gid)).unwrap();
        }
    }

    /// In the foreground, as our child: so its end can be seen and waited for.
    fn launch(&mut self) -> Result<(), String> {
        let said = fs::File::create(self.path("startup.log")).unwrap();
        let mut command = Command::new("dovecot");
        command.args(["-F", "-c"]).arg(self.config());
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let mut master = command.spawn().map_err(|error| format!("dovecot does not start: {error}"))?;
        let end = Instant::now() + DEADLINE;
        let mut ended = false;
        // It listens at one port after the other.
        let Ports { imap, imaps, pop3, pop3s } = self.ports;
        let listens = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        while !ended && ![imap, imaps, pop3, pop3s].into_iter().all(listens) {
            std::thread::sleep(Duration::from_millis(20));
            ended = master.try_wait().unwrap().is_some() || Instant::now() > end;
        }
        self.master = Some(master);
        if ended { Err(format!("dovecot does not start:\n{}", self.log())) } else { Ok(()) }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let Some(mut master) = self.master.take() else { return };
        // It ends its children first; the folder must outlive them.
        let _ = kill_process(Pid::from_child(&master), Signal::TERM);
        let end = Instant::now() + DEADLINE;
        while master.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > end {
                let _ = master.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn pass_without_notify(mut client: TcpStream, server: u16) -> io::Result<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        io::copy(&mut from_client, &mut to_server).ok();
        to_server.shutdown(Shutdown::Both)
    });
    std::thread::spawn(move || -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        while let Ok(length @ 1..) = server.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).replace(" NOTIFY", " XNOTIFY");
            client.write_all(text.as_bytes())?;
        }
        client.shutdown(Shutdown::Both)
    });
    Ok(())
}

fn check_version() -> Result<(), String> {
    let output = Command::new("dovecot").arg("--version").output();
    let output = output.map_err(|_| "dovecot is not installed".to_owned())?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !version.starts_with("2.3.") {
        return Err(format!("dovecot {version} is not supported here: its config language is not that of 2.3"));
    }
    let has_protocols = ["imap", "pop3"].iter().all(|name| {
        let places = ["/usr/lib/dovecot", "/usr/libexec/dovecot"];
        places.iter().any(|place| Path::new(place).join(name).exists())
    });
    if has_protocols { Ok(()) } else { Err("dovecot is installed without imap or pop3".to_owned()) }
}

impl Ports {
    /// Found by taking them all at once and letting them go. Not from the range that the system gives ports from:
    /// before Dovecot takes them, another test's server could get them.
    fn free() -> Self {
        let mut number = RandomState::new().hash_one(0);
        let sockets = [(); 4].map(|()| {
            loop {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let port = 10_000 + ((number >> 33) % 20_000) as u16;
                if let Ok(socket) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                    break socket;
                }
            }
        });
        let [imap, imaps, pop3, pop3s] = sockets.each_ref().map(|socket| socket.local_addr().unwrap().port());
        Ports { imap, imaps, pop3, pop3s }
    }
}

impl Owner {
    fn find() -> Result<Self, String> {
        let is_root = getuid().is_root();
        let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
        let line = find_line("/etc/passwd", |fields| match is_root {
            true => fields[0] == "mail",
            false => fields[2] == uid.to_string(),
        });
        let fields = line.ok_or("dovecot needs its user in /etc/passwd (as root: mail)")?;
        let (user, uid) = (fields[0].clone(), fields[2].parse().unwrap_or(uid));
        let gid = if is_root { fields[3].parse().unwrap_or(gid) } else { gid };
        let group = find_line("/etc/group", |fields| fields[2] == gid.to_string());
        let group = group.ok_or("dovecot needs its group in /etc/group")?[0].clone();
        Ok(Owner { user, group, uid, gid, is_root })
    }
}

fn find_line(path: &str, wanted: impl Fn(&[String]) -> bool) -> Option<Vec<String>> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<String>>());
    lines.find(|fields| fields.len() > 3 && wanted(fields))
}

/// Nothing outside `folder` is used, nobody is refused for lack of privileges, and nothing waits to be polite.
fn config_2_3(folder: &Path, ports: &Ports, owner: &Owner) -> String {
    let folder = folder.display();
    let Ports { imap, imaps, pop3, pop3s } = ports;
    let Owner { user, group, is_root, .. } = owner;
    let internal_user = if *is_root { "dovecot" } else { user };
    let internal_group = if *is_root { "dovecot" } else { group };
    let login_user = if *is_root { "dovenull" } else { user };
    // Only root may change the root directory.
    let chroots: String = ["anvil", "stats", "imap-urlauth-login"]
        .map(|service| format!("service {service} {{\n  chroot =\n}}\n"))
        .concat();
    format!(
        "protocols = imap pop3
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/run/state
log_path = {folder}/dovecot.log
default_internal_user = {internal_user}
default_internal_group = {internal_group}
default_login_user = {login_user}
disable_plaintext_auth = no
auth_mechanisms = plain login scram-sha-256
auth_failure_delay = 0
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:~/Maildir
mail_fsync = never
mail_max_userip_connections = 0
maildir_stat_dirs = yes
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/homes/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
ssl = yes
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.key
ssl_ca = <{folder}/ca.pem
{chroots}service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::super::raw_client::RawClient;
    use super::{Dovecot, PASSWORD};

    #[tokio::test]
    async fn mail_goes_in_as_files_and_comes_out_over_the_network() {
        let Some(dovecot) = Dovecot::start() else { return };
        dovecot.add("me", "INBOX", "Subject: one\n\nfirst\n");
        dovecot.add("me", "lists/rust", "Subject: two\n\nsecond\n");
        let address = |port| ([127, 0, 0, 1], port).into();

        let mut client = RawClient::connect(address(dovecot.ports.imaps)).await.start_tls().await;
        client.line().await;
        let reply = client.imap("a", &format!("LOGIN me {PASSWORD}")).await;
        assert!(reply.contains("a OK"), "{reply}\n{}", dovecot.log());
        assert!(client.imap("b", "LIST \"\" *").await.contains("lists/rust"));
        assert!(client.imap("c", "SELECT lists/rust").await.contains("* 1 EXISTS"), "{}", dovecot.log());

        let mut client = RawClient::connect(address(dovecot.ports.pop3)).await;
        client.line().await;
        client.pop3("STLS").await;
        let mut client = client.start_tls().await;
        client.pop3("USER me").await;
        client.pop3(&format!("PASS {PASSWORD}")).await;
        assert!(client.pop3_lines("RETR 1").await.contains("|Subject: one||first|."));
        client.pop3("DELE 1").await;
        client.pop3("QUIT").await;
        assert_eq!((dovecot.count("me", "INBOX"), dovecot.count("me", "lists/rust")), (0, 1));
        assert_eq!(dovecot.doveadm(&["search", "-u", "me", "mailbox", "lists/rust", "all"]).lines().count(), 1);
    }
}
