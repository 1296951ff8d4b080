//! Running the program: to its end, or to another one.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::scene::Scene;
use crate::support::injector::{Fault, injector};
use crate::tools::tools;

/// What runs longer than this is killed, and that is a fault. A server that says nothing, or the lock of an mbox whose holder was killed, is waited for two minutes.
const DEADLINE: Duration = Duration::from_secs(180);

/// How it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Own,
    Kill(Duration),
    /// At the `nth` of these system calls this is done: `err:EIO`, `kill`.
    Inject {
        calls: &'static str,
        nth: usize,
        what: &'static str,
    },
}

#[derive(Clone, Debug)]
pub struct Order {
    pub arguments: Vec<String>,
    pub stdin: Vec<u8>,
    pub end: End,
    /// SIGTERM after this time.
    pub stop: Option<Duration>,
    /// Seconds that the clock goes wrong.
    pub clock: i64,
    /// When its step began: files written since then are as new as the clock says.
    pub since: u64,
    pub through_link: bool,
}

impl Order {
    pub fn of(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        Order { arguments, stdin: Vec::new(), end: End::Own, stop: None, clock: 0, since: 0, through_link: false }
    }
}

#[derive(Clone, Debug)]
pub struct Ended {
    pub order: Order,
    /// The exit code, or the negative number of the signal that ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub is_overdue: bool,
}

impl Ended {
    /// Nobody could hear from it what it did.
    pub fn was_cut_off(&self) -> bool {
        self.code < 0 || self.code == 137 || self.is_overdue
    }

    pub fn line(&self) -> String {
        let Order { arguments, end, stop, clock, through_link, .. } = &self.order;
        let mut line = format!("{} -> {}", arguments.join(" "), self.code);
        if *end != End::Own {
            line += &format!(", {end:?}");
        }
        if let Some(after) = stop {
            line += &format!(", SIGTERM after {after:?}");
        }
        if *clock != 0 {
            line += &format!(", clock {clock:+}");
        }
        if *through_link {
            line += ", HOME is a link";
        }
        if self.is_overdue {
            line += ", OVERDUE";
        }
        let said: Vec<&str> = self.stderr.lines().collect();
        for text in &said[said.len().saturating_sub(4)..] {
            line += &format!("\n        | {}", text.chars().take(240).collect::<String>());
        }
        line
    }
}

/// Running, with what it says in files: children that outlive it hold no pipe of ours.
pub struct Running {
    order: Order,
    child: Child,
    files: [PathBuf; 2],
    begun: Instant,
    terminated: bool,
}

pub fn start(scene: &Scene, order: Order, number: usize) -> Running {
    let files = ["out", "err"].map(|name| scene.home().join(format!(".said/{number}.{name}")));
    fs::create_dir_all(scene.home().join(".said")).unwrap();
    let input = scene.sandbox.write(format!(".said/{number}.in"), &order.stdin);
    let mut command = command(scene, &order);
    command.stdin(File::open(input).unwrap());
    command.stdout(File::create(&files[0]).unwrap()).stderr(File::create(&files[1]).unwrap());
    let child = command.spawn().unwrap();
    Running { order, child, files, begun: Instant::now(), terminated: false }
}

fn command(scene: &Scene, order: &Order) -> Command {
    let words: Vec<&str> = ["--allow-root"].into_iter().chain(order.arguments.iter().map(String::as_str)).collect();
    let plain = scene.sandbox.command(&words);
    let mut command = match (&order.end, injector()) {
        (End::Inject { calls, nth, what }, Some(injector)) => {
            let fault = Fault { calls: (*calls).to_owned(), nth: *nth, what: (*what).to_owned() };
            injector.around(&plain, &fault, scene.home(), Path::new("/dev/null"))
        }
        _ => plain,
    };
    if order.through_link {
        command.env("HOME", &scene.link);
    }
    if let Some(off) = std::env::var_os("MAILSLUICE_OFF") {
        command.env("MAILSLUICE_OFF", off);
    }
    if let (true, Some(clock)) = (order.clock != 0, &tools().clock) {
        command.env("LD_PRELOAD", clock).env("WORLD_CLOCK", order.clock.to_string());
        command.env("WORLD_SINCE", order.since.to_string());
    }
    command.stdin(Stdio::null());
    command
}

impl Running {
    pub fn wait(mut self) -> Ended {
        let mut is_overdue = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            let ran = self.begun.elapsed();
            let pid = Pid::from_child(&self.child);
            if matches!(self.order.end, End::Kill(after) if ran >= after) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            if !self.terminated && self.order.stop.is_some_and(|after| ran >= after) {
                let _ = kill_process_group(pid, Signal::TERM);
                self.terminated = true;
            }
            if ran > DEADLINE {
                is_overdue = true;
                let _ = kill_process_group(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let [stdout, stderr] = self.files.each_ref().map(text);
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
        Ended { order: self.order, code, stdout, stderr, is_overdue }
    }
}

pub fn run(scene: &Scene, order: Order, number: usize) -> Ended {
    start(scene, order, number).wait()
}
