//! Runs a program: with a list of arguments, never through a shell, and with limits on its time and output.
//!
//! Its input, output and standard error are handled at the same time, so that neither side can block the other. When it
//! ends or must be ended, its whole process group is killed; a program that wants to leave something running gives it a
//! session of its own. It inherits descriptors 0, 1 and 2 only, gets a small environment, and ignores no signals.

use std::env;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::clean;
use crate::stop::is_stopping;
use crate::user;

/// The time between SIGTERM and SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(5);
/// How long a program may go on when mailsluice is asked to stop. Mailsluice itself has five seconds.
const GRACE_AT_STOP: Duration = Duration::from_secs(3);
/// The time between SIGTERM and SIGKILL in that case.
const KILL_AFTER_AT_STOP: Duration = Duration::from_secs(1);
/// How long output is still read after the program has ended: a process outside its group may keep the pipe open.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of its standard error is kept, in bytes.
const MAX_STDERR_BYTES: usize = 4096;
/// How much is read and written at a time.
const BUFFER_BYTES: usize = 64 * 1024;
/// The longest time between two checks whether it has ended.
const EXIT_POLL: Duration = Duration::from_millis(20);
/// The CPU time that a program may use beyond its timeout, in seconds. It limits processes that leave the group.
const EXTRA_CPU_SECONDS: u64 = 60;

/// A program to run.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The program and its arguments.
    pub run: &'a [String],
    /// The process group is killed after this time.
    pub timeout: Duration,
    /// What happens to its standard output.
    pub output: OutputUse,
    /// Variables in addition to PATH, HOME, LANG and USER.
    pub environment: &'a [(&'static str, String)],
    /// Whether it may run as root.
    pub allow_root: bool,
}

/// What happens to the standard output of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputUse {
    /// It is read, up to this number of bytes. If there is more, the program is killed, which is a failure.
    Read(usize),
    /// It is discarded, however much there is.
    Nobody,
}

/// The result of a program that ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: Vec<u8>,
    /// The beginning of its standard error, as one clean line.
    pub complaint: String,
}

/// Why there is no exit code.
#[derive(Debug, thiserror::Error)]
pub enum ProgramFailure {
    /// No program was given.
    #[error("there is no program to run")]
    Nothing,
    /// The program would run as root with input that a sender can choose.
    #[error("{0} is not run as root; --allow-root allows it")]
    Root(String),
    /// An argument or a variable contains a NUL byte, which cannot be passed to a program.
    #[error("{0} is not run: an argument has a NUL byte in it")]
    Nul(String),
    /// The arguments are too long for the system.
    #[error("{0} is not run: its arguments are too long for the system")]
    TooLong(String),
    /// It could not be started.
    #[error("{0} could not be started: {1}")]
    Start(String, io::Error),
    /// It took too long.
    #[error("{0} did not end within {1} s{2}")]
    TooSlow(String, u64, String),
    /// Mailsluice was asked to stop.
    #[error("{0} was ended because mailsluice is stopping{1}")]
    Stopped(String, String),
    /// It wrote too much.
    #[error("{0} wrote more than {1} bytes")]
    TooMuch(String, usize),
    /// It was killed by a signal.
    #[error("{0} was ended by signal {1}{2}")]
    Killed(String, i32, String),
    /// Its input could not be read, or the system failed.
    #[error("{0} could not be given its input: {1}")]
    Pipes(String, io::Error),
}

impl ProgramFailure {
    /// Whether the system lacked the resources for one more program at this moment.
    pub fn is_for_want_of_room(&self) -> bool {
        use rustix::io::Errno;
        let want = [Errno::NOMEM, Errno::AGAIN, Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
        matches!(self, Self::Start(_, e) | Self::Pipes(_, e) if e.raw_os_error().is_some_and(|error| want.contains(&error)))
    }

    /// Whether mailsluice was stopping, so that the failure says nothing about the program.
    pub fn is_by_stop(&self) -> bool {
        matches!(self, Self::Stopped(..))
    }
}

impl Program<'_> {
    /// Runs the program to its end. `input` is its standard input; it need not read all of it.
    pub fn run(&self, input: Option<&mut dyn Read>) -> Result<Ended, ProgramFailure> {
        let name = self.name();
        let mut running = self.start(input.is_some())?;
        let most = match self.output {
            OutputUse::Read(most) => most,
            OutputUse::Nobody => 0,
        };
        let mut talk =
            Talk::new(&mut running.child, input, most).map_err(|e| ProgramFailure::Pipes(name.clone(), e))?;
        let end = running.until_end(&mut talk, self.timeout).map_err(|e| ProgramFailure::Pipes(name.clone(), e))?;
        let Talk { out, err, input_failed, .. } = talk;
        let complaint = one_line(&err.kept);
        let because = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
        let status = running.child.wait().map_err(|e| ProgramFailure::Pipes(name.clone(), e))?;
        running.is_over = true;
        match (end, input_failed, status.code()) {
            (End::TooSlow, ..) => Err(ProgramFailure::TooSlow(name, self.timeout.as_secs(), because)),
            (End::Stopped, ..) => Err(ProgramFailure::Stopped(name, because)),
            (End::TooMuch, ..) => Err(ProgramFailure::TooMuch(name, most)),
            (End::ByItself, Some(e), _) => Err(ProgramFailure::Pipes(name, e)),
            (End::ByItself, None, Some(code)) => Ok(Ended { code, out: out.kept, complaint }),
            (End::ByItself, None, None) => {
                Err(ProgramFailure::Killed(name, status.signal().unwrap_or_default(), because))
            }
        }
    }

    fn name(&self) -> String {
        clean::short(self.run.first().map_or("", String::as_str), 80)
    }

    fn start(&self, has_input: bool) -> Result<Running, ProgramFailure> {
        let [program, arguments @ ..] = self.run else { return Err(ProgramFailure::Nothing) };
        if rustix::process::geteuid().is_root() && !self.allow_root {
            return Err(ProgramFailure::Root(self.name()));
        }
        if self.run.iter().chain(self.environment.iter().map(|(_, value)| value)).any(|text| text.contains('\0')) {
            return Err(ProgramFailure::Nul(self.name()));
        }
        let mut command = Command::new(below_home(program));
        command
            .args(arguments)
            .env_clear()
            .envs(small_environment())
            .envs(self.environment.iter().map(|(n, v)| (n, v)));
        command.current_dir(home()).process_group(0);
        command
            .stdin(if has_input { Stdio::piped() } else { Stdio::null() })
            .stdout(if self.output == OutputUse::Nobody { Stdio::null() } else { Stdio::piped() })
            .stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => Running::new(child, self.timeout).map_err(|e| ProgramFailure::Start(self.name(), e)),
            Err(e) if e.kind() == io::ErrorKind::ArgumentListTooLong => Err(ProgramFailure::TooLong(self.name())),
            Err(e) => Err(ProgramFailure::Start(self.name(), e)),
        }
    }
}

/// Whether the program exists: at its path, or in one of the folders of PATH.
pub fn is_there(program: &str) -> bool {
    let is_one = |path: &Path| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    match program.contains('/') {
        true => is_one(&home().join(below_home(program))),
        false => env::split_paths(&path()).any(|folder| is_one(&folder.join(program))),
    }
}

fn path() -> std::ffi::OsString {
    env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

/// The environment of every program. It contains none of our secrets.
fn small_environment() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    let others = ["LANG", "USER"].into_iter().filter_map(|name| Some((name, env::var_os(name)?)));
    let home = user::home().map(|home| ("HOME", home.into()));
    std::iter::once(("PATH", path())).chain(home).chain(others)
}

fn home() -> PathBuf {
    user::home().filter(|home| home.is_dir()).unwrap_or_else(|| Path::new("/").to_owned())
}

/// Expands `~/` in the path of a program, because no shell does it.
fn below_home(program: &str) -> PathBuf {
    program.strip_prefix("~/").map_or_else(|| PathBuf::from(program), |rest| home().join(rest))
}

fn one_line(text: &[u8]) -> String {
    let lines = text.split(|byte| *byte == b'\n').map(clean::line).filter(|line| !line.is_empty());
    clean::short(&lines.collect::<Vec<_>>().join("; "), 500)
}

/// Why a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    ByItself,
    TooSlow,
    TooMuch,
    Stopped,
}

/// A running program. Dropping it kills its group and leaves no zombie.
struct Running {
    child: Child,
    group: Pid,
    is_over: bool,
}

impl Running {
    fn new(child: Child, timeout: Duration) -> io::Result<Self> {
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = id.ok_or_else(|| io::Error::other("the program has no number"))?;
        limit(group, timeout);
        Ok(Self { child, group, is_over: false })
    }

    /// Exchanges data until the program has ended, and ends it if necessary.
    fn until_end(&self, talk: &mut Talk<'_>, timeout: Duration) -> io::Result<End> {
        let begun = Instant::now();
        let mut end = End::ByItself;
        let mut stop_at = None;
        let mut kill_at = None;
        while !self.has_ended()? {
            let now = Instant::now();
            if stop_at.is_none() && is_stopping() {
                stop_at = Some(now + GRACE_AT_STOP);
            }
            let why = match () {
                () if talk.out.is_over => Some((End::TooMuch, KILL_AFTER)),
                () if now.duration_since(begun) >= timeout => Some((End::TooSlow, KILL_AFTER)),
                () if stop_at.is_some_and(|at| now >= at) => Some((End::Stopped, KILL_AFTER_AT_STOP)),
                () => None,
            };
            match (kill_at, why) {
                (None, Some((why, mercy))) => {
                    end = why;
                    self.signal(Signal::TERM);
                    kill_at = Some(now + mercy);
                }
                (Some(at), _) if now >= at => self.signal(Signal::KILL),
                _ => {}
            }
            talk.transfer(EXIT_POLL)?;
        }
        // The process group's number cannot be reused until the child is waited for.
        self.signal(Signal::KILL);
        let ended = Instant::now();
        while talk.has_output() && ended.elapsed() < DRAIN_TIMEOUT {
            talk.transfer(EXIT_POLL)?;
        }
        Ok(if end == End::ByItself && talk.out.is_over { End::TooMuch } else { end })
    }

    /// Checks without reaping, so that the program stays a zombie.
    fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(self.group), options)?.is_some())
    }

    fn signal(&self, signal: Signal) {
        // If the group is gone already, nothing is left to signal.
        kill_process_group(self.group, signal).ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.signal(Signal::KILL);
            self.child.wait().ok();
        }
    }
}

/// Limits a program: no core dumps, which could contain mail, and a bound on CPU time, even outside the group. The limits do not
/// apply to its first instant.
fn limit(pid: Pid, timeout: Duration) {
    #[cfg(target_os = "linux")]
    crate::descriptors::give_back(pid);
    #[cfg(target_os = "linux")]
    for (resource, most) in [(Resource::Core, 0), (Resource::Cpu, timeout.as_secs().saturating_add(EXTRA_CPU_SECONDS))]
    {
        rustix::process::prlimit(Some(pid), resource, Rlimit { current: Some(most), maximum: Some(most) }).ok();
    }
}

/// A stream that is read to its end, and kept up to a limit.
struct OutputStream<R> {
    from: Option<R>,
    kept: Vec<u8>,
    most: usize,
    /// Whether there was more than the limit.
    is_over: bool,
}

impl<R: Read + AsFd> OutputStream<R> {
    fn new(from: Option<R>, most: usize) -> io::Result<Self> {
        from.as_ref().map_or(Ok(()), |from| rustix::io::ioctl_fionbio(from, true))?;
        Ok(Self { from, kept: Vec::new(), most, is_over: false })
    }

    fn take(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let Some(from) = &mut self.from else { return Ok(()) };
        match from.read(buffer) {
            Ok(0) => self.from = None,
            Ok(read) => {
                let room = self.most - self.kept.len();
                self.kept.extend_from_slice(&buffer[..read.min(room)]);
                self.is_over |= read > room;
            }
            Err(e) if may_be_repeated(&e) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

fn may_be_repeated(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The pipes to and from a program.
struct Talk<'a> {
    stdin: Option<ChildStdin>,
    input: Option<&'a mut dyn Read>,
    /// Data that was read from the input and not written to the program yet.
    pending: Vec<u8>,
    written: usize,
    input_failed: Option<io::Error>,
    out: OutputStream<std::process::ChildStdout>,
    err: OutputStream<std::process::ChildStderr>,
    buffer: Vec<u8>,
}

impl<'a> Talk<'a> {
    fn new(child: &mut Child, input: Option<&'a mut dyn Read>, most: usize) -> io::Result<Self> {
        let stdin = child.stdin.take();
        stdin.as_ref().map_or(Ok(()), |stdin| rustix::io::ioctl_fionbio(stdin, true))?;
        Ok(Self {
            stdin,
            input,
            pending: Vec::new(),
            written: 0,
            input_failed: None,
            out: OutputStream::new(child.stdout.take(), most)?,
            err: OutputStream::new(child.stderr.take(), MAX_STDERR_BYTES)?,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    fn has_output(&self) -> bool {
        self.out.from.is_some() || self.err.from.is_some()
    }

    /// Waits until data can flow, for at most this time, and transfers it.
    fn transfer(&mut self, most: Duration) -> io::Result<()> {
        self.refill();
        if self.out.is_over {
            // The program notices when it writes more.
            self.out.from = None;
        }
        if !self.has_output() && self.stdin.is_none() {
            // The program is about to end, or has closed all pipes.
            std::thread::sleep(Duration::from_millis(1).min(most));
            return Ok(());
        }
        self.wait(most)?;
        self.feed();
        self.out.take(&mut self.buffer)?;
        self.err.take(&mut self.buffer)?;
        Ok(())
    }

    fn wait(&self, most: Duration) -> io::Result<()> {
        let watched = [
            (self.stdin.as_ref().map(AsFd::as_fd), PollFlags::OUT),
            (self.out.from.as_ref().map(AsFd::as_fd), PollFlags::IN),
            (self.err.from.as_ref().map(AsFd::as_fd), PollFlags::IN),
        ];
        let watched = watched.into_iter().filter_map(|(fd, flags)| Some(PollFd::from_borrowed_fd(fd?, flags)));
        let mut fds: Vec<PollFd<'_>> = watched.collect();
        let nanoseconds = most.subsec_nanos().into();
        match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: nanoseconds })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Reads more input when everything was written. At the end of the input the pipe is closed.
    fn refill(&mut self) {
        if self.stdin.is_none() || self.written < self.pending.len() {
            return;
        }
        self.pending.resize(BUFFER_BYTES, 0);
        self.written = 0;
        let read = self.input.as_mut().map_or(Ok(0), |input| input.read(&mut self.pending));
        match read {
            Ok(read) => self.pending.truncate(read),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return self.pending.clear(),
            Err(e) => {
                self.pending.clear();
                self.input_failed = Some(e);
            }
        }
        if self.pending.is_empty() {
            self.stdin = None;
        }
    }

    /// Writes input to the program. If the program has closed its input it has read enough; its exit code says whether all is
    /// well.
    fn feed(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(&self.pending[self.written..]) {
            Ok(written) => self.written += written,
            Err(e) if may_be_repeated(&e) => {}
            Err(_) => self.stdin = None,
        }
    }
}
