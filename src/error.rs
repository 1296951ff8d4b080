//! What can go wrong, and whether trying again can help.
//!
//! Every failure in the program is an [`Error`]. It says what was being done, whether it is [`Permanence::Transient`]
//! or [`Permanence::Permanent`], and carries the line (of a server, of the operating system, of a config file) that
//! caused it, already cleaned for a terminal.

use std::fmt;
use std::path::Path;

use rustix::io::Errno;

use crate::clean;
use crate::safeguard::Safeguard;

/// The system's errors when one folder or file cannot be used, and others can.
const TARGET_ERRORS: [Errno; 12] = [
    Errno::NAMETOOLONG,
    Errno::NOTDIR,
    Errno::ISDIR,
    Errno::EXIST,
    Errno::ACCESS,
    Errno::PERM,
    Errno::LOOP,
    Errno::INVAL,
    // On another disk, on a read-only one, or on one that is gone.
    Errno::XDEV,
    Errno::ROFS,
    Errno::STALE,
    Errno::NODEV,
];

/// What SQLite says about a damaged file.
pub(crate) const DAMAGE: [&str; 3] = ["not a database", "malformed", "corrupt"];
/// The advice in that case.
const REBUILD_ADVICE: &str =
    "the database is damaged; `mailsluice rebuild` moves it aside and makes a new one from the Maildirs";

/// Can the same attempt succeed later without anybody changing anything?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permanence {
    /// Try again later: the network is down, the server is busy, the disk is full.
    Transient,
    /// Somebody has to change something first: a password, a config line.
    Permanent,
}

/// What failed. It decides the exit code and the advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The config file or a rule file cannot be used (EX_CONFIG).
    Config,
    /// The command line cannot be used (EX_USAGE).
    Usage,
    /// The message that was given cannot be used (EX_DATAERR).
    Data,
    /// The server refused the credentials (EX_NOPERM when final).
    Auth,
    /// No connection, or it broke, or a deadline passed.
    Network,
    /// The certificate or the TLS policy does not hold.
    Tls,
    /// The server broke the protocol.
    Protocol,
    /// The server understood the request and refused it.
    Refused,
    /// The server refused a login and did not say why.
    Login,
    /// The mail store could not be written or read.
    Disk,
    /// The state database could not be written or read.
    State,
    /// Another mailsluice holds the lock.
    Busy,
    /// The user or the system asked the program to stop.
    Stopped,
}

/// A failure: what was being done, what came back, and whether to try again.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    permanence: Permanence,
    doing: String,
    said: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// The folder or mbox file that it concerns, if it concerns nothing else.
    target: Option<Box<Path>>,
    /// What the user can do about it.
    helps: Option<Box<str>>,
    /// Whether it concerns the host, whoever logs in.
    is_of_the_host: bool,
    /// Whether the cause was corrected meanwhile.
    goes_again: bool,
}

/// The result of most functions in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure that may pass by itself.
    pub fn transient(kind: Kind, doing: impl Into<String>) -> Self {
        let (doing, permanence) = (doing.into(), Permanence::Transient);
        let (said, source, target, helps) = (None, None, None, None);
        Self { kind, permanence, doing, said, source, target, helps, is_of_the_host: false, goes_again: false }
    }

    /// A failure that stays until somebody acts.
    pub fn permanent(kind: Kind, doing: impl Into<String>) -> Self {
        Self { permanence: Permanence::Permanent, ..Self::transient(kind, doing) }
    }

    /// Adds the line that caused it, as the other side sent it. The line is cleaned and shortened here.
    #[must_use]
    pub fn said(mut self, line: impl AsRef<[u8]>) -> Self {
        self.said = Some(clean::line(line.as_ref()));
        self
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn helped_by(mut self, what: impl Into<String>) -> Self {
        self.helps = Some(what.into().into_boxed_str());
        self
    }

    /// What the user can do about it, if that is known.
    pub fn help(&self) -> Option<&str> {
        self.helps.as_deref()
    }

    /// The text of the error without that advice.
    pub fn without_help(&self) -> String {
        let whole = self.to_string();
        let help = self.helps.as_ref().map(|helps| format!(" ({helps})"));
        help.and_then(|help| whole.strip_suffix(help.as_str()).map(str::to_owned)).unwrap_or(whole)
    }

    /// Prepends what was being done: "fetching INBOX: reading the reply".
    #[must_use]
    pub fn while_doing(mut self, doing: impl fmt::Display) -> Self {
        self.doing = format!("{doing}: {}", self.doing);
        self
    }

    /// Marks an error that came before the login, so that it concerns every account of the host.
    #[must_use]
    pub fn of_the_host(self) -> Self {
        Self { is_of_the_host: true, ..self }
    }

    /// Whether the host could not be reached, or refuses everybody.
    pub fn is_of_the_host(&self) -> bool {
        self.is_of_the_host
    }

    /// Marks whether the cause was corrected meanwhile, such as a refused access token that was replaced.
    #[must_use]
    pub fn put_right(self, goes_again: bool) -> Self {
        Self { goes_again, ..self }
    }

    /// Whether the same attempt should be made again at once.
    pub fn goes_again(&self) -> bool {
        self.goes_again
    }

    /// What failed.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether trying again later can help.
    pub fn permanence(&self) -> Permanence {
        self.permanence
    }

    /// The underlying error, if it is one of that type.
    pub fn cause<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.source.as_deref()?.downcast_ref()
    }

    /// Shorthand for `permanence() == Permanence::Transient`.
    pub fn is_transient(&self) -> bool {
        self.permanence == Permanence::Transient
    }

    /// The exit code of `sysexits.h` for cron, an MTA or a script.
    pub fn exit_code(&self) -> u8 {
        match (self.permanence, self.kind) {
            (Permanence::Transient, _) => 75,
            (_, Kind::Config) => 78,
            (_, Kind::Usage) => 64,
            (_, Kind::Data) => 65,
            (_, Kind::Auth) => 77,
            (_, Kind::Protocol | Kind::Tls) => 76,
            (_, Kind::Disk | Kind::State) => 74,
            (_, Kind::Network | Kind::Refused | Kind::Login | Kind::Busy | Kind::Stopped) => 69,
        }
    }

    /// An error of the operating system while working on mail files. It is always transient: somebody repairs a full or
    /// broken disk, and until then nothing may be given up (`reliability.md` 1.6).
    pub fn disk(doing: impl Into<String>, source: std::io::Error) -> Self {
        Self::transient(Kind::Disk, doing).because(source)
    }

    /// The same for a folder or an mbox file. If the folder itself is the cause, such as a name that is too long, a
    /// file in place of a directory, or a missing permission, the error concerns only this target. A full or broken
    /// disk concerns everything.
    pub fn of_target(target: &Path, doing: impl Into<String>, source: std::io::Error) -> Self {
        let is_its_own =
            source.raw_os_error().is_some_and(|code| TARGET_ERRORS.iter().any(|e| e.raw_os_error() == code));
        // Our own errors: an impossible name, or a lock that another program keeps.
        let is_its_own = is_its_own
            || source.raw_os_error().is_none()
                && matches!(source.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::WouldBlock);
        let target = (is_its_own && Safeguard::TargetErrorIsKept.is_on()).then(|| Box::from(target));
        Self { target, ..Self::disk(doing, source) }
    }

    /// The same error without its target, for what is already recorded: recovery finishes it, and it is not decided
    /// again.
    #[must_use]
    pub fn of_everything(self) -> Self {
        Self { target: None, ..self }
    }

    /// The folder or mbox file that it concerns, if it concerns only that one.
    pub fn target(&self) -> Option<&Path> {
        self.target.as_deref()
    }

    /// A failure of the state database. It is transient for the same reason as [`Error::disk`].
    pub fn state(doing: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        let text = source.to_string();
        let doing = match DAMAGE.iter().any(|sign| text.contains(sign)) {
            true => format!("{}: {}", doing.into(), REBUILD_ADVICE),
            false => doing.into(),
        };
        Self::transient(Kind::State, doing).because(source)
    }

    /// A broken connection or a passed deadline.
    pub fn network(doing: impl Into<String>, source: std::io::Error) -> Self {
        Self::transient(Kind::Network, doing).because(source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)?;
        if let Some(said) = &self.said {
            write!(f, ": {said}")?;
        }
        let mut cause = self.source.as_deref().map(|e| e as &dyn std::error::Error);
        while let Some(e) = cause {
            write!(f, ": {}", clean::line(without_number(&e.to_string()).as_bytes()))?;
            cause = e.source();
        }
        match &self.helps {
            Some(helps) => write!(f, " ({helps})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// The text of a system error without its number, which tells a user nothing: `(os error 111)`.
pub(crate) fn without_number(text: &str) -> &str {
    let (before, number) = text.rsplit_once(" (os error ").unwrap_or((text, ""));
    match number.strip_suffix(')') {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => before,
        _ => text,
    }
}
