//! What can go wrong, and whether trying again can help.
//!
//! Every failure in the program is an [`Error`]. It says what was being done, whether it is
//! [`Permanence::Transient`] or [`Permanence::Permanent`], and carries the line (of a server, of the
//! operating system, of a config file) that caused it, already cleaned for a terminal.

use std::fmt;
use std::path::Path;

use rustix::io::Errno;

use crate::clean;
use crate::safeguard::Safeguard;

/// What the system says when one folder or file cannot be used, and others can.
const OF_A_TARGET: [Errno; 12] = [
    Errno::NAMETOOLONG,
    Errno::NOTDIR,
    Errno::ISDIR,
    Errno::EXIST,
    Errno::ACCESS,
    Errno::PERM,
    Errno::LOOP,
    Errno::INVAL,
    // On another disk, on one that is mounted for reading, on one that is away.
    Errno::XDEV,
    Errno::ROFS,
    Errno::STALE,
    Errno::NODEV,
];

/// What SQLite says of a file that is damaged.
pub(crate) const DAMAGE: [&str; 3] = ["not a database", "malformed", "corrupt"];
/// What helps then.
const REBUILD: &str = "the database is damaged; `mailsluice rebuild` sets it aside and makes it anew from the Maildirs";

/// Can the same attempt succeed later without anybody changing anything?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permanence {
    /// Try again later: the network is down, the server is busy, the disk is full.
    Transient,
    /// Somebody has to change something first: a password, a config line.
    Permanent,
}

/// What sort of thing failed. It decides the exit code and which advice fits.
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
    /// The server answered something that the protocol does not allow.
    Protocol,
    /// The server understood and said no.
    Refused,
    /// It refused a login and did not say why.
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
    /// The folder or mbox file that it is about, and nothing else.
    target: Option<Box<Path>>,
    /// What the user can do about it.
    helps: Option<Box<str>>,
    /// Whether it is about the host, whoever logs in.
    is_of_the_host: bool,
    /// Whether what it failed at was put right meanwhile.
    goes_again: bool,
}

/// The result of nearly everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure that may go away by itself.
    pub fn transient(kind: Kind, doing: impl Into<String>) -> Self {
        let (doing, permanence) = (doing.into(), Permanence::Transient);
        let (said, source, target, helps) = (None, None, None, None);
        Self { kind, permanence, doing, said, source, target, helps, is_of_the_host: false, goes_again: false }
    }

    /// A failure that stays until somebody acts.
    pub fn permanent(kind: Kind, doing: impl Into<String>) -> Self {
        Self { permanence: Permanence::Permanent, ..Self::transient(kind, doing) }
    }

    /// Adds the line that caused it, as the other side sent it; it is cleaned and shortened here.
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

    /// What the user can do about it, where that is known.
    pub fn help(&self) -> Option<&str> {
        self.helps.as_deref()
    }

    /// What it says without that.
    pub fn without_help(&self) -> String {
        let whole = self.to_string();
        let help = self.helps.as_ref().map(|helps| format!(" ({helps})"));
        help.and_then(|help| whole.strip_suffix(help.as_str()).map(str::to_owned)).unwrap_or(whole)
    }

    /// Puts what was being done in front: "fetching INBOX: reading the reply".
    #[must_use]
    pub fn while_doing(mut self, doing: impl fmt::Display) -> Self {
        self.doing = format!("{doing}: {}", self.doing);
        self
    }

    /// The same error, which came before anybody said who logs in: so it is with everybody who wants to reach that host.
    #[must_use]
    pub fn of_the_host(self) -> Self {
        Self { is_of_the_host: true, ..self }
    }

    /// Whether the host could not be reached, or turned everybody away.
    pub fn is_of_the_host(&self) -> bool {
        self.is_of_the_host
    }

    /// The same error, where what it failed at was put right meanwhile, if that is so: a refused access token, in whose place
    /// there is another one.
    #[must_use]
    pub fn put_right(self, goes_again: bool) -> Self {
        Self { goes_again, ..self }
    }

    /// Whether the same is worth to be tried once more at once.
    pub fn goes_again(&self) -> bool {
        self.goes_again
    }

    /// What sort of thing failed.
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

    /// The exit code of `sysexits.h` that tells cron, an MTA or a script what to do.
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

    /// An operating-system error while working on mail files. Always transient: a full or broken disk is
    /// repaired by somebody, and until then nothing must be given up (`reliability.md` 1.6).
    pub fn disk(doing: impl Into<String>, source: std::io::Error) -> Self {
        Self::transient(Kind::Disk, doing).because(source)
    }

    /// The same for a folder or an mbox file. Where the folder itself is the reason, nothing else is concerned: a name that is
    /// too long, no directory, no permission. A full or broken disk concerns everybody.
    pub fn of_target(target: &Path, doing: impl Into<String>, source: std::io::Error) -> Self {
        let is_its_own = source.raw_os_error().is_some_and(|code| OF_A_TARGET.iter().any(|e| e.raw_os_error() == code));
        // Our own words: a name that cannot be one, a lock that another program keeps.
        let is_its_own = is_its_own
            || source.raw_os_error().is_none()
                && matches!(source.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::WouldBlock);
        let target = (is_its_own && Safeguard::TargetErrorIsKept.is_on()).then(|| Box::from(target));
        Self { target, ..Self::disk(doing, source) }
    }

    /// The same error where it cannot be kept apart: what is recorded is finished by recovery, and not decided anew.
    #[must_use]
    pub fn of_everything(self) -> Self {
        Self { target: None, ..self }
    }

    /// The folder or mbox file that it is about, if it is about one alone.
    pub fn target(&self) -> Option<&Path> {
        self.target.as_deref()
    }

    /// A failure of the state database. Transient for the same reason as [`Error::disk`].
    pub fn state(doing: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        let text = source.to_string();
        let doing = match DAMAGE.iter().any(|sign| text.contains(sign)) {
            true => format!("{}: {}", doing.into(), REBUILD),
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
            write!(f, ": {}", clean::line(e.to_string().as_bytes()))?;
            cause = e.source();
        }
        match &self.helps {
            Some(helps) => write!(f, " ({helps})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
