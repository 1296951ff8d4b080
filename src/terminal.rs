//! Questions on a terminal. A secret is not shown while it is typed, and Ctrl-C restores the terminal.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::stop::is_stopping;

/// How long to wait for a secret. There is a limit because the caller may hold a lock.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// The time between two checks whether the program is stopping.
const STOP_POLL: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// The longest answer, in bytes.
const LONGEST_ANSWER_BYTES: u64 = 4096;

/// Whether a person can answer: standard input and standard error are a terminal.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question, and reads one line. Surrounding blanks are removed.
pub(crate) fn ask(question: &str) -> Result<String> {
    show(question);
    let mut line = String::new();
    let read = io::stdin().lock().take(LONGEST_ANSWER_BYTES).read_line(&mut line).map_err(unreadable)?;
    match read {
        0 => Err(ended()),
        _ => Ok(line.trim().to_owned()),
    }
}

/// Asks for a secret.
pub(crate) fn ask_secret(question: &str) -> Result<SecretString> {
    // Two accounts may ask at the same time.
    static TERMINAL: Mutex<()> = Mutex::new(());
    let _terminal = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner);
    show(question);
    let hidden = EchoOff::begin().map_err(unreadable)?;
    let until = Instant::now() + ANSWER_TIMEOUT;
    let mut line = Zeroizing::new(Vec::new());
    let outcome = loop {
        match has_input() {
            Ok(true) => {}
            Ok(false) if is_stopping() => break Err(stopped()),
            Ok(false) if Instant::now() > until => break Err(ended()),
            Ok(false) => continue,
            Err(error) => break Err(unreadable(error)),
        }
        let mut byte = [0];
        // Read without a buffer of our own, because poll(2) does not see what is in one.
        match rustix::io::read(io::stdin(), &mut byte) {
            Ok(0) => break Err(ended()),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => break Err(unreadable(error.into())),
        }
        match byte[0] {
            b'\n' | b'\r' => break Ok(()),
            // Ctrl-C, and Ctrl-D before anything was typed.
            0x03 => break Err(stopped()),
            0x04 if line.is_empty() => break Err(ended()),
            // Backspace, in its two forms, deletes a whole character.
            0x08 | 0x7f => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            // Ctrl-U.
            0x15 => line.clear(),
            byte if (line.len() as u64) < LONGEST_ANSWER_BYTES => line.push(byte),
            _ => {}
        }
    };
    drop(hidden);
    show("\n");
    if outcome.as_ref().is_err_and(|error| error.kind() == Kind::Stopped) {
        // As Ctrl-C does elsewhere: it stops the whole program, not only this question.
        kill_process(getpid(), Signal::INT).ok();
    }
    outcome?;
    let text = std::str::from_utf8(&line).map_err(|_| Error::permanent(Kind::Usage, "what was typed is not UTF-8"))?;
    // Blanks at the end are kept: a password may end with one.
    Ok(SecretString::from(text.to_owned()))
}

/// Whether there is input within a moment.
fn has_input() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut asked = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut asked, Some(&STOP_POLL)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn stopped() -> Error {
    Error::permanent(Kind::Stopped, "stopped while a secret was asked for")
}

fn show(text: &str) {
    let mut err = io::stderr();
    err.write_all(text.as_bytes()).and_then(|()| err.flush()).ok();
}

fn unreadable(error: io::Error) -> Error {
    Error::permanent(Kind::Usage, "reading from the terminal").because(error)
}

fn ended() -> Error {
    Error::permanent(Kind::Stopped, "there was no answer")
}

/// The terminal without echo. Ctrl-C is read as a byte, so that the terminal is restored before the program ends.
struct EchoOff(Termios);

impl EchoOff {
    fn begin() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.0).ok();
    }
}
