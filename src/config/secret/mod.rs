//! Where a password comes from: what is written in the config, and how it is fetched when a connection needs it.

mod command;
mod fetched;
mod keyring;
mod netrc;
mod prompt;
mod written;

use std::env;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::oauth::{Flow, SignIn};
use super::reader::{Shape, TEXTS, Takes};
use crate::clean;
use crate::error::Result;

use command::{DEADLINE, from_command};
use fetched::{checked, from_credential, from_env, from_file, wrong};
use keyring::from_keyring;
use netrc::from_netrc;
use prompt::from_person;
use written::is_credential_name;

pub(crate) use fetched::check_file;
pub use fetched::private_file;
pub(super) use fetched::{chmod, is_open_to_others};
pub(super) use written::{read_either, span_of_either};

/// How much of the name of an account or relay is shown, in characters.
const LONGEST_NAME: usize = 80;

/// A password as it was written: the text, or where to ask for it.
#[derive(Clone)]
pub enum Password {
    /// The password itself.
    Plain(SecretString),
    /// The first line that this program prints; run by its arguments, without a shell.
    Command(Vec<String>),
    /// The same for an access token: it is printed anew for each login, for one lives an hour.
    Fresh(Vec<String>),
    /// The value of this environment variable.
    Env(String),
    /// The first line of this file, which only its owner may read.
    File(PathBuf),
    /// The first line of `$CREDENTIALS_DIRECTORY/NAME`, as systemd passes secrets.
    Credential(String),
    /// The entry of the account's host and user in this file, which only its owner may read.
    Netrc(PathBuf, Box<Who>),
    /// What the keyring of the desktop (Secret Service) keeps under this name.
    Keyring(String),
    /// A person types it, at a terminal.
    Prompt(Box<Who>),
    /// A certificate speaks in its place (`auth: external`).
    Unneeded,
    /// No password: an access token, which `net::oauth` gets from a provider.
    SignIn(Box<SignIn>),
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => one.expose_secret() == other.expose_secret(),
            (Self::Command(one), Self::Command(other)) | (Self::Fresh(one), Self::Fresh(other)) => one == other,
            (Self::Env(one), Self::Env(other)) | (Self::Credential(one), Self::Credential(other)) => one == other,
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Unneeded, Self::Unneeded) => true,
            (Self::Netrc(file, who), Self::Netrc(other, others)) => file == other && who == others,
            (Self::Keyring(one), Self::Keyring(other)) => one == other,
            (Self::Prompt(one), Self::Prompt(other)) => one == other,
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
            Self::Command(argv) | Self::Fresh(argv) => {
                write!(f, "Command({:?}, …)", argv.first().map_or("", String::as_str))
            }
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Credential(name) => f.debug_tuple("Credential").field(name).finish(),
            Self::Unneeded => f.write_str("Unneeded"),
            Self::Netrc(path, who) => f.debug_tuple("Netrc").field(path).field(who).finish(),
            Self::Keyring(name) => f.debug_tuple("Keyring").field(name).finish(),
            Self::Prompt(who) => f.debug_tuple("Prompt").field(who).finish(),
            Self::SignIn(it) => f.debug_tuple("SignIn").field(it).finish(),
        }
    }
}

/// Whose password it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The host, as it stands in the config.
    pub host: String,
    /// The login name.
    pub user: String,
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
        (
            "netrc",
            "A file like `~/.netrc`: the password of the entry for the host and the user (mode 0600).",
            Takes::Text,
        ),
        (
            "keyring",
            "The name under which the keyring of the desktop keeps it: `secret-tool store --label=mail mailsluice NAME` puts it there.",
            Takes::Text,
        ),
        ("prompt", "`true`: it is asked for at the terminal, once for as long as the program runs.", Takes::Flag),
    ],
};

impl Password {
    /// What changes when the password does, as far as that is seen without asking for it. It is to be hashed, and never shown.
    pub fn mark(&self) -> Vec<u8> {
        match self {
            Self::Plain(secret) => secret.expose_secret().as_bytes().to_vec(),
            Self::Command(argv) | Self::Fresh(argv) => argv.join("\0").into_bytes(),
            Self::Env(name) => env::var_os(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default(),
            Self::File(path) | Self::Netrc(path, _) => match std::fs::metadata(path) {
                Ok(file) => {
                    format!("{} {} {} {}", file.ino(), file.size(), file.mtime(), file.mtime_nsec()).into_bytes()
                }
                Err(_) => Vec::new(),
            },
            Self::Credential(name) => name.clone().into_bytes(),
            Self::SignIn(it) => it.mark(),
            Self::Keyring(name) => name.clone().into_bytes(),
            Self::Prompt(_) | Self::Unneeded => Vec::new(),
        }
    }

    /// Where it comes from, in words.
    pub fn place(&self) -> String {
        match self {
            Self::Plain(_) => "it stands in the config".to_owned(),
            Self::Command(argv) | Self::Fresh(argv) => {
                format!("from the program {}", clean::short(argv.first().map_or("", String::as_str), 80))
            }
            Self::Env(name) => format!("from ${}", clean::short(name, 80)),
            Self::File(path) | Self::Netrc(path, _) => {
                format!("from {}", clean::short(&path.display().to_string(), 200))
            }
            Self::Credential(name) => format!("from the credential {}", clean::short(name, 80)),
            Self::Unneeded => "none is needed: a certificate speaks".to_owned(),
            Self::Keyring(name) => format!("from the keyring, as {}", clean::short(name, 80)),
            Self::Prompt(_) => "typed at the terminal".to_owned(),
            Self::SignIn(it) => format!("from {}, where somebody signed in", it.title()),
        }
    }

    /// The file that it is read from, if it is.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) | Self::Netrc(path, _) => Some(path),
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
            Self::Command(argv) | Self::Fresh(argv) => from_command(argv, DEADLINE).await,
            Self::Netrc(path, who) => from_netrc(path, &who.host, &who.user).await,
            Self::Keyring(name) => from_keyring(name).await,
            Self::Prompt(who) => from_person(who).await,
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

    /// The same, where it is an access token.
    pub(super) fn into_token(self) -> Self {
        match self {
            Self::Command(argv) => Self::Fresh(argv),
            other => other,
        }
    }

    /// Whether it is asked of a program, a keyring or a person, and worth to be remembered while it works.
    pub fn is_asked_for(&self) -> bool {
        matches!(self, Self::Command(_) | Self::Keyring(_) | Self::Prompt(_))
    }

    /// The same, where it hangs on that, for that user of that account or relay at that host.
    pub(super) fn of(mut self, name: &str, user: &str, host: &str) -> Self {
        match &mut self {
            Self::SignIn(it) => (it.name, it.user) = (clean::short(name, LONGEST_NAME), user.to_owned()),
            Self::Netrc(_, who) | Self::Prompt(who) => {
                **who = Who { host: host.to_owned(), user: user.to_owned() };
            }
            _ => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use std::io::{self, IsTerminal};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::error::Kind;

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
        let made = tokio::process::Command::new("mkfifo").arg(&path).status().await.unwrap();
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
