//! Orders to a daemon over its socket, as JSON with one object a line. The first line is a [`Request`]; [`Answer`]s
//! follow, and the last one is `done` or `error`. `docs/reference.md` describes the language for other programs.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::changes::ConfigChanges;
use super::status::Status;
use crate::error::{Error, Kind, Result};
use crate::pass::Passed;
use crate::state::Lock;

/// The version of the language.
pub const VERSION: u32 = 1;

/// How long a daemon may take to accept an order.
const ORDER_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to answer an order that needs no server,
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// and how long a pass may take.
const PASS_TIMEOUT: Duration = Duration::from_secs(3600);

/// The longest path that a socket's address holds, in bytes (`unix(7)`).
const MAX_ADDRESS_BYTES: usize = 107;

/// A request to the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The version of the language.
    pub version: u32,
    /// The order.
    #[serde(flatten)]
    pub order: Order,
}

/// The orders. Without accounts, an order concerns all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Ask for the status of everything.
    Status,
    /// Start a pass now. It is done when the pass has started.
    Poll {
        /// The names of the accounts.
        #[serde(default)]
        accounts: Vec<String>,
    },
    /// Start a pass now and report the result: one `passed` for each account, `unknown` for one that is not fetched by
    /// this daemon.
    Fetch {
        /// The names of the accounts.
        #[serde(default)]
        accounts: Vec<String>,
        /// Whether a person typed it. Then a login that was refused is tried again, too.
        #[serde(default)]
        typed: bool,
    },
    /// Fetch nothing until `resume`, even after a restart of the daemon.
    Pause {
        /// The names of the accounts.
        #[serde(default)]
        accounts: Vec<String>,
    },
    /// Continue to fetch.
    Resume {
        /// The names of the accounts.
        #[serde(default)]
        accounts: Vec<String>,
    },
    /// Read the config again.
    Reload,
    /// Send every event, until one side hangs up.
    Events,
}

/// The answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To `status`.
    Status(Box<Status>),
    /// To `fetch`.
    Passed(Box<Passed>),
    /// To whatever names an account: this daemon fetches no account of that name.
    Unknown(String),
    /// To `reload`: what changed.
    Reloaded(Box<ConfigChanges>),
    /// To `events`.
    Event(Value),
    /// This many events were lost, because they were read too slowly.
    Missed(u64),
    /// The order cannot be carried out, for this reason and with this exit code.
    Error {
        /// In words.
        text: String,
        /// By `sysexits.h`.
        code: u8,
    },
    /// The answer is complete.
    Done(bool),
}

/// The path of the socket of the daemon that uses this state.
pub fn socket_path(state: &Path) -> PathBuf {
    state.join("socket")
}

/// A path that reaches the socket even if its own is too long: through the open folder that holds it.
pub(super) fn address(path: &Path) -> Result<(PathBuf, Option<std::fs::File>)> {
    if path.as_os_str().len() <= MAX_ADDRESS_BYTES {
        return Ok((path.to_owned(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok((path.to_owned(), None)) };
    let folder = std::fs::File::open(folder).map_err(|e| Error::disk("opening the state folder", e))?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
    Ok((Path::new("/proc/self/fd").join(number.to_string()).join(name), Some(folder)))
}

/// The answers of a daemon.
#[derive(Debug)]
pub struct Answers(BufReader<UnixStream>);

/// The lock that a daemon holds on its state.
pub(super) const LOCK: &str = "(run)";

/// The folder of the locks of a state.
pub(super) fn locks(state: &Path) -> PathBuf {
    state.join("locks")
}

/// Handles a socket that nobody listens to: perhaps a daemon is running all the same.
fn without_listener(state: &Path) -> Result<Option<Answers>> {
    let Some(process) = Lock::holder(&locks(state), LOCK) else { return Ok(None) };
    let text = format!(
        "mailsluice (process {process}) is using the state in {}, but its socket is gone: it is starting or stopping, or \
         somebody removed the socket",
        state.display()
    );
    let helps = "it makes a new one within a few seconds; if it does not, restart it";
    Err(Error::transient(Kind::Busy, text).helped_by(helps))
}

/// Sends an order to the daemon that uses this state. Returns `None` if there is no daemon.
///
/// # Errors
///
/// If a daemon is running but does not listen, or the socket broke.
pub fn give(state: &Path, order: Order) -> Result<Option<Answers>> {
    let path = socket_path(state);
    if !path.exists() {
        return without_listener(state);
    }
    let (address, _folder) = address(&path)?;
    let mut stream = match UnixStream::connect(&address) {
        Ok(stream) => stream,
        // A daemon that was killed left the socket.
        Err(e) if matches!(e.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => {
            return without_listener(state);
        }
        Err(e) => return Err(broken(e)),
    };
    let waits = match &order {
        Order::Events => None,
        Order::Fetch { .. } => Some(PASS_TIMEOUT),
        _ => Some(ANSWER_TIMEOUT),
    };
    stream.set_read_timeout(waits).map_err(broken)?;
    let mut line = serde_json::to_vec(&Request { version: VERSION, order }).map_err(|e| broken(e.into()))?;
    line.push(b'\n');
    stream.set_write_timeout(Some(ORDER_WRITE_TIMEOUT)).and_then(|()| stream.write_all(&line)).map_err(broken)?;
    Ok(Some(Answers(BufReader::new(stream))))
}

fn broken(e: std::io::Error) -> Error {
    Error::transient(Kind::Busy, "talking to the running mailsluice").because(e)
}

impl Iterator for Answers {
    type Item = Result<Answer>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => Some(Err(Error::transient(Kind::Busy, "the running mailsluice ended before it was done"))),
            Ok(_) => match serde_json::from_str(&line) {
                Ok(Answer::Done(_)) => None,
                Ok(Answer::Error { text, code: 75 }) => Some(Err(Error::transient(Kind::Busy, text))),
                Ok(Answer::Error { text, code: 78 }) => Some(Err(Error::permanent(Kind::Config, text))),
                Ok(Answer::Error { text, code: 77 }) => Some(Err(Error::permanent(Kind::Auth, text))),
                Ok(Answer::Error { text, code: 74 }) => Some(Err(Error::permanent(Kind::State, text))),
                Ok(Answer::Error { text, .. }) => Some(Err(Error::permanent(Kind::Usage, text))),
                Ok(answer) => Some(Ok(answer)),
                Err(e) => {
                    let text = "the running mailsluice has another version; restart it";
                    Some(Err(Error::permanent(Kind::Usage, text).because(e)))
                }
            },
            Err(e) => Some(Err(broken(e))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_flat_object() {
        let request = Request { version: 1, order: Order::Fetch { accounts: vec!["work".into()], typed: true } };
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(line, r#"{"version":1,"order":"fetch","accounts":["work"],"typed":true}"#);
        let short: Request = serde_json::from_str(r#"{"version":1,"order":"poll"}"#).unwrap();
        assert_eq!(short.order, Order::Poll { accounts: vec![] });
        assert_eq!(serde_json::to_string(&Answer::Done(true)).unwrap(), r#"{"done":true}"#);
    }
}
