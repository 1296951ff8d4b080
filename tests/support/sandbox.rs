//! A home folder of its own to run the program in, with nothing of the real environment but PATH.
//!
//! ```ignore
//! let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
//! sandbox.config("accounts:\n  work: …\n");
//! let output = sandbox.run(&["fetch"]);
//! assert_eq!(output.code, 0, "{output}");
//! Maildirs::at(sandbox.maildir()).assert_holds(&[message]);
//! ```

use rustix::process::{Pid, Signal, kill_process_group};
use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No run in a test takes so long. What does is killed, and the test fails.
const DEADLINE: Duration = Duration::from_secs(60);
const CONFIG: &str = ".config/mailsluice/config.yaml";

/// The folder goes when this is dropped.
pub struct Sandbox {
    program: PathBuf,
    home: TempDir,
    environment: Vec<(String, String)>,
    deadline: Duration,
}

impl Sandbox {
    /// The path of the binary comes from the caller: only an integration test knows `CARGO_BIN_EXE_mailsluice`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self::at(program, TempDir::with_prefix("mailsluice-test-").unwrap())
    }

    /// In memory where the system has such a folder: a sync to a real disk would be most of the time of a test.
    pub fn in_memory(program: impl Into<PathBuf>) -> Self {
        let folder = tempfile::Builder::new().prefix("mailsluice-test-").tempdir_in("/dev/shm");
        Self::at(program, folder.or_else(|_| TempDir::with_prefix("mailsluice-test-")).unwrap())
    }

    fn at(program: impl Into<PathBuf>, home: TempDir) -> Self {
        fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
        Sandbox { program: program.into(), home, environment: Vec::new(), deadline: DEADLINE }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// `~/Mail`, where the config's `maildir:` should point.
    pub fn maildir(&self) -> PathBuf {
        self.home().join("Mail")
    }

    /// One variable more for every run from now on.
    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn deadline(&mut self, deadline: Duration) -> &mut Self {
        self.deadline = deadline;
        self
    }

    /// A file below the home folder, readable by its owner only. Makes the folders it needs.
    pub fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        file.write_all(text.as_ref()).unwrap();
        path
    }

    /// The same, made executable: for the programs that rules start.
    pub fn script(&self, path: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.write(path, text);
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        path
    }

    /// Where the program looks for its config when nobody tells it.
    pub fn config(&self, yaml: &str) -> PathBuf {
        self.write(CONFIG, yaml)
    }

    pub fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.home().join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// To its end, with an empty standard input.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_stdin(arguments, b"")
    }

    pub fn run_with_stdin(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Output {
        self.spawn_with_stdin(arguments, input).wait()
    }

    /// And leaves it running, with this standard input.
    pub fn spawn_with_stdin(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Running {
        self.start(arguments, Stdio::piped()).fed(input)
    }

    /// And leaves it running: to kill it, or to run two at once.
    pub fn spawn(&self, arguments: &[&str]) -> Running {
        self.start(arguments, Stdio::null())
    }

    /// For what this file has no function for. The environment and the home are set.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.home()).env_clear();
        command.env("HOME", self.home()).env("LANG", "C.UTF-8");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // The check that `tests/mutants` takes away.
        command.envs(std::env::var_os("MAILSLUICE_OFF").map(|off| ("MAILSLUICE_OFF", off)));
        // A group of its own, so that its children can be ended with it.
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A command from [`Self::command`], changed as its caller likes, to its end.
    pub fn run_command(&self, command: Command, input: impl AsRef<[u8]>) -> Output {
        self.launch(command, Stdio::piped()).fed(input).wait()
    }

    fn start(&self, arguments: &[&str], stdin: Stdio) -> Running {
        self.launch(self.command(arguments), stdin)
    }

    fn launch(&self, mut command: Command, stdin: Stdio) -> Running {
        let program = command.get_program().to_owned();
        let mut child = command
            .stdin(stdin)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        let stdout = Some(read_aside(child.stdout.take().unwrap()));
        let stderr = Some(read_aside(child.stderr.take().unwrap()));
        let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        Running { child, stdout, stderr, command: arguments.join(" "), end: Instant::now() + self.deadline }
    }
}

/// Whether a program still runs that has one of these as its HOME: a child that outlives who started it.
pub fn is_at_home(homes: &[&Path]) -> bool {
    let homes: Vec<Vec<u8>> = homes.iter().map(|home| format!("HOME={}", home.display()).into_bytes()).collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.into_iter().any(|process| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| homes.iter().any(|home| home == variable))
    })
}

fn read_aside(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

/// Killed, with all its children, when dropped.
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    command: String,
    end: Instant,
}

impl Running {
    fn fed(mut self, input: impl AsRef<[u8]>) -> Self {
        let mut stdin = self.child.stdin.take().unwrap();
        let input = input.as_ref().to_vec();
        // Beside the reading: a program that writes before it has read all must not block us both. It may also
        // close its input early.
        std::thread::spawn(move || _ = stdin.write_all(&input));
        self
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// To the program alone, as a user's or systemd's signal would come.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Kill -9, for the program and all it started.
    pub fn kill(self) -> Output {
        self.kill_group();
        self.wait()
    }

    /// Panics when the deadline passes.
    pub fn wait(mut self) -> Output {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > self.end {
                self.kill_group();
                let status = self.child.wait().unwrap();
                let output = self.collect(status);
                panic!("`{}` did not end in time\n{output}", self.command);
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        // What it left behind holds the pipes open, and would be left behind after the test as well.
        self.kill_group();
        self.collect(status)
    }

    fn collect(&mut self, status: ExitStatus) -> Output {
        let text = |reader: Option<JoinHandle<Vec<u8>>>| {
            String::from_utf8_lossy(&reader.unwrap().join().unwrap()).into_owned()
        };
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
        Output { code, stdout: text(self.stdout.take()), stderr: text(self.stderr.take()) }
    }

    fn kill_group(&self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.kill_group();
            let _ = self.child.wait();
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The exit code, or the negative number of the signal that ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// For the message of an assertion.
impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

#[cfg(test)]
mod tests {
    use super::Sandbox;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    #[test]
    fn a_program_sees_only_its_own_world() {
        let mut sandbox = Sandbox::new("/usr/bin/env");
        sandbox.env("EXTRA", "1");
        let output = sandbox.run(&[]);
        let mut names: Vec<&str> = output.stdout.lines().map(|line| line.split('=').next().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["EXTRA", "HOME", "LANG", "PATH"], "{output}");
        assert!(output.stdout.contains(&format!("HOME={}", sandbox.home().display())));
    }

    #[test]
    fn input_output_and_codes_come_through() {
        let sandbox = Sandbox::new("/bin/sh");
        let big = "x".repeat(1_000_000);
        assert_eq!(sandbox.run_with_stdin(&["-c", "cat; echo oops >&2; exit 75"], &big).stdout.len(), big.len());
        let output = sandbox.run_with_stdin(&["-c", "exec 0<&-; echo oops >&2; exit 75"], &big);
        assert_eq!((output.code, output.stderr.as_str()), (75, "oops\n"));
        assert_eq!(sandbox.run(&["-c", "kill -9 $$"]).code, -9);
    }

    #[test]
    fn a_killed_program_takes_its_children_along() {
        let sandbox = Sandbox::new("/bin/sh");
        let running = sandbox.spawn(&["-c", "sleep 100 & sleep 100"]);
        let begun = Instant::now();
        assert_eq!(running.kill().code, -9);
        assert!(begun.elapsed() < Duration::from_secs(10), "the pipes were still held");
    }

    #[test]
    #[should_panic(expected = "did not end in time")]
    fn a_run_without_end_is_ended() {
        let mut sandbox = Sandbox::new("/bin/sleep");
        sandbox.deadline(Duration::from_millis(50)).run(&["100"]);
    }

    #[test]
    fn files_are_private() {
        let sandbox = Sandbox::new("/bin/true");
        let path = sandbox.config("accounts: {}\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(sandbox.read(".config/mailsluice/config.yaml"), "accounts: {}\n");
    }
}
