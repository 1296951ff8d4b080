//! Running a program: by its arguments, never through a shell, and never for longer or with more output than allowed.
//!
//! Its input, output and complaints flow at the same time, so that neither side waits for the other for ever. When it
//! ends, or has to end, its whole process group ends: a program that wants to leave something running gives that a
//! session of its own. It gets descriptors 0, 1 and 2, a small environment, and no signal ignored.

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

/// Between SIGTERM and SIGKILL.
const MERCY: Duration = Duration::from_secs(5);
/// So long a program may go on when mailsluice itself is to stop, which has five seconds,
const GRACE: Duration = Duration::from_secs(3);
/// and so long then between SIGTERM and SIGKILL.
const MERCY_AT_STOP: Duration = Duration::from_secs(1);
/// How long after the program's end its output may still flow: somebody outside its group may hold the pipe.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How much of a program's complaint is kept, in bytes.
const MAX_COMPLAINT: usize = 4096;
/// So much is read and written at a time.
const PIECE: usize = 64 * 1024;
/// The longest time between two looks whether it has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// What a program may compute beyond its time on the wall, in seconds: for those that leave their group.
const CPU_BEYOND: u64 = 60;

/// A program to be run.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The program and its arguments.
    pub run: &'a [String],
    /// Its process group is ended after this.
    pub timeout: Duration,
    /// What its standard output is for.
    pub output: Output,
    /// Variables beside PATH, HOME, LANG and USER.
    pub environment: &'a [(&'static str, String)],
    /// Whether it may be run as root.
    pub allow_root: bool,
}

/// What the standard output of a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// It is read, up to so many bytes. More ends the program, and is a failure.
    Read(usize),
    /// Nobody reads it, and there may be as much as there will.
    Nobody,
}

/// What a program that ended by itself left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: Vec<u8>,
    /// The beginning of what it wrote to standard error, as one clean line.
    pub complaint: String,
}

/// Why there is no exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No program is named.
    #[error("there is no program to run")]
    Nothing,
    /// Mail that can choose a root program's input is too much power for a sender.
    #[error("{0} is not run as root; --allow-root allows it")]
    Root(String),
    /// An argument or a variable holds a NUL byte, which no program can be given.
    #[error("{0} is not run: an argument has a NUL byte in it")]
    Nul(String),
    /// The system refuses so many bytes.
    #[error("{0} is not run: its arguments are too long for the system")]
    TooLong(String),
    /// It could not be started.
    #[error("{0} could not be started: {1}")]
    Start(String, io::Error),
    /// Its time was over.
    #[error("{0} did not end within {1} s{2}")]
    TooSlow(String, u64, String),
    /// Mailsluice was asked to stop.
    #[error("{0} was ended, for mailsluice is to stop{1}")]
    Stopped(String, String),
    /// It wrote too much.
    #[error("{0} wrote more than {1} bytes")]
    TooMuch(String, usize),
    /// A signal ended it.
    #[error("{0} was ended by signal {1}{2}")]
    Killed(String, i32, String),
    /// What it should read could not be read, or the system failed.
    #[error("{0} could not be fed: {1}")]
    Pipes(String, io::Error),
}

impl Failure {
    /// Whether the system had no room for one more program just now.
    pub fn is_for_want_of_room(&self) -> bool {
        use rustix::io::Errno;
        let want = [Errno::NOMEM, Errno::AGAIN, Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
        matches!(self, Self::Start(_, e) | Self::Pipes(_, e) if e.raw_os_error().is_some_and(|error| want.contains(&error)))
    }

    /// Whether it says nothing about the program: mailsluice is to stop.
    pub fn is_by_stop(&self) -> bool {
        matches!(self, Self::Stopped(..))
    }
}

impl Program<'_> {
    /// Runs it to its end. `input` is what it reads; it need not read all of it.
    pub fn run(&self, input: Option<&mut dyn Read>) -> Result<Ended, Failure> {
        let name = self.name();
        let mut running = self.start(input.is_some())?;
        let most = match self.output {
            Output::Read(most) => most,
            Output::Nobody => 0,
        };
        let mut talk = Talk::new(&mut running.child, input, most).map_err(|e| Failure::Pipes(name.clone(), e))?;
        let end = running.until_end(&mut talk, self.timeout).map_err(|e| Failure::Pipes(name.clone(), e))?;
        let Talk { out, err, input_failed, .. } = talk;
        let complaint = one_line(&err.kept);
        let because = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
        let status = running.child.wait().map_err(|e| Failure::Pipes(name.clone(), e))?;
        running.is_over = true;
        match (end, input_failed, status.code()) {
            (End::TooSlow, ..) => Err(Failure::TooSlow(name, self.timeout.as_secs(), because)),
            (End::Stopped, ..) => Err(Failure::Stopped(name, because)),
            (End::TooMuch, ..) => Err(Failure::TooMuch(name, most)),
            (End::ByItself, Some(e), _) => Err(Failure::Pipes(name, e)),
            (End::ByItself, None, Some(code)) => Ok(Ended { code, out: out.kept, complaint }),
            (End::ByItself, None, None) => Err(Failure::Killed(name, status.signal().unwrap_or_default(), because)),
        }
    }

    fn name(&self) -> String {
        clean::short(self.run.first().map_or("", String::as_str), 80)
    }

    fn start(&self, has_input: bool) -> Result<Running, Failure> {
        let [program, arguments @ ..] = self.run else { return Err(Failure::Nothing) };
        if rustix::process::geteuid().is_root() && !self.allow_root {
            return Err(Failure::Root(self.name()));
        }
        if self.run.iter().chain(self.environment.iter().map(|(_, value)| value)).any(|text| text.contains('\0')) {
            return Err(Failure::Nul(self.name()));
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
            .stdout(if self.output == Output::Nobody { Stdio::null() } else { Stdio::piped() })
            .stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => Running::new(child, self.timeout).map_err(|e| Failure::Start(self.name(), e)),
            Err(e) if e.kind() == io::ErrorKind::ArgumentListTooLong => Err(Failure::TooLong(self.name())),
            Err(e) => Err(Failure::Start(self.name(), e)),
        }
    }
}

/// Whether there is such a program: at its path, or in one of the folders where programs are looked for.
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

/// What every program gets: nothing in it is a secret of ours.
fn small_environment() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    let others = ["LANG", "USER"].into_iter().filter_map(|name| Some((name, env::var_os(name)?)));
    let home = user::home().map(|home| ("HOME", home.into()));
    std::iter::once(("PATH", path())).chain(home).chain(others)
}

fn home() -> PathBuf {
    user::home().filter(|home| home.is_dir()).unwrap_or_else(|| Path::new("/").to_owned())
}

/// `~/bin/sort-it` is a program of one's own; no shell is asked what that means.
fn below_home(program: &str) -> PathBuf {
    program.strip_prefix("~/").map_or_else(|| PathBuf::from(program), |rest| home().join(rest))
}

fn one_line(text: &[u8]) -> String {
    let lines = text.split(|byte| *byte == b'\n').map(clean::line).filter(|line| !line.is_empty());
    clean::short(&lines.collect::<Vec<_>>().join("; "), 500)
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    ByItself,
    TooSlow,
    TooMuch,
    Stopped,
}

/// A started program. Dropping it ends its group and leaves no zombie.
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

    /// Talks until the program has ended, or ends it.
    fn until_end(&self, talk: &mut Talk<'_>, timeout: Duration) -> io::Result<End> {
        let begun = Instant::now();
        let mut end = End::ByItself;
        let mut stop_at = None;
        let mut kill_at = None;
        while !self.has_ended()? {
            let now = Instant::now();
            if stop_at.is_none() && is_stopping() {
                stop_at = Some(now + GRACE);
            }
            let why = match () {
                () if talk.out.is_over => Some((End::TooMuch, MERCY)),
                () if now.duration_since(begun) >= timeout => Some((End::TooSlow, MERCY)),
                () if stop_at.is_some_and(|at| now >= at) => Some((End::Stopped, MERCY_AT_STOP)),
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
            talk.go_on(LOOK_AGAIN)?;
        }
        // Until it is waited for, its number is no other's.
        self.signal(Signal::KILL);
        let ended = Instant::now();
        while talk.has_output() && ended.elapsed() < LAST_WORDS {
            talk.go_on(LOOK_AGAIN)?;
        }
        Ok(if end == End::ByItself && talk.out.is_over { End::TooMuch } else { end })
    }

    /// Asks without waiting for it, so that it stays a zombie.
    fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(self.group), options)?.is_some())
    }

    fn signal(&self, signal: Signal) {
        // A group that is gone is as good as one that hears.
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

/// No core dumps with mail in them, and an end to computing even outside the group. What it does in its first instant
/// is not held by this.
fn limit(pid: Pid, timeout: Duration) {
    #[cfg(target_os = "linux")]
    crate::descriptors::give_back(pid);
    #[cfg(target_os = "linux")]
    for (resource, most) in [(Resource::Core, 0), (Resource::Cpu, timeout.as_secs().saturating_add(CPU_BEYOND))] {
        rustix::process::prlimit(Some(pid), resource, Rlimit { current: Some(most), maximum: Some(most) }).ok();
    }
}

/// A stream that is read to its end, and kept up to a bound.
struct Stream<R> {
    from: Option<R>,
    kept: Vec<u8>,
    most: usize,
    /// Whether there was more than the bound.
    is_over: bool,
}

impl<R: Read + AsFd> Stream<R> {
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
            Err(e) if is_no_matter(&e) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

fn is_no_matter(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The pipes to a program.
struct Talk<'a> {
    stdin: Option<ChildStdin>,
    input: Option<&'a mut dyn Read>,
    /// Read from the input and not written yet.
    pending: Vec<u8>,
    written: usize,
    input_failed: Option<io::Error>,
    out: Stream<std::process::ChildStdout>,
    err: Stream<std::process::ChildStderr>,
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
            out: Stream::new(child.stdout.take(), most)?,
            err: Stream::new(child.stderr.take(), MAX_COMPLAINT)?,
            buffer: vec![0; PIECE],
        })
    }

    fn has_output(&self) -> bool {
        self.out.from.is_some() || self.err.from.is_some()
    }

    /// Waits until something can flow, at most so long, and lets it.
    fn go_on(&mut self, most: Duration) -> io::Result<()> {
        self.refill();
        if self.out.is_over {
            // It hears of it when it writes on.
            self.out.from = None;
        }
        if !self.has_output() && self.stdin.is_none() {
            // It is about to end, or has closed everything.
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

    /// Reads on when everything was written; the end of the input is the end of the pipe.
    fn refill(&mut self) {
        if self.stdin.is_none() || self.written < self.pending.len() {
            return;
        }
        self.pending.resize(PIECE, 0);
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

    /// A program that closes its input has read enough: its exit code says whether that was well.
    fn feed(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(&self.pending[self.written..]) {
            Ok(written) => self.written += written,
            Err(e) if is_no_matter(&e) => {}
            Err(_) => self.stdin = None,
        }
    }
}
