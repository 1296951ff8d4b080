//! A password that a program prints.

use std::io::{self, IsTerminal};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::fetched::{MAX_BYTES, first_line, wrong};
use crate::error::{Error, Kind, Result};

/// How long a program may take to print a password.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);
/// What a program has written is read for so long once it ended.
const LEFT_BEHIND: Duration = Duration::from_millis(200);
/// How much of a program's complaint is kept, in bytes.
const MAX_COMPLAINT: usize = 4096;

/// The first line that a program prints, which is ended at the deadline with whatever it has started.
pub(super) async fn from_command(argv: &[String], deadline: Duration) -> Result<SecretString> {
    let [program, arguments @ ..] = argv else {
        return Err(wrong("the password command is empty"));
    };
    let from = format!("the password from {program}");
    let mut child = start(program, arguments).map_err(|error| wrong(format!("starting {program}")).because(error))?;
    let mut group = ProcessGroup::of(&child);
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

type CommandEnd = (ExitStatus, Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// The program's output as far as it came before the program ended: an agent that it started may hold the pipe open for days.
async fn run(child: &mut Child) -> io::Result<CommandEnd> {
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
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// The program has ended: its number may soon be another's, and an agent that it left running may stay.
    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The group is usually gone by now, which is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
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
