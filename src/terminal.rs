//! Questions on a terminal. What is typed for a secret is not shown, and Ctrl-C leaves the terminal as it was.

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

/// So long a secret is waited for: who asks may hold a lock.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it is looked whether the program is to stop.
const MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// The longest answer, in bytes.
const LONGEST: u64 = 4096;

/// Whether somebody is there to answer.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks, and reads one line. Blanks around it are left out.
pub(crate) fn ask(question: &str) -> Result<String> {
    show(question);
    let mut line = String::new();
    let read = io::stdin().lock().take(LONGEST).read_line(&mut line).map_err(unreadable)?;
    match read {
        0 => Err(ended()),
        _ => Ok(line.trim().to_owned()),
    }
}

/// Asks for what nobody may see.
pub(crate) fn ask_secret(question: &str) -> Result<SecretString> {
    // Two accounts may need one each.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    show(question);
    let hidden = Hidden::begin().map_err(unreadable)?;
    let until = Instant::now() + PATIENCE;
    let mut line = Zeroizing::new(Vec::new());
    let outcome = loop {
        match is_typed() {
            Ok(true) => {}
            Ok(false) if is_stopping() => break Err(stopped()),
            Ok(false) if Instant::now() > until => break Err(ended()),
            Ok(false) => continue,
            Err(error) => break Err(unreadable(error)),
        }
        let mut byte = [0];
        // Without a buffer of ours: what stands in one is not seen by poll(2).
        match rustix::io::read(io::stdin(), &mut byte) {
            Ok(0) => break Err(ended()),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => break Err(unreadable(error.into())),
        }
        match byte[0] {
            b'\n' | b'\r' => break Ok(()),
            // Ctrl-C and, before anything was typed, Ctrl-D.
            0x03 => break Err(stopped()),
            0x04 if line.is_empty() => break Err(ended()),
            // Backspace, by its two names, over a whole character.
            0x08 | 0x7f => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            // Ctrl-U.
            0x15 => line.clear(),
            byte if (line.len() as u64) < LONGEST => line.push(byte),
            _ => {}
        }
    };
    drop(hidden);
    show("\n");
    if outcome.as_ref().is_err_and(|error| error.kind() == Kind::Stopped) {
        // As Ctrl-C does elsewhere: the whole program stops, and not this question alone.
        kill_process(getpid(), Signal::INT).ok();
    }
    outcome?;
    let text = std::str::from_utf8(&line).map_err(|_| Error::permanent(Kind::Usage, "what was typed is not UTF-8"))?;
    // A password may end in a blank, as one in a file.
    Ok(SecretString::from(text.to_owned()))
}

/// Whether something can be read within a moment.
fn is_typed() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut asked = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut asked, Some(&MOMENT)) {
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

/// A terminal that shows nothing of what is typed. Ctrl-C comes as a byte, so that the terminal is put back before the end.
struct Hidden(Termios);

impl Hidden {
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

impl Drop for Hidden {
    fn drop(&mut self) {
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.0).ok();
    }
}
