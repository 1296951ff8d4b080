//! A program on a terminal of its own, by script(1): what it shows is waited for, and then typed.
//!
//! ```ignore
//! let mut terminal = Terminal::start(sandbox.command(&["init"]));
//! terminal.expect("Your address: ").type_line("me@firm.example");
//! assert_eq!(terminal.end(), 0);
//! ```

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    shown: String,
    /// Up to here what was shown was waited for.
    seen: usize,
}

impl Terminal {
    pub fn start(command: Command) -> Self {
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"));
        let line =
            std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect::<Vec<_>>().join(" ");
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]).env_clear();
        script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("SHELL", "/bin/sh");
        script.current_dir(command.get_current_dir().unwrap());
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = script.spawn().expect("script(1) of util-linux");
        let (keyboard, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (send, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, shown: String::new(), seen: 0 }
    }

    /// Waits until this is shown, behind what was waited for before.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> &mut Self {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return self;
            }
            match self.screen.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.shown += &String::from_utf8_lossy(&bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("`{text}` is not shown behind `{}` in:\n{}", &self.shown[..self.seen], self.shown)
                }
            }
        }
    }

    pub fn type_line(&mut self, text: &str) -> &mut Self {
        self.type_keys(&format!("{text}\r"))
    }

    pub fn type_keys(&mut self, keys: &str) -> &mut Self {
        // A secret is read once the terminal shows nothing more, which comes after the question.
        std::thread::sleep(Duration::from_millis(100));
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
        self
    }

    /// Everything that was shown.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The exit code, once it has ended. What came last is in [`Self::shown`].
    pub fn end(&mut self) -> i32 {
        let end = Instant::now() + PATIENCE;
        while let Ok(bytes) = self.screen.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.shown += &String::from_utf8_lossy(&bytes);
        }
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
