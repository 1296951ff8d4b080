//! Where a password comes from, and how it is fetched when a connection needs it.

use std::env;
use std::fmt;
use std::fs::Metadata;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::fs::OpenOptions;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::oauth::{self, Flow, SignIn};
use super::problem::Problems;
use super::reader::{self, Base, MapReader, Shape, TEXTS, Takes};
use super::yaml::{Node, Span, Value};
use crate::clean;
use crate::error::{Error, Kind, Result};

/// How long a program may take to print a password.
const DEADLINE: Duration = Duration::from_secs(60);
/// How much is read to find the first line, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// So much of the name of an account or relay is shown, in characters.
const LONGEST_NAME: usize = 80;
/// What a program has written is read for so long once it ended.
const LEFT_BEHIND: Duration = Duration::from_millis(200);
/// How much of a program's complaint is kept, in bytes.
const MAX_COMPLAINT: usize = 4096;

/// A password as it was written: the text, or where to ask for it.
#[derive(Clone)]
pub enum Password {
    /// The password itself.
    Plain(SecretString),
    /// The first line that this program prints; run by its arguments, without a shell.
    Command(Vec<String>),
    /// The value of this environment variable.
    Env(String),
    /// The first line of this file, which only its owner may read.
    File(PathBuf),
    /// The first line of `$CREDENTIALS_DIRECTORY/NAME`, as systemd passes secrets.
    Credential(String),
    /// A certificate speaks in its place (`auth: external`).
    Unneeded,
    /// No password: an access token, which `net::oauth` gets from a provider.
    SignIn(Box<SignIn>),
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => one.expose_secret() == other.expose_secret(),
            (Self::Command(one), Self::Command(other)) => one == other,
            (Self::Env(one), Self::Env(other)) | (Self::Credential(one), Self::Credential(other)) => one == other,
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Unneeded, Self::Unneeded) => true,
            (Self::SignIn(one), Self::SignIn(other)) => one == other,
            _ => false,
        }
    }
}

/// Says where it comes from and never what it is.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Plain(…)"),
            Self::Command(argv) => write!(f, "Command({:?}, …)", argv.first().map_or("", String::as_str)),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Credential(name) => f.debug_tuple("Credential").field(name).finish(),
            Self::Unneeded => f.write_str("Unneeded"),
            Self::SignIn(it) => f.debug_tuple("SignIn").field(it).finish(),
        }
    }
}

/// The long form of a password.
pub static SHAPE: Shape = Shape {
    what: "a password",
    keys: &[
        (
            "command",
            "A program and its arguments; the first line it prints is the password. No shell is involved.",
            TEXTS,
        ),
        ("env", "The name of an environment variable that holds the password.", Takes::Text),
        ("file", "A file whose first line is the password; only its owner may have access (mode 0600).", Takes::Text),
        (
            "credential",
            "The name of a systemd credential (`LoadCredential=`) whose first line is the password.",
            Takes::Text,
        ),
    ],
};

impl Password {
    /// Reads a password in its short form (the text itself) or its long form (exactly one key of [`SHAPE`]).
    ///
    /// Nothing is shown of a text that cannot be a password, and problems point at places, not at values.
    pub fn read(node: &Node, base: &Base, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Scalar { text, .. } => read_plain(node, text, problems),
            Value::Map(_) => read_long(node, base, problems),
            Value::Null | Value::Seq(_) | Value::File(_) => {
                reader::mismatch(node, "a password", problems)
                    .hint("write the text, or {command: [pass, show, NAME]}, {env: NAME}, {file: PATH}");
                None
            }
        }
    }

    /// What changes when the password does, as far as that is seen without asking for it. It is to be hashed, and never shown.
    pub fn mark(&self) -> Vec<u8> {
        match self {
            Self::Plain(secret) => secret.expose_secret().as_bytes().to_vec(),
            Self::Command(argv) => argv.join("\0").into_bytes(),
            Self::Env(name) => env::var_os(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default(),
            Self::File(path) => match std::fs::metadata(path) {
                Ok(file) => {
                    format!("{} {} {} {}", file.ino(), file.size(), file.mtime(), file.mtime_nsec()).into_bytes()
                }
                Err(_) => Vec::new(),
            },
            Self::Credential(name) => name.clone().into_bytes(),
            Self::SignIn(it) => it.mark(),
            Self::Unneeded => Vec::new(),
        }
    }

    /// Where it comes from, in words.
    pub fn place(&self) -> String {
        match self {
            Self::Plain(_) => "it stands in the config".to_owned(),
            Self::Command(argv) => {
                format!("from the program {}", clean::short(argv.first().map_or("", String::as_str), 80))
            }
            Self::Env(name) => format!("from ${name}"),
            Self::File(path) => format!("from {}", path.display()),
            Self::Credential(name) => format!("from the credential {name}"),
            Self::Unneeded => "none is needed: a certificate speaks".to_owned(),
            Self::SignIn(it) => format!("from {}, where somebody signed in", it.title()),
        }
    }

    /// The file that it is read from, if it is.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::SignIn(it) => match &it.flow {
                Flow::Key(path) => Some(path),
                _ => None,
            },
            _ => None,
        }
    }

    /// Fetches the password.
    ///
    /// A program that fails or does not end within a minute is a transient failure: a locked keyring may be open
    /// the next time. Everything else (no such variable, a file that others may read, an empty password, one
    /// with NUL, CR or LF in it) stays wrong until somebody changes it. A sign-in is none: see `net::oauth`.
    pub async fn reveal(&self) -> Result<SecretString> {
        match self {
            Self::Plain(secret) => checked(secret.expose_secret().as_bytes(), "the password in the config"),
            Self::Command(argv) => from_command(argv, DEADLINE).await,
            Self::Env(name) => from_env(name),
            Self::File(path) => from_file(path, &format!("the password file {}", path.display()), true).await,
            Self::Credential(name) => from_credential(name, env::var_os("CREDENTIALS_DIRECTORY").map(Into::into)).await,
            Self::Unneeded => Ok(SecretString::default()),
            Self::SignIn(_) => Err(wrong("a sign-in has no password")),
        }
    }

    /// The sign-in that stands in its place.
    pub fn sign_in(&self) -> Option<&SignIn> {
        match self {
            Self::SignIn(it) => Some(it),
            _ => None,
        }
    }

    /// The same, where it is a sign-in, for that user of that account or relay.
    pub(super) fn of(mut self, name: &str, user: &str) -> Self {
        if let Self::SignIn(it) = &mut self {
            (it.name, it.user) = (clean::short(name, LONGEST_NAME), user.to_owned());
        }
        self
    }
}

/// By what a login is made: one of them.
pub(super) const WAYS: [&str; 3] = ["password", "token", "oauth2"];

/// What is said to log in: `password`, or `token` or `oauth2` in its place. The second part: whether it is an access token.
pub(super) fn read_either(map: &mut MapReader<'_, '_>, base: &Base) -> Option<(Password, bool)> {
    let password = map.read("password", |n, p| Password::read(n, base, p));
    let token = map.read("token", |n, p| read_token(n, base, p));
    let sign_in = map.read("oauth2", |n, p| oauth::read(n, base, p));
    let written: Vec<&str> = WAYS.into_iter().filter(|way| map.take(way).is_some()).collect();
    if let [first, second, ..] = written.as_slice() {
        let at = map.key_span(second).unwrap_or(map.place());
        map.problems().error(at, format!("a login has either `{first}` or `{second}`, not both"));
        return None;
    }
    let token = token.or(sign_in.map(|it| Password::SignIn(Box::new(it))));
    password.map(|password| (password, false)).or(token.map(|token| (token, true)))
}

/// Where it is written.
pub(super) fn span_of_either(map: &MapReader<'_, '_>) -> Option<Span> {
    WAYS.into_iter().find_map(|way| map.key_span(way))
}

/// Tokens are made anew every hour, so none is written down.
fn read_token(node: &Node, base: &Base, problems: &mut Problems) -> Option<Password> {
    if node.as_text().is_some() {
        problems
            .error(node.span, "an access token lives for about an hour")
            .hint("name the program that gives one: {command: [oama, access, me@example.com]}");
        return None;
    }
    Password::read(node, base, problems)
}

fn read_plain(node: &Node, text: &str, problems: &mut Problems) -> Option<Password> {
    if text.is_empty() {
        problems.error(node.span, "the password is empty");
        return None;
    }
    if text.contains(['\0', '\r', '\n']) {
        problems.error(node.span, "a password must be one line");
        return None;
    }
    Some(Password::Plain(SecretString::from(text)))
}

fn read_long(node: &Node, base: &Base, problems: &mut Problems) -> Option<Password> {
    let mut map = MapReader::new(node, &SHAPE, problems);
    let known = SHAPE.names().filter(|key| map.take(key).is_some()).count();
    let written = if let Value::Map(entries) = &node.value { entries.len() } else { 0 };
    if known > 1 || written == 0 {
        map.problems()
            .error(node.span, "a password comes from exactly one place: `command`, `env`, `file` or `credential`");
        return None;
    }
    let command = map.read("command", read_command).map(Password::Command);
    let env = map.read("env", |n, p| reader::text(n, "the name of an environment variable", p));
    let file = map.read("file", |n, p| reader::path(n, base, p)).map(Password::File);
    let credential = map.read("credential", read_credential).map(Password::Credential);
    command.or(env.map(|name| Password::Env(name.to_owned()))).or(file).or(credential)
}

fn read_command(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    if let Some(text) = node.as_text() {
        let words: Vec<&str> = text.split_whitespace().collect();
        reader::mismatch(node, "a program and its arguments as a list", problems)
            .hint(format!("no shell is involved: write [{}]", words.join(", ")));
        return None;
    }
    let items = reader::list(node, "a program and its arguments as a list", problems)?;
    if items.is_empty() {
        problems.error(node.span, "expected a program and its arguments, found an empty list");
        return None;
    }
    let read: Vec<_> = items.iter().map(|item| read_argument(item, problems)).collect();
    read.into_iter().collect()
}

/// An argument may be empty or have several lines, but no program can be given a NUL.
fn read_argument(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = node.as_text().filter(|text| !text.contains('\0'));
    if text.is_none() {
        reader::mismatch(node, "an argument (a text)", problems);
    }
    text.map(str::to_owned)
}

fn read_credential(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = reader::text(node, "the name of a credential", problems)?;
    if !is_credential_name(name) {
        problems.error(node.span, "the name of a credential is a file name, without `/`").hint("for a path use `file`");
        return None;
    }
    Some(name.to_owned())
}

fn is_credential_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != ".."
}

/// The command that takes a file away from everybody but its owner, ready to be pasted.
pub(super) fn chmod(path: &Path) -> String {
    let shown = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@' | ',' | ':');
    if shown.chars().all(is_plain) && !shown.starts_with('-') {
        return format!("chmod 600 {shown}");
    }
    format!("chmod 600 -- '{}'", shown.replace('\'', r"'\''"))
}

/// Whether anybody but the owner has access.
pub(super) fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o077 != 0
}

/// The same for a file with nothing but a secret. Root's may be read by its group: root says who is in it.
fn is_open_to_strangers(metadata: &Metadata) -> bool {
    is_open_to_others(metadata) && (metadata.uid() != 0 || metadata.permissions().mode() & 0o027 != 0)
}

/// Refuses a file with a secret that others may read, before it is read by a library.
pub(crate) fn check_file(path: &Path, doing: &str) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|error| wrong(doing).because(error))?;
    check_is_ones_own(path, &metadata, &path.display().to_string())
}

/// Refuses a file with a secret that others may read, and says how to take it from them.
fn check_is_ones_own(path: &Path, metadata: &Metadata, what: &str) -> Result<()> {
    if !is_open_to_strangers(metadata) {
        return Ok(());
    }
    let remedy = match metadata.uid() {
        0 if path.starts_with("/etc") => {
            format!("chmod 640 {} and let whoever sends be in its group", path.display())
        }
        _ => chmod(path),
    };
    Err(wrong(format!("{what} is open to others: {remedy}")))
}

fn wrong(doing: impl Into<String>) -> Error {
    Error::permanent(Kind::Config, doing)
}

/// A password out of bytes: a text of one line that is not empty.
fn checked(bytes: &[u8], from: &str) -> Result<SecretString> {
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(format!("{from} is not UTF-8")))?;
    if text.is_empty() {
        return Err(wrong(format!("{from} is empty")));
    }
    if text.contains(['\0', '\r', '\n']) {
        return Err(wrong(format!("{from} holds a NUL or a line end")));
    }
    Ok(SecretString::from(text))
}

/// The first line without its end. More than [`MAX_BYTES`] without a line end is refused.
fn first_line(bytes: &[u8], from: &str) -> Result<SecretString> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.len() >= MAX_BYTES {
        return Err(wrong(format!("{from} is longer than {MAX_BYTES} bytes")));
    }
    checked(line.strip_suffix(b"\r").unwrap_or(line), from)
}

fn from_env(name: &str) -> Result<SecretString> {
    match env::var(name) {
        Ok(value) => checked(Zeroizing::new(value).as_bytes(), &format!("the password in ${name}")),
        Err(env::VarError::NotPresent) => Err(wrong(format!("reading the password: ${name} is not set"))),
        Err(env::VarError::NotUnicode(_)) => Err(wrong(format!("the password in ${name} is not UTF-8"))),
    }
}

/// A whole file that nobody but its owner may read.
pub async fn private_file(path: &Path, from: &str) -> Result<Zeroizing<Vec<u8>>> {
    opened(path, from, true).await
}

async fn from_file(path: &Path, from: &str, owner_only: bool) -> Result<SecretString> {
    first_line(&opened(path, from, owner_only).await?, from)
}

async fn opened(path: &Path, from: &str, owner_only: bool) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |error: io::Error| wrong(format!("reading {from}")).because(error);
    // O_NONBLOCK, so that a FIFO is refused below and does not hold us up here.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).await.map_err(failed)?;
    let metadata = file.metadata().await.map_err(failed)?;
    if !metadata.is_file() {
        return Err(wrong(format!("{from} is not a regular file")));
    }
    if owner_only {
        check_is_ones_own(path, &metadata, from)?;
    }
    read_up_to(MAX_BYTES, &mut file).await.map_err(failed)
}

/// systemd gives access by an ACL, which shows up as group access: the mode is not looked at.
async fn from_credential(name: &str, directory: Option<PathBuf>) -> Result<SecretString> {
    if !is_credential_name(name) {
        return Err(wrong(format!("`{name}` cannot be the name of a credential")));
    }
    let Some(directory) = directory else {
        let hint = "run as a systemd service with LoadCredential= or LoadCredentialEncrypted=";
        return Err(wrong(format!("reading the credential {name}: $CREDENTIALS_DIRECTORY is not set; {hint}")));
    };
    from_file(&directory.join(name), &format!("the credential {name}"), false).await
}

/// Up to `most` bytes; what follows is left unread.
async fn read_up_to(most: usize, from: impl AsyncRead + Unpin) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    from.take(most as u64).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Up to `most` bytes into `kept`; the rest is read and dropped, so that the program can end.
async fn drain(kept: &mut Zeroizing<Vec<u8>>, most: usize, from: Option<impl AsyncRead + Unpin>) -> io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut piece = Zeroizing::new([0; 4096]);
    kept.reserve(most);
    loop {
        let read = from.read(&mut *piece).await?;
        if read == 0 {
            return Ok(());
        }
        let room = most.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..read.min(room)]);
    }
}

async fn from_command(argv: &[String], deadline: Duration) -> Result<SecretString> {
    let [program, arguments @ ..] = argv else {
        return Err(wrong("the password command is empty"));
    };
    let from = format!("the password from {program}");
    let mut child = start(program, arguments).map_err(|error| wrong(format!("starting {program}")).because(error))?;
    let mut group = Group::of(&child);
    let Ok(ended) = timeout(deadline, run(&mut child)).await else {
        return Err(Error::transient(Kind::Auth, format!("{from} did not come within {} s", deadline.as_secs())));
    };
    let (status, output, complaint) =
        ended.map_err(|error| Error::transient(Kind::Auth, format!("reading {from}")).because(error))?;
    group.release();
    if !status.success() {
        let error = Error::transient(Kind::Auth, format!("{from} did not come: {status}"));
        return Err(if complaint.trim_ascii().is_empty() { error } else { error.said(&*complaint) });
    }
    first_line(&output, &from)
}

/// A person at the terminal sees what the program says as it says it; otherwise it is kept for the error.
fn start(program: &str, arguments: &[String]) -> io::Result<Child> {
    let complaints = if io::stderr().is_terminal() { Stdio::inherit() } else { Stdio::piped() };
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(complaints)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

type Ended = (ExitStatus, Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// The program's output as far as it came before the program ended: an agent that it started may hold the pipe open for days.
async fn run(child: &mut Child) -> io::Result<Ended> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut output, mut complaint) = (Zeroizing::default(), Zeroizing::default());
    let status = {
        let reads = async {
            tokio::try_join!(drain(&mut output, MAX_BYTES, stdout), drain(&mut complaint, MAX_COMPLAINT, stderr))
        };
        tokio::pin!(reads);
        tokio::select! {
            ended = &mut reads => {
                ended?;
                child.wait().await?
            }
            status = child.wait() => {
                let status = status?;
                // What it wrote is in the pipe already.
                timeout(LEFT_BEHIND, &mut reads).await.unwrap_or(Ok(((), ())))?;
                status
            }
        }
    };
    Ok((status, output, complaint))
}

/// The process group of a program. All of it is killed when this goes: at the deadline, and when the caller gives up.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// The program has ended: its number may soon be another's, and an agent that it left running may stay.
    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The group is usually gone by now, which is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    async fn printed(script: &str) -> Result<SecretString> {
        from_command(&shell(script), Duration::from_secs(20)).await
    }

    fn text(secret: Result<SecretString>) -> String {
        match secret {
            Ok(secret) => secret.expose_secret().to_owned(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn debug_never_shows_the_secret() {
        let shown = format!("{:?}", Password::Plain("hunter2".into()));
        assert_eq!(shown, "Plain(…)");
        let command = Password::Command(vec!["vault".into(), "--token=hunter2".into()]);
        assert!(!format!("{command:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_program_prints_it() {
        assert_eq!(text(printed("printf 'geheim \\nsecond\\n'").await), "geheim ");
        assert_eq!(text(printed("printf 'geheim\\r\\n'").await), "geheim");
        assert_eq!(text(printed("printf ok; yes | head -c 1000000 >&2").await), "ok");
        assert_eq!(text(printed("echo ok; yes | head -c 1000000").await), "ok");
    }

    /// gpg-agent, ssh-agent and the daemons of password managers are started at the first question.
    #[tokio::test]
    async fn audit_b15_an_agent_that_holds_the_pipe_does_not_hold_us_up() {
        let begun = Instant::now();
        assert_eq!(text(printed("sleep 30 & echo geheim").await), "geheim");
        assert_eq!(text(printed("sleep 30 & printf geheim").await), "geheim");
        assert!(printed("sleep 30 & echo geheim; exit 3").await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_program_that_fails_says_why() {
        let error = printed("printf 'locked \\033[2J' >&2; exit 3").await.unwrap_err();
        assert!(error.is_transient());
        if !io::stderr().is_terminal() {
            assert!(error.to_string().contains("exit status: 3: locked \\u{1b}[2J"), "{error}");
        }
        let missing = from_command(&["/nonexistent/pass".to_owned()], DEADLINE).await.unwrap_err();
        assert!(!missing.is_transient());
        assert!(missing.to_string().starts_with("starting /nonexistent/pass: "), "{missing}");
    }

    #[tokio::test]
    async fn what_cannot_be_a_password_is_refused() {
        for script in [":", "echo", "printf 'a\\0b'", "printf 'a\\rb'", "printf '\\377'", "head -c 70000 /dev/zero"] {
            let error = printed(script).await.unwrap_err();
            assert_eq!((error.kind(), error.is_transient()), (Kind::Config, false), "{script}: {error}");
        }
    }

    #[tokio::test]
    async fn the_whole_group_ends_at_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 300 & echo $! > '{}'; wait", pid.display());
        let begun = Instant::now();
        let error = from_command(&shell(&script), Duration::from_secs(1)).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert!(error.is_transient());
        let sleeper = fs::read_to_string(pid).unwrap().trim().to_owned();
        for _ in 0..100 {
            if !is_running(&sleeper) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the sleeper lives");
    }

    /// A killed process that nobody has waited for yet is a zombie.
    fn is_running(pid: &str) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
    }

    #[tokio::test]
    async fn files_are_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "geheim\nnote\n").unwrap();
        for (mode, open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o620, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let revealed = text(Password::File(path.clone()).reveal().await);
            if open {
                assert!(revealed.ends_with(&format!("chmod 600 {}", path.display())), "{revealed}");
            } else {
                assert_eq!(revealed, "geheim");
            }
        }
        assert!(text(Password::File(folder.path().into()).reveal().await).contains("not a regular file"));
        assert!(text(Password::File(folder.path().join("none")).reveal().await).starts_with("error: reading"));
    }

    #[tokio::test]
    async fn a_fifo_does_not_hold_us_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let made = Command::new("mkfifo").arg(&path).status().await.unwrap();
        assert!(made.success());
        assert!(text(Password::File(path).reveal().await).contains("not a regular file"));
    }

    #[tokio::test]
    async fn variables_and_credentials() {
        assert!(text(Password::Env("MAILSLUICE_NO_SUCH".into()).reveal().await).contains("is not set"));
        assert!(!text(Password::Env("PATH".into()).reveal().await).starts_with("error"));
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("imap"), "geheim\n").unwrap();
        let directory = Some(folder.path().to_owned());
        assert_eq!(text(from_credential("imap", directory.clone()).await), "geheim");
        assert!(text(from_credential("../imap", directory).await).contains("cannot be the name"));
        assert!(text(from_credential("imap", None).await).contains("LoadCredential="));
    }

    #[test]
    fn the_remedy_can_be_pasted() {
        assert_eq!(chmod(Path::new("/home/me/a.yaml")), "chmod 600 /home/me/a.yaml");
        assert_eq!(chmod(Path::new("my file's")), r"chmod 600 -- 'my file'\''s'");
    }
}
